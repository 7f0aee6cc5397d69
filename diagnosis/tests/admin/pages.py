"""Addresses in the admin, and how tests read what is there."""

from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse

from diagnosis.models import ModelVersion, Prediction

PREDICTIONS = "/admin/diagnosis/prediction/"
SCANS = "/admin/diagnosis/scan/"
VERSIONS = "/admin/diagnosis/modelversion/"
REPROCESS = "reprocess_with_the_active_model"

METRICS = {"held_out": {"none": {"auc": {"value": 0.9871, "low": 0.97, "high": 0.994}, "n": 522}}}
TRAINING = {"command": "python -m ml.train", "recipe": {"image_size": 128}, "hours": 3.5, "commit": None}


def page_of(prediction: Prediction) -> str:
    return reverse("admin:diagnosis_prediction_change", args=[prediction.pk])


def review_address(prediction: Prediction) -> str:
    return reverse("admin:diagnosis_prediction_review", args=[prediction.pk])


def activate_address(version: ModelVersion) -> str:
    return reverse("admin:diagnosis_modelversion_activate", args=[version.pk])


def grant(user, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def text_at(client, address: str) -> str:
    """Give the page at `address`, its no-break spaces as plain ones."""
    response = client.get(address)
    assert response.status_code == 200
    return response.text.replace("\N{NO-BREAK SPACE}", " ").replace("&nbsp;", " ")


def shown(client, address: str, **query: str) -> set:
    """Give the ids of the rows that the list at `address` shows."""
    response = client.get(address, query)
    assert response.status_code == 200, response.get("Location")
    return {row.pk for row in response.context["cl"].result_list}


def said(response) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))
