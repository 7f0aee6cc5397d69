"""A full disk: an upload is refused in words and leaves nothing behind; an answer comes without its heatmap."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from diagnosis.tests.faults.conftest import seeds
from diagnosis.tests.faults.stages import DISK_IS_FULL

SIZE = 2_000_000


@contextmanager
def small_disk(site) -> Iterator["SmallDisk"]:
    """Put a small file system in the place of the site's pictures; where that is not allowed, one that only says so."""
    place = site.var / "media"
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tests", str(place)]
    is_real = subprocess.run(command, capture_output=True, check=False).returncode == 0
    disk = SmallDisk(place if is_real else None, site.faults / DISK_IS_FULL)
    try:
        yield disk
    finally:
        disk.make_room()
        if is_real:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


class SmallDisk:
    """A disk to be filled."""

    def __init__(self, place: Path | None, order: Path) -> None:
        self.filler, self.order = place / "filler" if place else None, order

    def fill(self, *, leave: int = 0) -> None:
        """Leave no more than so many bytes of room; one that only says so is full."""
        if not self.filler:
            self.order.touch()
            return
        with self.filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        with self.filler.open("r+b") as file:
            file.truncate(self.filler.stat().st_size - leave)

    def make_room(self) -> None:
        """Let there be room again."""
        self.order.unlink(missing_ok=True)
        if self.filler:
            self.filler.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """Give the files of the site on it."""
        return [path for path in self.filler.parent.rglob("*") if path.is_file()] if self.filler else []


def test_an_upload_that_finds_no_room_is_refused_in_words_and_leaves_nothing(site, browser_at):
    browser, seed = browser_at(site), next(seeds)
    with small_disk(site) as disk:
        scans = site.query("SELECT count(*) FROM diagnosis_scan")
        for room in (0, 40_000):
            disk.fill(leave=room)
            page = browser.give(seed)

            assert page.status_code == 503
            assert "Pictures can&#x27;t be stored right now" in page.text
            assert site.query("SELECT count(*) FROM diagnosis_scan") == scans
            disk.make_room()
            assert disk.files() == []

        site.assert_each_is_answered_once([browser.upload(seed)])


def test_an_answer_that_finds_no_room_for_its_heatmap_comes_without(site, upload_to):
    with small_disk(site) as disk:
        with site.held("before the record") as is_held:
            scans = upload_to(site)
            is_held()
            disk.fill()

        [row] = site.assert_each_is_answered_once(scans)
        assert row.heatmap == ""
        assert "the heatmap can't be stored" in site.log()
        assert not [file for file in disk.files() if "heatmaps" in file.parts]


def test_a_message_that_finds_no_room_is_sent_later(embedded, browser_at, upload_to):
    place = embedded.messages_folder
    command = ["mount", "-t", "tmpfs", "-o", "size=4096,nr_inodes=2", "tests", str(place)]
    is_real = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if is_real:
        (place / "filler").write_bytes(bytes(4096))
    else:
        (embedded.faults / DISK_IS_FULL).touch()
    try:
        scans = upload_to(embedded)
        assert "a part of the site is away" in browser_at(embedded).client.get(scans[0]).text
    finally:
        (embedded.faults / DISK_IS_FULL).unlink(missing_ok=True)
        if is_real:
            subprocess.run(["umount", "--lazy", str(place)], check=True)

    embedded.assert_each_is_answered_once(scans)
