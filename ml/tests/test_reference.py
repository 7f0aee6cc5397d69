"""The reference of a checkpoint: written with it, or added to one of before, which stays the version that it was."""

import dataclasses
import shutil

import pytest

from ml import reference
from ml.checkpoint import METADATA_FILE, Checkpoint, write_metadata
from ml.drift import MEASURES, read_reference
from ml.tests.conftest import fill_folder


@pytest.fixture
def trained(resumed_run, tmp_path) -> Checkpoint:
    """A copy of a checkpoint that training has written."""
    return Checkpoint.read(shutil.copytree(resumed_run.folder / "checkpoint", tmp_path / "checkpoint"))


@pytest.fixture
def older(trained) -> Checkpoint:
    """The same without a reference."""
    return write_metadata(trained.folder, dataclasses.replace(trained.metadata, reference={}))


def test_training_writes_the_reference_of_its_held_out_patients(trained):
    found = read_reference(trained.metadata.reference)
    assert set(found) == set(MEASURES)
    assert {sum(counts) for counts in found.values()} == {trained.metadata.metrics["held_out"]["none"]["n"]}


def test_an_older_checkpoint_gets_the_same_one_and_stays_what_it_is(older, trained, train_folder, capsys):
    before = {path.name: path.read_bytes() for path in older.folder.iterdir() if path.name != METADATA_FILE}

    status = reference.main(["--checkpoint", str(older.folder), "--data", str(train_folder)])

    assert status == 0, capsys.readouterr().err
    now = Checkpoint.read(older.folder)
    assert now.metadata == trained.metadata
    assert now.sha256 == older.sha256 == trained.sha256
    assert {path.name: path.read_bytes() for path in older.folder.iterdir() if path.name != METADATA_FILE} == before


def test_pictures_that_it_was_not_trained_on_are_refused(older, tmp_path, capsys):
    others = fill_folder(tmp_path / "others", patients=4)

    assert reference.main(["--checkpoint", str(older.folder), "--data", str(others)]) == 1

    assert "not what tiny was trained on" in capsys.readouterr().err
    assert Checkpoint.read(older.folder).metadata.reference == {}
