"""One's own history as CSV and JSON: complete, harmless in a spreadsheet, and streamed however long it is."""

import csv
import gc
import io
import json
from datetime import datetime
from pathlib import Path

import pytest
from django.conf import settings as site
from django.db import connection
from django.test.utils import CaptureQueriesContext

from diagnosis import batch, services
from diagnosis.export import history
from diagnosis.export.history import COLUMNS
from diagnosis.models import Label, Prediction, Scan
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import active_model_version, model_version_of, prediction_at, scan_of

pytestmark = pytest.mark.django_db

CSV, JSON = "/scans/export.csv", "/scans/export.json"


def downloaded(browser, address: str) -> bytes:
    response = browser.get(address)
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def table(browser) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(downloaded(browser, CSV).decode("utf-8-sig"), newline=""), strict=True))


def scans(browser) -> list[dict]:
    return json.loads(downloaded(browser, JSON))["scans"]


def many_scans(owner, count: int) -> None:
    """Write rows alone, with an answer each."""
    version = active_model_version()
    made = Scan.objects.bulk_create(
        Scan(
            owner=owner,
            sha256=f"{number:064x}",
            original_name=f"IM-{number:06}.jpeg",
            picture=f"scans/{number}.png",
            width=1500,
            height=1200,
        )
        for number in range(count)
    )
    answers = [
        Prediction(
            scan=scan,
            model_version=version,
            state=State.SUCCEEDED,
            label=Label.PNEUMONIA,
            probability=0.9,
            threshold=0.5,
            milliseconds=60,
            claimed_by="seeded",
            claimed_at=scan.created_at,
            finished_at=scan.created_at,
            is_latest=True,
        )
        for scan in made
    ]
    for scan, answer in zip(made, answers, strict=True):
        answer.copy_from_scan()
        scan.latest_prediction = answer
    Prediction.objects.bulk_create(answers)
    Scan.objects.bulk_update(made, ["latest_prediction"], batch_size=500)


def test_each_answer_has_a_row_with_all_that_is_known(browser, alice, rita):
    version = model_version_of(name="robust", sha256="c" * 64, active=True, uncertain_low=0.4, uncertain_high=0.6)
    facts = {"modality": "DX", "view_position": "PA", "photometric_interpretation": "MONOCHROME2", "patient_age": 3}
    scan = scan_of(alice, reference="ward 7", row_spacing=0.2, column_spacing=0.1, quality_issues=["CLIPPED"], **facts)
    prediction = prediction_at(State.SUCCEEDED, scan, version, probability=0.25)
    services.record_review(prediction=prediction, reviewer=rita, label=Label.PNEUMONIA)
    [row] = table(browser)
    assert tuple(row) == tuple(COLUMNS)
    moments = {name: row.pop(name) for name in ("given_at", "requested_at", "finished_at", "reviewed_at")}
    assert all(datetime.fromisoformat(moment).tzinfo for moment in moments.values())
    assert row == {
        "scan": str(scan.pk),
        "reference": "ward 7",
        "original_name": "chest.jpg",
        "sha256": scan.sha256,
        "width": "120",
        "height": "100",
        "quality_issues": "CLIPPED",
        "modality": "DX",
        "view_position": "PA",
        "photometric_interpretation": "MONOCHROME2",
        "row_spacing": "0.2",
        "column_spacing": "0.1",
        "patient_age": "3",
        "prediction": str(prediction.pk),
        "trigger": "UPLOAD",
        "state": "SUCCEEDED",
        "label": "NORMAL",
        "probability": "0.25",
        "confidence": "0.75",
        "threshold": "0.5",
        "uncertain": "false",
        "failure": "",
        "model_version": "robust",
        "model_sha256": "c" * 64,
        "milliseconds": "187",
        "reviewed_label": "PNEUMONIA",
    }


def test_rows_come_oldest_first_and_a_scan_without_an_answer_has_one_too(browser, alice):
    older = scan_of(alice, reference="older")
    scan_of(alice, reference="newer")
    prediction_at(State.SUCCEEDED, older, model_version_of(name="first"))
    prediction_at(State.FAILED, older, model_version_of(name="second"), reason=FailureReason.TIMED_OUT)
    told = [(row["reference"], row["model_version"], row["state"], row["failure"]) for row in table(browser)]
    assert told == [
        ("older", "first", "SUCCEEDED", ""),
        ("older", "second", "FAILED", "TIMED_OUT"),
        ("newer", "", "", ""),
    ]


def test_nobody_gets_the_scans_of_others_not_even_staff(client, alice, rita, sam):
    prediction_at(State.SUCCEEDED, scan_of(alice))
    for user in (rita, sam):
        client.force_login(user)
        assert table(client) == []
        assert scans(client) == []
    client.logout()
    for address in (CSV, JSON):
        assert client.get(address).status_code == 302


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＠"])
def test_no_cell_is_a_formula(browser, alice, start):
    evil = f'{start}HYPERLINK("http://evil.example","open")'
    scan_of(alice, reference=evil, original_name=evil)
    [row] = table(browser)
    assert row["reference"] == row["original_name"] == f"'{evil}"


def test_cells_keep_commas_quotes_lines_and_all_letters(browser, alice):
    words = 'a,b;"c"\nЖ 肺 😀 – ='
    scan_of(alice, reference=words)
    [row] = table(browser)
    assert row["reference"] == words


def test_the_table_is_a_file_that_spreadsheets_read(browser, alice):
    scan_of(alice)
    response = browser.get(CSV)
    content = b"".join(response.streaming_content)
    assert content.startswith("\ufeffscan,given_at,".encode())
    assert content.endswith(b"\r\n")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="scans.csv"'
    assert "no-store" in response["Cache-Control"]


def test_an_empty_history_is_a_table_without_rows_and_an_empty_list(browser):
    assert table(browser) == []
    assert scans(browser) == []


def test_the_json_is_in_the_words_of_the_api_with_every_answer_and_every_review(browser, alice, rita, client):
    from diagnosis.tests.api.conftest import Program

    scan = scan_of(alice, reference="ward 7")
    older = prediction_at(State.SUCCEEDED, scan, model_version_of())
    newer = prediction_at(State.SUCCEEDED, scan, model_version_of(), has_heatmap=True)
    for label in Label:
        services.record_review(prediction=newer, reviewer=rita, label=label)
    [given] = scans(browser)
    by_api = Program(alice).get(f"/api/v1/scans/{scan.pk}/").json()
    latest = by_api.pop("latest_prediction")
    answers = given.pop("predictions")
    assert given == by_api
    assert [answer["id"] for answer in answers] == [str(newer.pk), str(older.pk)]
    reviews = answers[0].pop("reviews")
    assert [review["agrees"] for review in reviews] == [review["label"] == newer.label for review in reviews]
    assert [review["label"] for review in reviews] == ["PNEUMONIA", "NORMAL"]
    assert answers[0] == latest
    assert "rita" not in json.dumps(reviews)


def test_the_json_says_whose_it_is_and_what_it_is_not(browser):
    told = json.loads(downloaded(browser, JSON))
    assert told["owner"] == "alice"
    assert "Not a medical device" in told["disclaimer"]
    assert datetime.fromisoformat(told["exported_at"]).tzinfo


@pytest.mark.parametrize("address", [CSV, JSON])
def test_a_page_of_scans_takes_the_same_few_queries_whatever_is_on_it(browser, alice, address):
    many_scans(alice, 2)
    downloaded(browser, address)
    with CaptureQueriesContext(connection) as few:
        downloaded(browser, address)
    Scan.objects.all().delete()
    many_scans(alice, 99)
    with CaptureQueriesContext(connection) as many:
        downloaded(browser, address)
    assert len(few) == len(many) <= 8


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_long_history_is_never_held_whole(alice, rf, monkeypatch, form):
    monkeypatch.setattr(batch, "PAGE", 40)
    monkeypatch.setattr(history, "AT_ONCE", 40)
    many_scans(alice, 240)
    request = rf.get(CSV)
    parts = history.as_csv(alice) if form == "csv" else history.as_json(alice, request)
    assert max(scans_in_memory() for _ in parts) <= 3 * 40


def scans_in_memory() -> int:
    """Count the scans that something still holds."""
    gc.collect()
    return sum(type(each) is Scan for each in gc.get_objects())


def test_the_columns_are_documented():
    document = Path(site.BASE_DIR, "docs", "exports.md").read_text()
    for name, words in COLUMNS.items():
        assert f"| `{name}` | {words} |" in document


def test_the_history_and_the_account_lead_to_the_downloads(browser, alice):
    scan_of(alice)
    for page in ("/scans/", "/accounts/"):
        shown = browser.get(page).content.decode()
        assert f'href="{CSV}"' in shown
        assert f'href="{JSON}"' in shown
