"""A worker that is told to stop finishes what it reads, and leaves the rest to the next one."""

import signal
import time
from collections import Counter

import pytest


@pytest.mark.services
def test_a_reading_is_finished_and_the_rest_stays_queued(full, upload_to):
    with full.held("before the record") as is_held:
        scans = upload_to(full, 3)
        is_held()
        full.programs["worker"].send_signal(signal.SIGTERM)
        time.sleep(1)
        assert full.programs["worker"].poll() is None, "it waits for the reading"

    assert full.programs["worker"].wait(30) == 0
    assert sorted(row.state for row in full.rows(scans)) == ["QUEUED", "QUEUED", "SUCCEEDED"]

    full.restart_worker()

    rows = full.assert_each_is_answered_once(scans)
    assert {row.attempts for row in rows} == {1}


@pytest.mark.services
def test_a_message_of_a_batch_is_finished_too_or_stands_back(full, answered_scans_of_full):
    scans, before = answered_scans_of_full, len(full.rows(answered_scans_of_full))
    with full.held("before the record") as is_held:
        full.ask_again(scans)
        is_held()
        full.programs["worker"].send_signal(signal.SIGTERM)

    assert full.programs["worker"].wait(30) == 0
    # One of beat's messages may wait behind it: then what was not read yet waits in turn, and costs no attempt.
    rows = full.rows(scans)[before:]
    assert {(row.state, row.ends, row.attempts) for row in rows} <= {("SUCCEEDED", 1, 1), ("QUEUED", 0, 0)}

    full.restart_worker()

    rows = full.assert_each_is_answered_once(scans, answers=before // len(scans) + 1)
    assert {row.attempts for row in rows[before:]} == {1}


def test_ctrl_c_in_embedded_mode_finishes_the_reading_and_the_next_start_goes_on(embedded, upload_to):
    with embedded.held("before the record") as is_held:
        scans = upload_to(embedded, 12)
        is_held()
        embedded.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert embedded.process.poll() is None

    assert embedded.process.wait(60) == 0
    states = Counter(row.state for row in embedded.rows(scans))
    # Celery's loop for a broker of files takes two more before it looks whether it should stop.
    assert states["SUCCEEDED"] in (1, 2, 3)
    assert states["SUCCEEDED"] + states["QUEUED"] == len(scans)

    embedded.start()

    rows = embedded.assert_each_is_answered_once(scans)
    assert {row.attempts for row in rows} == {1}


def test_a_process_that_replaced_a_killed_one_finishes_its_reading_too(embedded, upload_to):
    embedded.order("in inference")
    embedded.assert_each_is_answered_once(upload_to(embedded))
    assert embedded.was_struck("in inference")

    with embedded.held("before the record") as is_held:
        scans = upload_to(embedded)
        is_held()
        embedded.process.send_signal(signal.SIGINT)
        # Until Celery has looked whether it should stop, and has ended the thread that forked the process.
        time.sleep(7)

    assert embedded.process.wait(60) == 0
    assert [(row.state, row.attempts) for row in embedded.rows(scans)] == [("SUCCEEDED", 1)]
    embedded.start()
