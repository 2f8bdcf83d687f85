"""Formatting of numbers for readers."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Format a number with three digits.

    >>> number(3.519e-7), number(18.0), number(0.029258), number(0.0)
    ('3.52×10⁻⁷', '18.0', '0.0293', '0')
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:z#.3g}".removesuffix(".")
    digits, exponent = f"{value:z.2e}".split("e")
    return f"{digits}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def percent(fraction: float) -> str:
    """Format a fraction in percent, with a second decimal if it is close to 100%.

    >>> percent(0.97477), percent(0.99941), percent(0.0)
    ('97.5%', '99.94%', '0.0%')
    """
    return f"{fraction:z.2%}" if fraction > 0.99 else f"{fraction:z.1%}"


def in_words(count: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun, in the singular for one.

    >>> in_words(1, "spike"), in_words(12769, "input"), in_words(0, "class", "classes")
    ('1 spike', '12,769 inputs', '0 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
