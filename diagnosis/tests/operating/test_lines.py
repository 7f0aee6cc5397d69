"""What the processes of a real site write: JSON, by ids, and nothing that names a person."""

import io
import json
import logging
import re

import httpx
import pytest
from django.urls import path

from bench.person import Person
from diagnosis.models import Prediction
from diagnosis.operating.lines import Line, carrying
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import wait_for

WORDS = ("alice", "example.org", "miller", "ward", "correct horse", "127.0.0.1", "csrftoken", "curl-of-mine")


def lines_of(text: str) -> list[dict]:
    """Read each line as JSON."""
    no_json = [line for line in text.splitlines() if not line.startswith("{")]
    assert not no_json
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_whole_visit_leaves_lines_of_json_that_name_nobody_and_hang_together_by_ids(site):
    picture = encoded(chest_like(300, 300), "JPEG")
    with Person(site.url, "alice-miller") as alice:
        client = alice.client
        client.headers["User-Agent"] = "curl-of-mine"
        fields = alice._form("/scans/new/", {"reference": "Miller, ward 3"})
        given = client.post(
            "/scans/new/", data=fields, files={"image": ("alice-miller.jpg", picture)}, follow_redirects=False
        )
        assert given.status_code == 302
        bad = client.post("/scans/new/", data=fields, files={"image": ("alice.jpg", b"not a picture")})
        assert bad.status_code == 422
        client.get("/scans/?q=miller&reference=ward")
        assert client.get("/nothing/alice-miller@example.org/").status_code == 404
        assert client.post("/scans/new/", data={"reference": "ward"}).status_code == 403
        reset = client.get("/accounts/password/reset/key/1-secret-of-alice/")
        assert reset.status_code == 200
    stranger = httpx.Client(base_url=site.url)
    form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', stranger.get("/accounts/login/").text)[1]
    failed = {"login": "alice-miller", "password": "correct horse", "csrfmiddlewaretoken": form}
    assert stranger.post("/accounts/login/", data=failed).status_code == 200
    assert stranger.get("/", headers={"Host": "alice.example.org"}).status_code == 400
    assert stranger.get("/api/v1/scans/", headers={"Authorization": "Bearer alice"}).status_code == 401
    stranger.close()
    prediction = Prediction.objects.get()
    wait_for(lambda: Prediction.objects.filter(pk=prediction.pk, finished_at__isnull=False), 60)
    wait_for(lambda: "succeeded" in site.log("worker"))

    web, worker = lines_of(site.log("web")), lines_of(site.log("worker"))

    for word in WORDS:
        said = [line for line in web if word in json.dumps(line).lower()]
        assert not said, word
        # Celery names the broker that it is connected to.
        said = [line for line in worker if word in json.dumps(line).lower() and "Connected to redis" not in str(line)]
        assert not said, word
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in web + worker)
    request_id = given.headers["X-Request-ID"]
    of_request = [line for line in web if line.get("request_id") == request_id]
    assert [line["message"] for line in of_request] == ["Sent to the workers", "answered"]
    assert of_request[0]["prediction_id"] == str(prediction.pk)
    assert {name: of_request[1][name] for name in ("method", "route", "status")} == {
        "method": "POST",
        "route": "scans/new/",
        "status": 302,
    }
    (ended,) = [line for line in worker if line["message"].startswith("Ended")]
    ids = {name: ended[name] for name in ("request_id", "task_id", "prediction_id")}
    assert ids == {"request_id": request_id, "task_id": prediction.claimed_by, "prediction_id": str(prediction.pk)}


def written(**record) -> dict:
    """Give the line of an error with this record's fields."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Line())
    logger = logging.Logger("tests")
    logger.addHandler(handler)
    logger.error("it went wrong", **record)
    return json.loads(stream.getvalue())


def test_a_line_keeps_the_fault_and_not_the_row_that_broke_a_rule():
    said = ["duplicate key value violates a rule", "DETAIL:  Key (username)=(alice) already exists."]
    try:
        raise ValueError("\n".join(said))
    except ValueError:
        line = written(exc_info=True)
    assert "duplicate key" in line["error"]
    assert "alice" not in line["error"]


def test_a_line_holds_nothing_that_a_library_adds():
    with carrying(request_id="r" * 12):
        line = written(extra={"request": "alice's", "username": "alice", "status": 500})
    assert line.keys() == {"time", "level", "logger", "message", "status", "request_id"}


@pytest.mark.parametrize(
    ("proxies", "given", "is_taken"),
    [(1, "from-the-proxy-1", True), (0, "from-a-stranger", False), (1, 'x"}\n{"', False), (1, "x" * 65, False)],
)
@pytest.mark.django_db
def test_only_a_proxy_of_the_operators_own_may_name_a_request(client, settings, proxies, given, is_taken):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    found = client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert (found == given) is is_taken
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", found)


def failing(request):
    raise RuntimeError("on purpose")


urlpatterns = [path("fails/", failing)]
handler500 = "diagnosis.operating.pages.server_error"


def test_the_page_of_a_fault_says_the_number_by_which_the_log_knows_it(client, settings, caplog):
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    response = client.get("/fails/")
    assert response.status_code == 500
    assert f"<code>{response['X-Request-ID']}</code>" in response.content.decode()
