"""Model versions in the admin: what they tell, and the one switch."""

import pytest
from django.urls import reverse

from diagnosis.models import ModelVersion, Prediction
from diagnosis.states import State
from diagnosis.tests.admin.pages import METRICS, TRAINING, VERSIONS, activate_address, grant, said, text_at
from diagnosis.tests.factories import model_version_of, prediction_at


def test_the_empty_list_says_how_a_model_is_registered(client, sam):
    client.force_login(sam)
    assert "register_model" in text_at(client, VERSIONS)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"metrics": None, "training": []},
        {"metrics": {"held_out": {"none": 3, "gamma": {"auc": {}, "f1": None}}}},
        [],
    ],
    ids=str,
)
def test_a_checkpoint_that_tells_little_still_has_a_page(client, sam, metadata):
    version = model_version_of(metadata=metadata)
    client.force_login(sam)
    assert client.get(reverse("admin:diagnosis_modelversion_change", args=[version.pk])).status_code == 200


def test_the_page_of_a_version_shows_its_metrics_and_its_training(client, sam):
    version = model_version_of(metadata={"metrics": METRICS, "training": TRAINING}, threshold=0.412)
    prediction_at(State.SUCCEEDED, model_version=version)
    client.force_login(sam)
    text = text_at(client, reverse("admin:diagnosis_modelversion_change", args=[version.pk]))
    for part in ("AUROC", "0.987", "0.970–0.994", "522", "41.2 %", "python -m ml.train", "recipe · image size", "3.5"):
        assert part in text


def test_making_a_version_active_asks_first_and_keeps_old_answers(client, sam, answered):
    old, new = answered.model_version, model_version_of(name="better")
    client.force_login(sam)
    assert "instead of" in text_at(client, activate_address(new))
    assert ModelVersion.objects.get(is_active=True) == old
    response = client.post(activate_address(new), follow=True)
    assert "Old answers stay as they are" in said(response)
    assert ModelVersion.objects.get(is_active=True) == new
    assert Prediction.objects.get().model_version == old


def test_the_switch_needs_its_permission(client, rita, model_version):
    new = model_version_of(name="better")
    client.force_login(rita)
    assert client.post(activate_address(new)).status_code == 403
    grant(rita, "view_modelversion")
    page = reverse("admin:diagnosis_modelversion_change", args=[new.pk])
    assert activate_address(new) not in text_at(client, page)
    assert client.post(activate_address(new)).status_code == 403
    assert ModelVersion.objects.get(is_active=True) == model_version
    grant(rita, "change_modelversion")
    assert activate_address(new) in text_at(client, page)
    client.post(activate_address(new))
    assert ModelVersion.objects.get(is_active=True) == new


def test_an_unknown_version_is_not_made_active(client, sam, model_version):
    client.force_login(sam)
    assert client.post(f"{VERSIONS}999999/activate/").status_code == 404
    assert ModelVersion.objects.get(is_active=True) == model_version
