"""The people, the model and the stand-ins that tests share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from celery import Celery
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management.commands import flush

from diagnosis import queues
from diagnosis.models import ModelVersion
from diagnosis.tests import factories
from diagnosis.tests.checkpoints import tiny_checkpoint_in
from diagnosis.tests.servers import free_port


@pytest.fixture(autouse=True)
def media(settings, tmp_path: Path) -> Path:
    """Keep the files of each test in a folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def plain_static_files(settings) -> None:
    """Name static files as they are: nothing is collected for a test."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    """Hash passwords in no time: the real hasher takes as long as most tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def a_broker_that_is_tried(monkeypatch) -> None:
    """Let no test wait out the rest that the broker was given in another one."""
    monkeypatch.setattr(queues, "rest", queues.Rest())


@pytest.fixture(autouse=True)
def forgotten_log_ins():
    """Count failed log-ins for each test alone."""
    yield
    cache.clear()


@pytest.fixture(scope="session", autouse=True)
def the_audit_of_sqlite_may_be_emptied() -> None:
    """Let a transactional test leave no rows behind: PostgreSQL truncates, SQLite deletes, which its audit refuses."""
    sql_flush = flush.sql_flush

    def without_triggers(style, connection, **options):
        statements = sql_flush(style, connection, **options)
        if connection.vendor != "sqlite":
            return statements
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = dict(cursor.fetchall())
        return [*(f"DROP TRIGGER {name}" for name in triggers), *statements, *triggers.values()]

    flush.sql_flush = without_triggers


@pytest.fixture
def alice(db):
    """Owns scans."""
    return factories.person("alice")


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def bob(db):
    """A stranger to alice's scans."""
    return factories.person("bob")


@pytest.fixture
def rita(db):
    """Reviews: ordinary staff in the group Reviewers."""
    user = factories.person("rita", is_staff=True)
    # A migration makes the group; the flush after a transactional test takes it away.
    if not Group.objects.filter(name="Reviewers").exists():
        import_module("diagnosis.migrations.0002_reviewers").make_group(apps, schema_editor=None)
    user.groups.add(Group.objects.get(name="Reviewers"))
    return user


@pytest.fixture
def sam(db):
    """The superuser."""
    return factories.person("sam", is_staff=True, is_superuser=True)


@pytest.fixture(scope="session")
def celery_app() -> Iterator[Celery]:
    """The site's Celery, whose connections to the broker end with the run: a pool that was closed opens no more."""
    from pneumonia_site.celery import app

    yield app
    app.pool.force_close_all()


@pytest.fixture
def no_broker(monkeypatch, celery_app) -> Iterator[None]:
    """Let nobody listen where the broker should be."""
    real = celery_app.connection_for_read
    away = f"redis://127.0.0.1:{free_port()}/0"
    with monkeypatch.context() as patch:
        for name in ("connection_for_read", "connection_for_write"):
            patch.setattr(celery_app, name, lambda *_args, **_named: real(away))
        patch.setattr(celery_app, "_pool", real(away).Pool(limit=1))
        yield


@pytest.fixture
def empty_queues(celery_app):
    """Let nothing of another test wait in the broker."""
    celery_app.control.purge()
    yield
    celery_app.control.purge()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A checkpoint that a worker can load; not to be written to."""
    return tiny_checkpoint_in(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def model_version(db) -> ModelVersion:
    """The active model version, without files behind it."""
    return factories.active_model_version()


@dataclass
class FakeClassifier:
    """Answers `probability` to every picture, or raises `error`; `pictures` are those it was shown."""

    probability: float = 0.9
    is_chest_xray: bool = True
    heatmap: np.ndarray = field(default_factory=lambda: np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))
    statistics: list[float] = field(default_factory=lambda: [120.0, 55.0, 20.0, 200.0, 0.1, 0.01, 4.5, 3.0])
    error: BaseException | None = None
    pictures: list = field(default_factory=list)

    def classify(self, pictures):
        self.pictures += pictures
        if self.error:
            raise self.error
        answer = SimpleNamespace(
            probability=self.probability,
            is_chest_xray=self.is_chest_xray,
            heatmap=self.heatmap,
            statistics=self.statistics,
        )
        return [answer for _ in pictures]

    def classify_canonical(self, pictures):
        return self.classify(pictures)

    def classify_each(self, pictures):
        for picture in pictures:
            yield from self.classify([picture])


@pytest.fixture
def fake_classifier(monkeypatch) -> FakeClassifier:
    """Put a fake in place of the heavy classifier, for the worker's code in this process; see answer_queued."""
    from diagnosis import worker

    fake = FakeClassifier()
    monkeypatch.setattr(worker, "loaded_classifier", lambda folder, sha256: fake)
    return fake


@pytest.fixture
def run_tasks_inline(fake_classifier) -> Iterator[FakeClassifier]:
    """Let each task run where it is sent, answered by the fake classifier.

    Tasks are sent when a transaction commits: in a test that is one transaction, use
    django_capture_on_commit_callbacks(execute=True).
    """
    from pneumonia_site.celery import app

    app.conf.task_always_eager = True
    yield fake_classifier
    app.conf.task_always_eager = False


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """Collect the prediction ids that would be given to the broker."""
    ids: list[str] = []
    monkeypatch.setattr("diagnosis.tasks.run_prediction.apply_async", lambda args, **_options: ids.extend(args))
    monkeypatch.setattr("diagnosis.tasks.run_predictions.apply_async", lambda args, **_options: ids.extend(args[0]))
    return ids
