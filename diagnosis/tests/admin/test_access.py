"""Who gets into the admin, and that nobody edits what the site wrote."""

import re
from urllib.parse import unquote

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

LOG_IN = "/accounts/login/"


# Who gets in
@pytest.mark.parametrize("address", ["/admin/", PREDICTIONS, SCANS, VERSIONS])
def test_a_person_without_staff_rights_is_told_so_and_not_sent_in_circles(client, bob, address):
    client.force_login(bob)
    response = client.get(address, follow=True)
    assert response.status_code == 403
    assert "You may not do this" in response.text
    assert client.get(f"{LOG_IN}?next={address}", follow=True).status_code == 403


def test_a_stranger_records_no_review_and_switches_no_model(client, bob, answered):
    other = model_version_of()
    client.force_login(bob)
    for address in (review_address(answered), activate_address(other)):
        assert client.post(address, {"label": "NORMAL"}, follow=True).status_code == 403
    assert not Review.objects.exists()
    other.refresh_from_db()
    assert not other.is_active


def test_staff_without_any_permission_see_nothing(client, answered):
    client.force_login(person("trainee", is_staff=True))
    for address in (PREDICTIONS, page_of(answered), SCANS, VERSIONS, activate_address(answered.model_version)):
        assert client.get(address).status_code == 403
    assert client.post(review_address(answered), {"label": "NORMAL"}).status_code == 403


def test_staff_sign_in_at_the_sites_own_page_and_come_back_to_the_admin(client, rita):
    asked = client.get(PREDICTIONS, follow=True)
    log_in = asked.redirect_chain[-1][0]
    assert unquote(log_in) == f"{LOG_IN}?next={PREDICTIONS}"
    response = client.post(log_in, {"login": "rita", "password": PASSWORD})
    assert response["Location"] == PREDICTIONS
    assert "Select prediction to view" in text_at(client, PREDICTIONS)


def test_the_admins_own_log_in_takes_no_password(client, rita, sam):
    right = {"username": "sam", "password": PASSWORD}
    response = client.post("/admin/login/", right)
    assert response["Location"].startswith(LOG_IN)
    assert "_auth_user_id" not in client.session
    # Nor does it serve a person who is signed in to try another's password.
    client.force_login(rita)
    assert client.post("/admin/login/", right).status_code == 405
    assert client.session["_auth_user_id"] == str(rita.pk)


def test_too_many_failures_keep_even_the_right_password_out_of_the_admin(client, rita):
    log_in = client.get("/admin/", follow=True).redirect_chain[-1][0]
    for _ in range(5):
        client.post(log_in, {"login": "rita", "password": "wrong"})
    response = client.post(log_in, {"login": "rita", "password": PASSWORD})
    assert "Too many failed login attempts" in response.text
    assert client.get("/admin/").status_code == 302


def test_staff_who_are_signed_in_are_not_asked_again(client, rita):
    client.force_login(rita)
    assert client.get("/admin/login/")["Location"] == "/admin/"


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
