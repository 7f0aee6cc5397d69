"""A verdict on one answer: what is said, kept and shown, by one reader and by two."""

import re
import threading

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction

from diagnosis.models import AuditEvent, Prediction, Review
from diagnosis.services import record_review
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.tests.review.pages import WORKLIST, plain, review_page, say


@pytest.fixture
def case(alice) -> Prediction:
    return prediction_at(State.SUCCEEDED, scan_of(alice), probability=0.9)


def answers(owner, *probabilities: float) -> list[Prediction]:
    return [prediction_at(State.SUCCEEDED, scan_of(owner), probability=each) for each in probabilities]


def verdicts(prediction: Prediction) -> list[tuple]:
    """Give (reader, verdict, whether it stands), the oldest first."""
    rows = prediction.reviews.order_by("pk")
    return [(review.reviewer.username, review.label, review.is_standing) for review in rows]


@pytest.mark.parametrize("sent", [{}, {"label": "MAYBE"}, {"label": ""}, {"label": "NORMAL", "note": "x" * 2001}])
def test_an_impossible_verdict_is_refused_with_a_reason(reader, case, sent):
    response = reader.post(review_page(case), sent)
    assert response.status_code == 422
    assert 'class="alert alert-danger"' in response.text or 'class="invalid-feedback"' in response.text
    assert not Review.objects.exists()


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_what_has_no_answer_can_not_be_opened(reader, alice, state):
    unanswered = prediction_at(state, scan_of(alice))
    assert reader.get(review_page(unanswered)).status_code == 404
    assert reader.post(review_page(unanswered), {"label": "NORMAL"}).status_code == 404


def test_a_verdict_leads_to_the_next_case_of_the_same_list_and_at_its_end_to_the_list(reader, alice):
    first, second, third = answers(alice, 0.9, 0.8, 0.7)
    chosen = {"show": "waiting", "version": "any"}
    response = say(reader, first, "PNEUMONIA", chosen)
    assert response.url == review_page(second, **chosen)
    assert "Saved: you agree" in plain(reader.get(response.url))
    # Passed over, it is not come back to by itself.
    response = say(reader, third, "NORMAL", chosen)
    assert response.url == f"{WORKLIST}?show=waiting&version=any"
    assert "That was the last one of this list." in plain(reader.get(response.url))


def test_next_and_previous_go_through_the_list_in_its_order(reader, alice):
    first, second, third = answers(alice, 0.9, 0.8, 0.7)
    page = reader.get(review_page(second)).context
    assert (page["previous"], page["next"]) == (first, third)
    assert reader.get(review_page(first)).context["previous"] is None
    assert reader.get(review_page(third)).context["next"] is None


def test_the_answer_stays_whatever_readers_say(reader, case):
    beside = ("reviewed_label", "readings", "readings_wanted", "is_disputed")
    before = Prediction.objects.defer(*beside).values(*[f.attname for f in case._meta.fields if f.name not in beside])
    answer = before.get()
    say(reader, case, "UNUSABLE", note="cut off at the left")
    assert before.get() == answer
    review = Review.objects.get()
    assert (review.label, review.note, review.agrees) == ("UNUSABLE", "cut off at the left", False)


def test_a_change_of_mind_is_a_further_verdict_and_the_first_stays_on_record(reader, case):
    say(reader, case, "NORMAL")
    page = plain(reader.get(review_page(case)))
    assert "You said: Normal" in page
    say(reader, case, "PNEUMONIA", note="second look")
    assert verdicts(case) == [("rita", "NORMAL", False), ("rita", "PNEUMONIA", True)]
    case.refresh_from_db()
    assert (case.readings, case.reviewed_label, case.is_disputed) == (1, "PNEUMONIA", False)
    assert "changed later" in plain(reader.get(review_page(case)))


def test_the_same_sent_twice_is_one_verdict(rita, case):
    for _ in range(2):
        record_review(prediction=case, reviewer=rita, label="NORMAL", note="blurred")
    assert verdicts(case) == [("rita", "NORMAL", True)]


def test_an_outdated_window_of_ones_own_overwrites_nothing_unseen(reader, case):
    stale = {"label": "NORMAL", "seen": ""}
    say(reader, case, "PNEUMONIA")
    response = reader.post(review_page(case), stale)
    assert response.status_code == 422
    assert "meanwhile, in another window" in response.text
    assert verdicts(case) == [("rita", "PNEUMONIA", True)]
    # The page shows what stands now, so the next press counts.
    seen = re.search(r'name="seen" value="(\d+)"', response.text)[1]
    assert reader.post(review_page(case), {"label": "NORMAL", "seen": seen}).status_code == 302


def test_two_readers_with_the_same_case_open_lose_nothing(client, case, rita, remo):
    for person in (rita, remo):
        client.force_login(person)
        assert client.get(review_page(case)).status_code == 200
    client.force_login(rita)
    client.post(review_page(case), {"label": "NORMAL", "seen": ""})
    client.force_login(remo)
    response = client.post(review_page(case), {"label": "PNEUMONIA", "seen": ""}, follow=True)
    assert "Another reader sees it differently. Both verdicts are kept." in plain(response)
    assert verdicts(case) == [("rita", "NORMAL", True), ("remo", "PNEUMONIA", True)]
    case.refresh_from_db()
    assert (case.readings, case.is_disputed, case.decided_label) == (2, True, "")


def test_the_audit_knows_the_look_and_the_verdict(reader, case):
    say(reader, case, "NORMAL")
    events = AuditEvent.objects.filter(actor__user__username="rita").order_by("at")
    assert list(events.values_list("action", flat=True)) == ["VIEWED", "REVIEWED"]


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_readers_at_the_very_same_moment_are_all_counted(case, rita, remo, sam):
    start = threading.Barrier(3)

    def judge(reader, label: str) -> None:
        start.wait()
        record_review(prediction=case, reviewer=reader, label=label)
        connection.close()

    said = ((rita, "NORMAL"), (remo, "PNEUMONIA"), (sam, "NORMAL"))
    threads = [threading.Thread(target=judge, args=each) for each in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.refresh_from_db()
    assert (case.readings, case.reviewed_label, case.is_disputed) == (3, "NORMAL", False)


def test_a_second_reader_sees_the_first_verdict_only_after_the_own(client, settings, case, rita, remo):
    settings.REVIEW_READERS = 2
    record_review(prediction=case, reviewer=rita, label="NORMAL", note="motion blur")
    client.force_login(remo)
    before = plain(client.get(review_page(case)))
    assert "shown after your own verdict" in before
    assert "motion blur" not in before
    assert "rita" not in before
    say(client, case, "PNEUMONIA")
    after = plain(client.get(review_page(case)))
    assert "motion blur" in after
    assert "rita" in after
    assert "Readers disagree" in after


def test_staff_pages_are_as_silent_to_who_may_be_the_second_reader(client, settings, case, rita, sam):
    settings.REVIEW_READERS = 2
    record_review(prediction=case, reviewer=rita, label="NORMAL", note="motion blur")
    client.force_login(sam)
    admin = "/admin/diagnosis/prediction/"
    for page in (admin, f"{admin}{case.pk}/change/", case.scan.get_absolute_url()):
        words = plain(client.get(page))
        assert "Waits for a second reader" in words or "A first reader" in words
        assert "motion blur" not in words
        assert "orrected to Normal" not in words
        assert "reads it as Normal" not in words


def test_a_second_reader_can_be_asked_for_one_picture(client, case, rita, remo):
    client.force_login(rita)
    say(client, case, "NORMAL", second_reader="on")
    case.refresh_from_db()
    assert (case.readings_wanted, case.is_half_read, case.decided_label) == (2, True, "")
    client.force_login(remo)
    assert list(client.get(WORKLIST).context["page"]) == [case]
    say(client, case, "NORMAL")
    case.refresh_from_db()
    assert case.decided_label == "NORMAL"


def test_a_reader_who_changes_their_mind_ends_the_dispute_and_so_does_a_third_one(case, rita, remo, sam):
    for reader, label in ((rita, "NORMAL"), (remo, "PNEUMONIA")):
        record_review(prediction=case, reviewer=reader, label=label)
    record_review(prediction=case, reviewer=sam, label="NORMAL")
    case.refresh_from_db()
    assert case.decided_label == "NORMAL"
    record_review(prediction=case, reviewer=sam, label="UNUSABLE")
    case.refresh_from_db()
    assert case.is_disputed
    record_review(prediction=case, reviewer=rita, label="PNEUMONIA")
    case.refresh_from_db()
    assert case.decided_label == "PNEUMONIA"


def test_the_database_holds_one_last_word_of_each_reader(case, rita):
    Review.objects.create(prediction=case, reviewer=rita, label="NORMAL")
    with pytest.raises(IntegrityError, match=r"last_word|UNIQUE"), transaction.atomic():
        Review.objects.create(prediction=case, reviewer=rita, label="PNEUMONIA")
    with pytest.raises(IntegrityError, match="names_a_label"), transaction.atomic():
        Review.objects.create(prediction=case, reviewer=None, label="MAYBE")


@pytest.mark.parametrize(
    "impossible",
    [
        {"readings": 1},
        {"reviewed_label": "NORMAL"},
        {"reviewed_label": "MAYBE", "readings": 1},
        {"is_disputed": True, "readings": 1, "reviewed_label": "NORMAL"},
        {"readings_wanted": 3},
        {"readings_wanted": 0},
    ],
    ids=str,
)
def test_the_database_holds_what_a_prediction_may_say_of_its_readers(case, impossible):
    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=case.pk).update(**impossible)


def test_the_owner_reads_where_the_reading_stands(client, settings, alice, case, rita, remo):
    client.force_login(alice)

    def told() -> str:
        return plain(client.get(case.scan.get_absolute_url()))

    assert "Not reviewed yet." in told()
    record_review(prediction=case, reviewer=rita, label="NORMAL", second_reader=True)
    assert "A first reader has looked at it, a second one is asked." in told()
    record_review(prediction=case, reviewer=remo, label="UNUSABLE")
    assert "Its readers disagree." in told()
    record_review(prediction=case, reviewer=rita, label="UNUSABLE")
    assert "reads it as Not a usable chest X-ray" in told()


def test_who_leaves_the_group_leaves_the_pages(reader, rita, case):
    rita.groups.remove(Group.objects.get(name="Reviewers"))
    assert reader.get(review_page(case)).status_code == 404
    assert reader.post(review_page(case), {"label": "NORMAL"}).status_code == 404


def test_a_note_is_shown_as_words(reader, case):
    say(reader, case, "NORMAL", note="<script>alert(1)</script>\nsecond line")
    page = reader.get(review_page(case)).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>second line" in page
