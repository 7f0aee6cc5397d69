"""However many rows there are, a page takes the same number of queries and reads few rows, from an index."""

import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis.audit import AuditEvent, Pseudonym
from diagnosis.dashboard.counting import count_day
from diagnosis.models import ModelVersion, Prediction, Scan, Upload
from diagnosis.pages import Mark
from diagnosis.review.export import export_reviews
from diagnosis.review.worklist import Show
from diagnosis.tests.factories import person
from diagnosis.tests.seeding import OWNERS, RARE_REFERENCE, Seeded, seed
from diagnosis.tokens import ApiToken

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PREDICTIONS = 40_000
TABLES = {"diagnosis_scan", "diagnosis_prediction", "diagnosis_pseudonym", "diagnosis_auditevent"}
# Of each table, by one query. The capped count finds a thousand scans. What is rare among the seeded rows lies behind
# 16,000 others, so a page that walks to it shows.
MOST_ROWS = 2500

HISTORY = "/scans/"
API = "/api/v1/scans/"
LISTS = {"predictions": "/admin/diagnosis/prediction/", "scans": "/admin/diagnosis/scan/"}
AUDIT = "/admin/diagnosis/auditevent/"


@pytest.fixture(scope="module")
def seeded(django_db_setup, django_db_blocker) -> Iterator[Seeded]:
    """Many rows for all tests here, with statistics; gone at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield seed(PREDICTIONS)
        transaction.set_rollback(True)


@pytest.fixture
def sam(seeded):
    return person("sam", is_staff=True, is_superuser=True)


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def queries_of(client: Client, address: str) -> list[str]:
    """Give the SQL of the page at `address`, from the second time on that it is seen."""
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(address)
    assert response.status_code in (200, 204), response.get("Location")
    return [query["sql"] for query in captured]


def steps_of(sql: str) -> Iterator[dict]:
    """Run the query; give the steps that it took."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
        ((answer,),) = cursor.fetchall()
    plan = answer if isinstance(answer, list) else json.loads(answer)
    steps = [plan[0]["Plan"]]
    while steps:
        step = steps.pop()
        steps += step.get("Plans", [])
        yield step


def rows_read(sql: str) -> dict[str, int]:
    """Run the query; give the rows that were looked at in each table. Fails where a table was read from end to end."""
    read: dict[str, int] = {}
    for step in steps_of(sql):
        table = step.get("Relation Name")
        if table in TABLES:
            assert step["Node Type"] != "Seq Scan", f"{table} is read from end to end by {sql}"
            dropped = step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0)
            read[table] = read.get(table, 0) + round((step["Actual Rows"] + dropped) * step["Actual Loops"])
    return read


def assert_cheap(client: Client, address: str) -> None:
    for sql in queries_of(client, address):
        if sql.startswith("SELECT"):
            for table, count in rows_read(sql).items():
                assert count <= MOST_ROWS, f"{count} rows of {table} are read by {sql}"


@pytest.mark.parametrize("owner", ["much", "few", "former"])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"label": "NORMAL"},
        {"label": "PNEUMONIA"},
        {"state": "FAILED"},
        {"state": "QUEUED"},
        {"state": "SUCCEEDED"},
        {"state": "FAILED", "label": "NORMAL"},
        {"q": "IM-0000300"},
        {"q": "-0001.jpeg"},
        {"q": "ward"},
        {"q": "nowhere"},
        {"until": "last"},
        {"until": "last", "label": "NORMAL"},
        {"page": "last"},
        {"page": "last", "label": "NORMAL"},
    ],
    ids=str,
)
def test_a_page_of_the_history_reads_few_rows(seeded, owner, query):
    user = get_user_model().objects.get(username=getattr(seeded, owner))
    oldest = Scan.objects.filter(owner=user).order_by("created_at")[8]
    last = {"until": f"{oldest.created_at:%Y-%m-%d}", "page": str(Mark(True, oldest.created_at, oldest.pk))}
    chosen = {name: last[name] if value == "last" else value for name, value in query.items()}
    assert_cheap(signed_in(user), f"{HISTORY}?{urlencode(chosen)}")


@pytest.mark.parametrize("who", ["much", "sam"])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"label": "NORMAL"},
        {"label": "NORMAL", "until": "last"},
        {"state": "FAILED"},
        {"state": "QUEUED"},
        {"since": "last"},
        {"until": "last"},
        {"reference": RARE_REFERENCE},
        {"reference": "ward 5"},
        {"reference": "nowhere"},
        {"owner": "much"},
        {"owner": "former"},
        {"owner": "former", "label": "NORMAL"},
        {"owner": "nobody"},
    ],
    ids=str,
)
def test_a_page_of_the_programs_list_and_the_next_one_read_few_rows(seeded, sam, who, query):
    user = sam if who == "sam" else get_user_model().objects.get(username=getattr(seeded, who))
    oldest = Scan.objects.order_by("created_at")[60]
    values = {"last": oldest.created_at.isoformat(), "much": seeded.much, "former": seeded.former}
    _, secret = ApiToken.objects.issue(user=user, lifetime=None)
    program = Client(headers={"Authorization": f"Bearer {secret}"})
    address = f"{API}?{urlencode({name: values.get(value, value) for name, value in query.items()})}"
    assert_cheap(program, address)
    following = program.get(address).json()["next"]
    if following:
        assert_cheap(program, following)


@pytest.mark.parametrize(
    ("rows", "query"),
    [
        ("predictions", query)
        for query in (
            "",
            "p=last",
            "o=-5",
            "o=5",
            "review=none",
            "review=missing",
            "review=any",
            "review=agreed",
            "review=corrected",
            "state__exact=QUEUED",
            "state__exact=SUCCEEDED",
            "state__exact=FAILED",
            "label__exact=NORMAL",
            "label__exact=PNEUMONIA",
            "is_uncertain__exact=1",
            "is_uncertain__exact=0",
            "probability=under-10",
            "probability=10-50",
            "probability=50-90",
            "probability=over-90",
            "probability=near",
            "model_version__id__exact=older",
            "model_version__id__exact=newer",
            "trigger__exact=UPLOAD",
            "trigger__exact=COMMAND",
            "trigger__exact=API",
            "requested_from=last",
            "requested_to=last",
            "scan__owner__id__exact=much",
            "scan__owner__id__exact=few",
            "scan__owner__id__exact=former",
            "q=much",
            "q=few",
            "q=former",
            "q=owner-77",
            "q=owner",
            "q=IM-0000300",
            "q=-0001.jpeg",
            "q=ward",
            "q=nowhere",
        )
    ]
    + [
        ("scans", query)
        for query in (
            "",
            "p=last",
            "o=6",
            "latest_prediction__state__exact=QUEUED",
            "latest_prediction__state__exact=SUCCEEDED",
            "latest_prediction__state__exact=FAILED",
            "latest_prediction__label__exact=NORMAL",
            "latest_prediction__label__exact=PNEUMONIA",
            "latest_prediction__is_uncertain__exact=1",
            "latest_prediction__is_uncertain__exact=0",
            "created_at__gte=last",
            "created_at__lt=last",
            "q=much",
            "q=few",
            "q=former",
            "q=owner-77",
            "q=owner",
            "q=IM-0000300",
            "q=-0001.jpeg",
            "q=ward",
            "q=nowhere",
        )
    ],
)
def test_a_page_of_the_staffs_lists_reads_few_rows(seeded, sam, rows, query):
    if rows == "predictions":
        oldest = Prediction.objects.order_by("requested_at")[60]
        moment = oldest.requested_at
    else:
        oldest = Scan.objects.order_by("created_at")[60]
        moment = oldest.created_at
    name, _, value = query.partition("=")
    users = {user.username: user.pk for user in get_user_model().objects.all()}
    people = {who: getattr(seeded, who) for who in ("much", "few", "former")}
    values = {
        "p=last": Mark(True, moment, oldest.pk),
        "requested_from=last": f"{moment:%Y-%m-%d}",
        "requested_to=last": f"{moment:%Y-%m-%d}",
        "created_at__gte=last": moment.isoformat(),
        "created_at__lt=last": moment.isoformat(),
        "model_version__id__exact=older": seeded.older.pk,
        "model_version__id__exact=newer": seeded.newer.pk,
        **{f"scan__owner__id__exact={who}": users[username] for who, username in people.items()},
        **{f"q={who}": username for who, username in people.items()},
    }
    assert_cheap(signed_in(sam), f"{LISTS[rows]}?{urlencode({name: values.get(query, value)}) if name else ''}")


@pytest.mark.parametrize("address", [HISTORY, *LISTS.values()])
@pytest.mark.parametrize("word", ["IM-0000300", "0000300", "im-0000300-0001.JPEG"])
def test_the_search_for_a_name_goes_through_no_list_that_grows(seeded, address, word):
    much = get_user_model().objects.get(username=seeded.much)
    get_user_model().objects.filter(pk=much.pk).update(is_staff=True, is_superuser=True)
    looked_up = [
        step
        for sql in queries_of(signed_in(much), f"{address}?{urlencode({'q': word})}")
        if "@@" in sql or " LIKE " in sql
        for step in steps_of(sql)
        if step.get("Index Name", "").startswith("scans_by_")
    ]
    assert [(step["Index Name"], step["Actual Rows"]) for step in looked_up] == [("scans_by_parts", 1)]


def test_the_page_of_an_upload_reads_its_own_scans_alone(seeded):
    user = get_user_model().objects.get(username=seeded.much)
    upload = Upload.objects.create(owner=user, given=100)
    upload.scans.set(Scan.objects.filter(owner=user).order_by("created_at")[:100])
    assert_cheap(signed_in(user), upload.get_absolute_url())


@pytest.mark.parametrize(
    "query",
    [
        "",
        "p=last",
        "actor=much",
        "actor=few",
        "owner=much",
        "owner=few",
        "action__exact=VIEWED",
        "action__exact=EXPORTED",
        "action__exact=ACTIVATED",
        "actor=much&action__exact=EXPORTED",
        "owner=few&action__exact=DELETED",
        "requested_to=last",
        "q=owner-77",
        "q=owner",
        "q=nowhere",
        "q=scan",
    ],
)
def test_a_page_of_the_audit_reads_few_rows(seeded, sam, query):
    oldest = AuditEvent.objects.select_related("scan").order_by("at")[60]
    known = {pseudonym.user.username: str(pseudonym.pk) for pseudonym in Pseudonym.objects.exclude(user=None)}
    values = {
        "p=last": f"p={Mark(True, oldest.at, oldest.pk)}",
        "requested_to=last": f"requested_to={oldest.at:%Y-%m-%d}",
        "q=scan": f"q={oldest.scan.scan_id}",
    }
    address = (
        values.get(query, query).replace("=much", f"={known[seeded.much]}").replace("=few", f"={known[seeded.few]}")
    )
    assert_cheap(signed_in(sam), f"{AUDIT}?{address}")


@pytest.mark.parametrize("owner", ["much", "few"])
@pytest.mark.parametrize("page", ["first", "last"])
def test_what_an_owner_reads_of_the_audit_reads_few_rows(seeded, owner, page):
    user = get_user_model().objects.get(username=getattr(seeded, owner))
    oldest = AuditEvent.objects.filter(owner__user=user).order_by("at")[:60][9]
    mark = f"?page={Mark(True, oldest.at, oldest.pk)}" if page == "last" else ""
    assert_cheap(signed_in(user), f"/accounts/events/{mark}")
    assert_cheap(signed_in(user), f"/scans/{Scan.objects.filter(owner=user).first().pk}/events/")


@pytest.mark.parametrize("reads", ["everything", "nothing"])
@pytest.mark.parametrize("place", ["first", "far"])
@pytest.mark.parametrize("version", ["any", "older"])
@pytest.mark.parametrize("show", Show.values)
def test_a_page_of_the_worklist_and_a_case_read_few_rows(seeded, show, version, place, reads):
    # All reviews are of the owner with many scans.
    reader = get_user_model().objects.get(username=seeded.much if reads == "everything" else seeded.few)
    get_user_model().objects.filter(pk=reader.pk).update(is_superuser=True)
    case = Prediction.objects.filter(state="SUCCEEDED").order_by("-is_uncertain", "-probability")[PREDICTIONS // 5]
    chosen = {"show": show, "version": str(seeded.older.pk) if version == "older" else version}
    where = {"after": str(case.pk)} if place == "far" else {}
    assert_cheap(signed_in(reader), f"/review/?{urlencode({**chosen, **where})}")
    if place == "far":
        assert_cheap(signed_in(reader), f"/review/{case.pk}/?{urlencode(chosen)}")


@pytest.mark.parametrize("version", ["any", "older"])
def test_the_figures_of_agreement_read_what_was_reviewed_and_no_more(seeded, sam, version):
    chosen = str(seeded.older.pk) if version == "older" else version
    assert_cheap(signed_in(sam), f"/review/agreement/?version={chosen}")


def test_the_export_reads_what_was_reviewed_and_no_more(seeded, tmp_path):
    with CaptureQueriesContext(connection) as captured:
        exported = export_reviews(folder=tmp_path / "export")
    assert exported.left_out.total() > 100, "the rows name pictures that don't exist"
    read: Counter[str] = Counter()
    for sql in (query["sql"] for query in captured):
        # Reviews are looked up by predictions; where all of them are on a few pages, the planner reads these.
        if sql.startswith("SELECT") and 'FROM "diagnosis_review"' not in sql:
            read.update(rows_read(sql))
    reviewed = Prediction.objects.exclude(reviewed_label="").count()
    assert read["diagnosis_prediction"] < 4 * reviewed


def test_the_pages_of_a_scan_a_prediction_and_a_version_read_few_rows(seeded, sam):
    scan = Scan.objects.filter(owner__username=seeded.much).order_by("created_at")[30]
    client = signed_in(scan.owner)
    for address in (scan.get_absolute_url(), f"{scan.get_absolute_url()}status/"):
        assert_cheap(client, address)
    client = signed_in(sam)
    for kind, row in (("scan", scan), ("prediction", scan.latest_prediction), ("modelversion", seeded.newer)):
        assert_cheap(client, f"/admin/diagnosis/{kind}/{row.pk}/change/")


def test_the_dashboard_reads_what_was_counted_and_few_rows_beside(seeded, sam):
    count_day(timezone.now().date())
    client = signed_in(sam)
    for address in ("/dashboard/?days=365", "/dashboard/now/"):
        assert_cheap(client, address)


def test_counting_a_day_reads_the_rows_of_that_day_alone(seeded):
    day = Scan.objects.order_by("created_at")[5000].created_at.date()
    with CaptureQueriesContext(connection) as captured:
        count_day(day)
    rows = Prediction.objects.filter(requested_at__date=day).count()
    assert rows > 0
    for query in captured:
        sql = query["sql"].partition("FOR SELECT")[2] or query["sql"]
        sql = f"SELECT{sql}" if query["sql"].startswith("DECLARE") else sql
        if sql.startswith("SELECT"):
            assert sum(rows_read(sql).values()) <= 1.1 * rows + 10, sql


def test_a_page_takes_the_same_number_of_queries_with_few_rows_and_with_many(seeded, sam):
    def numbers() -> dict[str, int]:
        found = {}
        for address in (*LISTS.values(), f"{LISTS['predictions']}?review=none", f"{LISTS['scans']}?q=nowhere"):
            found[address] = len(queries_of(signed_in(sam), address))
        for address in ("/review/", "/review/?show=mine&version=any"):
            found[address] = len(queries_of(signed_in(sam), address))
        found[HISTORY] = len(queries_of(signed_in(owner), HISTORY))
        return found

    owner = get_user_model().objects.get(username=seeded.much)
    many = numbers()
    kept = Scan.objects.filter(owner=owner).values_list("pk", flat=True)[:100]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM diagnosis_pseudonym WHERE NOT scan_id = ANY(%s)", [list(kept)])
        cursor.execute("DELETE FROM diagnosis_review")
        cursor.execute("UPDATE diagnosis_scan SET latest_prediction_id = NULL")
        cursor.execute("DELETE FROM diagnosis_prediction")
        cursor.execute("DELETE FROM diagnosis_scan WHERE NOT id = ANY(%s)", [list(kept)])
    assert Scan.objects.count() == 100
    assert numbers() == many


def test_the_many_rows_are_as_unequal_as_they_should_be(seeded):
    assert Prediction.objects.count() == PREDICTIONS
    assert get_user_model().objects.count() >= OWNERS
    assert ModelVersion.objects.count() == 2
    assert Prediction.objects.filter(reviewed_label="").count() > 0.9 * PREDICTIONS
    assert 0 < Prediction.objects.filter(state="FAILED").count() < 0.01 * PREDICTIONS
