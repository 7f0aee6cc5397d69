"""Files in a bucket of an S3 server instead of a folder; loaded only where the settings name a bucket.

The bucket is private, and stays so: no file gets an access rule of its own, none has a URL.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from diagnosis.files import StorageAway

# Somebody waits for the page: three tries of so many seconds are as long as that may take.
CONNECT_SECONDS = 2
READ_SECONDS = 10
TRIES = 3

# What is larger than this while it is read lies on the disk: bytes.
MEMORY_PER_FILE = 16 * 1024 * 1024

# Without the right to list, the server answers 403 for a missing file as for a forbidden one.
RIGHTS_HINT = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this host, need s3:ListBucket on the bucket, and "
    "s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it."
)


class BucketStorage(S3Storage):
    """A bucket that fails as a folder does: FileNotFoundError for what is not there, StorageAway for all other faults.

    Names are random, or meant to be written over, so that nothing is asked before a file is saved.
    """

    def __init__(self, **options: Any) -> None:
        fixed = {
            "file_overwrite": True,
            "default_acl": None,
            "custom_domain": None,
            "gzip": False,
            # Threads of its own for each file would outlive what the soft time limit interrupts.
            "transfer_config": TransferConfig(use_threads=False),
        }
        super().__init__(**options, **fixed, client_config=client_config(options))

    @property
    def bucket(self) -> Any:
        """Give the bucket; a new object each time, because threads can't share one."""
        return self.connection.Bucket(self.bucket_name)

    def new_client(self, **changes: Any) -> Any:
        """Give a client of its own, for whoever must leave no connection open: to be closed. `changes` are Config's."""
        return self._create_session().client(
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            config=self.client_config.merge(Config(**changes)),
        )

    def _open(self, name: str, mode: str = "rb") -> File:
        """Fetch the whole file by one request, so that no later read fails.

        The library's own file asks three times, and finds out at the first read what was deleted since it was opened.
        """
        if mode != "rb":
            raise ValueError(f"Files in a bucket are opened to be read, as bytes, not {mode!r}.")
        fetched = tempfile.SpooledTemporaryFile(max_size=MEMORY_PER_FILE)  # noqa: SIM115 - the caller closes it
        try:
            with faults_named(name):
                body = self.bucket.Object(self._normalize_name(clean_name(name))).get()["Body"]
                with body:
                    shutil.copyfileobj(body, fetched, 1024 * 1024)
        except BaseException:
            fetched.close()
            raise
        fetched.seek(0)
        return File(fetched, name)

    def _save(self, name: str, content: File) -> str:
        with faults_named(name):
            return super()._save(name, content)

    def delete(self, name: str) -> None:
        """Delete the file if it is there."""
        with faults_named(name):
            super().delete(name)

    def exists(self, name: str) -> bool:
        """Tell whether the file is there."""
        with faults_named(name):
            return super().exists(name)

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        """Give the folders and the files in the folder `name`."""
        with faults_named(name):
            return super().listdir(name)

    def get_modified_time(self, name: str) -> datetime:
        """Tell when the file was stored."""
        with faults_named(name):
            return super().get_modified_time(name)

    def size(self, name: str) -> int:
        """Give the bytes of the file."""
        with faults_named(name):
            return super().size(name)

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Refuse: a file goes out through a view that knows its owner."""
        raise ValueError("Files in the bucket have no URL.")


def client_config(options: dict[str, Any]) -> Config:
    """Give how the server of these storage options is spoken to."""
    # Many servers that are not Amazon's don't understand the checksums that boto3 adds of its own accord.
    checksums = "when_required" if options.get("endpoint_url") else "when_supported"
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        s3={"addressing_style": options.get("addressing_style", "auto")},
        signature_version="s3v4",
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
    )


@contextmanager
def faults_named(name: str) -> Iterator[None]:
    """Turn the errors of the library into those of a file."""
    try:
        yield
    except ClientError as error:
        if status(error) == 404 and code(error) != "NoSuchBucket":
            raise FileNotFoundError(name) from error
        raise StorageAway(f"{name}: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageAway(f"{name}: {error}") from error


def status(error: ClientError) -> int:
    """Give the HTTP status of the server's answer."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def code(error: ClientError) -> str:
    """Give the server's own word for the fault, such as NoSuchBucket."""
    return error.response.get("Error", {}).get("Code", "")


class Fault(NamedTuple):
    """What is wrong with the bucket, and what to do about it."""

    problem: str
    hint: str


def fault_of(storage: BucketStorage) -> Fault | None:
    """Look for the bucket. By a client of its own: a worker looks before it forks, and must share no connection."""
    try:
        with closing(storage.new_client(retries={"total_max_attempts": 1})) as client:
            client.head_bucket(Bucket=storage.bucket_name)
    except (ClientError, BotoCoreError) as error:
        hints = {403: RIGHTS_HINT, 404: "Make the bucket, or name another one in MEDIA_S3_BUCKET."}
        answered = status(error) if isinstance(error, ClientError) else 0
        hint = hints.get(answered, "MEDIA_S3_ENDPOINT_URL and MEDIA_S3_REGION tell where the server is; is it running?")
        return Fault(f"The bucket {storage.bucket_name} can't be used: {error}", hint)
    return None


def fault_of_a_file_in(storage: BucketStorage) -> Fault | None:
    """Store a small file, try to read it as a stranger, delete it."""
    name = f"check/{uuid.uuid4().hex}"
    where = {"Bucket": storage.bucket_name, "Key": storage._normalize_name(name)}
    try:
        with closing(storage.new_client()) as client:
            client.put_object(**where, Body=b"check", **storage.get_object_parameters(name))
            try:
                client.get_object(**where)["Body"].read()
                is_public = strangers_read(storage, where)
            finally:
                client.delete_object(**where)
    except (ClientError, BotoCoreError) as error:
        return Fault(f"The bucket {storage.bucket_name} does not take a file: {error}", RIGHTS_HINT)
    if is_public:
        problem = f"Anybody can read the files in the bucket {storage.bucket_name}, without the site."
        return Fault(problem, "Block all public access to the bucket; the site hands out the files itself.")
    return None


def strangers_read(storage: BucketStorage, where: dict[str, str]) -> bool:
    """Tell whether the file can be read without any key."""
    with closing(storage.new_client(signature_version=UNSIGNED)) as stranger:
        try:
            stranger.get_object(**where)["Body"].read()
        except ClientError:
            return False
    return True
