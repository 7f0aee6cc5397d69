"""Stored files that no row names are found and deleted, once they are old enough to belong to nobody."""

import os
import time
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from diagnosis import sweeping
from diagnosis.files import StorageAway
from diagnosis.models import Scan
from diagnosis.states import State
from diagnosis.tests.factories import answer_queued, prediction_at, scan_of

pytestmark = pytest.mark.django_db

OLD = time.time() - 25 * 3600


@pytest.fixture
def scan(alice, fake_classifier) -> Scan:
    """Alice's, answered, with all four of its files; all of them are old."""
    scan = scan_of(alice)
    prediction_at(State.QUEUED, scan)
    answer_queued()
    return scan


def left_behind(media: Path, name: str, *, mtime: float = OLD) -> Path:
    path = media / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left behind")
    os.utime(path, (mtime, mtime))
    return path


def files_of(media: Path) -> set[Path]:
    return {path for path in media.rglob("*") if path.is_file()}


NAMES = ["scans/ab/abc.png", "thumbnails/ab/abc.jpg", "inputs/of-another-version/ab/abc.png", "heatmaps/ab/abc.png"]


def test_a_file_that_a_row_names_is_never_deleted_however_old(scan, media, capsys):
    named = files_of(media)
    assert len(named) == 4
    for path in named:
        os.utime(path, (OLD, OLD))
    call_command("sweep_files")
    assert files_of(media) == named
    assert "0 files that no row names were deleted." in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_an_old_file_that_no_row_names_is_deleted(scan, media, capsys, name):
    named = files_of(media)
    left_behind(media, name)
    call_command("sweep_files")
    assert files_of(media) == named
    assert "1 files that no row names were deleted." in capsys.readouterr().out


def test_a_young_file_may_be_that_of_an_upload_that_goes_on(scan, media):
    path = left_behind(media, "scans/ab/abc.png", mtime=time.time() - 23 * 3600)
    call_command("sweep_files")
    assert path.exists()


def test_a_folder_that_is_not_of_scans_is_left_alone(scan, media):
    path = left_behind(media, "reports/ab/abc.pdf")
    call_command("sweep_files")
    assert path.exists()


def test_a_dry_run_names_the_files_and_deletes_none(scan, media, capsys):
    paths = [left_behind(media, name) for name in NAMES]
    call_command("sweep_files", dry_run=True)
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    assert "4 files that no row names were found." in said
    assert all(path.exists() for path in paths)


def test_more_files_than_are_asked_for_at_once_are_swept_too(scan, media, monkeypatch):
    monkeypatch.setattr(sweeping, "FILES_AT_ONCE", 2)
    named = files_of(media)
    for number in range(5):
        left_behind(media, f"scans/{number}/{number}.png")
    assert len(list(sweeping.sweep_files())) == 5
    assert files_of(media) == named


def test_without_any_folder_there_is_nothing_to_sweep(db, media):
    assert list(sweeping.sweep_files()) == []


def test_what_a_crash_between_the_rows_and_the_files_left_is_swept(scan, media):
    for path in files_of(media):
        os.utime(path, (OLD, OLD))
    scan.delete()  # without the end of its transaction no file is deleted
    assert len(files_of(media)) == 4
    assert len(list(sweeping.sweep_files())) == 4
    assert files_of(media) == set()


def test_a_storage_that_goes_away_is_an_error_that_says_to_run_it_again(scan, monkeypatch):
    def away(*_args):
        raise StorageAway("nobody there")

    monkeypatch.setattr(type(default_storage._wrapped), "listdir", away)
    with pytest.raises(CommandError, match="The storage is away after 0 files; run this again"):
        call_command("sweep_files")
