"""The settings, each time in a fresh interpreter: what is missing or impossible is said at once, with a hint."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

FULL = {
    "SITE_MODE": "full",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "site.example, www.site.example",
    "DATABASE_URL": "postgres://user:password@db.example:5432/name",
    "CELERY_BROKER_URL": "redis://:secret@redis.example:6379/0",
}
S3 = FULL | {"MEDIA_S3_BUCKET": "scans"}
SHOW = """
import json, sys
from pneumonia_site import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


@pytest.fixture
def read(tmp_path: Path):
    """Read the named settings under the given environment."""

    def read(*names: str, **environment: str) -> dict:
        done = load(SHOW, *names, var=tmp_path / "var", **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.fixture
def complaint(tmp_path: Path):
    """Give the one line with which the settings refuse the environment."""

    def complaint(**environment: str) -> str:
        done = load(SHOW, var=tmp_path / "var", **environment)
        assert done.returncode != 0, "the settings took it"
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
        return last

    return complaint


def load(code: str, *arguments: str, var: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run Python code under this environment and no other."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(var)} | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )


def without(name: str) -> dict[str, str]:
    """The full environment less one variable."""
    return {key: value for key, value in FULL.items() if key != name}


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "CELERY_BROKER_URL"])
def test_full_mode_names_the_variable_that_is_missing(complaint, name):
    said = complaint(**without(name))
    assert f"{name} is not set" in said
    assert ".env.example" in said


def test_an_engine_that_there_is_not_is_refused(complaint):
    assert "openvino, tensorflow or empty" in complaint(INFERENCE_ENGINE="onnx")


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "CELERY_BROKER_URL"])
def test_full_mode_takes_an_empty_variable_for_a_missing_one(complaint, name):
    assert f"{name} is not set" in complaint(**FULL | {name: " "})


@pytest.mark.parametrize("name", ["DATABASE_URL", "CELERY_BROKER_URL"])
def test_embedded_mode_refuses_the_address_of_a_server(complaint, name):
    said = complaint(**{name: FULL[name]})
    assert f"{name} is set" in said
    assert "SITE_MODE=full" in said


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("SITE_MODE", "production", "'embedded' or 'full'"),
        ("INTAKE_MAX_BYTES", "25 MB", "whole number of at least 1"),
        ("UPLOAD_MAX_FILES", "0", "whole number of at least 1"),
        ("REVIEW_READERS", "3", "1 or 2"),
        ("TRUSTED_PROXY_COUNT", "-1", "whole number of at least 0"),
        ("SITE_HTTPS", "maybe", "true or false"),
        ("DATABASE_URL", "nonsense", "postgres://"),
        ("DATABASE_URL", "postgres://user:password@host:port/name", "postgres://"),
        ("CELERY_BROKER_URL", "amqp://broker.example", "redis://"),
        ("EMAIL_URL", "pigeon://roof", "smtp+tls://"),
        ("DATABASE_POOLED", "yes", "true or false"),
        ("DATABASE_CONNECTION_SECONDS", "-1", "whole number of at least 0"),
    ],
)
def test_an_impossible_value_is_refused_with_the_variable_and_a_hint(complaint, name, value, hint):
    said = complaint(**FULL | {name: value})
    assert name in said
    assert hint in said


def test_the_optional_variables_that_docker_compose_hands_over_empty_count_as_unset(read):
    compose = Path(settings.BASE_DIR, "docker-compose.yml").read_text()
    empty = dict.fromkeys(re.findall(r"\$\{(\w+):-\}", compose), "")
    assert "EMAIL_URL" in empty
    assert read("EMAIL_BACKEND", **FULL | empty)["EMAIL_BACKEND"].endswith("dummy.EmailBackend"), (
        "a log is no place for it"
    )


def test_every_variable_of_full_mode_stands_in_the_example():
    example = Path(settings.BASE_DIR, ".env.example").read_text()
    assert all(f"{name}=" in example for name in FULL)


def test_embedded_mode_keeps_everything_under_var(read, tmp_path):
    found = read("MEDIA_ROOT", "STATIC_ROOT", "WORKER_READY_FILE", "CELERY_BROKER_URL", "DATABASES", "SITE_HTTPS")
    var = str(tmp_path / "var")
    assert all(found[name].startswith(var) for name in ("MEDIA_ROOT", "STATIC_ROOT", "WORKER_READY_FILE"))
    assert found["DATABASES"]["default"]["NAME"].startswith(var)
    assert found["CELERY_BROKER_URL"].startswith("filesystem://")
    assert found["SITE_HTTPS"] is False


def test_embedded_mode_makes_its_secret_key_once_for_its_user_alone(read, tmp_path):
    first = read("SECRET_KEY")
    assert read("SECRET_KEY") == first
    assert len(first["SECRET_KEY"]) >= 50
    key = tmp_path / "var" / "secret_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.glob("secret_key*")] == ["secret_key"]


def test_another_installation_has_another_secret_key(read, tmp_path):
    assert read("SECRET_KEY") != read("SECRET_KEY", VAR_DIR=str(tmp_path / "other"))


def test_full_mode_is_served_over_https_only(read):
    found = read("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", **FULL)
    assert all(found.values())


def test_full_mode_without_https_has_to_be_asked_for(read):
    found = read("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "SECURE_HSTS_SECONDS", **FULL, SITE_HTTPS="false")
    assert not any(found.values())


def test_a_forwarded_header_counts_only_behind_a_proxy_of_our_own(read):
    assert read("ALLAUTH_TRUSTED_PROXY_COUNT", **FULL) == {"ALLAUTH_TRUSTED_PROXY_COUNT": 0}
    found = read("ALLAUTH_TRUSTED_PROXY_COUNT", "SECURE_PROXY_SSL_HEADER", **FULL, TRUSTED_PROXY_COUNT="1")
    assert found["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]


def test_the_cache_is_another_database_of_the_brokers_redis(read):
    assert read("CACHES", **FULL)["CACHES"]["default"]["LOCATION"] == "redis://:secret@redis.example:6379/1"


def test_redis_delivers_again_only_after_the_time_limit(read):
    names = ("CELERY_BROKER_TRANSPORT_OPTIONS", "CELERY_TASK_SOFT_TIME_LIMIT", "CELERY_TASK_TIME_LIMIT")
    found = read(*names, "PREDICTION_STALE_SECONDS", **FULL, PREDICTION_HARD_TIME_LIMIT="100")
    assert found["CELERY_TASK_SOFT_TIME_LIMIT"] == 90
    assert found["CELERY_TASK_TIME_LIMIT"] == 100
    assert found["CELERY_BROKER_TRANSPORT_OPTIONS"]["visibility_timeout"] == 110
    assert found["PREDICTION_STALE_SECONDS"] > 110


def test_files_stay_in_a_folder_unless_a_bucket_is_named(read):
    empty = dict.fromkeys(("MEDIA_S3_BUCKET", "MEDIA_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"), "")
    assert read("STORAGES", **FULL | empty)["STORAGES"]["default"]["BACKEND"].endswith("FileSystemStorage")


def test_a_bucket_is_described_by_the_environment(read):
    described = {
        "MEDIA_S3_ENDPOINT_URL": "https://s3.example.org",
        "MEDIA_S3_REGION": "eu-central-1",
        "MEDIA_S3_PREFIX": "/site/",
        "MEDIA_S3_ENCRYPTION": "aws:kms",
        "MEDIA_S3_KMS_KEY_ID": "the-key",
    }
    assert read("STORAGES", **S3 | described)["STORAGES"]["default"] == {
        "BACKEND": "diagnosis.bucket.BucketStorage",
        "OPTIONS": {
            "bucket_name": "scans",
            "location": "site",
            "endpoint_url": "https://s3.example.org",
            "region_name": "eu-central-1",
            "addressing_style": "path",
            "object_parameters": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "the-key"},
        },
    }


def test_without_an_address_it_is_amazons(read):
    options = read("STORAGES", **S3)["STORAGES"]["default"]["OPTIONS"]
    assert (options["endpoint_url"], options["addressing_style"], options["object_parameters"]) == (None, "auto", {})


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("MEDIA_S3_BUCKET", "s3://scans/", "the name of a bucket"),
        ("MEDIA_S3_ENDPOINT_URL", "s3.example.org", "https://s3.example.org"),
        ("MEDIA_S3_ADDRESSING_STYLE", "dns", "auto, path or virtual"),
        ("MEDIA_S3_ENCRYPTION", "yes", "AES256 or aws:kms"),
        ("MEDIA_S3_KMS_KEY_ID", "key", "MEDIA_S3_ENCRYPTION is aws:kms"),
        ("MEDIA_ROOT", "/srv/media", "unset the other"),
        ("AWS_ACCESS_KEY_ID", "key", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "key", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_an_impossible_description_is_refused_with_a_hint(complaint, name, value, hint):
    said = complaint(**S3 | {name: value})
    assert name in said
    assert hint in said


def test_a_description_without_a_bucket_is_refused(complaint):
    said = complaint(**FULL | {"MEDIA_S3_PREFIX": "site"})
    assert "MEDIA_S3_PREFIX is set, but MEDIA_S3_BUCKET" in said


def test_embedded_mode_refuses_a_bucket(complaint):
    said = complaint(MEDIA_S3_BUCKET="scans")
    assert "MEDIA_S3_BUCKET is set" in said
    assert "SITE_MODE=full" in said


def test_a_pool_in_front_of_the_database_lets_no_cursor_outlive_its_transaction(read):
    assert read("DATABASES", **FULL)["DATABASES"]["default"]["DISABLE_SERVER_SIDE_CURSORS"] is False
    pooled = read("DATABASES", **FULL, DATABASE_POOLED="true", DATABASE_CONNECTION_SECONDS="0")["DATABASES"]["default"]
    assert (pooled["DISABLE_SERVER_SIDE_CURSORS"], pooled["CONN_MAX_AGE"]) == (True, 0)


@pytest.mark.parametrize("nonsense", ["0", "30.5", "a month", "36501"])
def test_scans_are_kept_for_a_number_of_days_that_makes_sense(complaint, nonsense):
    assert "RETENTION_DAYS is " in complaint(**FULL, RETENTION_DAYS=nonsense)


@pytest.mark.parametrize(("given", "days"), [(" ", None), ("365", 365)])
def test_scans_are_kept_for_so_many_days_or_until_somebody_deletes_them(read, given, days):
    assert read("RETENTION_DAYS", **FULL, RETENTION_DAYS=given) == {"RETENTION_DAYS": days}
