"""What must never be read in a log, though the processes of a real site have had it in their hands."""

import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.db import connection

from bench.person import PASSWORD, Person
from bench.site import Site
from diagnosis import services
from diagnosis.models import Prediction
from diagnosis.tests.dicom_files import dicom_file, stored_values
from diagnosis.tests.servers import wait_for
from diagnosis.tests.test_settings import FULL, SHOW, load

PATIENT, MISTYPED, NEW = "MILLER^JANE^19700101", "correct hose battery staple", "another horse, another battery"


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_no_secret_and_no_persons_name_is_in_the_log_of_any_process(tmp_path, tiny_checkpoint, celery_app):
    folder, mails = tmp_path / "site", tmp_path / "mails"
    folder.mkdir()
    key = secrets.token_urlsafe(50)
    site = Site(
        folder,
        {
            "SECRET_KEY": key,
            "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict),
            "VAR_DIR": str(folder),
            "MEDIA_ROOT": str(folder / "media"),
            "STATIC_ROOT": str(folder / "static"),
            "EMAIL_URL": f"filemail:///{mails}",
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
    )
    services.register_model(folder=tiny_checkpoint, activate=True)
    celery_app.control.purge()
    site.manage("collectstatic", "--no-input")
    held = {
        "the key": key,
        "the database's password": connection.settings_dict["PASSWORD"],
        "the broker's password": urlsplit(settings.CELERY_BROKER_URL).password,
        "the password": PASSWORD,
        "the mistyped password": MISTYPED,
        "the new password": NEW,
        "the address": "jane.miller@",
        "the patient": "MILLER",
    }
    with site.web() as (url, _), site.worker(), Person(url, "jane.miller") as jane:
        client = jane.client
        page = client.post("/accounts/token/", data=jane._form("/accounts/", {"lifetime": ""}))
        held["the token"] = re.search(r"xray_[\w-]{43}", page.text)[0]
        file = ("MILLER.dcm", dicom_file(stored_values(12, 200, 200), PatientName=PATIENT, PatientID="MILLER"))
        for content in (file, ("MILLER.png", b"\x89PNG\r\n\x1a\nMILLER"), ("MILLER.dcm", file[1][:3000])):
            client.post("/scans/new/", data=jane._fields | {"reference": "MILLER"}, files={"image": content})
        wait_for(lambda: Prediction.objects.filter(finished_at__isnull=False).exists())
        bearer = {"Authorization": f"Bearer {held['the token']}"}
        assert httpx.get(f"{url}/api/v1/scans/", headers=bearer).status_code == 200
        assert httpx.get(f"{url}/api/v1/scans/", headers={"Authorization": "Bearer xray_wrong"}).status_code == 401
        form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
        client.post("/accounts/password/change/", data=jane._form("/accounts/password/change/", form))
        assert httpx.get(f"{url}/api/v1/scans/", headers=bearer).status_code == 401
        held["the session"] = client.cookies["sessionid"]
        held["the form's token"] = client.cookies["csrftoken"]
        client.post("/accounts/logout/", data=jane._form("/accounts/logout/", {}))
        form = {"login": "jane.miller@example.org", "password": MISTYPED}
        client.post("/accounts/login/", data=jane._form("/accounts/login/", form))
        form = {"email": "jane.miller@example.org"}
        client.post("/accounts/password/reset/", data=jane._form("/accounts/password/reset/", form))
        # A form of another site's, and one that is cut short.
        client.post("/accounts/login/", data={"login": "jane.miller@example.org", "password": NEW})
        client.post("/scans/new/", content=b"MILLER", headers={"Content-Type": "multipart/form-data; boundary=x"})
        mail = "".join(file.read_text() for file in mails.iterdir())
        held["the key in the mail"] = re.search(r"/password/reset/key/(\S+)/", mail)[1]
        assert client.get(f"/accounts/password/reset/key/{held['the key in the mail']}/").status_code == 200
    logs = {path.name: path.read_text() for path in folder.glob("*.log")}
    assert {"web.log", "worker.log"} <= logs.keys()
    assert all(logs.values())
    assert [(name, what) for name, log in logs.items() for what, secret in held.items() if secret in log] == []


def test_no_file_of_the_repository_holds_a_key():
    keys = re.compile(
        r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|xray_[\w-]{43}|ghp_\w{36}|SECRET_KEY ?= ?['\"]\w{20}"
    )
    folders = ("diagnosis", "pneumonia_site", "templates", "static", "docs", ".ci")
    files = [path for name in folders for path in Path(settings.BASE_DIR, name).rglob("*") if path.is_file()]
    files += [path for path in settings.BASE_DIR.iterdir() if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if keys.search(path.read_text(errors="replace"))] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://user:hunter/two@db.example:5432/name"),
        ("DATABASE_URL", "mysql://user:hunter@db.example/name"),
        ("DATABASE_URL", "postgres://user:hunter@db.example:hunter/name"),
        ("CELERY_BROKER_URL", "amqp://user:hunter@broker.example"),
        ("EMAIL_URL", "pigeon://user:hunter@roof"),
        ("EMAIL_URL", "smtp+tls://user:hunter/two@mail.example:587"),
    ],
)
def test_settings_that_refuse_an_address_say_nothing_of_the_password_in_it(tmp_path, name, value):
    done = load(SHOW, var=tmp_path / "var", **FULL | {name: value})
    assert done.returncode != 0
    assert name in done.stderr
    assert "hunter" not in done.stderr
