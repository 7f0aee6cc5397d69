"""A checkpoint becomes known to the site, or the command says what is wrong with it."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import ModelVersion
from ml import checkpoint

pytestmark = pytest.mark.django_db

METADATA = {"created": "2026-01-31", "image_size": 32, "temperature": 1.5, "bias": 0.0, "threshold": 0.4321}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint whose weights are a few bytes: whoever registers it never loads them."""
    return checkpoint_in(tmp_path / "spring", name="spring")


def checkpoint_in(folder: Path, **metadata) -> Path:
    folder.mkdir()
    weights = folder / checkpoint.WEIGHTS_FILE
    weights.write_bytes(b"weights")
    fields = {**METADATA, "weights_sha256": checkpoint.file_sha256(weights), **metadata}
    checkpoint.write_metadata(folder, checkpoint.Metadata(**fields))
    return folder


def register(folder: Path, *arguments: str) -> str:
    out = io.StringIO()
    call_command("register_model", str(folder), *arguments, stdout=out)
    return out.getvalue()


def refused(folder: Path) -> str:
    with pytest.raises(CommandError) as caught:
        register(folder, "--activate")
    assert not ModelVersion.objects.exists()
    return str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    assert "There is no checkpoint" in refused(tmp_path / "nowhere")


def test_metadata_that_is_not_json_is_refused(folder):
    (folder / checkpoint.METADATA_FILE).write_text("{")

    assert "can't be read" in refused(folder)


def test_weights_that_are_missing_are_refused(folder):
    (folder / checkpoint.WEIGHTS_FILE).unlink()

    assert "can't be read" in refused(folder)


def test_weights_that_were_changed_are_refused(folder):
    (folder / checkpoint.WEIGHTS_FILE).write_bytes(b"other weights")

    assert "truncated or was changed" in refused(folder)


def test_a_checkpoint_of_another_preprocessing_is_refused(folder):
    path = folder / checkpoint.METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocessing": "of tomorrow"}))

    assert "of tomorrow" in refused(folder)


def test_it_tells_name_sha256_and_threshold(folder):
    told = register(folder)

    version = ModelVersion.objects.get()
    assert "spring" in told
    assert version.sha256 in told
    assert "0.4321" in told
    assert version.sha256 == checkpoint.Checkpoint.read(folder).sha256
    assert not version.is_active
    assert "--activate" in told


def test_activate_makes_it_the_one_that_answers(folder, model_version):
    told = register(folder, "--activate")

    assert ModelVersion.objects.get(is_active=True).name == "spring"
    assert "It answers new scans" in told


def test_twice_is_harmless_and_a_moved_folder_is_found_at_its_new_place(folder):
    register(folder, "--activate")
    moved = folder.rename(folder.with_name("summer"))

    told = register(moved)

    version = ModelVersion.objects.get()
    assert "Known already" in told
    assert (version.folder, version.is_active) == (str(moved), True)
