"""What reprocess_scans chooses: the model version that answers, and the scans that it is asked about."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from diagnosis import batch
from diagnosis.models import Label, Prediction, Scan
from diagnosis.states import State, Trigger
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from diagnosis.tests.reprocessing import failing, reprocess

pytestmark = pytest.mark.django_db


def asked() -> set[Scan]:
    return {prediction.scan for prediction in Prediction.objects.filter(trigger=Trigger.COMMAND)}


@pytest.fixture
def workers(run_tasks_inline, monkeypatch):
    """Answer what is sent, as workers would; a test is one transaction, so nothing waits for its commit."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda send, **_options: send())
    return run_tasks_inline


# --- which model version ---


def test_without_any_model_version_it_says_how_to_register_one():
    assert "register_model" in failing()


def test_without_an_active_one_it_lists_what_there_is():
    version = model_version_of(name="spring")

    assert str(version) in failing()


def test_an_unknown_model_is_an_error_that_lists_what_there_is(model_version):
    reason = failing("--model", "nonsense")

    assert "nonsense" in reason
    assert str(model_version) in reason


def test_a_name_that_two_versions_have_is_an_error_that_lists_both():
    first, second = model_version_of(name="spring"), model_version_of(name="spring")

    reason = failing("--model", "spring")

    assert first.short_sha256 in reason
    assert second.short_sha256 in reason


@pytest.mark.parametrize("way", ["name", "id", "sha256", "start of the sha256"])
def test_a_version_is_found_by(way, alice, model_version, workers):
    other = model_version_of(name="spring", sha256="beef" * 16)
    wanted = {"name": "spring", "id": str(other.pk), "sha256": other.sha256, "start of the sha256": "beef"}[way]
    scan_of(alice)

    reprocess("--model", wanted)

    assert Prediction.objects.get().model_version == other


def test_three_digits_of_a_sha256_are_too_few():
    model_version_of(sha256="beef" * 16)

    assert "bee" in failing("--model", "bee")


# --- which scans ---


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--since", "2026-02-30"),
        ("--since", ""),
        ("--limit", "0"),
        ("--limit", "-3"),
        ("--limit", "many"),
        ("--state", "LOST"),
        ("--user", "nobody"),
        ("--ahead", "0"),
        ("--inline", "--no-wait"),
    ],
    ids=" ".join,
)
def test_an_impossible_argument_is_an_error_and_nothing_is_asked(arguments, alice, model_version, sent):
    scan_of(alice)

    assert failing(*arguments)
    assert not Prediction.objects.exists()


def test_every_scan_that_the_version_has_not_answered_is_asked_for(alice, bob, model_version, workers):
    old = prediction_at(State.SUCCEEDED, scan_of(alice), model_version_of(), probability=0.2)
    never = scan_of(bob)

    told = reprocess()

    assert asked() == {old.scan, never}
    assert "2 answered (0 NORMAL, 2 PNEUMONIA)" in told


def test_old_answers_stay_as_history(alice, model_version, workers):
    old = prediction_at(State.SUCCEEDED, scan_of(alice), model_version_of(), probability=0.2)

    reprocess()

    old.refresh_from_db()
    assert (old.state, old.label, old.probability) == (State.SUCCEEDED, Label.NORMAL, 0.2)
    assert old.scan.predictions.count() == 2
    assert Scan.objects.get().latest_prediction.label == Label.PNEUMONIA


def test_since_counts_from_the_time_of_upload(alice, model_version, workers):
    scan_of(alice, created_at=datetime(2026, 1, 30, 23, 59, tzinfo=UTC))
    new = scan_of(alice, created_at=datetime(2026, 1, 31, tzinfo=UTC))

    reprocess("--since", "2026-01-31")

    assert asked() == {new}


@pytest.mark.parametrize("since", ["2026-01-31T18:00", "2026-01-31 18:00", "2026-01-31T19:00+01:00"])
def test_since_takes_a_time_too(since, alice, model_version, workers):
    scan_of(alice, created_at=datetime(2026, 1, 31, 17, 59, tzinfo=UTC))
    new = scan_of(alice, created_at=datetime(2026, 1, 31, 18, tzinfo=UTC))

    reprocess("--since", since)

    assert asked() == {new}


def test_a_user_s_scans_alone(alice, bob, model_version, workers):
    hers, _ = scan_of(alice), scan_of(bob)

    reprocess("--user", "alice")

    assert asked() == {hers}


def test_a_state_means_that_of_the_latest_prediction(alice, model_version, workers):
    failed = prediction_at(State.FAILED, scan_of(alice))
    repaired = prediction_at(State.FAILED, scan_of(alice)).scan
    prediction_at(State.SUCCEEDED, repaired, model_version_of())
    scan_of(alice)

    reprocess("--state", "FAILED")

    assert asked() == {failed.scan}


def test_a_limit_takes_the_oldest(alice, model_version, workers):
    now = timezone.now()
    scans = [scan_of(alice, created_at=now - timedelta(days=days)) for days in (1, 3, 2)]

    told = reprocess("--limit", "2")

    assert asked() == {scans[1], scans[2]}
    assert "2 scans to answer" in told


def test_pages_lose_and_double_no_scan_of_the_same_moment(alice, monkeypatch):
    monkeypatch.setattr(batch, "PAGE", 2)
    now = timezone.now()
    scans = [scan_of(alice, created_at=now - timedelta(days=days)) for days in (2, 1, 1, 1, 1, 0, 0)]

    found = list(batch.oldest_first(Scan.objects.all(), by="created_at"))

    assert len(found) == len(scans)
    assert set(found) == set(scans)
    assert [scan.created_at for scan in found] == sorted(scan.created_at for scan in scans)


def test_a_dry_run_counts_and_writes_nothing(alice, model_version, sent):
    prediction_at(State.SUCCEEDED, scan_of(alice))
    scan_of(alice)

    told = reprocess("--dry-run")

    assert "1 scans to answer" in told
    assert "1 skipped as already answered" in told
    assert Prediction.objects.count() == 1
    assert sent == []
