"""How a probability is written for people."""

from django import template
from django.utils.translation import gettext

from diagnosis.numbers import written

register = template.Library()


@register.filter
def percent(probability: float) -> str:
    """Give 0..1 in per cent with one decimal; never "0 %" or "100 %", because no model is that sure.

    The space before the sign does not break.
    """
    if probability < 0.001:
        return gettext("less than %(share)s") % {"share": _written(0.1)}
    if probability > 0.999:
        return gettext("more than %(share)s") % {"share": _written(99.9)}
    return _written(100 * probability)


def _written(share: float) -> str:
    return f"{written(share, '.1f')}\N{NO-BREAK SPACE}%"


@register.simple_tag
def per_mille(probability: float, start: float = 0.0) -> int:
    """Give the way from `start` to `probability` (both 0..1) in thousandths, for drawings 1000 wide."""
    return round(1000 * probability) - round(1000 * start)
