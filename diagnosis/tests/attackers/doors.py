"""The table of who gets what at each address: every way into the site, and what each kind of person is answered."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from allauth.account.models import EmailConfirmationHMAC
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import HttpResponseBase
from django.urls import URLPattern, get_resolver

from diagnosis.models import Scan
from diagnosis.tests.attackers.people import NAMES, House
from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, encoded

SIGN_IN, ADMINS_OWN = "/accounts/login/", "/admin/login/"

TABLE = Path(__file__).parent / "table.txt"


@dataclass(frozen=True)
class Door:
    """One address with one method, and what each of NAMES is answered there."""

    route: str
    method: str
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"

    @property
    def is_api(self) -> bool:
        return self.route.startswith("api/")

    def answer_for(self, name: str) -> str:
        return self.answers[NAMES.index(name)]

    def opens_for(self, name: str) -> bool:
        return self.answer_for(name).startswith(("2", "->"))


def doors() -> list[Door]:
    """Read the table."""
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [Door("" if route == "(home)" else route, method, tuple(answers)) for route, method, *answers in rows]


APPS = re.compile(r"<app_label>([a-z|]+)\)")


def routes(patterns: list | None = None, before: str = "") -> Iterator[str]:
    """Give each route of the URL configuration."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            # In which order the admin knows the apps depends on what was imported first.
            yield APPS.sub(lambda found: f"<app_label>{'|'.join(sorted(found[1].split('|')))})", route)
        else:
            yield from routes(pattern.url_patterns, route)


def address_of(route: str, house: House) -> str:
    """Give the address of what belongs to alice behind `route`."""
    found = re.match(r"admin/((?:account|auth|diagnosis)/\w+)/", route)
    values = {
        "scan_id": house.scan.pk,
        "prediction_id": house.prediction.pk,
        "upload_id": house.upload.pk,
        "sha256": house.version.sha256,
        "content_type_id": ContentType.objects.get_for_model(Scan).pk,
        "object_id": house.row(found[1]) if found and "object_id" in route else house.scan.pk,
        "id": house.people["owner"].pk,
        "app_label": "diagnosis",
        "url": "no/such/page/",
        "uidb36": "1",
        "key": EmailConfirmationHMAC(house.people["owner"].emailaddress_set.get()).key
        if "confirm-email" in route
        else "no-key",
    }
    path = re.sub(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>.*?\)", lambda name: str(values[name[1] or name[2]]), route)
    return "/" + re.sub(r"[\^$]", "", path)


def sent_to(route: str, house: House) -> dict:
    """Give the fields by which a form at `route` does its work."""
    picture = SimpleUploadedFile("new.png", new_picture())
    alice = house.people["owner"]
    new = {"password1": "another horse, another battery", "password2": "another horse, another battery"}
    fields = {
        "scans/new/": {"image": picture},
        "api/v1/scans/": {"image": picture},
        "review/<uuid:prediction_id>/": {"label": "NORMAL"},
        "admin/diagnosis/prediction/<path:object_id>/review/": {"label": "NORMAL"},
        "accounts/erase/": {"password": PASSWORD},
        "accounts/token/": {"lifetime": "30"},
        "accounts/preferences/": {"language": "es"},
        "language/": {"language": "es", "next": "/"},
        "accounts/login/": {"login": "bob", "password": PASSWORD},
        "accounts/signup/": {"username": "carol", "email": "carol@example.org", **new},
        "accounts/reauthenticate/": {"password": PASSWORD},
        "accounts/email/": {"action_add": "", "email": "new@example.org"},
        "accounts/password/change/": {"oldpassword": PASSWORD, **new},
        "accounts/password/reset/": {"email": alice.email},
        "admin/password_change/": {
            "old_password": PASSWORD,
            "new_password1": new["password1"],
            "new_password2": new["password1"],
        },
        "admin/auth/user/<id>/password/": {**new, "usable_password": "true"},
        "admin/auth/user/add/": {"username": "dave", **new, "usable_password": "true"},
        "admin/auth/group/add/": {"name": "Thieves"},
        "admin/account/emailaddress/add/": {"user": alice.pk, "email": "thief@example.org"},
        "admin/auth/group/<path:object_id>/change/": {"name": "Thieves"},
        "admin/account/emailaddress/<path:object_id>/change/": {"user": alice.pk, "email": "thief@example.org"},
        "admin/auth/user/<path:object_id>/change/": {
            "username": "alice",
            "is_superuser": "on",
            "date_joined_0": "2026-01-01",
            "date_joined_1": "10:00",
        },
    }
    if route in fields:
        return fields[route]
    if route.startswith("admin/") and route.endswith("/delete/"):
        return {"post": "yes"}
    model = re.fullmatch(r"admin/((?:account|auth|diagnosis)/\w+)/", route)
    if model:
        actions = {
            "diagnosis/scan": "reprocess_with_the_active_model",
            "diagnosis/prediction": "reprocess_with_the_active_model",
        }
        return {
            "action": actions.get(model[1], "delete_selected"),
            "_selected_action": [house.row(model[1])],
            "post": "yes",
        }
    return {}


@cache
def new_picture() -> bytes:
    """Give a picture that nobody has uploaded yet."""
    return encoded(chest_like(150, 150, seed=3), "PNG")


@contextmanager
def undone() -> Iterator[None]:
    """Take back what was done to the database meanwhile."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(
    door: Door, name: str, house: House, *, data: dict | None = None, checks_forgery: bool = False
) -> HttpResponseBase:
    """Let `name` knock at `door`; programs come to the API with a token, all others as browsers do.

    A form is sent with `data`, by default with what makes it do its work.
    """
    client = house.visitor("anonymous" if door.is_api else name, checks_forgery=checks_forgery)
    headers = house.bearer_of(name) if door.is_api else {}
    if door.method == "POST" and data is None:
        data = sent_to(door.route, house)
    response = getattr(client, door.method.lower())(address_of(door.route, house), data, headers=headers)
    if response.status_code == 302 and response.url.startswith(ADMINS_OWN) and door.route != "admin/login/":
        response = client.get(response.url)
    if response.streaming:
        response.getvalue()  # to its end, which closes the file
    return response


def said(response: HttpResponseBase) -> str:
    """Write the answer as in the table."""
    if not 300 <= response.status_code < 400:
        return str(response.status_code)
    if response.url.startswith(SIGN_IN):
        return "in"
    return "->"
