"""Who gets into the admin, and that nobody edits what the site wrote."""

import re

import pytest
from django.urls import reverse

from diagnosis.models import ModelVersion, Prediction, Review, Scan
from diagnosis.tests.admin.pages import (
    PREDICTIONS,
    SCANS,
    VERSIONS,
    activate_address,
    page_of,
    review_address,
    text_at,
)
from diagnosis.tests.factories import PASSWORD, model_version_of, person


# Who gets in
@pytest.mark.parametrize("address", ["/admin/", PREDICTIONS, SCANS, VERSIONS])
def test_a_stranger_is_sent_to_the_log_in(client, bob, address):
    client.force_login(bob)
    response = client.get(address)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


def test_a_stranger_records_no_review_and_switches_no_model(client, bob, answered):
    other = model_version_of()
    client.force_login(bob)
    for address in (review_address(answered), activate_address(other)):
        assert client.post(address, {"label": "NORMAL"})["Location"].startswith("/admin/login/")
    assert not Review.objects.exists()
    other.refresh_from_db()
    assert not other.is_active


def test_staff_without_any_permission_see_nothing(client, answered):
    client.force_login(person("trainee", is_staff=True))
    for address in (PREDICTIONS, page_of(answered), SCANS, VERSIONS, activate_address(answered.model_version)):
        assert client.get(address).status_code == 403
    assert client.post(review_address(answered), {"label": "NORMAL"}).status_code == 403


def test_staff_sign_in_on_the_page_that_throttles_and_come_back_to_the_admin(client, rita):
    response = client.get("/admin/", follow=True)
    log_in, _ = response.redirect_chain[-1]
    assert log_in.startswith("/accounts/login/?next=")
    wrong, right = ({"login": "rita", "password": password} for password in ("wrong", PASSWORD))
    assert client.post(log_in, right, follow=True).redirect_chain[-1][0] == "/admin/"
    client.logout()
    for _ in range(10):
        client.post(log_in, wrong)
    client.post(log_in, right)
    assert client.get("/admin/").status_code == 302


def test_a_person_without_staff_rights_is_told_so_instead_of_going_round_in_circles(client, alice):
    client.force_login(alice)
    assert client.get("/admin/", follow=True).status_code == 403


def test_every_page_says_that_this_is_no_medical_device(client, sam):
    client.force_login(sam)
    text = text_at(client, "/admin/")
    assert "not a medical device" in text
    assert "Chest X-ray reader" in text


# No answer is edited
@pytest.mark.parametrize("who", ["rita", "sam"])
def test_nobody_edits_adds_or_deletes_a_prediction(client, request, who, answered):
    client.force_login(request.getfixturevalue(who))
    before = Prediction.objects.values().get()
    forged = {"label": "NORMAL", "probability": "0.01", "threshold": "0.9", "state": "FAILED", "reason": "TIMED_OUT"}
    assert client.post(page_of(answered), forged).status_code == 403
    assert client.post(f"{PREDICTIONS}add/", forged).status_code == 403
    delete = reverse("admin:diagnosis_prediction_delete", args=[answered.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(PREDICTIONS, {"action": "delete_selected", "_selected_action": [answered.pk], "post": "yes"})
    assert Prediction.objects.values().get() == before


def test_the_superuser_gets_no_field_to_type_an_answer_into(client, sam, answered):
    client.force_login(sam)
    scan_page = reverse("admin:diagnosis_scan_change", args=[answered.scan.pk])
    version_page = reverse("admin:diagnosis_modelversion_change", args=[answered.model_version.pk])
    allowed = {"csrfmiddlewaretoken", "note", "next"}
    for address in (page_of(answered), scan_page, version_page):
        fields = re.findall(r'<(?:input|select|textarea)[^>]* name="([^"]+)"', text_at(client, address))
        assert {name for name in fields if not re.match(r"predictions-.*", name)} <= allowed


def test_nobody_edits_a_scan_or_a_model_version(client, sam, answered):
    client.force_login(sam)
    for name, row in (("scan", answered.scan), ("modelversion", answered.model_version)):
        address = reverse(f"admin:diagnosis_{name}_change", args=[row.pk])
        assert client.post(address, {"reference": "x", "name": "x", "threshold": "0.1"}).status_code == 403
        assert client.post(f"/admin/diagnosis/{name}/add/", {}).status_code == 403
    version = reverse("admin:diagnosis_modelversion_delete", args=[answered.model_version.pk])
    assert client.post(version, {"post": "yes"}).status_code == 403
    assert Scan.objects.get().reference == "left lung"
    assert ModelVersion.objects.get().threshold == answered.model_version.threshold
