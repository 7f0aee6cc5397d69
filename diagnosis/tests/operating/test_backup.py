"""A backup of a site in use, restored elsewhere: equal row by row and file by file, or told what is missing."""

import hashlib
import io
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection

from diagnosis import services
from diagnosis.operating import dumps
from diagnosis.operating.backup import MANIFEST, SUMS
from diagnosis.tests.embedded import FULL_MODE_ONLY
from diagnosis.tests.operating.elsewhere import rows
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import PROJECT

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

UPLOAD = """
import sys
from django.contrib.auth.models import User
from diagnosis import services
alice = User.objects.get(username="alice")
submission = services.submit_scan(owner=alice, upload=open(sys.argv[1], "rb"), original_name="new.jpg")
assert submission.is_new
"""


def files(folder: Path) -> dict[str, str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def backed_up(folder: Path) -> Path:
    call_command("backup", folder, verbosity=0, stdout=io.StringIO())
    return folder


def test_what_was_backed_up_comes_back_equal_and_goes_on_working(used, elsewhere, media, tmp_path):
    before = rows(connection.settings_dict["NAME"])
    folder = backed_up(tmp_path / "backup")
    checked = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, capture_output=True)
    assert (checked.returncode, checked.stdout) == (0, b""), "anybody can check it, without this software"
    assert folder.stat().st_mode & 0o077 == 0, "it is nobody else's"

    done = elsewhere.manage("restore", folder)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "Restored. Now run manage.py migrate, then start the site.",
    ), done.stderr
    assert rows(elsewhere.name) == before
    assert len(before["diagnosis_scan"]) == 4
    assert len(before["diagnosis_auditevent"]) > 3
    assert files(elsewhere.media) == files(media)
    with (
        closing(psycopg2.connect(**connection.get_connection_params() | {"dbname": elsewhere.name})) as there,
        pytest.raises(psycopg2.IntegrityError, match="never changed or deleted"),
    ):
        there.cursor().execute("DELETE FROM diagnosis_auditevent")
    assert elsewhere.manage("migrate", "--check").returncode == 0
    picture = tmp_path / "new.jpg"
    picture.write_bytes(encoded(chest_like(200, 200, seed=9), "JPEG"))
    code = UPLOAD.replace("sys.argv[1]", repr(str(picture)))
    uploaded = elsewhere.manage("shell", "--no-imports", "-c", code)
    assert uploaded.returncode == 0, uploaded.stderr
    assert len(rows(elsewhere.name)["diagnosis_prediction"]) == len(before["diagnosis_prediction"]) + 1


def test_files_that_are_missing_or_damaged_are_named_with_their_scans_and_all_else_is_restored(
    used, elsewhere, media, tmp_path
):
    folder = backed_up(tmp_path / "backup")
    lost, damaged = used[0].picture.name, used[1].thumbnail.name
    (folder / "files" / lost).unlink()
    (folder / "files" / damaged).write_bytes(b"something else")

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert f"Scan {used[0].pk}: its picture, {lost}, is missing in the backup" in done.stdout
    assert f"Scan {used[1].pk}: its thumbnail, {damaged}, is damaged in the backup" in done.stdout
    assert "Restored, except for 2 files" in done.stderr
    whole = files(media)
    assert files(elsewhere.media) == {name: whole[name] for name in whole if name not in (lost, damaged)}
    assert rows(elsewhere.name) == rows(connection.settings_dict["NAME"])


def test_a_database_with_anything_in_it_is_not_touched(used, elsewhere, tmp_path):
    folder = backed_up(tmp_path / "backup")
    assert elsewhere.manage("migrate", "auth").returncode == 0
    before = rows(elsewhere.name)

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert "The database is not empty, and a restore overwrites nothing" in done.stderr
    assert rows(elsewhere.name) == before
    assert not elsewhere.media.exists()


def test_a_file_that_is_there_already_is_not_overwritten(used, elsewhere, tmp_path):
    folder = backed_up(tmp_path / "backup")
    there = elsewhere.media / used[0].picture.name
    there.parent.mkdir(parents=True)
    there.write_bytes(b"somebody else's")

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert f"Scan {used[0].pk}: its picture, {used[0].picture.name}, was not restored" in done.stdout
    assert there.read_bytes() == b"somebody else's"


def spoil_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def spoil_dump(folder: Path) -> None:
    with (folder / dumps.name_of_dump()).open("r+b") as file:
        file.seek(100)
        file.write(b"spoiled")


def spoil_sums(folder: Path) -> None:
    (folder / SUMS).write_text("")


def spoil_version(folder: Path) -> None:
    manifest = folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"migration": "0', '"migration": "9'))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_manifest, "is no complete backup: it has no manifest.json"),
        (spoil_dump, "is missing or damaged: it is not what was written"),
        (spoil_sums, "SHA256SUMS is missing or damaged"),
        (spoil_version, "A newer version of this software made it"),
    ],
)
def test_what_is_no_whole_backup_is_refused_before_anything_is_restored(used, elsewhere, tmp_path, spoil, says):
    folder = backed_up(tmp_path / "backup")
    spoil(folder)

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert says in done.stderr
    assert rows(elsewhere.name) == {}


def test_what_is_erased_while_files_are_copied_is_no_fault_of_the_backup_and_told_by_the_restore(
    used, elsewhere, tmp_path, monkeypatch
):
    real = dumps.dump

    def dump_and_erase(path: Path) -> None:
        real(path)
        services.erase_scan(scan=used[0], erased_by=None)

    monkeypatch.setattr(dumps, "dump", dump_and_erase)
    out, err = io.StringIO(), io.StringIO()
    call_command("backup", tmp_path / "backup", verbosity=0, stdout=out, stderr=err)
    assert err.getvalue() == ""

    done = elsewhere.manage("restore", tmp_path / "backup")

    assert f"Scan {used[0].pk}: its picture" in done.stdout
    assert str(used[1].pk) not in done.stdout


def test_a_file_that_was_lost_before_is_told_by_the_backup(used, tmp_path):
    default_storage.delete(used[0].picture.name)
    out, err = io.StringIO(), io.StringIO()

    call_command("backup", tmp_path / "backup", stdout=out, stderr=err)

    assert f"Missing already: the picture of scan {used[0].pk}" in out.getvalue()
    assert "1 files were missing already" in err.getvalue()


def test_without_the_programs_of_postgresql_it_says_what_to_install(used, tmp_path, monkeypatch):
    monkeypatch.setattr(dumps, "DEBIANS_PROGRAMS", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="apt-get install postgresql-client-"):
        call_command("backup", tmp_path / "backup", verbosity=0)
    assert not (tmp_path / "backup" / MANIFEST).exists()


def test_a_folder_with_anything_in_it_gets_no_backup(used, tmp_path):
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "notes.txt").write_text("mine")
    with pytest.raises(CommandError, match="is not empty"):
        call_command("backup", tmp_path / "backup", verbosity=0)


def test_the_password_of_the_database_is_in_no_list_of_processes(used, tmp_path, monkeypatch):
    commands = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **named: commands.append(command) or real(command, **named))
    backed_up(tmp_path / "backup")
    assert any("pg_dump" in str(command) for command in commands)
    assert connection.settings_dict["PASSWORD"] not in str(commands)


def test_the_site_of_one_machine_comes_back_too(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"

    def manage(var: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name not in FULL_MODE_ONLY}
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=PROJECT,
            env=environment | {"SITE_MODE": "embedded", "VAR_DIR": str(var)},
            capture_output=True,
            text=True,
        )

    picture = tmp_path / "new.jpg"
    picture.write_bytes(encoded(chest_like(200, 200), "JPEG"))
    made = "from django.contrib.auth.models import User; User.objects.create_user('alice', 'a@example.org', "
    code = made + "'correct horse battery staple')\n" + UPLOAD.replace("sys.argv[1]", repr(str(picture)))
    assert manage(first, "migrate").returncode == 0
    done = manage(first, "shell", "--no-imports", "-c", code)
    assert done.returncode == 0, done.stderr
    assert manage(first, "backup", tmp_path / "backup").returncode == 0

    done = manage(second, "restore", tmp_path / "backup")

    assert done.returncode == 0, done.stderr
    assert files(second / "media") == files(first / "media") != {}
    assert "is not empty" in manage(second, "restore", tmp_path / "backup").stderr
