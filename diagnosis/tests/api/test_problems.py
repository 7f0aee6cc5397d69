"""Errors: the same shape everywhere under /api/, whoever notices them, and never a page of HTML."""

from uuid import uuid4

import pytest
from django.db import DatabaseError
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway

from diagnosis.models import Scan
from diagnosis.tests.api.conftest import Program
from diagnosis.tests.api.problems import problem_of
from diagnosis.tests.api.test_new_scans import an_xray

SCANS = "/api/v1/scans/"


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/scan/", "/api/v2/scans/", "/api/v1/scans/1/", "/api/x.php"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete", "put", "options"])
def test_where_nothing_is_a_problem_says_so(alices, path, method):
    problem = problem_of(getattr(alices.client, method)(path, headers=alices.headers), 404, "NOT_FOUND")
    assert problem["instance"] == path


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_missing_slash_sends_no_program_to_another_address(alices, method):
    problem = problem_of(getattr(alices.client, method)("/api/v1/scans", headers=alices.headers), 404, "NOT_FOUND")
    assert "slash" in problem["detail"]


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_a_method_that_is_not_there_is_405_and_names_those_that_are(alices, method):
    response = getattr(alices.client, method)(SCANS, headers=alices.headers)
    problem_of(response, 405, "METHOD_NOT_ALLOWED")
    assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_what_is_not_there_is_said_for_people_and_names_no_table(alices):
    problem = problem_of(alices.get(f"{SCANS}{uuid4()}/"), 404, "NOT_FOUND")
    assert problem["detail"] == "There is nothing here for you."


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png", "nonsense", ""])
def test_a_browser_gets_json_too_whatever_it_accepts(alices, accept):
    response = alices.client.get(SCANS, headers=alices.headers | {"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    problem_of(alices.client.get("/api/v1/nothing/", headers={"Accept": accept}), 404, "NOT_FOUND")


def test_an_unknown_host_is_a_problem_too(alices):
    response = alices.client.get(SCANS, headers=alices.headers | {"Host": "elsewhere.example"})
    problem_of(response, 400, "BAD_REQUEST")


def test_a_fault_of_ours_is_a_problem_that_tells_nothing_of_it(alices, monkeypatch):
    def fail(*args, **kwargs):
        raise DatabaseError("secret detail")

    monkeypatch.setattr(Scan.objects, "visible_to", fail)
    alices.client.raise_request_exception = False
    problem = problem_of(alices.get(SCANS), 500, "INTERNAL_SERVER_ERROR")
    assert "secret detail" not in str(problem)


def test_plain_http_is_refused_where_the_site_is_served_over_https(alices, settings):
    settings.SECURE_SSL_REDIRECT = True
    # The middleware reads the setting when it is made.
    problem_of(Client().get(SCANS, headers=alices.headers), 403, "HTTPS_REQUIRED")


def test_pages_outside_the_api_stay_pages(client, db):
    response = client.get("/nothing/")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_reads_are_limited_for_each_user_by_themselves(alices, bobs, settings):
    settings.API_READS_PER_MINUTE = 2
    assert [alices.get(SCANS).status_code for _ in range(2)] == [200, 200]
    response = alices.get(SCANS)
    problem_of(response, 429, "THROTTLED")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert bobs.get(SCANS).status_code == 200


def test_uploads_and_reads_are_counted_apart(alices, settings, model_version):
    settings.API_UPLOADS_PER_MINUTE = settings.API_READS_PER_MINUTE = 1
    assert alices.get(SCANS).status_code == 200
    assert alices.post(SCANS, {"image": an_xray()}).status_code == 202
    assert alices.get(SCANS).status_code == 429
    response = alices.post(SCANS, {"image": an_xray(1)})
    problem_of(response, 429, "THROTTLED")
    assert int(response["Retry-After"]) >= 1
    assert Scan.objects.count() == 1


def test_a_new_token_is_no_new_budget(alice, settings):
    settings.API_READS_PER_MINUTE = 1
    assert Program(alice).get(SCANS).status_code == 200
    assert Program(alice).get(SCANS).status_code == 429


def test_a_lost_cache_stops_no_upload(alices, model_version, monkeypatch):
    def away(*args, **kwargs):
        raise RedisAway

    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.allow_request", away)
    assert alices.post(SCANS, {"image": an_xray()}).status_code == 202
