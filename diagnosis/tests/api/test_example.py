"""The example of the README, as a program of its own against a running server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diagnosis.models import Prediction
from diagnosis.states import State, Trigger
from diagnosis.tests import factories
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import PROJECT, wait_for
from diagnosis.tokens import ApiToken

EXAMPLE = PROJECT / "docs" / "api-example.py"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    path = tmp_path / "chest.png"
    path.write_bytes(encoded(chest_like(), "PNG"))
    return path


def started(site: str, path: Path, secret: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, EXAMPLE, site, path],
        env={"PATH": os.environ["PATH"], "XRAY_TOKEN": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_uploads_waits_and_prints_the_answer(live_server, alice, model_version, chest, sent, fake_classifier):
    _, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    program = started(live_server.url, chest, secret)
    wait_for(lambda: sent or program.poll() is not None, 60)
    assert program.poll() is None, "it must wait for the answer"
    factories.answer_queued()
    said, complaints = program.communicate(timeout=60)
    assert program.returncode == 0, complaints
    assert "PNEUMONIA, probability of pneumonia 90.0%" in said
    assert "Not a medical device" in said
    prediction = Prediction.objects.get()
    assert (prediction.state, prediction.trigger) == (State.SUCCEEDED, Trigger.API)
    assert prediction.scan.reference == "my first scan"


def test_it_prints_why_a_file_is_refused(live_server, alice, model_version, tmp_path):
    _, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    notes = tmp_path / "notes.txt"
    notes.write_text("This is not a picture.")
    program = started(live_server.url, notes, secret)
    _, complaints = program.communicate(timeout=60)
    assert program.returncode == 1
    assert complaints.startswith("NOT_A_PICTURE: ")


def test_the_readme_shows_it_as_it_is():
    assert f"```python\n{EXAMPLE.read_text()}```" in (PROJECT / "README.md").read_text()
