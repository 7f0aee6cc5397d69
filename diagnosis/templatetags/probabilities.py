"""How a probability is written for people."""

from django import template

register = template.Library()


@register.filter
def percent(probability: float) -> str:
    """Give 0..1 in per cent with one decimal; never "0 %" or "100 %", because no model is that sure.

    The space before the sign does not break.
    """
    if probability < 0.001:
        return "less than 0.1\N{NO-BREAK SPACE}%"
    if probability > 0.999:
        return "more than 99.9\N{NO-BREAK SPACE}%"
    return f"{100 * probability:.1f}\N{NO-BREAK SPACE}%"


@register.simple_tag
def per_mille(probability: float, start: float = 0.0) -> int:
    """Give the way from `start` to `probability` (both 0..1) in thousandths, for drawings 1000 wide."""
    return round(1000 * probability) - round(1000 * start)
