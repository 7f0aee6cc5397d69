"""Backup and restore of a site whose files are in a bucket, on a real S3 server over HTTP."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection

from diagnosis.operating.backup import MANIFEST
from diagnosis.tests.operating.elsewhere import Elsewhere, rows
from diagnosis.tests.s3 import KEYS, NAME, PREFIX, Bucket, nobody_there, s3_server, storage_at

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

RESTORED = "restored"


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture
def use(settings, monkeypatch) -> Callable[[str], None]:
    """Let this site keep its files in the bucket at an address."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def use(url: str) -> None:
        settings.STORAGES = settings.STORAGES | {"default": storage_at(url)}

    return use


@pytest.fixture(autouse=True)
def bucket(server, use) -> Iterator[Bucket]:
    """The bucket that holds the files of the site."""
    use(server.url)
    yield server
    server.empty()


@pytest.fixture
def elsewhere(elsewhere, bucket) -> Elsewhere:
    """Another database, and another folder of the bucket."""
    del elsewhere.environment["MEDIA_ROOT"]
    elsewhere.environment |= bucket.environment | {"MEDIA_S3_PREFIX": RESTORED}
    return elsewhere


def in_bucket(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    """Give the files under a prefix by the names that the site has for them."""
    names = [name for name in bucket.names() if name.startswith(f"{prefix}/")]
    return {name.removeprefix(f"{prefix}/"): content(bucket, name) for name in names}


def content(bucket: Bucket, name: str) -> bytes:
    return bucket.client.get_object(Bucket=NAME, Key=name)["Body"].read()


def backed_up(folder: Path) -> Path:
    call_command("backup", folder, verbosity=0, stdout=io.StringIO())
    return folder


def test_what_was_backed_up_comes_back_equal_and_encrypted(used, elsewhere, bucket, tmp_path):
    before = in_bucket(bucket, PREFIX)

    done = elsewhere.manage("restore", backed_up(tmp_path / "backup"))

    assert done.returncode == 0, done.stderr
    assert in_bucket(bucket, RESTORED) == before
    assert len(before) >= 3 * len(used)
    assert rows(elsewhere.name) == rows(connection.settings_dict["NAME"])
    [name, *_] = [name for name in bucket.names() if name.startswith(f"{RESTORED}/")]
    assert bucket.client.head_object(Bucket=NAME, Key=name)["ServerSideEncryption"] == "AES256"


def test_files_that_are_missing_are_named_with_their_scans_and_all_else_is_restored(used, elsewhere, bucket, tmp_path):
    lost, never_there = used[0].picture.name, used[1].thumbnail.name
    default_storage.delete(never_there)
    out, err = io.StringIO(), io.StringIO()
    call_command("backup", tmp_path / "backup", stdout=out, stderr=err)
    assert f"Missing already: the thumbnail of scan {used[1].pk}, {never_there}" in out.getvalue()
    assert "1 files were missing already" in err.getvalue()
    (tmp_path / "backup" / "files" / lost).unlink()

    done = elsewhere.manage("restore", tmp_path / "backup")

    assert done.returncode == 1
    assert f"Scan {used[0].pk}: its picture, {lost}, is missing in the backup" in done.stdout
    assert f"Scan {used[1].pk}: its thumbnail, {never_there}, is missing: it was not in the backup" in done.stdout
    assert "Restored, except for 2 files" in done.stderr
    before = in_bucket(bucket, PREFIX)
    assert in_bucket(bucket, RESTORED) == {name: before[name] for name in before if name != lost}


def test_a_file_that_is_in_the_bucket_already_is_not_overwritten(used, elsewhere, bucket, tmp_path):
    folder, there = backed_up(tmp_path / "backup"), f"{RESTORED}/{used[0].picture.name}"
    bucket.client.put_object(Bucket=NAME, Key=there, Body=b"somebody else's")

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert f"Scan {used[0].pk}: its picture, {used[0].picture.name}, was not restored" in done.stdout
    assert content(bucket, there) == b"somebody else's"


def test_a_site_moves_from_the_bucket_into_a_folder(used, elsewhere, bucket, tmp_path):
    elsewhere.environment = {
        name: value for name, value in elsewhere.environment.items() if not name.startswith("MEDIA_S3_")
    } | {"MEDIA_ROOT": str(elsewhere.media)}

    done = elsewhere.manage("restore", backed_up(tmp_path / "backup"))

    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(elsewhere.media)): path for path in elsewhere.media.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == in_bucket(bucket, PREFIX)


def test_there_is_no_backup_while_the_bucket_is_away(used, use, tmp_path):
    use(nobody_there())

    with pytest.raises(CommandError, match="There is no backup"):
        call_command("backup", tmp_path / "backup", verbosity=0)

    assert not (tmp_path / "backup" / MANIFEST).exists()


def test_a_restore_says_what_to_do_when_the_bucket_is_away_and_goes_well_anew(used, elsewhere, bucket, tmp_path):
    folder, there = backed_up(tmp_path / "backup"), elsewhere.environment["MEDIA_S3_ENDPOINT_URL"]
    elsewhere.environment["MEDIA_S3_ENDPOINT_URL"] = nobody_there()

    done = elsewhere.manage("restore", folder)

    assert done.returncode == 1
    assert "Not all files were restored: empty the database and begin anew" in done.stderr
    assert "Traceback" not in done.stderr

    elsewhere.environment["MEDIA_S3_ENDPOINT_URL"] = there
    elsewhere.empty()
    done = elsewhere.manage("restore", folder)

    assert done.returncode == 0, done.stderr
    assert in_bucket(bucket, RESTORED) == in_bucket(bucket, PREFIX)
