"""The site in full, as it runs in production: gunicorn with two processes, a worker, real PostgreSQL and Redis."""

import io
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from bench.site import Site
from diagnosis import services
from diagnosis.models import AuditEvent, ModelVersion, Prediction, Scan
from diagnosis.operating import metrics, readiness
from diagnosis.states import FailureReason, State
from diagnosis.tests.checkpoints import tiny_checkpoint_in
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.tests.operating.elsewhere import Elsewhere, execute
from diagnosis.tests.pictures import chest_like, encoded

TOKEN = "a-token-for-prometheus"


@dataclass(frozen=True)
class Running:
    """A site that runs at `url`; its processes write `web.log` and `worker.log`."""

    site: Site
    url: str
    worker: int  # id of its first process

    def log(self, name: str) -> str:
        """Give what the processes of that name have written so far."""
        return (self.site.folder / f"{name}.log").read_text()


@pytest.fixture(scope="package")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A checkpoint for the engine that production uses: on some processors TensorFlow greets in the log."""
    return tiny_checkpoint_in(tmp_path_factory.mktemp("checkpoint"), graph=True)


@pytest.fixture(scope="package")
def running(django_db_setup, django_db_blocker, tiny_checkpoint, celery_app, tmp_path_factory) -> Iterator[Running]:
    """The running site; its model is active in `site`."""
    folder = tmp_path_factory.mktemp("site")
    environment = {
        "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict),
        "MEDIA_ROOT": str(folder / "media"),
        "VAR_DIR": str(folder),
        "METRICS_TOKEN": TOKEN,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    celery_app.control.purge()
    site = Site(folder, environment)
    with django_db_blocker.unblock():
        services.register_model(folder=tiny_checkpoint, activate=True)
        site.manage("collectstatic", "--no-input")
        with site.web() as (url, _), site.worker() as worker:
            yield Running(site, url, worker)


@pytest.fixture
def site(running, transactional_db, tiny_checkpoint) -> Running:
    """The running site with its active version."""
    services.register_model(folder=tiny_checkpoint, activate=True)
    return running


@pytest.fixture
def version(db, tiny_checkpoint) -> ModelVersion:
    """The active version."""
    return services.register_model(folder=tiny_checkpoint, activate=True)[0]


@pytest.fixture(autouse=True)
def nothing_from_before() -> Iterator[None]:
    """Ask anew in each test."""
    readiness.forget()
    metrics.forget()
    yield
    readiness.forget()
    metrics.forget()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that takes connections and never says a word, as one that is paused."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def used(alice, rita, version, fake_classifier, run_tasks_inline) -> list[Scan]:
    """Scans of a site that was used: answered with heatmaps, failed, reviewed, looked at."""
    scans = []
    for seed in range(3):
        given = io.BytesIO(encoded(chest_like(200, 200, seed=seed), "JPEG"))
        scans.append(services.submit_scan(owner=alice, upload=given, original_name="chest.jpg", reference="é").scan)
    prediction_at(State.FAILED, scan_of(alice), reason=FailureReason.TIMED_OUT)
    answered = Prediction.objects.filter(state=State.SUCCEEDED)
    assert answered.exclude(heatmap="").count() == 3
    services.record_review(prediction=answered[0], reviewer=rita, label="NORMAL", note="seen")
    services.issue_token(user=alice, lifetime=None)
    assert AuditEvent.objects.exists()
    return scans


@pytest.fixture
def elsewhere(tmp_path) -> Iterator[Elsewhere]:
    """Another database and folder."""
    made = Elsewhere(tmp_path / "elsewhere")
    made.empty()
    yield made
    execute(f"DROP DATABASE {made.name} WITH (FORCE)")
