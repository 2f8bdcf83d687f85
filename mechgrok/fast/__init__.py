"""Hand-written forward and backward passes shared by training and analyses, several times faster than modules."""
