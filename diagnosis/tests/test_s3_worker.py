"""A real worker process on another host, as it were: pictures from a bucket, rows through PgBouncer."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from diagnosis import services
from diagnosis.models import Prediction, Scan
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.s3 import KEYS, NAME, PREFIX, Bucket, s3_server
from diagnosis.tests.servers import start_pgbouncer
from diagnosis.tests.test_worker_process import Worker, assert_answered_once

pytestmark = [pytest.mark.services, pytest.mark.pool, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def running_worker(
    django_db_setup, django_db_blocker, tiny_checkpoint, bucket, celery_app, tmp_path_factory
) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    celery_app.control.purge()
    with contextlib.ExitStack() as stack:
        pool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pneumonia-tests-")))
        pool.chmod(0o711)
        port = start_pgbouncer(pool / "pgbouncer", stack, connection.settings_dict, default_pool_size=1)
        database = connection.settings_dict | {"HOST": "127.0.0.1", "PORT": port}
        environment = bucket.environment | {
            "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
            "DATABASE_POOLED": "true",
            "VAR_DIR": str(folder),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        worker = Worker(environment, folder)
        stack.callback(worker.kill_all)
        with django_db_blocker.unblock():
            services.register_model(folder=tiny_checkpoint, activate=True)
            worker.start()
        yield worker


@pytest.fixture
def worker(running_worker, bucket, tiny_checkpoint, settings, monkeypatch, transactional_db) -> Iterator[Worker]:
    """The running worker; the web, which is this process, keeps its files in the same bucket."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    options = {"bucket_name": NAME, "location": PREFIX, "endpoint_url": bucket.url, "addressing_style": "path"}
    storage = {"BACKEND": "diagnosis.bucket.BucketStorage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": storage}
    services.register_model(folder=tiny_checkpoint, activate=True)
    yield running_worker
    print(running_worker.log()[-5000:])


def uploaded(browser, seed: int) -> Prediction:
    file = SimpleUploadedFile("chest.png", encoded(chest_like(seed=seed), "PNG"))
    assert browser.post("/scans/new/", {"image": file}).status_code == 302
    return Prediction.objects.latest("requested_at")


def test_an_upload_is_answered_by_a_worker_that_shares_no_folder_with_the_web(worker, browser, bucket):
    prediction = uploaded(browser, seed=1)

    assert_answered_once(prediction)

    address = reverse("diagnosis:prediction_heatmap", args=[prediction.scan_id, prediction.pk])
    assert browser.get(address).getvalue() == bucket.read(prediction.heatmap.name)
    assert len(bucket.names()) == 4
    services.erase_scan(scan=Scan.objects.get(), erased_by=None)
    assert bucket.names() == []


def test_the_child_that_follows_a_killed_one_reads_from_the_bucket_too(worker, browser):
    assert_answered_once(uploaded(browser, seed=2))
    child = worker.child()

    os.kill(child, signal.SIGKILL)

    assert_answered_once(uploaded(browser, seed=3))
    assert_answered_once(uploaded(browser, seed=4))
    assert worker.child() != child
