"""Numbers as people write them in the language of the page."""

from django.utils.formats import get_format


def written(number: float, spec: str = "") -> str:
    """Format `number` by Python's `spec`, with the decimal and thousands separators of the active language.

    Not Django's number_format, which cuts decimals off instead of rounding.
    """
    separators = {".": get_format("DECIMAL_SEPARATOR"), ",": get_format("THOUSAND_SEPARATOR")}
    return format(number, spec).translate(str.maketrans(separators))
