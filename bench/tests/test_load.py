"""The load tool tells a fault from a good run, and growth from noise; its files are pictures that the site takes."""

import io
import itertools

import pytest

from bench.load import Memory, broken, each_another, slope, table
from bench.machine import machine
from diagnosis import intake
from diagnosis.tests.pictures import chest_like, encoded

SEEN = {
    "accepted": 2,
    "throttled_429": 0,
    "of_them_without_retry_after": 0,
    "errors": {},
    "upload_ms": {"p50": 100, "p95": 200, "p99": 300, "max": 300},
    "answer_ms": {},
}
GOOD = {
    "people": 2,
    "seconds": 10.0,
    "answers_a_second": 0.2,
    "steady": SEEN,
    "flood_seconds": 5.0,
    "flood": SEEN | {"throttled_429": 3},
    "still_open": 0,
    "accepted": 4,
    "scans": 4,
    "answered_once": 4,
    "waiting_at_the_end": 1,
    "drained_in_seconds": 0.5,
    "home_page_afterwards": 200,
    "memory": {"web": {"steady_mib": 200, "end_mib": 201, "max_mib": 210, "slope_mib_an_hour": -1.5}},
}


def test_a_good_run_is_no_fault():
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steady": SEEN | {"errors": {"ReadError": 1}}}, "ReadError"),
        ({"still_open": 1}, "never answered"),
        ({"answered_once": 3}, "answered once 3"),
        ({"flood": SEEN}, "never answered with 429"),
        ({"flood": GOOD["flood"] | {"of_them_without_retry_after": 1}}, "without Retry-After"),
        ({"home_page_afterwards": 503}, "home page"),
    ],
)
def test_whatever_broke_is_named(changes, says):
    (fault,) = broken(GOOD | changes)
    assert says in fault


def test_memory_that_grows_after_the_warm_up_is_told_and_the_warm_up_is_not():
    warming = [(second, 100.0 + min(second, 20)) for second in range(100)]
    growing = [(second, 100 + second / 3600) for second in range(100)]
    assert slope(warming) == pytest.approx(0, abs=1e-6)
    assert slope(growing) == pytest.approx(1)
    assert slope([]) == 0
    assert Memory({"web": 1}).as_json() == {}


def test_the_same_picture_is_another_file_each_time_and_the_site_takes_it():
    given = list(itertools.islice(each_another([encoded(chest_like(200, 200), "JPEG")]), 3))
    assert len(set(given)) == 3
    cleaned = {intake.clean(io.BytesIO(one), limits=intake.Limits.from_settings()).sha256 for one in given}
    assert len(cleaned) == 3


def test_the_table_tells_of_both_runs():
    shown = table({"load": GOOD | {"machine": machine()}, "soak": GOOD | {"machine": machine()}})
    assert "| upload → page, p50 / p95 / p99 | 0.10 / 0.20 / 0.30 s |" in shown
    assert shown.count("slope -1.5 MiB an hour") == 2
