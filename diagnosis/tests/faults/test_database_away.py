"""A database that is started again, cuts connections or is locked: what was accepted is answered once."""

import sqlite3
import time
from contextlib import closing
from threading import Timer

import pytest

from diagnosis.tests.servers import wait_for

CUT_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"


@pytest.mark.services
@pytest.mark.parametrize("stage", ["before the claim", "in inference", "in the record, with the heatmap stored"])
def test_postgresql_is_started_again_in_the_midst_of_a_reading(full, upload_to, stage):
    with full.held(stage) as is_held:
        scans = upload_to(full, 2)
        is_held()
        full.postgresql.restart()

    rows = full.assert_each_is_answered_once(scans + upload_to(full))
    assert all(row.heatmap for row in rows)


@pytest.mark.services
def test_the_connections_of_web_and_worker_are_cut(full, browser_at, upload_to):
    with full.held("in inference") as is_held:
        scans = upload_to(full, 2)
        is_held()
        assert full.query(CUT_ALL)
        # Each thread of the web had one, and the next request makes another.
        pages = [browser_at(full).client.get("/scans/") for _ in range(8)]

    assert {page.status_code for page in pages} == {200}
    full.assert_each_is_answered_once(scans + upload_to(full))


@pytest.mark.services
def test_a_batch_goes_on_when_its_connection_is_cut(full, answered_scans_of_full):
    scans, before = answered_scans_of_full, len(full.rows(answered_scans_of_full))
    with full.held("in inference") as is_held:
        full.ask_again(scans)
        is_held()
        full.query(CUT_ALL)

    rows = full.wait_for_ends(scans)[before:]
    assert sorted(row.scan for row in rows) == sorted(scans)
    assert {(row.state, row.ends) for row in rows} == {("SUCCEEDED", 1)}


@pytest.mark.services
def test_a_message_that_finds_no_database_is_tried_again_before_anybody_gives_it_up_as_lost(full, upload_to):
    full.stop("beat")  # nobody gives it up
    try:
        with full.held("before the claim") as is_held:
            scans = upload_to(full, 2)
            is_held()
            with full.postgresql.away():
                full.let_go("before the claim")
                time.sleep(1)

        full.assert_each_is_answered_once(scans)
        assert "OperationalError" in full.log()
    finally:
        full.run("beat")


@pytest.mark.services
def test_a_worker_that_starts_without_a_database_works_once_that_is_there(full, upload_to):
    ready = full.var / "worker.ready"
    with full.postgresql.away():
        full.stop("worker")
        ready.unlink()
        full.restart_worker()
        wait_for(ready.exists)

    full.assert_each_is_answered_once(upload_to(full))


def test_sqlite_is_locked_for_a_while(embedded, upload_to):
    with closing(sqlite3.connect(embedded.var / "db.sqlite3", check_same_thread=False)) as database:
        database.execute("BEGIN IMMEDIATE")
        Timer(3, database.rollback).start()
        scans = upload_to(embedded, 2)

    embedded.assert_each_is_answered_once(scans)
