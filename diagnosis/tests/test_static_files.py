"""The collected static files, in a fresh process with the settings as they are: other tests do without them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis.tests.servers import PROJECT

OTHERS_MAY_READ = 0o004

# Prints "status address" for each page, and for each static file that it names.
ASK_FOR_PAGES = """
import re

import django

django.setup()

from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
client = Client(SERVER_NAME="localhost")
for page in ("/", "/accounts/login/"):
    answer = client.get(page)
    print(answer.status_code, page)
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.content.decode()):
        print(client.get(address).status_code, address)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SITE_MODE": "embedded",
        "VAR_DIR": str(tmp_path_factory.mktemp("var")),
        "DJANGO_SETTINGS_MODULE": "pneumonia_site.settings",
    }


@pytest.fixture(scope="module")
def collected(environment) -> Path:
    """The folder that `manage.py collectstatic` filled."""
    run(environment, "manage.py", "collectstatic", "--no-input")
    return Path(environment["VAR_DIR"], "static")


def run(environment: dict[str, str], *arguments: str) -> str:
    """Run Python and give what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment,
        umask=0o022,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_user_of_the_host_may_read_each_collected_file(collected):
    files = [path for path in collected.rglob("*") if path.is_file()]

    assert collected / "staticfiles.json" in files
    assert {"css", "js", "gz"} <= {path.suffix.removeprefix(".") for path in files}
    assert [path for path in files if not path.stat().st_mode & OTHERS_MAY_READ] == []


def test_pages_name_collected_files_by_their_content_and_each_is_served(environment, collected):
    answers = [line.split(maxsplit=1) for line in run(environment, "-c", ASK_FOR_PAGES).splitlines()]

    addresses = [address for _, address in answers]
    assert [(status, address) for status, address in answers if status != "200"] == []
    assert {"/", "/accounts/login/"} < set(addresses)
    static = [address for address in addresses if address.startswith("/static/")]
    assert static
    assert [address for address in static if not re.search(r"\.[0-9a-f]{12}\.\w+$", address)] == []
