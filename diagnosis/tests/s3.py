"""An S3 server for tests: moto's, in a thread of the test process, spoken to over HTTP as any other."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from diagnosis.tests.servers import free_port

NAME, PREFIX = "scans-of-the-clinic", "site"
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "only-for-tests"}


class Bucket:
    """A bucket of its own on the server at `url`; `environment` names it to the settings."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self.client.create_bucket(Bucket=NAME)
        self.environment = KEYS | {
            "MEDIA_S3_BUCKET": NAME,
            "MEDIA_S3_ENDPOINT_URL": url,
            "MEDIA_S3_PREFIX": PREFIX,
            "MEDIA_S3_ENCRYPTION": "AES256",
        }

    def names(self) -> list[str]:
        """Give the names of all that is in it."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=NAME).get("Contents", [])]

    def read(self, name: str) -> bytes:
        """Give the content of one file, as the site names it."""
        return self.client.get_object(Bucket=NAME, Key=f"{PREFIX}/{name}")["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        """Write over a file, past the site."""
        self.client.put_object(Bucket=NAME, Key=f"{PREFIX}/{name}", Body=content)

    def empty(self) -> None:
        """Delete all that is in it."""
        for name in self.names():
            self.client.delete_object(Bucket=NAME, Key=name)


def storage_at(url: str, **changes: Any) -> dict[str, Any]:
    """Give the default of STORAGES for the bucket at this address, with these options changed."""
    options = {"bucket_name": NAME, "location": PREFIX, "endpoint_url": url, "addressing_style": "path"}
    options["object_parameters"] = {"ServerSideEncryption": "AES256"}
    return {"BACKEND": "diagnosis.bucket.BucketStorage", "OPTIONS": options | changes}


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """Run the server on a free port, with an empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bucket = Bucket(f"http://{host}:{port}")
    bucket.empty()  # what another server left: moto keeps all buckets of a process in one place
    try:
        yield bucket
    finally:
        bucket.client.close()
        server.stop()


def nobody_there() -> str:
    """Give the address of a server that is not running."""
    return f"http://127.0.0.1:{free_port()}"
