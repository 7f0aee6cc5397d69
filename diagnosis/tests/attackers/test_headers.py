"""What a browser is told to allow: on the answers of every address in the table, files and refusals included."""

import pytest
from django.core.cache import cache

from diagnosis.tests.attackers.doors import ask, doors, undone
from diagnosis.tests.attackers.people import NAMES

POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
    "base-uri": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POWERFUL = ("camera", "microphone", "geolocation", "usb", "payment", "display-capture", "serial")
# Files, which a browser only shows, each with its one type.
SHOWN = {
    "scans/<uuid:scan_id>/picture/": "image/png",
    "scans/<uuid:scan_id>/thumbnail/": "image/jpeg",
    "scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/heatmap/": "image/png",
}
# Files, which a browser only saves.
SAVED = {
    "scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/report.pdf": "application/pdf",
    "api/v1/scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/report/": "application/pdf",
    "api/v1/scans/<uuid:scan_id>/picture/": "image/png",
    "api/v1/scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/heatmap/": "image/png",
    "scans/export.csv": "text/csv; charset=utf-8",
    "scans/export.json": "application/json",
    "accounts/everything.zip": "application/zip",
}
# Elsewhere there are pages, and what programs read.
READ = {
    "text/html; charset=utf-8",
    "text/html",
    "text/plain",
    "text/plain; charset=utf-8",
    "application/json",
    "application/problem+json",
    "application/vnd.oai.openapi+json",
    'text/javascript; charset="utf-8"',
}


def complaints(response) -> list[str]:
    """Say what is missing in the headers of an answer."""
    parts = [part.strip().partition(" ") for part in response.get("Content-Security-Policy", "").split(";")]
    policy = {name: value for name, _, value in parts if name != "sandbox"}
    found = [] if policy == POLICY else [f"Content-Security-Policy: {policy}"]
    found += [f"{name}: {response.get(name)}" for name, value in HEADERS.items() if response.get(name) != value]
    allowed = response.get("Permissions-Policy", "")
    found += [f"Permissions-Policy without {name}" for name in POWERFUL if f"{name}=()" not in allowed]
    return found


def test_every_answer_forbids_inline_scripts_frames_guessed_types_and_devices(house, sent, mailoutbox):
    house.sign_all_in()
    wrong, types = {}, {}
    for door in doors():
        # Who is let in, and who is not.
        opens = next(filter(door.opens_for, ("owner", "superuser", "anonymous")), "owner")
        closed = next((name for name in NAMES if not door.opens_for(name)), opens)
        for name in {opens, closed}:
            cache.clear()
            with undone():
                response = ask(door, name, house)
            if found := complaints(response):
                wrong[f"{door} by {name}: {response.status_code}"] = found
            if 200 <= response.status_code < 300 and door.method == "GET":
                types[door.route] = response
    assert wrong == {}
    for route, content_type in SHOWN.items():
        response = types.pop(route)
        assert response["Content-Type"] == content_type, route
        assert response["Content-Disposition"].startswith("inline"), route
    for route, content_type in SAVED.items():
        response = types.pop(route)
        assert response["Content-Type"] == content_type, route
        assert response["Content-Disposition"].startswith("attachment"), route
    assert {response["Content-Type"] for response in types.values()} <= READ


def test_a_picture_that_is_opened_by_itself_may_do_nothing_at_all(house):
    browser = house.client_of("owner")
    for door in doors():
        if door.route in SHOWN:
            assert "sandbox" in ask(door, "owner", house)["Content-Security-Policy"], door
    assert "sandbox" not in browser.get("/scans/")["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/", "/accounts/login/", "/scans/", "/api/v1/scans/", "/admin/", "/no/such/page/"])
def test_over_plain_http_a_site_with_https_says_nothing_but_where_https_is(client, db, settings, address):
    settings.SECURE_SSL_REDIRECT = True
    response = client.get(address)
    if address.startswith("/api/"):
        assert response.status_code == 403
    else:
        assert (response.status_code, response.url) == (301, f"https://testserver{address}")


def test_over_https_the_browser_is_told_to_come_by_https_alone_and_cookies_too(house, settings):
    settings.SECURE_HSTS_SECONDS = 365 * 24 * 3600
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.LANGUAGE_COOKIE_SECURE = True
    browser = house.client_of("anonymous")
    fields = {"login": "bob", "password": "correct horse battery staple"}
    browser.get("/accounts/login/", secure=True)
    response = browser.post("/accounts/login/", fields, secure=True, headers={"Referer": "https://testserver/"})
    assert "max-age=31536000" in response["Strict-Transport-Security"]
    browser.post("/language/", {"language": "es"}, secure=True)
    assert len(browser.cookies) >= 3
    assert {name for name, cookie in browser.cookies.items() if not cookie["secure"] and cookie.value} == set()
