"""A real PgBouncer between the site and PostgreSQL: more people than sessions, and no mix-ups."""

import contextlib
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from diagnosis import services
from diagnosis.models import Prediction, Scan
from diagnosis.states import State
from diagnosis.tests.factories import active_model_version, person, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import start_pgbouncer

pytestmark = [pytest.mark.services, pytest.mark.pool, pytest.mark.django_db(transaction=True)]

SESSIONS, PEOPLE = 2, 8


@pytest.fixture(scope="module")
def port(django_db_setup, django_db_blocker) -> Iterator[int]:
    """The port of a pool of SESSIONS sessions, for all tests here."""
    with contextlib.ExitStack() as stack:
        # Its user, who is not root, has to pass through.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pneumonia-tests-")))
        folder.chmod(0o711)
        yield start_pgbouncer(folder / "pgbouncer", stack, connection.settings_dict, default_pool_size=SESSIONS)


@pytest.fixture
def direct(transactional_db) -> Iterator[psycopg2.extensions.connection]:
    """A connection to PostgreSQL past the pool."""
    with contextlib.closing(psycopg2.connect(**connection.get_connection_params())) as past:
        past.autocommit = True
        yield past


@pytest.fixture
def pool(port, direct, monkeypatch) -> Iterator[int]:
    """Let all that the site asks of its database go through the pool; gives its port."""
    connection.close()
    with monkeypatch.context() as changed:
        for name, value in (("HOST", "127.0.0.1"), ("PORT", port), ("DISABLE_SERVER_SIDE_CURSORS", True)):
            changed.setitem(connection.settings_dict, name, value)
        yield port
        connection.close()


def sessions(direct) -> int:
    """Count the sessions that PostgreSQL has for others than `direct`."""
    with direct.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0]


def test_more_people_than_sessions_upload_at_once_and_each_gets_the_own_answer(pool, direct, fake_classifier, sent):
    from diagnosis import worker

    active_model_version()
    everybody = [person(f"person-{number}") for number in range(PEOPLE)]
    all_there = threading.Barrier(PEOPLE)
    seen = []

    def uploads_and_reads(number: int) -> str:
        try:
            browser = Client()
            browser.force_login(everybody[number])
            all_there.wait(60)
            file = SimpleUploadedFile("chest.png", encoded(chest_like(seed=number), "PNG"))
            address = browser.post("/scans/new/", {"image": file, "reference": f"ward {number}"}).url
            prediction = Prediction.objects.get(scan__owner=everybody[number])
            worker.answer(str(prediction.pk), task_id=f"task-{uuid.uuid4()}")
            all_there.wait(60)  # so that all of them are connected now
            seen.append(sessions_of_others())
            all_there.wait(60)
            return browser.get(address).content.decode()
        finally:
            connections.close_all()

    lock = threading.Lock()

    def sessions_of_others() -> int:
        with lock:
            return sessions(direct)

    with ThreadPoolExecutor(PEOPLE) as people:
        pages = list(people.map(uploads_and_reads, range(PEOPLE)))

    assert all(f"ward {number}" in page for number, page in enumerate(pages))
    assert Prediction.objects.filter(state=State.SUCCEEDED).count() == PEOPLE
    assert Scan.objects.filter(latest_prediction__state=State.SUCCEEDED).count() == PEOPLE
    assert 1 <= max(seen) <= SESSIONS, "PostgreSQL saw the pool, not the people"


def test_of_many_workers_one_gets_the_claim(pool, fake_classifier):
    from diagnosis import worker

    prediction = prediction_at(State.QUEUED)
    all_there = threading.Barrier(PEOPLE)

    def answers(number: int) -> None:
        try:
            connection.ensure_connection()
            all_there.wait(60)
            worker.answer(str(prediction.pk), task_id=f"task-{number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(PEOPLE) as workers:
        list(workers.map(answers, range(PEOPLE)))

    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts, len(fake_classifier.pictures)) == (State.SUCCEEDED, 1, 1)


def test_no_session_brings_along_the_time_zone_of_another_client(pool):
    place = connection.get_connection_params() | {"options": None}
    others = [psycopg2.connect(**place) for _ in range(SESSIONS)]
    try:
        for other in others:
            # Each in an open transaction, so that each session of the pool gets it.
            other.cursor().execute("SET TIME ZONE 'Asia/Tokyo'")
        for other in others:
            other.commit()

        for _ in range(2 * SESSIONS):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SHOW TIME ZONE")
                assert cursor.fetchone() == ("UTC",)
    finally:
        for other in others:
            other.close()


def test_rows_are_read_page_by_page_while_others_use_the_sessions(pool):
    owner = person("alice")
    for _ in range(5):
        scan_of(owner)
    rows = Scan.objects.order_by("pk").iterator(chunk_size=1)
    read = [next(rows)]
    with contextlib.closing(psycopg2.connect(**connection.get_connection_params())) as other:
        other.cursor().execute("SELECT 1")  # its transaction keeps the session
        read += rows
    assert len(read) == 5


def test_a_transaction_that_fails_leaves_nothing_in_the_session(pool):
    owner = person("alice")

    def stores_and_fails() -> None:
        with transaction.atomic():
            scan_of(owner)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stores_and_fails()
    assert Scan.objects.count() == 0
    scan = scan_of(owner)
    services.erase_scan(scan=scan, erased_by=None)
    assert Scan.objects.count() == 0


def test_lost_work_is_put_back_through_the_pool(pool, sent):
    prediction = prediction_at(State.RUNNING, claimed_at=timezone.now() - timezone.timedelta(days=1))
    assert services.requeue_stale().sent == 1
    assert sent == [str(prediction.pk)]
