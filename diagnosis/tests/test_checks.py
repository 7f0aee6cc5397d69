"""The system checks: a bad place to run in is named, with what to do about it."""

import json
from pathlib import Path

import pytest
from django.core.checks import run_checks

from diagnosis import checks
from diagnosis.tests.checkpoints import checkpoint_in
from ml.checkpoint import GRAPH_FILE, METADATA_FILE, REFUSAL_FILE, WEIGHTS_FILE


@pytest.fixture
def checkpoint(settings, tmp_path: Path) -> Path:
    """A whole checkpoint folder, named by the settings."""
    settings.MODEL_CHECKPOINT = tmp_path
    return checkpoint_in(tmp_path)


def found_by_manage_check(**options) -> set[str]:
    """The ids of our messages in what `manage.py check` finds."""
    return {message.id for message in run_checks(**options) if message.id.startswith("diagnosis.")}


def test_a_folder_without_a_checkpoint_is_named(settings, tmp_path):
    settings.MODEL_CHECKPOINT = tmp_path / "nothing"
    [message] = checks.check_checkpoint(None)
    assert str(tmp_path / "nothing") in message.msg
    assert "MODEL_CHECKPOINT" in message.hint
    assert "diagnosis.W001" in found_by_manage_check()


def test_a_damaged_checkpoint_is_named(checkpoint):
    (checkpoint / METADATA_FILE).write_text("{")
    [message] = checks.check_checkpoint(None)
    assert METADATA_FILE in message.msg


def test_a_checkpoint_of_another_format_is_named_with_the_way_out(checkpoint):
    told = json.loads((checkpoint / METADATA_FILE).read_text())
    (checkpoint / METADATA_FILE).write_text(json.dumps(told | {"format_version": 1}))
    [message] = checks.check_checkpoint(None)
    assert "The shipped checkpoint can't answer." in message.msg
    assert "format_version = 1" in message.msg
    assert "install_shipped_model" in message.hint


def test_a_graph_that_its_metadata_name_and_that_is_not_there_is_named(checkpoint):
    told = json.loads((checkpoint / METADATA_FILE).read_text())
    (checkpoint / METADATA_FILE).write_text(json.dumps(told | {"graph_sha256": "a" * 64}))
    [message] = checks.check_checkpoint(None)
    assert f"{GRAPH_FILE} is missing" in message.msg


@pytest.mark.parametrize("file", [WEIGHTS_FILE, REFUSAL_FILE])
def test_a_missing_file_is_named(checkpoint, file):
    (checkpoint / file).unlink()
    [message] = checks.check_checkpoint(None)
    assert str(checkpoint / file) in message.msg


def test_a_whole_checkpoint_is_fine(checkpoint):
    assert checks.check_checkpoint(None) == []


def test_a_media_folder_that_cannot_be_made_is_named(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    [message] = checks.check_media_is_writable(None)
    assert str(settings.MEDIA_ROOT) in message.msg
    assert "MEDIA_ROOT" in message.hint
    assert "diagnosis.E001" in found_by_manage_check()


def test_a_media_folder_that_only_has_to_be_made_is_fine(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "new" / "media"
    assert checks.check_media_is_writable(None) == []


def test_running_work_must_not_count_as_lost(settings):
    settings.PREDICTION_HARD_TIME_LIMIT, settings.PREDICTION_STALE_SECONDS = 100, 110
    assert "diagnosis.E002" in found_by_manage_check()
    settings.PREDICTION_STALE_SECONDS = 111
    assert checks.check_time_limits(None) == []


@pytest.mark.parametrize("backend", checks.NO_MAIL)
def test_mail_that_reaches_nobody_is_named_before_a_deployment(settings, backend):
    settings.EMBEDDED, settings.EMAIL_BACKEND = False, backend
    assert "diagnosis.W002" in found_by_manage_check(include_deployment_checks=True)
    assert "diagnosis.W002" not in found_by_manage_check()


def test_mail_on_the_console_is_right_in_embedded_mode(settings):
    settings.EMBEDDED, settings.EMAIL_BACKEND = True, "django.core.mail.backends.console.EmailBackend"
    assert checks.check_mail_reaches_people(None) == []
