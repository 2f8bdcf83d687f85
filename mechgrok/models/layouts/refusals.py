"""The error with which a layout gives up."""


class RefusedError(ValueError):
    """The layout is clear, but its network cannot be represented or determined; the text gives the reason."""
