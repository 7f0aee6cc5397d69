"""A checkpoint becomes known to the site, or the command says what is wrong with it."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import ModelVersion
from diagnosis.tests.checkpoints import checkpoint_in
from ml import checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint whose weights are a few bytes: whoever registers it never loads them."""
    return checkpoint_in(tmp_path / "spring", name="spring")


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


def test_a_refusal_that_was_changed_is_refused(folder):
    (folder / checkpoint.REFUSAL_FILE).write_bytes(b"lets everything pass")

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
    assert (version.uncertain_low, version.uncertain_high) == (0.25, 0.625)
    assert "0.2500 to 0.6250" in told
    assert not version.is_active
    assert "--activate" in told


def test_the_row_keeps_all_that_the_checkpoint_tells_for_the_model_card(tmp_path):
    metrics = {"held_out": {"none": {"auc": {"value": 0.98, "low": 0.97, "high": 0.99}, "n": 490}}}
    register(checkpoint_in(tmp_path / "told", metrics=metrics, training={"command": "python -m ml.train"}))

    metadata = ModelVersion.objects.get().metadata
    assert (metadata["metrics"], metadata["training"]["command"]) == (metrics, "python -m ml.train")


def test_a_reference_that_came_later_is_known_from_then_on(folder, tmp_path):
    register(folder)
    checkpoint_in(tmp_path / "spring", name="spring", reference={"n": 7})

    register(folder)

    version = ModelVersion.objects.get()
    assert version.metadata["reference"] == {"n": 7}


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
