"""The export: what training takes, and nothing that leads back to a person."""

import csv
import io
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from diagnosis.files import StorageAway
from diagnosis.models import AuditEvent
from diagnosis.review import export
from diagnosis.services import record_review, submit_scan
from diagnosis.states import State
from diagnosis.tests.dicom_files import dicom_file, stored_values
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import PROJECT
from ml.checkpoint import Checkpoint
from ml.dataset import data_hash, drop_duplicates, read_folder, split_by_patient
from ml.tests.conftest import TINY_FLAGS, draw_xray

CHUNKS = b"IHDR", b"IDAT", b"IEND"

# As `python -m ml.train`, with random starting weights and a record of runs of its own.
TRAIN = """
import sys
from pathlib import Path
import keras
from ml import runs, train
from ml.tests.conftest import strengthen
folder = Path(sys.argv[1])
convolutions = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
strengthen(convolutions)
convolutions.save_weights(folder / "vgg19_notop.weights.h5")
runs.FILE = folder / "runs.csv"
train.train(train.parse_arguments([*sys.argv[2:], "--weights", str(folder / "vgg19_notop.weights.h5")]))
"""


def exported(folder: Path, *options: str) -> str:
    said = io.StringIO()
    call_command("export_reviews", str(folder), *options, stdout=said)
    return said.getvalue()


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def given_by(owner, seed: int, **fields):
    """Give a scan that went through intake."""
    upload = io.BytesIO(encoded(chest_like(200, 160, seed=seed), "PNG"))
    return submit_scan(owner=owner, upload=upload, **{"original_name": "chest.png", **fields}).scan


def reviewed(scan, reader, label: str, probability: float = 0.9, **fields):
    prediction = prediction_at(State.SUCCEEDED, scan, probability=probability, **fields)
    record_review(prediction=prediction, reviewer=reader, label=label)
    return prediction


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def set_of_four(alice, bob, rita, sent):
    """Two owners, each with a normal picture and a pneumonia."""
    for number, (owner, label) in enumerate((o, each) for o in (alice, bob) for each in ("NORMAL", "PNEUMONIA")):
        reviewed(given_by(owner, number), rita, label)


def test_a_folder_with_anything_in_it_is_refused_and_stays_as_it_is(folder, set_of_four):
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(CommandError, match="is not empty"):
        exported(folder)
    assert [path.name for path in folder.parent.iterdir() if path.name != "media"] == ["export"]
    (folder / "thesis.txt").unlink()
    assert "4 pictures (2 NORMAL, 2 PNEUMONIA)" in exported(folder)
    with pytest.raises(CommandError, match="is not empty"):
        exported(folder)
    assert len(manifest(folder)) == 4


def test_a_file_of_that_name_and_a_place_that_can_not_be_written_are_refused(folder, set_of_four):
    folder.write_text("a file")
    for place in (folder, folder / "below"):
        with pytest.raises(CommandError):
            exported(place)
    assert folder.read_text() == "a file"


def test_a_storage_that_goes_away_leaves_no_half_of_a_folder(folder, set_of_four, monkeypatch):
    calls = iter([False, True])

    def open_once(storage, name, mode="rb"):
        if next(calls):
            raise StorageAway("gone")
        return real(storage, name, mode)

    from django.core.files.storage import FileSystemStorage

    real = FileSystemStorage.open
    monkeypatch.setattr(FileSystemStorage, "open", open_once)
    with pytest.raises(CommandError, match="could not be finished, and nothing of it is left"):
        exported(folder)
    assert [path.name for path in folder.parent.iterdir() if path.name != "media"] == []


def test_training_reads_the_folder_and_keeps_each_owner_on_one_side(folder, set_of_four):
    exported(folder)
    examples = drop_duplicates(read_folder(folder / "train"))
    assert Counter(example.label for example in examples) == {"NORMAL": 2, "PNEUMONIA": 2}
    patients = Counter(example.patient for example in examples)
    assert sorted(patients.values()) == [2, 2]
    training, held_out = split_by_patient(examples, share=0.5, seed=1)
    assert not {each.patient for each in training} & {each.patient for each in held_out}
    assert len(data_hash(examples)) == 64


def test_a_network_is_trained_on_the_folder_that_the_export_wrote(folder, tmp_path, rita, sent):
    for number in range(14):
        owner = person(f"owner-{number}")
        for label in ("NORMAL", "PNEUMONIA"):
            upload = io.BytesIO(encoded(draw_xray(ill=label == "PNEUMONIA", seed=number), "PNG"))
            reviewed(submit_scan(owner=owner, upload=upload, original_name="chest.png").scan, rita, label)
    exported(folder)
    run = tmp_path / "run"

    flags = [f"--data={folder / 'train'}", f"--run={run}", *TINY_FLAGS, "--head-epochs=1", "--fine-tune-epochs=1"]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", TRAIN, tmp_path, *flags], cwd=PROJECT, env=quiet, check=True)

    trained_on = Checkpoint.read(run / "checkpoint").metadata.training["data"]
    assert trained_on["hash"] == data_hash(drop_duplicates(read_folder(folder / "train")))
    assert trained_on["training_patients"] + trained_on["held_out_patients"] == 14


def test_an_owner_has_another_number_in_every_export(folder, tmp_path, set_of_four):
    exported(folder)
    exported(tmp_path / "again")
    first, second = ({each.patient for each in read_folder(place / "train")} for place in (folder, tmp_path / "again"))
    assert (len(first), len(second)) == (2, 2)
    assert not first & second


def test_a_picture_has_the_grey_levels_that_the_site_stores_and_no_other_chunk(folder, alice, rita, sent):
    scan = given_by(alice, 5)
    reviewed(scan, rita, "NORMAL")
    exported(folder)
    (path,) = (folder / "train" / "NORMAL").iterdir()
    with Image.open(path) as written, Image.open(scan.picture.path) as stored:
        assert written.info == {}
        np.testing.assert_array_equal(np.asarray(written), np.asarray(stored))
    assert set(chunks(path.read_bytes())) == set(CHUNKS)


def chunks(png: bytes) -> list[bytes]:
    """Name the chunks of a PNG file."""
    found, at = [], 8
    while at < len(png):
        found.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4])
    return found


def test_a_dicom_file_of_sixteen_bits_is_written_as_the_model_sees_it(folder, alice, rita, sent):
    upload = io.BytesIO(dicom_file(stored_values(12, 300, 260, seed=3)))
    scan = submit_scan(owner=alice, upload=upload, original_name="x").scan
    reviewed(scan, rita, "NORMAL")
    exported(folder)
    (path,) = (folder / "train" / "NORMAL").iterdir()
    with Image.open(path) as written:
        assert (written.mode, written.info) == ("L", {})
    assert set(chunks(path.read_bytes())) == set(CHUNKS)


def test_nothing_in_the_whole_export_leads_back_to_a_person(folder, rita, remo, sent, settings):
    owner = person("zebulon-quartz")
    scan = given_by(owner, 9, original_name="xylophone-lane.png", reference="wardenclyffe")
    prediction = reviewed(scan, rita, "NORMAL")
    record_review(prediction=prediction, reviewer=remo, label="NORMAL", note="a nightingale sang")
    exported(folder)
    secrets = [
        *("zebulon", "quartz", "example.org", "xylophone", "lane", "wardenclyffe", "nightingale", "rita", "remo"),
        *(str(scan.pk), scan.pk.hex, str(prediction.pk), prediction.pk.hex),
        *(scan.sha256, scan.sha256[:12], Path(scan.picture.name).stem),
        *(str(scan.created_at.date()), settings.SECRET_KEY),
    ]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        whole = str(path.relative_to(folder)).encode() + path.read_bytes()
        for secret in secrets:
            assert secret.encode().lower() not in whole.lower(), f"{secret} in {path.name}"
            if len(secret) in (32, 64) and set(secret) <= set("0123456789abcdef"):
                assert bytes.fromhex(secret) not in whole, f"{secret} as bytes in {path.name}"


def test_only_what_readers_have_decided_is_written_and_the_rest_is_counted(folder, alice, rita, remo, sent):
    reviewed(scan_of(alice), rita, "NORMAL")
    reviewed(scan_of(alice), rita, "UNUSABLE")
    disputed = reviewed(scan_of(alice), rita, "NORMAL")
    record_review(prediction=disputed, reviewer=remo, label="PNEUMONIA")
    waiting = prediction_at(State.SUCCEEDED, scan_of(alice))
    record_review(prediction=waiting, reviewer=rita, label="NORMAL", second_reader=True)
    prediction_at(State.SUCCEEDED, scan_of(alice))
    missing = reviewed(scan_of(alice), rita, "NORMAL")
    missing.scan.picture.storage.delete(missing.scan.picture.name)
    damaged = reviewed(scan_of(alice), rita, "NORMAL")
    Path(damaged.scan.picture.path).write_bytes(b"no picture")
    said = exported(folder)
    assert "1 pictures (1 NORMAL, 0 PNEUMONIA)" in said
    for line in (
        "Left out: 1, not a usable chest X-ray.",
        "Left out: 1, readers disagree.",
        "Left out: 1, waiting for a second reader.",
        "Left out: 2, picture missing or damaged.",
        "Training needs pictures of both labels.",
    ):
        assert line in said
    assert "left out, readers disagree: 1" in (folder / "README.md").read_text()
    assert len(list((folder / "train").rglob("*.png"))) == 1


def test_a_scan_that_two_versions_answered_comes_once_and_not_at_all_where_its_labels_differ(folder, alice, rita, sent):
    newer = model_version_of(name="newer")
    same, torn = scan_of(alice), scan_of(alice)
    reviewed(same, rita, "NORMAL", 0.8)
    reviewed(same, rita, "NORMAL", 0.2, model_version=newer)
    reviewed(torn, rita, "NORMAL")
    reviewed(torn, rita, "PNEUMONIA", model_version=newer)
    assert "Left out: 1, readers disagree." in exported(folder)
    (line,) = manifest(folder)
    assert line["model_version"].startswith("newer")
    assert (line["label"], line["model_label"], line["probability"], line["model_agrees"]) == (
        "NORMAL",
        "NORMAL",
        "0.200000",
        "yes",
    )


def test_the_manifest_tells_how_many_readers_there_were_and_how_many_agreed(folder, alice, rita, remo, sam, sent):
    prediction = reviewed(scan_of(alice), rita, "NORMAL", 0.9)
    record_review(prediction=prediction, reviewer=remo, label="PNEUMONIA")
    record_review(prediction=prediction, reviewer=sam, label="NORMAL")
    reviewed(scan_of(alice), rita, "PNEUMONIA", 0.7)
    said = exported(folder, "--readers", "2")
    assert "Left out: 1, read by too few." in said
    (line,) = manifest(folder)
    assert (line["readers"], line["readers_agreeing"], line["model_agrees"]) == ("3", "2", "no")
    assert (folder / line["file"]).is_file()


def test_the_audit_knows_what_was_exported(folder, set_of_four):
    exported(folder)
    events = AuditEvent.objects.filter(action="EXPORTED")
    assert events.count() == 4
    assert set(events.values_list("actor", flat=True)) == {None}


def test_memory_stays_flat_scans_come_in_chunks_and_each_once(folder, alice, rita, monkeypatch, sent):
    monkeypatch.setattr(export, "CHUNK", 2)
    for _ in range(5):
        reviewed(scan_of(alice), rita, "NORMAL")
    assert "5 pictures" in exported(folder)
    assert len({line["file"] for line in manifest(folder)}) == 5


def test_without_reviews_the_folder_is_there_and_empty_of_pictures(db, folder):
    assert "0 pictures (0 NORMAL, 0 PNEUMONIA)" in exported(folder)
    assert manifest(folder) == []
