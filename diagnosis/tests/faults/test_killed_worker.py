"""A worker that is killed by kill -9, whatever it was doing: every scan is answered, and once."""

import pytest

from diagnosis.states import FailureReason
from diagnosis.tests.faults import stages
from diagnosis.tests.servers import wait_for

# All stages of a reading; at the first and at the last one the scan is nobody's, or is answered.
IN_A_READING = {
    "before the claim": 1,
    "after the claim": 2,
    "in inference": 2,
    "before the record": 2,
    "in the record": 2,
    "in the record, with the heatmap stored": 2,
    "after the record": 1,
}
IN_A_BATCH = ["before the claim", "after the claim", "in inference", "before the record", "after the record"]


@pytest.mark.parametrize("stage", IN_A_READING)
def test_the_process_that_reads_is_killed(site, upload_to, stage):
    site.order(stage)

    scans = upload_to(site, 2)

    rows = site.assert_each_is_answered_once(scans)
    assert site.was_struck(stage)
    assert sorted(row.attempts for row in rows) == [1, IN_A_READING[stage]]
    assert all(row.heatmap for row in rows)


@pytest.mark.parametrize("stage", IN_A_BATCH)
def test_the_process_that_reads_a_batch_is_killed(site, answered_scans, stage):
    before = len(site.rows(answered_scans))
    site.order(stage)

    site.ask_again(answered_scans)

    rows = site.wait_for_ends(answered_scans)[before:]
    assert site.was_struck(stage)
    assert sorted(row.scan for row in rows) == sorted(answered_scans)
    assert {(row.state, row.ends) for row in rows} == {("SUCCEEDED", 1)}
    assert max(row.attempts for row in rows) <= 2


@pytest.mark.parametrize("stage", ["after the claim", "in the record, with the heatmap stored"])
def test_the_whole_worker_is_killed(site, upload_to, stage):
    site.order(stage, stages.KILL_WITH_PARENT)

    scans = upload_to(site, 2)
    wait_for(lambda: site.was_struck(stage))
    site.restart_worker()
    scans += upload_to(site)

    rows = site.assert_each_is_answered_once(scans)
    assert sorted(row.attempts for row in rows) == [1, 1, 2]


def test_the_whole_worker_is_killed_in_the_midst_of_a_batch(site, answered_scans):
    before = len(site.rows(answered_scans))
    site.order("after the record", stages.KILL_WITH_PARENT)

    site.ask_again(answered_scans)
    wait_for(lambda: site.was_struck("after the record"))
    site.restart_worker()

    rows = site.wait_for_ends(answered_scans)[before:]
    assert sorted(row.scan for row in rows) == sorted(answered_scans)
    assert {(row.state, row.ends) for row in rows} == {("SUCCEEDED", 1)}


def test_a_picture_that_kills_its_worker_every_time_is_given_up_and_the_others_are_answered(site, upload_to):
    [lethal] = upload_to(site, reference=stages.LETHAL)
    others = upload_to(site, 2)

    [given_up] = site.wait_for_ends([lethal])
    assert (given_up.state, given_up.reason, given_up.ends) == ("FAILED", FailureReason.WORKER_LOST, 1)
    assert given_up.attempts == 3
    site.assert_each_is_answered_once(others)

    # In a batch it takes nobody along.
    site.ask_again([*others, lethal])

    assert [row.reason for row in site.wait_for_ends([lethal])] == [FailureReason.WORKER_LOST] * 2
    site.assert_each_is_answered_once(others, answers=2)


def test_a_picture_that_needs_more_memory_than_there_is_fails_and_the_worker_goes_on(site, upload_to):
    [hungry] = upload_to(site, reference=stages.HUNGRY)
    others = upload_to(site)

    [row] = site.wait_for_ends([hungry])
    assert (row.state, row.reason, row.attempts, row.ends) == ("FAILED", FailureReason.INTERNAL_ERROR, 1, 1)
    assert "MemoryError" in site.log()
    site.assert_each_is_answered_once(others)
