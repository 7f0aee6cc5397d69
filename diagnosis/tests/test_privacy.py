"""Who sees what; and what every page says and never does."""

import re
import uuid
from pathlib import Path

import pytest
from django.conf import settings as site
from django.test import Client
from django.urls import reverse

from diagnosis.models import Scan
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of

DISCLAIMER = "Education and research only. Not a medical device."
TEMPLATES = sorted(Path(site.BASE_DIR, "templates").rglob("*.html"))
OWN_SCRIPTS = sorted(Path(site.BASE_DIR, "static").glob("*.js"))

SCAN_PAGES = ["scan_detail", "scan_status", "scan_picture", "scan_thumbnail", "scan_delete", "prediction_heatmap"]
OPEN_PAGES = ["diagnosis:home", "account_login", "account_signup", "account_reset_password", "account_inactive"]
OWN_PAGES = ["diagnosis:scan_list", "diagnosis:scan_new", "account_change_password", "account_email", "account_logout"]


@pytest.fixture
def scan(alice) -> Scan:
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    return scan


def url(name: str, scan: Scan) -> str:
    more = [scan.predictions.get().pk] if name == "prediction_heatmap" else []
    return reverse(f"diagnosis:{name}", args=[scan.pk, *more])


def without_token(response) -> str:
    """Give a page without what differs each time."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


@pytest.mark.parametrize("name", SCAN_PAGES)
def test_the_owner_opens_every_page_of_a_scan(client, alice, scan, name):
    client.force_login(alice)
    response = client.get(url(name, scan))
    assert response.status_code == 200
    assert response.getvalue()


@pytest.mark.parametrize("name", SCAN_PAGES)
def test_a_stranger_gets_404(client, bob, scan, name):
    client.force_login(bob)
    assert client.get(url(name, scan)).status_code == 404


@pytest.mark.parametrize("name", SCAN_PAGES)
def test_a_scan_that_never_was_looks_like_somebody_elses(client, bob, scan, name):
    client.force_login(bob)
    theirs = client.get(url(name, scan))
    nobodys = client.get(url(name, scan).replace(str(scan.pk), str(uuid.uuid4())))
    assert nobodys.status_code == 404
    assert without_token(nobodys) == without_token(theirs)


@pytest.mark.parametrize("name", SCAN_PAGES)
def test_who_is_not_signed_in_is_sent_to_sign_in(client, scan, name):
    response = client.get(url(name, scan))
    assert response.status_code == 302
    assert response.url == f"/accounts/login/?next={url(name, scan)}"


@pytest.mark.parametrize("name", ["diagnosis:scan_list", "diagnosis:scan_new"])
def test_own_pages_need_a_sign_in(client, db, name):
    assert client.get(reverse(name)).url == f"/accounts/login/?next={reverse(name)}"


def test_a_stranger_deletes_nothing(client, bob, scan):
    client.force_login(bob)
    assert client.post(url("scan_delete", scan)).status_code == 404
    assert Scan.objects.filter(pk=scan.pk).exists()


@pytest.mark.parametrize("person", ["rita", "sam"])
def test_staff_may_look_at_a_scan_but_not_delete_it(client, scan, person, request):
    client.force_login(request.getfixturevalue(person))
    page = client.get(url("scan_detail", scan))
    assert "Scan of <strong>alice</strong>" in page.content.decode()
    assert url("scan_delete", scan) not in page.content.decode()
    assert client.get(url("scan_delete", scan)).status_code == 404
    assert client.post(url("scan_delete", scan)).status_code == 404
    assert Scan.objects.filter(pk=scan.pk).exists()


def test_staff_without_the_permission_is_a_stranger(client, bob, scan):
    bob.is_staff = True
    bob.save()
    client.force_login(bob)
    assert client.get(url("scan_detail", scan)).status_code == 404


@pytest.mark.parametrize("name", ["scan_detail", "scan_status", "scan_delete"])
def test_no_cache_keeps_what_a_person_saw(client, alice, scan, name):
    client.force_login(alice)
    control = client.get(url(name, scan))["Cache-Control"]
    assert "no-store" in control
    assert "private" in control


def test_stored_pictures_have_no_public_address(client, alice, scan):
    client.force_login(alice)
    for path in (f"/media/{scan.picture.name}", f"/static/{scan.picture.name}", f"/{scan.picture.name}"):
        assert client.get(path).status_code == 404


def test_a_form_from_another_site_is_refused_kindly(alice, scan):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    response = browser.post(url("scan_delete", scan))
    assert response.status_code == 403
    assert "This form could not be accepted" in response.content.decode()
    assert DISCLAIMER in response.content.decode()
    assert Scan.objects.filter(pk=scan.pk).exists()


@pytest.mark.parametrize("name", OPEN_PAGES)
def test_every_open_page_says_what_it_is_not(client, db, name):
    assert DISCLAIMER in client.get(reverse(name)).content.decode()


@pytest.mark.parametrize("name", OWN_PAGES)
def test_every_own_page_says_what_it_is_not(client, alice, name):
    client.force_login(alice)
    assert DISCLAIMER in client.get(reverse(name)).content.decode()


@pytest.mark.parametrize("name", ["scan_detail", "scan_delete"])
def test_every_page_of_a_scan_says_what_it_is_not(client, alice, scan, name):
    client.force_login(alice)
    assert DISCLAIMER in client.get(url(name, scan)).content.decode()


def test_a_missing_page_says_what_it_is_not(client, db):
    response = client.get("/no/such/page/")
    assert response.status_code == 404
    assert DISCLAIMER in response.content.decode()
    assert "There is nothing here for you" in response.content.decode()


def test_a_fault_is_told_without_details(client, db, monkeypatch):
    def fails():
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("diagnosis.services.active_model_version", fails)
    client.raise_request_exception = False
    response = client.get("/")
    page = response.content.decode()
    assert response.status_code == 500
    assert DISCLAIMER in page
    assert "a secret detail" not in page


def test_a_request_that_makes_no_sense_says_so(client, db):
    response = client.get("/", headers={"host": "somebody.else.example"})
    assert response.status_code == 400
    assert DISCLAIMER in response.content.decode()


def test_the_front_page_names_the_model_in_use(client, model_version):
    page = client.get("/").content.decode()
    assert model_version.name in page
    assert model_version.short_sha256 in page


def test_the_front_page_says_when_there_is_no_model(client, db):
    assert "No model is active yet" in client.get("/").content.decode()


def test_staff_find_the_admin_others_do_not(client, alice, rita):
    client.force_login(alice)
    assert 'href="/admin/"' not in client.get("/").content.decode()
    client.force_login(rita)
    assert 'href="/admin/"' in client.get("/").content.decode()


def test_the_browser_is_told_to_run_no_inline_code(client, db):
    policy = client.get("/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_inline_code(template):
    text = re.sub(r"\{#.*?#\}|\{% comment.*?endcomment %\}", "", template.read_text(), flags=re.DOTALL)
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=|\shx-on|javascript:", text, flags=re.IGNORECASE)
    for script in re.findall(r"<script[^>]*>", text):
        assert " src=" in script


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_loads_from_elsewhere(template):
    assert not re.search(r"""<(?!a\s)[^>]*(src|href)=["'](https?:)?//""", template.read_text())


@pytest.mark.parametrize("script", OWN_SCRIPTS, ids=lambda path: path.name)
def test_no_script_of_ours_writes_html(script):
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text())
