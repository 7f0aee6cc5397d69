"""Pages without numbers: every row comes once, in order, whatever is added or deleted on the way."""

from datetime import UTC, datetime, timedelta

import pytest

from diagnosis.models import BY_PROBABILITY, Prediction, Scan
from diagnosis.pages import CappedCount, Page, page_of
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SIZE = 3


@pytest.fixture
def seven(alice) -> list[str]:
    """Names of seven scans, the newest first; three of them came at the same moment."""
    for number, hours in enumerate((0, 1, 2, 2, 2, 3, 4)):
        scan_of(alice, original_name=f"{number}", created_at=NOON + timedelta(hours=hours))
    return [scan.original_name for scan in Scan.objects.all()]


def page(mark: str = "", **changes) -> Page:
    return page_of(Scan.objects.all(), **{"by": "created_at", "size": SIZE, "mark": mark, **changes})


def names(shown: Page) -> list[str]:
    return [scan.original_name for scan in shown]


def test_every_row_comes_once_on_the_way_down_and_on_the_way_up(seven):
    first = page()
    second = page(first.next)
    third = page(second.next)
    assert [names(each) for each in (first, second, third)] == [seven[:3], seven[3:6], seven[6:]]
    assert (first.previous, third.next) == ("", "")
    assert names(page(third.previous)) == seven[3:6]
    assert names(page(page(third.previous).previous)) == seven[:3]


def test_upwards_the_first_page_is_full_and_has_what_was_added_meanwhile(seven, alice):
    second = page(page().next)
    scan_of(alice, original_name="new", created_at=NOON + timedelta(hours=9))

    above = page(second.previous)

    # One row more than fits lies above: a page of it alone would be short.
    assert names(above) == seven[:3]
    assert names(page(above.previous)) == ["new", *seven[:2]]


def test_rows_that_are_deleted_leave_the_marks_beside_them_in_place(seven):
    first = page()
    Scan.objects.filter(original_name=seven[2]).delete()
    assert names(page(first.next)) == seven[3:6]
    Scan.objects.filter(original_name__in=seven[3:]).delete()
    assert names(page(first.next)) == seven[:2], "nothing is left behind the mark"


def test_a_list_that_fits_has_no_other_page(seven):
    whole = page(size=7)
    assert names(whole) == seven
    assert whole.is_all


def test_a_list_goes_by_numbers_as_well_upwards_and_downwards(alice):
    probabilities = [0.1, 0.5, 0.5, 1e-07, 1.0]
    for probability in probabilities:
        prediction_at(State.SUCCEEDED, scan_of(alice), probability=probability)
    prediction_at(State.FAILED, scan_of(alice))
    rows = Prediction.objects.annotate(by=BY_PROBABILITY)

    def walked(descending: bool) -> list[float | None]:
        found, mark = [], ""
        while True:
            shown = page_of(rows, by="by", kind=float, size=2, mark=mark, descending=descending)
            found += [row.probability for row in shown]
            mark = shown.next
            if not mark:
                return found

    assert walked(descending=False) == [None, *sorted(probabilities)]
    assert walked(descending=True) == [*sorted(probabilities, reverse=True), None]


@pytest.mark.parametrize(
    "mark",
    [
        "after",
        "after_t1_xyz",
        "after_tnan_" + "0" * 32,
        "after_t1.5_" + "0" * 32,
        "after_t" + "9" * 30 + "_" + "0" * 32,
        "after_f0.5_" + "0" * 32,
        "sideways_t1_" + "0" * 32,
        "after_t\N{ARABIC-INDIC DIGIT ONE}_" + "0" * 32,
    ],
)
def test_a_mark_that_means_nothing_leads_to_the_first_page(seven, mark):
    assert names(page(mark)) == seven[:3]


def test_a_mark_of_an_infinite_number_leads_to_a_page(seven):
    shown = page_of(
        Prediction.objects.annotate(by=BY_PROBABILITY), by="by", kind=float, size=2, mark="after_f1e999_" + "0" * 32
    )
    assert list(shown) == []


def test_a_count_stops_at_its_cap(seven):
    assert str(CappedCount.of(Scan.objects.all(), cap=6)) == "6+"
    assert str(CappedCount.of(Scan.objects.all(), cap=7)) == "7"
    assert str(CappedCount(1001, 1000)) == "1,000+"
