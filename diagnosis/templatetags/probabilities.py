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
