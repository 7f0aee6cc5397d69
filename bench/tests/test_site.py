"""What the benchmark expects of the site: rows that its rules allow, and pages that tell when they ask again."""

import pytest

from bench import person
from bench.parts.pages import PAGES, queries, visits_to_pages
from diagnosis.dashboard.counting import count_days
from diagnosis.models import DayFigures, Prediction, Scan
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at
from diagnosis.tests.seeding import seed


@pytest.fixture(autouse=True)
def plain_static_files(settings) -> None:
    """Name static files as they are: nothing is collected for a test."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.mark.django_db
def test_an_open_page_tells_where_and_when_it_asks_again(client, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    scan = prediction_at(State.QUEUED).scan
    client.force_login(scan.owner)

    shown = client.get(scan.get_absolute_url()).content.decode()

    assert person._state(shown) == "QUEUED"
    address, seconds = person._next_look(shown)
    assert client.get(address).status_code == 204, "nothing is new"
    assert 0 < seconds < 5


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_many_rows_are_written_as_the_site_would_have_them_and_every_page_opens():
    seeded = seed(1000)

    assert Prediction.objects.count() == 1000
    history = Scan.objects.filter(owner__username=seeded.much)
    assert history.count() > 10 * Scan.objects.filter(owner__username=seeded.few).count() > 0
    for scan in history[:20]:
        assert scan.latest_prediction == scan.predictions.first(), "the newest one"
    assert count_days().left == 0
    assert DayFigures.objects.filter(of_uploads=True).exclude(histograms={}).exists(), "the statistics are understood"
    visits = visits_to_pages(seeded)
    assert set(visits) == set(PAGES)
    for page, visit in visits.items():
        assert queries(lambda: None, visit) > 0, page
