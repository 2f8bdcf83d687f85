"""Networks by hand: forward and backward passes that training and analyses share, several times faster than modules."""
