"""A checkpoint folder: each way it can be broken has its own error; it is written whole or not at all."""

import dataclasses
import json

import pytest

from ml.checkpoint import (
    METADATA_FILE,
    REFUSAL_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    CheckpointCorrupt,
    CheckpointIncompatible,
    CheckpointMissing,
    Metadata,
    file_sha256,
    write_metadata,
)


@pytest.fixture
def folder(tmp_path):
    """A whole checkpoint; its weights and its refusal are never read as such here."""
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights" * 1000)
    (tmp_path / REFUSAL_FILE).write_bytes(b"refusal" * 100)
    named = {"weights_sha256": file_sha256(tmp_path / WEIGHTS_FILE)}
    named["refusal_sha256"] = file_sha256(tmp_path / REFUSAL_FILE)
    write_metadata(tmp_path, metadata(**named))
    return tmp_path


def metadata(**changes):
    given = {"name": "first", "created": "2026-01-01T00:00:00+00:00", "image_size": 128}
    given |= {"temperature": 1.5, "bias": 0.2, "threshold": 0.4, "uncertain": (0.2, 0.7)} | changes
    return Metadata(**given)


def change(folder, **changes):
    path = folder / METADATA_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_empty_folder_holds_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointMissing, match=r"checkpoint\.json is absent"):
        Checkpoint.read(tmp_path)


def test_a_folder_that_does_not_exist_holds_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointMissing):
        Checkpoint.read(tmp_path / "absent")


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "\x00"])
def test_metadata_that_are_no_json_object_are_corrupt(folder, text):
    (folder / METADATA_FILE).write_text(text)
    with pytest.raises(CheckpointCorrupt):
        Checkpoint.read(folder)


@pytest.mark.parametrize("key", ["threshold", "uncertain"])
def test_metadata_that_lack_a_field_are_corrupt(folder, key):
    found = json.loads((folder / METADATA_FILE).read_text())
    del found[key]
    (folder / METADATA_FILE).write_text(json.dumps(found))
    with pytest.raises(CheckpointCorrupt, match=key):
        Checkpoint.read(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0},
        {"threshold": 1.0},
        {"threshold": -0.5},
        {"temperature": 0},
        {"image_size": 16},
        {"uncertain": [0.5, 0.7]},  # above the threshold
        {"uncertain": [0.1, 0.3]},
        {"uncertain": [-0.1, 0.7]},
    ],
)
def test_impossible_numbers_are_corrupt(folder, changes):
    change(folder, **changes)
    with pytest.raises(CheckpointCorrupt, match="impossible"):
        Checkpoint.read(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing", "crop299-v7"),
        ("labels", ["PNEUMONIA", "NORMAL"]),
        ("format_version", 1),  # without a refusal: it would answer for a cat
        ("format_version", 99),
    ],
)
def test_another_preprocessing_other_labels_or_another_format_are_refused_by_name(folder, key, value):
    change(folder, **{key: value})
    with pytest.raises(CheckpointIncompatible, match=key):
        Checkpoint.read(folder)


def test_whole_files_verify(folder):
    Checkpoint.read(folder).verify()


@pytest.mark.parametrize("name", [WEIGHTS_FILE, REFUSAL_FILE])
def test_a_missing_file_is_missing_and_not_corrupt(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointMissing, match="can't be read"):
        Checkpoint.read(folder).verify()


@pytest.mark.parametrize("name", [WEIGHTS_FILE, REFUSAL_FILE])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:50] + b"X" + b[51:]])
def test_a_truncated_or_changed_file_is_corrupt(folder, name, damage):
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointCorrupt, match="truncated or was changed"):
        Checkpoint.read(folder).verify()


def test_what_was_written_is_read_back_with_the_same_name(folder):
    written = Checkpoint(folder, metadata(metrics={"auc": 0.9}, training={"seed": 1}, weights_sha256="0" * 64))
    write_metadata(folder, written.metadata)
    read = Checkpoint.read(folder)
    assert read.metadata == written.metadata
    assert read.sha256 == written.sha256


@pytest.mark.parametrize("changes", [{"threshold": 0.41}, {"weights_sha256": "1" * 64}, {"name": "second"}])
def test_every_change_makes_another_version(folder, changes):
    first = Checkpoint.read(folder)
    second = Checkpoint(folder, dataclasses.replace(first.metadata, **changes))
    assert first.sha256 != second.sha256


def test_a_reference_changes_no_answer_and_no_name(folder):
    first = Checkpoint.read(folder)
    second = write_metadata(folder, dataclasses.replace(first.metadata, reference={"n": 3}))
    assert second.sha256 == first.sha256
    assert Checkpoint.read(folder).metadata.reference == {"n": 3}


def test_a_failed_write_leaves_the_old_metadata_whole(folder, monkeypatch):
    before = (folder / METADATA_FILE).read_bytes()

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr("ml.checkpoint.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_metadata(folder, metadata(name="second"))
    assert (folder / METADATA_FILE).read_bytes() == before
    assert Checkpoint.read(folder).metadata.name == "first"
