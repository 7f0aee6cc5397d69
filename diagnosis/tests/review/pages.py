"""Addresses of the readers' pages, and how tests read what is there."""

import re

from django.urls import reverse

from diagnosis.models import Prediction

WORKLIST = "/review/"


def review_page(prediction: Prediction, **query: str) -> str:
    return reverse("diagnosis:review", args=[prediction.pk], query=query)


def plain(response) -> str:
    """Give the words of a page."""
    assert response.status_code == 200, response.get("Location")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.text)).strip()


def shown(client, **query: str) -> list:
    """Give the ids of the answers that a list shows, in its order."""
    response = client.get(WORKLIST, query)
    assert response.status_code == 200, response.get("Location")
    return [row.pk for row in response.context["page"]]


def say(client, prediction: Prediction, label: str, query: dict[str, str] | None = None, **more: str):
    """Send a verdict as the page does, which tells what it had seen."""
    address = review_page(prediction, **(query or {}))
    seen = client.get(address).context["form"]["seen"].value()
    return client.post(address, {"label": label, "seen": seen or "", **more})
