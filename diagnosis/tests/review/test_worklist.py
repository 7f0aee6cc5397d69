"""The worklist: who sees it, what comes first, what each list holds."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from diagnosis.models import Prediction
from diagnosis.review.worklist import PAGE_SIZE, Worklist
from diagnosis.services import record_review
from diagnosis.states import State
from diagnosis.tests.factories import active_model_version, model_version_of, prediction_at, scan_of
from diagnosis.tests.review.pages import WORKLIST, plain, review_page, say, shown

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def answer(owner, probability: float, hours: int = 0, **fields) -> Prediction:
    at = NOON + timedelta(hours=hours)
    fields.setdefault("model_version", active_model_version())
    return prediction_at(State.SUCCEEDED, scan_of(owner), probability=probability, **{"requested_at": at, **fields})


@pytest.mark.parametrize("page", [WORKLIST, "/review/agreement/"])
def test_for_who_is_no_reader_there_is_nothing_here(client, alice, page):
    mine = answer(alice, 0.9)
    assert client.get(page).url == f"/accounts/login/?next={page}"
    client.force_login(alice)
    assert client.get(page).status_code == 404
    assert client.get(review_page(mine)).status_code == 404
    assert client.post(review_page(mine), {"label": "NORMAL"}).status_code == 404
    assert not mine.reviews.exists()
    assert ">Review" not in client.get("/scans/").text


@pytest.mark.parametrize("person", ["rita", "remo", "sam"])
def test_readers_and_superusers_find_it_in_the_menu_with_what_waits(client, alice, person, request):
    answer(alice, 0.9)
    client.force_login(request.getfixturevalue(person))
    assert "Review 1 waiting" in plain(client.get("/scans/"))
    assert client.get(WORKLIST).status_code == 200


def test_a_reader_who_is_no_staff_sees_the_pictures_and_not_the_pages_of_scans(client, alice, remo):
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice), has_heatmap=True)
    client.force_login(remo)
    scan = prediction.scan.get_absolute_url()
    for part in ("picture/", "thumbnail/", f"predictions/{prediction.pk}/heatmap/"):
        assert client.get(scan + part).getvalue()
    for part in ("", "status/", "delete/"):
        assert client.get(scan + part).status_code == 404


def test_uncertain_ones_come_first_then_likely_pneumonia_then_the_oldest(reader, alice):
    version = active_model_version()
    type(version).objects.update(uncertain_low=0.4, uncertain_high=0.6)
    version = type(version).objects.get()
    likely, young, old = answer(alice, 0.97), answer(alice, 0.8, 5), answer(alice, 0.8, 1)
    unlikely = answer(alice, 0.05, -9)
    less, more = (answer(alice, p, model_version=version) for p in (0.41, 0.59))
    assert (less.is_uncertain, likely.is_uncertain) == (True, False)
    expected = [row.pk for row in (more, less, likely, old, young, unlikely)]
    assert shown(reader) == expected


def test_without_an_answer_there_is_nothing_to_read(reader, alice):
    for state in (State.QUEUED, State.RUNNING, State.FAILED):
        prediction_at(state, scan_of(alice))
    assert shown(reader, version="any") == []
    assert "Nothing waits for you here" in plain(reader.get(WORKLIST))


def test_it_begins_with_the_active_version_and_shows_the_others_when_asked(reader, alice):
    other = model_version_of()
    of_active, of_other = answer(alice, 0.9), answer(alice, 0.8, model_version=other)
    assert shown(reader) == [of_active.pk]
    assert shown(reader, version=str(other.pk)) == [of_other.pk]
    assert shown(reader, version="any") == [of_active.pk, of_other.pk]
    for nonsense in ("", "0", "x", "999999999999999999999"):
        assert set(shown(reader, version=nonsense, show="nonsense")) == {of_active.pk, of_other.pk}


def test_each_list_holds_what_its_name_says(reader, alice, rita, remo):
    unread, agreed, corrected, by_other, disputed = (answer(alice, 0.9 - n / 10) for n in range(5))
    record_review(prediction=agreed, reviewer=rita, label=agreed.label)
    record_review(prediction=corrected, reviewer=rita, label="UNUSABLE")
    record_review(prediction=by_other, reviewer=remo, label=by_other.label)
    record_review(prediction=disputed, reviewer=remo, label="NORMAL")
    record_review(prediction=disputed, reviewer=rita, label="PNEUMONIA")
    assert shown(reader) == [unread.pk]
    assert shown(reader, show="reviewed") == [row.pk for row in (agreed, corrected, by_other, disputed)]
    assert shown(reader, show="mine") == [row.pk for row in (agreed, corrected, disputed)]
    assert shown(reader, show="corrected")[:1] == [corrected.pk]
    assert shown(reader, show="disputed") == [disputed.pk]


def test_with_two_readers_an_answer_waits_for_the_other_one(client, settings, alice, rita, remo):
    settings.REVIEW_READERS = 2
    prediction = answer(alice, 0.9)
    record_review(prediction=prediction, reviewer=rita, label="NORMAL")
    client.force_login(rita)
    assert shown(client) == []
    client.force_login(remo)
    assert shown(client) == [prediction.pk]
    assert shown(client, show="corrected") == []
    record_review(prediction=prediction, reviewer=remo, label="NORMAL")
    assert shown(client) == []
    assert shown(client, show="corrected") == [prediction.pk]


def test_every_answer_comes_once_on_the_way_through_the_pages_and_back(reader, alice):
    version, scan = active_model_version(), scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, version, requested_at=NOON)
    template = Prediction.objects.get()
    template.probability, template.is_latest = 0.7, False
    copies = []
    for _ in range(2 * PAGE_SIZE + 3):
        template.pk = template._meta.pk.get_default()
        template._state.adding = True
        copies.append(template.pk)
        template.save(force_insert=True)
    whole = [row.pk for row in Worklist(alice).rows().order_by("-probability", "requested_at", "pk")]
    first = reader.get(WORKLIST).context["page"]
    second = reader.get(WORKLIST, {"after": first.next}).context["page"]
    third = reader.get(WORKLIST, {"after": second.next}).context["page"]
    assert [row.pk for page in (first, second, third) for row in page] == whole
    assert (first.previous, third.next) == ("", "")
    assert list(reader.get(WORKLIST, {"before": third.previous}).context["page"]) == list(second)
    assert list(reader.get(WORKLIST, {"before": second.previous}).context["page"]) == list(first)
    for gone in ("nonsense", "00000000-0000-0000-0000-000000000000"):
        assert list(reader.get(WORKLIST, {"after": gone}).context["page"]) == list(first)


@pytest.mark.parametrize("show", ["waiting", "reviewed", "mine", "corrected", "disputed"])
def test_more_answers_cost_no_further_query(reader, alice, rita, remo, show, django_assert_num_queries):
    def add_three() -> list[Prediction]:
        added = [answer(alice, 0.9 - n / 10) for n in range(3)]
        if show != "waiting":
            for one in added:
                record_review(prediction=one, reviewer=remo, label="PNEUMONIA")
                record_review(prediction=one, reviewer=rita, label="NORMAL")
        return added

    first = add_three()
    pages = [f"{WORKLIST}?show={show}", review_page(first[1], show=show), "/review/agreement/"]
    counts = []
    for page in pages:
        reader.get(page)  # the first look of an hour is written down
        with CaptureQueriesContext(connection) as few:
            reader.get(page)
        counts.append(len(few))
    for _ in range(3):
        add_three()
    for page, count in zip(pages, counts, strict=True):
        with django_assert_num_queries(count):
            reader.get(page)


def test_a_page_says_nothing_of_whose_the_pictures_are(reader, alice):
    scan = scan_of(alice, original_name="smith-john.jpg", reference="ward 3, bed 2")
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    for page in (WORKLIST, review_page(prediction)):
        text = reader.get(page).text
        assert str(scan.pk) in text, "the picture is there"
        for secret in ("alice", "smith", "ward 3", scan.sha256, scan.sha256[:8], scan.picture.name):
            assert secret not in text, secret


def test_the_count_in_the_menu_ends_at_a_hundred(reader, alice, monkeypatch):
    monkeypatch.setattr("diagnosis.review.worklist.WAITING_CAP", 2)
    rows = [answer(alice, 0.9) for _ in range(3)]
    assert "Review 2+ waiting" in plain(reader.get(WORKLIST))
    say(reader, rows[0], "PNEUMONIA")
    assert "Review 2 waiting" in plain(reader.get(WORKLIST))
