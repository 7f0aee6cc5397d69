"""Reviewing an answer: by whom, of what, and that the answer stays."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from diagnosis.models import Prediction, Review
from diagnosis.services import record_review
from diagnosis.states import State
from diagnosis.tests.admin.pages import (
    PREDICTIONS,
    grant,
    page_of,
    review_address,
    said,
    text_at,
)
from diagnosis.tests.factories import prediction_at, scan_of


def test_a_reviewer_corrects_an_answer_and_the_answer_stays(client, rita, answered):
    before = Prediction.objects.values().get()
    assert (before.pop("reviewed_label"), before.pop("readings")) == ("", 0)
    client.force_login(rita)
    response = client.post(review_address(answered), {"label": "NORMAL", "note": "Motion blur."}, follow=True)
    assert response.redirect_chain == [(PREDICTIONS, 302)]
    assert "Your review is recorded: you see Normal instead of" in said(response)
    review = Review.objects.get()
    assert (review.prediction, review.reviewer, review.label, review.note) == (answered, rita, "NORMAL", "Motion blur.")
    after = Prediction.objects.values().get()
    assert (after.pop("reviewed_label"), after.pop("readings")) == ("NORMAL", 1)
    assert after == before
    page = text_at(client, page_of(answered))
    assert "corrected to Normal" in page
    assert "Motion blur." in page


def test_a_reviewer_agrees_and_goes_on_in_the_same_filtered_list(client, rita, answered):
    client.force_login(rita)
    page = client.get(page_of(answered), {"_changelist_filters": "review=none"}).text
    form = re.search(r'<form class="review" method="post" action="([^"]+)"', page)
    assert form
    assert "Agree: Pneumonia" in page
    assert "Correct to Normal" in page
    response = client.post(form[1].replace("&amp;", "&"), {"label": "PNEUMONIA"})
    assert response["Location"] == f"{PREDICTIONS}?review=none"
    assert Review.objects.get().agrees
    assert LogEntry.objects.get().user == rita


@pytest.mark.parametrize(
    "sent", [{}, {"label": ""}, {"label": "MAYBE"}, {"label": "NORMAL", "note": "x" * 2001}], ids=str
)
def test_an_impossible_review_is_refused_with_a_reason(client, rita, answered, sent):
    client.force_login(rita)
    response = client.post(review_address(answered), sent, follow=True)
    assert "The review was not recorded." in said(response)
    assert not Review.objects.exists()


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_without_an_answer_there_is_nothing_to_review(client, rita, alice, state):
    unanswered = prediction_at(state, scan_of(alice))
    client.force_login(rita)
    assert 'class="review"' not in text_at(client, page_of(unanswered))
    response = client.post(review_address(unanswered), {"label": "NORMAL"}, follow=True)
    assert "Only an answered prediction can be reviewed." in said(response)
    assert not Review.objects.exists()


def test_a_review_needs_its_permission_a_post_and_a_prediction(client, rita, answered):
    client.force_login(rita)
    assert client.get(review_address(answered)).status_code == 405
    assert client.post(f"{PREDICTIONS}{answered.scan.pk}/review/", {"label": "NORMAL"}).status_code == 404
    assert client.post(f"{PREDICTIONS}nonsense/review/", {"label": "NORMAL"}).status_code == 404
    rita.groups.clear()
    grant(rita, "view_prediction", "view_scan", "view_review")
    assert 'class="review"' not in text_at(client, page_of(answered))
    assert client.post(review_address(answered), {"label": "NORMAL"}).status_code == 403
    assert not Review.objects.exists()


def test_a_review_needs_the_token_against_forged_requests(rita, answered):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(rita)
    assert strict.post(review_address(answered), {"label": "NORMAL"}).status_code == 403
    assert not Review.objects.exists()


def test_the_review_of_a_person_who_left_stays(client, rita, sam, answered):
    record_review(prediction=answered, reviewer=rita, label="NORMAL")
    rita.delete()
    client.force_login(sam)
    assert "A former user" in text_at(client, page_of(answered))
