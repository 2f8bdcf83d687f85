"""The one reason for which a layout gives up."""


class RefusedError(ValueError):
    """The layout is clear, but the network in it cannot be represented or known; the text is the reason."""
