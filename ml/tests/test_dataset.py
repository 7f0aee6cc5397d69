"""Folders, patients, the split, and getting the data."""

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ml import dataset
from ml.dataset import (
    DatasetError,
    Example,
    class_weights,
    data_hash,
    download,
    drop_duplicates,
    load_canonical,
    load_inputs,
    patient_of,
    read_folder,
    split_by_patient,
)
from ml.tests.conftest import draw_xray


def example(name: str) -> Example:
    label = "PNEUMONIA" if name.startswith("person") else "NORMAL"
    path = Path(label) / name
    return Example(path, label, patient_of(path), sha256=name)


@pytest.fixture
def hospital() -> list[Example]:
    """90 normal and 150 ill pictures; patients with one to five of them, half of the ill ones under both causes."""
    normal = [f"IM-{i:04d}-{j:04d}.jpeg" for i in range(30) for j in range(3)]
    bacteria = [f"person{i}_bacteria_{i}{j}.jpeg" for i in range(50) for j in range(1 + i % 3)]
    virus = [f"person{i}_virus_{i}{j}.jpeg" for i in range(25, 75) for j in range(1)]
    return [example(name) for name in normal + bacteria + virus]


# --- folders ---


def test_a_missing_folder_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match="Expected a folder with NORMAL/ and PNEUMONIA/"):
        read_folder(tmp_path / "absent")


@pytest.mark.parametrize("empty", ["NORMAL", "PNEUMONIA"])
def test_an_empty_label_is_refused_by_its_name(make_folder, empty):
    folder = make_folder()
    for path in (folder / empty).iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=f"No pictures in .*{empty}"):
        read_folder(folder)


def test_only_pictures_are_listed(make_folder):
    folder = make_folder(patients=2)
    for name in ("Thumbs.db", ".DS_Store", "._IM-0001-0001.jpeg", "notes.txt"):
        (folder / "NORMAL" / name).write_bytes(b"\0")
    draw_xray(ill=False).save(folder / "NORMAL" / "IM-0009-0001.PNG")
    names = [found.path.name for found in read_folder(folder) if found.label == "NORMAL"]
    assert names == ["IM-0000-0001.jpeg", "IM-0001-0001.jpeg", "IM-0009-0001.PNG"]


def test_the_label_is_the_folder_and_the_index_its_place_in_labels(make_folder):
    found = {(read.label, read.index) for read in read_folder(make_folder())}
    assert found == {("NORMAL", 0), ("PNEUMONIA", 1)}


def test_the_first_of_identical_files_is_kept(make_folder):
    folder = make_folder(patients=2)
    original = (folder / "PNEUMONIA" / "person0_virus_0.jpeg").read_bytes()
    (folder / "PNEUMONIA" / "person7_virus_7.jpeg").write_bytes(original)
    examples = read_folder(folder)
    assert len(examples) == 5
    assert [kept.path.name for kept in drop_duplicates(examples) if kept.label == "PNEUMONIA"] == [
        "person0_virus_0.jpeg",
        "person1_bacteria_1.jpeg",
    ]


def test_the_data_hash_names_contents_and_labels_but_no_file_names(make_folder):
    folder, other = make_folder("one"), make_folder("two")
    (other / "NORMAL" / "IM-0000-0001.jpeg").rename(other / "NORMAL" / "IM-0099-0001.jpeg")
    before = data_hash(read_folder(folder))
    assert data_hash(read_folder(other)) == before
    (other / "NORMAL" / "IM-0099-0001.jpeg").rename(other / "PNEUMONIA" / "person99_virus_1.jpeg")
    assert data_hash(read_folder(other)) != before


# --- patients ---


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person12_bacteria_47.jpeg", "person12"),
        ("person12_virus_3.jpeg", "person12"),
        ("person120_virus_3.jpeg", "person120"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-0115"),
        ("from elsewhere.png", "from elsewhere"),
    ],
)
def test_the_patient_is_read_from_the_file_name(name, patient):
    assert patient_of(Path("folder") / name) == patient


@pytest.mark.parametrize(
    ("name", "cause"),
    [("person1_bacteria_1.jpeg", "bacteria"), ("person1_virus_1.jpeg", "virus"), ("IM-0001-0001.jpeg", None)],
)
def test_the_cause_is_read_from_the_file_name(name, cause):
    assert example(name).cause == cause


def test_no_patient_is_on_both_sides_of_a_split_whatever_the_seed(hospital):
    for seed in range(200):
        training, held_out = split_by_patient(hospital, share=0.1, seed=seed)
        assert not {kept.patient for kept in training} & {kept.patient for kept in held_out}
        assert Counter(training + held_out) == Counter(hospital)


def test_one_person_under_both_causes_stays_together_whatever_the_seed(hospital):
    bacterial, viral = example("person30_bacteria_300.jpeg"), example("person30_virus_300.jpeg")
    sides = set()
    for seed in range(200):
        training, _ = split_by_patient(hospital, share=0.3, seed=seed)
        assert (bacterial in training) == (viral in training)
        sides.add(bacterial in training)
    assert sides == {True, False}


def test_a_split_holds_out_the_share_of_each_labels_patients(hospital):
    _, held_out = split_by_patient(hospital, share=0.2, seed=5)
    patients = {label: {kept.patient for kept in held_out if kept.label == label} for label in ("NORMAL", "PNEUMONIA")}
    assert {label: len(found) for label, found in patients.items()} == {"NORMAL": 6, "PNEUMONIA": 15}


def test_the_same_seed_splits_alike_and_another_does_not(hospital):
    assert split_by_patient(hospital, share=0.2, seed=1) == split_by_patient(hospital, share=0.2, seed=1)
    assert split_by_patient(hospital, share=0.2, seed=1) != split_by_patient(hospital, share=0.2, seed=2)


def test_even_a_tiny_share_holds_out_both_labels(hospital):
    _, held_out = split_by_patient(hospital, share=0.0001, seed=0)
    assert {kept.label for kept in held_out} == {"NORMAL", "PNEUMONIA"}


def test_class_weights_make_both_labels_count_the_same():
    examples = [example("IM-0001-0001.jpeg")] * 10 + [example("person1_virus_1.jpeg")] * 30
    weights = class_weights([each] for each in examples)
    assert weights == {0: 2.0, 1: pytest.approx(2 / 3)}
    assert 10 * weights[0] == pytest.approx(30 * weights[1])


# --- pictures ---


def test_pictures_come_as_grey_levels_of_the_asked_size(make_folder):
    pictures = [load_canonical(found.path) for found in read_folder(make_folder(patients=2))]
    assert {picture.size for picture in pictures} == {(224, 224)}
    inputs = load_inputs(pictures, 48)
    assert (inputs.shape, inputs.dtype) == ((4, 48, 48, 1), np.float32)
    assert inputs.min() >= 0
    assert 100 < inputs.max() <= 255


# --- the download ---


@pytest.fixture
def kagglehub(monkeypatch):
    """Put a stand-in for kagglehub in place; a test says what its download does."""
    stand_in = SimpleNamespace(dataset_download=None)
    monkeypatch.setitem(sys.modules, "kagglehub", stand_in)
    return stand_in


def test_a_download_without_network_says_what_to_do_instead(kagglehub, tmp_path, monkeypatch, capsys):
    def offline(handle):
        raise ConnectionError("HTTPSConnectionPool: Max retries exceeded")

    kagglehub.dataset_download = offline
    monkeypatch.setattr("sys.argv", ["dataset", "--download", str(tmp_path / "data")])
    assert dataset.main() == 1
    said = capsys.readouterr().err
    assert "could not be downloaded (ConnectionError)" in said
    assert "10.17632/rscbjbr9sj" in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_a_machine_without_kagglehub_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DatasetError, match="kagglehub is not installed"):
        download(tmp_path)


def test_a_download_takes_the_pictures_and_not_their_macos_twins(kagglehub, make_folder, tmp_path):
    archive = make_folder("archive/chest_xray/train").parent
    make_folder("archive/chest_xray/test")
    for split in ("train", "test"):
        twin = tmp_path / "archive" / "__MACOSX" / "chest_xray" / split / "PNEUMONIA"
        twin.mkdir(parents=True)
        (twin / "._person0_virus_0.jpeg").write_bytes(b"\0")
    kagglehub.dataset_download = lambda handle: str(archive.parent)
    download(tmp_path / "data")
    assert len(read_folder(tmp_path / "data" / "train")) == 6
    assert len(read_folder(tmp_path / "data" / "test")) == 6


def test_a_download_without_the_known_folders_is_refused(kagglehub, tmp_path):
    kagglehub.dataset_download = lambda handle: str(tmp_path)
    with pytest.raises(DatasetError, match="has no train/PNEUMONIA folder"):
        download(tmp_path / "data")


def test_describing_a_folder_counts_pictures_patients_and_duplicates(make_folder, monkeypatch, capsys):
    folder = make_folder(patients=3)
    (folder / "NORMAL" / "IM-0099-0001.jpeg").write_bytes((folder / "NORMAL" / "IM-0000-0001.jpeg").read_bytes())
    monkeypatch.setattr("sys.argv", ["dataset", "--describe", str(folder)])
    assert dataset.main() == 0
    said = capsys.readouterr().out
    assert "7 pictures (4 NORMAL, 3 PNEUMONIA)" in said
    assert "7 patients" in said
    assert "1 exact duplicates" in said
