"""Messages that are lost, doubled, late or damaged: the row decides, and each scan is answered once."""

import pytest


@pytest.fixture
def waiting(site, upload_to):
    """Scans whose messages wait in the broker, behind one that is held by the worker."""
    with site.held("before the claim") as is_held:
        scans = upload_to(site)
        is_held()
        scans += upload_to(site, 2)
        yield scans


def test_lost(site, waiting, upload_to):
    lost = site.take_messages()
    assert len(lost) >= 2
    site.let_go("before the claim")

    site.assert_each_is_answered_once(waiting)


def test_doubled(site, waiting):
    messages = site.take_messages()
    site.put_messages(messages * 3)
    site.let_go("before the claim")

    rows = site.assert_each_is_answered_once(waiting)

    assert {row.attempts for row in rows} == {1}


def test_late(site, waiting, upload_to):
    messages = site.take_messages()
    site.let_go("before the claim")
    rows = site.assert_each_is_answered_once(waiting)

    site.put_messages(messages)
    site.assert_each_is_answered_once(upload_to(site))

    assert site.rows(waiting) == rows


def test_half_written(embedded, upload_to):
    (embedded.messages_folder / "0_half.people.msg").write_bytes(b'{"body": "W1')

    embedded.assert_each_is_answered_once(upload_to(embedded, 2))
