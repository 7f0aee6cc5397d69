"""What the frame of every page asks about reviews."""

from typing import Any

from django import template

from diagnosis.pages import CappedCount
from diagnosis.review.worklist import waiting_for

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_reviews(context: Any) -> CappedCount | None:
    """Count the answers that wait for the person of this page, up to a cap; None where they are no reader."""
    user = context.get("user")
    if not user or not user.has_perm("diagnosis.add_review"):
        return None
    return waiting_for(user).count()
