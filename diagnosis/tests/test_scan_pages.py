"""A scan's page: the answer in every state, live, with and without JavaScript; pictures; deletion."""

import io
import re

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from PIL import Image

from diagnosis.models import Label, Prediction, Scan
from diagnosis.services import record_review
from diagnosis.states import OPEN_STATES, TERMINAL_STATES, FailureReason, State, Trigger
from diagnosis.templatetags.probabilities import percent
from diagnosis.tests.factories import HEIGHT, WIDTH, model_version_of, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like_16_bit, encoded

pytestmark = pytest.mark.django_db


@pytest.fixture
def scan(alice) -> Scan:
    return scan_of(alice)


def url(name: str, scan: Scan) -> str:
    return reverse(f"diagnosis:{name}", args=[scan.pk])


def detail(browser, scan: Scan) -> str:
    response = browser.get(url("scan_detail", scan))
    assert response.status_code == 200
    return response.content.decode()


def status(browser, scan: Scan) -> str:
    response = browser.get(url("scan_status", scan))
    assert response.status_code == 200
    return response.content.decode()


def answer_tag(page: str) -> str:
    """Give the one opening tag of the answer."""
    (tag,) = re.findall(r'<section id="answer"[^>]*>', page)
    return tag


def plain(page: str) -> str:
    """Give the words of a page, white space made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("state", State)
def test_the_answer_tells_its_state_on_the_page_and_in_the_poll(browser, scan, state):
    prediction_at(state, scan)
    for page in (detail(browser, scan), status(browser, scan)):
        assert f'data-state="{state}"' in answer_tag(page)


@pytest.mark.parametrize("state", State)
def test_the_answer_asks_again_only_while_it_is_open(browser, scan, state):
    prediction_at(state, scan)
    for page in (detail(browser, scan), status(browser, scan)):
        assert ("hx-trigger" in page) is (state not in TERMINAL_STATES)
        assert ("hx-get" in page) is (state not in TERMINAL_STATES)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_the_answer_looks_for_the_first_time_before_a_second_is_over(browser, scan, state):
    prediction_at(state, scan)
    for page in (detail(browser, scan), status(browser, scan)):
        assert re.search(r'hx-trigger="load delay:0\.[13]s, look-again"', answer_tag(page))


@pytest.mark.parametrize("state", State)
def test_without_javascript_the_page_reloads_only_while_it_is_open(browser, scan, state):
    prediction_at(state, scan)
    refresh = '<noscript><meta http-equiv="refresh" content="3"></noscript>'
    assert (refresh in detail(browser, scan)) is (state not in TERMINAL_STATES)


def test_only_an_answered_scan_carries_label_and_probability(browser, alice):
    for state in State:
        scan = scan_of(alice)
        prediction_at(state, scan)
        tag = answer_tag(detail(browser, scan))
        assert ("data-label" in tag) is (state == State.SUCCEEDED)
        assert ("data-probability" in tag) is (state == State.SUCCEEDED)
        assert ("data-reason" in tag) is (state == State.FAILED)


def test_an_answer_is_told_with_its_confidence_probability_operating_point_and_version(browser, scan):
    version = model_version_of(name="robust", sha256="c0ffee" + "0" * 58, active=True, threshold=0.482)
    prediction_at(State.SUCCEEDED, scan, version, probability=0.97314)
    page = detail(browser, scan)
    assert 'data-label="PNEUMONIA" data-probability="0.9731"' in answer_tag(page)
    words = plain(page)
    assert "Pneumonia The model is 97.3 % confident that the picture shows signs of pneumonia." in words
    assert "Calibrated probability of pneumonia: 97.3 %" in words
    assert "At or above the operating point of 48.2 %" in words
    assert "robust c0ffee000000" in words
    assert "187 ms" in words
    assert "frontal X-rays of children aged 1–5 years in one hospital" in words


def test_the_bar_draws_probability_and_operating_point_to_scale(browser, scan):
    version = model_version_of(active=True, threshold=0.482)
    prediction_at(State.SUCCEEDED, scan, version, probability=0.9731)
    page = detail(browser, scan)
    assert '<rect class="bar-fill" y="5" width="973"' in page
    assert '<line class="bar-marker" x1="482" x2="482"' in page
    assert (
        'aria-label="Probability of pneumonia 97.3\N{NO-BREAK SPACE}%, operating point 48.2\N{NO-BREAK SPACE}%"' in page
    )


def test_the_confidence_of_normal_is_the_other_side_of_the_probability(browser, scan):
    prediction_at(State.SUCCEEDED, scan, probability=0.031)
    words = plain(detail(browser, scan))
    assert "Normal The model is 96.9 % confident that the picture shows no signs of pneumonia." in words
    assert "Calibrated probability of pneumonia: 3.1 %" in words


def test_a_label_against_the_odds_is_called_a_close_call(browser, alice):
    low, even = model_version_of(threshold=0.3), model_version_of(threshold=0.5)
    first, second = scan_of(alice), scan_of(alice)
    prediction_at(State.SUCCEEDED, first, low, probability=0.4)
    prediction_at(State.SUCCEEDED, second, even, probability=0.6)
    assert "A close call" in detail(browser, first)
    assert "A close call" not in detail(browser, second)


@pytest.mark.parametrize(("value", "words"), [(0, "less than 0.1 %"), (1, "more than 99.9 %"), (0.5, "50.0 %")])
def test_no_probability_is_written_as_certain(value, words):
    assert percent(value).replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize("reason", FailureReason)
def test_a_failed_read_tells_its_reason_and_never_a_number(browser, scan, reason):
    prediction_at(State.FAILED, scan, reason=reason)
    page = status(browser, scan)
    assert f'data-reason="{reason}"' in answer_tag(page)
    words = plain(page)
    assert str(reason.label) in words
    assert not re.search(r"\d|%", words)


@pytest.mark.parametrize("reason", FailureReason)
def test_a_failed_read_shows_its_code_to_be_quoted(browser, scan, reason):
    prediction_at(State.FAILED, scan, reason=reason)
    for page in (detail(browser, scan), status(browser, scan)):
        assert f"<code>{reason}</code>" in page


def test_an_answer_says_that_nobody_has_reviewed_it_yet(browser, scan):
    prediction_at(State.SUCCEEDED, scan)
    for page in (detail(browser, scan), status(browser, scan)):
        assert "Review Not reviewed yet." in plain(page)


@pytest.mark.parametrize("reason", [FailureReason.NOT_A_CHEST_XRAY, FailureReason.UNREADABLE_IMAGE])
def test_what_gave_no_answer_is_named_with_its_model_card(browser, scan, reason):
    prediction = prediction_at(State.FAILED, scan, reason=reason)
    version = prediction.model_version
    page = detail(browser, scan)
    assert f"Model: {version.name} {version.short_sha256}" in plain(page)
    assert f'href="{version.get_absolute_url()}"' in page


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_without_an_answer_there_is_no_word_of_a_review(browser, scan, state):
    prediction_at(state, scan)
    assert "eview" not in plain(status(browser, scan))


@pytest.mark.parametrize(("label", "words"), [(Label.PNEUMONIA, "agrees."), (Label.NORMAL, "reads it as Normal.")])
def test_a_review_is_told_with_its_day_and_without_the_reader_s_name_and_note(browser, rita, scan, label, words):
    prediction = prediction_at(State.SUCCEEDED, scan, probability=0.9)
    review = record_review(prediction=prediction, reviewer=rita, label=label, note="rotated")
    day = date_format(review.created_at, "j F Y")
    for page in (detail(browser, scan), status(browser, scan)):
        assert f"Review Reviewed by a reader on {day} : {words}" in plain(page)
        assert "rita" not in page
        assert "rotated" not in page


def test_the_newest_review_counts(browser, rita, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, probability=0.9)
    for label in (Label.PNEUMONIA, Label.NORMAL):
        record_review(prediction=prediction, reviewer=rita, label=label)
    words = plain(detail(browser, scan))
    assert "reads it as Normal." in words
    assert "agrees." not in words


def test_an_earlier_answer_keeps_its_review(browser, rita, scan):
    old = prediction_at(State.SUCCEEDED, scan, model_version_of(), probability=0.9)
    record_review(prediction=old, reviewer=rita, label=Label.NORMAL)
    prediction_at(State.SUCCEEDED, scan, model_version_of(), probability=0.2)
    latest, earlier = plain(detail(browser, scan)).split("Earlier answers")
    assert "Not reviewed yet." in latest
    assert "reads it as Normal." in earlier
    assert "Not reviewed" not in earlier


def test_the_page_that_an_upload_leads_to_asks_the_database_little(browser, rita, scan, django_assert_max_num_queries):
    """Somebody waits for it: session, person, scan, two of the events, answers, their reviews, two of permissions."""
    record_review(
        prediction=prediction_at(State.SUCCEEDED, scan, model_version_of()), reviewer=rita, label=Label.NORMAL
    )
    detail(browser, scan)  # the first look of the hour is written down

    with django_assert_max_num_queries(9):
        assert "Who saw it" in detail(browser, scan)


def test_many_answers_and_reviews_cost_no_further_query(browser, rita, scan, django_assert_num_queries):
    def add_reviewed() -> None:
        prediction = prediction_at(State.SUCCEEDED, scan, model_version_of())
        for label in Label:
            record_review(prediction=prediction, reviewer=rita, label=label)

    for _ in range(2):
        add_reviewed()
    detail(browser, scan)  # the first look of the hour is written down
    with CaptureQueriesContext(connection) as few:
        detail(browser, scan)
    for _ in range(3):
        add_reviewed()
    with django_assert_num_queries(len(few)):
        detail(browser, scan)


def test_a_scan_that_no_model_was_asked_for_says_so(browser, scan):
    page = detail(browser, scan)
    assert 'data-state="NONE"' in answer_tag(page)
    assert "hx-trigger" not in page
    assert "http-equiv" not in page
    assert "No answer asked for" in page


@pytest.mark.parametrize("state", State)
def test_a_poll_gets_nothing_new_while_the_state_is_the_same(browser, scan, state):
    prediction_at(state, scan)
    response = browser.get(url("scan_status", scan), {"seen": state})
    assert (response.status_code, response.content) == (204, b"")
    assert ("X-Look-Again" in response) == (state in OPEN_STATES)


def test_a_poll_gets_the_answer_when_the_state_has_changed(browser, scan):
    prediction_at(State.SUCCEEDED, scan)
    response = browser.get(url("scan_status", scan), {"seen": State.RUNNING})
    assert 'data-state="SUCCEEDED"' in response.content.decode()


def test_the_poll_is_a_fragment_and_asks_with_the_state_it_shows(browser, scan):
    prediction_at(State.RUNNING, scan)
    page = status(browser, scan)
    assert "<html" not in page
    assert f'hx-get="{url("scan_status", scan)}?seen=RUNNING"' in page


def test_a_scan_that_can_not_be_sent_to_the_workers_says_that_it_is_kept(browser, scan):
    prediction_at(State.QUEUED, scan, enqueued_at=None)
    page = detail(browser, scan)
    assert "Waiting: a part of the site is away" in page
    assert "you need not upload it again" in page
    poll = {"seen": "UNSENT"}
    assert f'hx-get="{url("scan_status", scan)}?seen=UNSENT"' in page
    assert browser.get(url("scan_status", scan), poll).status_code == 204

    Prediction.objects.update(enqueued_at=timezone.now())

    assert "Waiting for its turn" in browser.get(url("scan_status", scan), poll).content.decode()


def test_the_latest_answer_stands_above_the_earlier_ones(browser, scan):
    old, new = model_version_of(name="vgg-one"), model_version_of(name="vgg-two")
    prediction_at(State.SUCCEEDED, scan, old, probability=0.2)
    prediction_at(State.SUCCEEDED, scan, new, probability=0.8, trigger=Trigger.COMMAND)
    page = detail(browser, scan)
    assert 'data-probability="0.8000"' in answer_tag(page)
    earlier = page[page.index("Earlier answers") :]
    assert "vgg-one" in earlier
    assert "vgg-two" not in earlier
    assert "20.0" in earlier


def test_an_earlier_answer_is_offered_beside_the_latest_and_shown_there_without_scripts_too(browser, scan):
    old = prediction_at(State.SUCCEEDED, scan, model_version_of(name="vgg-one"), probability=0.2)
    prediction_at(State.SUCCEEDED, scan, model_version_of(name="vgg-two"), probability=0.8)
    page = detail(browser, scan)
    assert f'<option value="{old.pk}">' in page
    assert page.count('<img class="picture"') == 1

    beside = browser.get(url("scan_detail", scan), {"beside": old.pk}).content.decode()

    assert beside.count('<img class="picture"') == 2
    words = plain(beside)
    assert re.search(
        r"Latest answer Pneumonia .* 80.0 % .* vgg-two .* Earlier answer Normal .* 20.0 % .* vgg-one", words
    )
    ids = re.findall(r' id="([^"]+)"', beside)
    assert len(ids) == len(set(ids))


def test_what_says_nothing_is_not_laid_beside_the_latest(browser, scan):
    failed = prediction_at(State.FAILED, scan, model_version_of())
    latest = prediction_at(State.SUCCEEDED, scan, model_version_of())
    foreign = prediction_at(State.SUCCEEDED)
    for wanted in (failed.pk, latest.pk, foreign.pk, "nonsense", ""):
        page = browser.get(url("scan_detail", scan), {"beside": wanted}).content.decode()
        assert page.count('<img class="picture"') == 1
        assert 'name="beside"' not in page


def test_nothing_is_laid_beside_an_answer_that_is_still_awaited(browser, scan):
    old = prediction_at(State.SUCCEEDED, scan, model_version_of())
    prediction_at(State.QUEUED, scan, model_version_of())
    page = browser.get(url("scan_detail", scan), {"beside": old.pk}).content.decode()
    assert page.count('<img class="picture"') == 1
    assert 'name="beside"' not in page


def test_a_first_answer_has_no_earlier_ones(browser, scan):
    prediction_at(State.SUCCEEDED, scan)
    assert "Earlier answers" not in detail(browser, scan)


def test_names_given_by_people_are_only_text(browser, alice):
    scan = scan_of(alice, original_name="<script>alert(1)</script>.png", reference='"><img src=x onerror=alert(2)>')
    for page in (detail(browser, scan), browser.get(url("scan_delete", scan)).content.decode()):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;.png" in page
        assert "&quot;&gt;&lt;img src=x onerror=alert(2)&gt;" in page


def test_the_picture_has_its_size_before_it_is_loaded(browser, scan):
    page = detail(browser, scan)
    assert f'src="{url("scan_picture", scan)}" width="{WIDTH}" height="{HEIGHT}"' in page
    assert 'alt="The X-ray of this scan, as it was stored"' in page


@pytest.mark.parametrize(
    ("name", "content_type", "image_format"),
    [("scan_picture", "image/png", "PNG"), ("scan_thumbnail", "image/jpeg", "JPEG")],
)
def test_pictures_are_private_and_told_by_a_neutral_name(browser, scan, name, content_type, image_format):
    response = browser.get(url(name, scan))
    content = response.getvalue()
    assert Image.open(io.BytesIO(content)).format == image_format
    assert response["Content-Type"] == content_type
    assert response["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r'inline; filename="scan\.(png|jpg)"', response["Content-Disposition"])
    assert "private" in response["Cache-Control"]


@pytest.mark.parametrize("name", ["scan_picture", "scan_levels", "scan_thumbnail"])
def test_a_missing_file_is_a_404(browser, scan, name):
    scan.picture.storage.delete(scan.picture.name)
    scan.thumbnail.storage.delete(scan.thumbnail.name)
    assert browser.get(url(name, scan)).status_code == 404


def test_a_damaged_picture_is_a_404(browser, scan):
    scan.picture.save("", ContentFile(b"no PNG at all"))
    assert browser.get(url("scan_picture", scan)).status_code == 404
    assert browser.get(url("scan_picture", scan), {"center": 100, "width": 50}).status_code == 404
    assert browser.get(url("scan_levels", scan)).status_code == 404


def test_a_16_bit_picture_is_shown_in_the_8_bits_that_the_model_sees(browser, scan):
    deep = encoded(chest_like_16_bit(WIDTH, HEIGHT), "PNG")
    scan.picture.save("", ContentFile(deep))
    response = browser.get(url("scan_picture", scan))
    shown = Image.open(io.BytesIO(response.getvalue()))
    assert (shown.mode, shown.size) == ("L", (WIDTH, HEIGHT))
    # 12 bits in 16 would be nearly black.
    assert shown.getextrema() == (0, 255)


def test_deletion_asks_first(browser, scan):
    response = browser.get(url("scan_delete", scan))
    assert "Delete this scan?" in response.content.decode()
    assert Scan.objects.filter(pk=scan.pk).exists()


def test_deletion_takes_rows_and_files(browser, scan, media, django_capture_on_commit_callbacks):
    prediction_at(State.SUCCEEDED, scan)
    assert [path for path in media.rglob("*") if path.is_file()]
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(url("scan_delete", scan), follow=True)
    assert response.redirect_chain == [("/scans/", 302)]
    assert "chest.jpg was deleted" in response.content.decode()
    assert not Scan.objects.exists()
    assert not Prediction.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["scan_detail", "scan_status", "scan_picture", "scan_levels", "scan_thumbnail"])
def test_pages_that_show_are_not_for_posting(browser, scan, name):
    assert browser.post(url(name, scan)).status_code == 405
