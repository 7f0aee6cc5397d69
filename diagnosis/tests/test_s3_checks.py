"""What `manage.py check` says about the bucket that holds the files."""

import json
from collections.abc import Iterator

import pytest
from django.core.checks import run_checks
from django.core.files.storage import default_storage

from diagnosis import checks
from diagnosis.tests.s3 import KEYS, NAME, Bucket, nobody_there, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture
def bucket(server, settings, monkeypatch):
    """The bucket that the site uses; a call names another server or changes the options."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def use(url: str = server.url, **changes) -> Bucket:
        options = {"bucket_name": NAME, "endpoint_url": url, "addressing_style": "path"}
        storage = {"BACKEND": "diagnosis.bucket.BucketStorage", "OPTIONS": options | changes}
        settings.STORAGES = settings.STORAGES | {"default": storage}
        return server

    return use


def found_by_manage_check(**options) -> set[str]:
    return {message.id for message in run_checks(**options) if message.id.startswith("diagnosis.E")}


def test_a_private_bucket_that_takes_files_is_fine_and_stays_empty(bucket):
    used = bucket()
    assert found_by_manage_check(include_deployment_checks=True) == set()
    assert used.names() == []


def test_a_server_that_is_away_is_named(bucket):
    bucket(url=(url := nobody_there()))
    [message] = checks.check_bucket_is_reachable(None)
    assert NAME in message.msg
    assert url in message.msg
    assert "MEDIA_S3_ENDPOINT_URL" in message.hint
    assert "diagnosis.E003" in found_by_manage_check()
    assert checks.check_bucket_takes_files_and_keeps_them_private(None) == [], "it is said once"


def test_a_bucket_that_is_not_there_is_named(bucket):
    bucket(bucket_name="another-bucket")
    [message] = checks.check_bucket_is_reachable(None)
    assert "another-bucket" in message.msg
    assert "MEDIA_S3_BUCKET" in message.hint


def test_a_bucket_that_shows_files_to_strangers_is_found_before_a_deployment(bucket):
    used = bucket()
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{NAME}/*"}
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    used.client.put_bucket_policy(Bucket=NAME, Policy=json.dumps(policy))
    try:
        [message] = checks.check_bucket_takes_files_and_keeps_them_private(None)
        assert "Anybody can read" in message.msg
        assert "diagnosis.E004" in found_by_manage_check(include_deployment_checks=True)
        assert "diagnosis.E004" not in found_by_manage_check()
    finally:
        used.client.delete_bucket_policy(Bucket=NAME)
    assert used.names() == []


def test_a_bucket_that_takes_no_files_is_found_before_a_deployment(bucket):
    used = bucket()
    nobody = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{NAME}/*"}
    used.client.put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": [nobody]}))
    try:
        [message] = checks.check_bucket_takes_files_and_keeps_them_private(None)
        assert "does not take a file" in message.msg
        assert "s3:PutObject" in message.hint
    finally:
        used.client.delete_bucket_policy(Bucket=NAME)


def test_looking_for_the_bucket_leaves_no_connection_that_a_fork_would_share(bucket):
    bucket()
    assert checks.check_bucket_is_reachable(None) == []
    assert not hasattr(default_storage._connections, "connection")
