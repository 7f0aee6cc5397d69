"""The report of an answer: who may have it, what it says, what it looks like to a program that reads PDF."""

import io
from collections.abc import Iterator

import pytest
from django.core.files.storage import FileSystemStorage
from django.urls import reverse
from pypdf import PdfReader
from pypdf.generic import NullObject

from diagnosis import services
from diagnosis.audit import Action
from diagnosis.audit.reading import events_of
from diagnosis.dicom.kept import OLDEST
from diagnosis.export.page import HEATMAP_STRENGTH, MOST_PIXELS
from diagnosis.files import StorageAway
from diagnosis.models import Label, Prediction, Scan
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded
from ml.quality import QualityIssue

pytestmark = pytest.mark.django_db

SENTENCE = "No answer: not a frontal chest X-ray"


@pytest.fixture
def version():
    return model_version_of(
        name="robust", sha256="c0ffee" + "0" * 58, threshold=0.62, uncertain_low=0.45, uncertain_high=0.78
    )


@pytest.fixture
def answered(alice, version) -> Prediction:
    """An answer with a heatmap on alice's scan."""
    scan = scan_of(alice, reference="ward 7, study 12")
    return prediction_at(State.SUCCEEDED, scan, version, probability=0.9312, has_heatmap=True)


def address(prediction: Prediction) -> str:
    return reverse("diagnosis:prediction_report", args=[prediction.scan_id, prediction.pk])


def report(browser, prediction: Prediction, language: str = "en") -> PdfReader:
    response = browser.get(address(prediction), headers={"Accept-Language": language})
    assert response.status_code == 200
    return PdfReader(io.BytesIO(response.content))


def words(reader: PdfReader) -> str:
    """Give all words of the document, white space made one."""
    text = " ".join(page.extract_text() for page in reader.pages)
    return " ".join(text.replace("\N{ZERO WIDTH SPACE}", "").split())


def written(scan: Scan, **fields) -> Scan:
    """Change fields of a scan past the services."""
    Scan.objects.filter(pk=scan.pk).update(**fields)
    return scan


def given_picture(scan: Scan, content: bytes) -> None:
    """Put other bytes where the picture of `scan` is stored."""
    with scan.picture.storage.open(scan.picture.name, "wb") as file:
        file.write(content)


def test_a_report_says_what_the_page_says(browser, answered):
    said = words(report(browser, answered))
    assert "Pneumonia The model is 93.1 % confident that the picture shows signs of pneumonia." in said
    assert "Calibrated probability of pneumonia: 93.1 %" in said
    assert "At or above the operating point of 62.0 %, this model version says pneumonia." in said
    assert "The hatched band, 45.0 % to 78.0 %, is where it is uncertain." in said
    assert "robust c0ffee000000" in said
    assert "Not reviewed yet." in said
    assert "ward 7, study 12" in said
    assert "chest.jpg" in said
    assert "120 × 100 pixels" in said
    assert "frontal X-rays of children aged 1–5 years in one hospital" in said
    assert "A heatmap is not a localisation" in said
    assert "Not a medical device. For education and research only" in said
    assert f"http://testserver/scans/{answered.scan_id}/" in said


def test_a_normal_answer_is_reported_with_its_own_confidence(browser, alice, version):
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice), version, probability=0.031)
    said = words(report(browser, prediction))
    assert "Normal The model is 96.9 % confident that the picture shows no signs of pneumonia." in said
    assert "Below the operating point of 62.0 %" in said
    assert "Uncertain —" not in said


def test_an_uncertain_answer_asks_for_a_human_reader(browser, alice, version):
    said = words(report(browser, prediction_at(State.SUCCEEDED, scan_of(alice), version, probability=0.7)))
    assert "Uncertain — ask a human reader" in said
    assert "There the label is the least sure" in said


def test_the_report_shows_the_picture_and_the_picture_under_its_heatmap(browser, answered):
    [page] = report(browser, answered).pages
    plain, heated = (image.image for image in page.images)
    assert plain.size == heated.size == (120, 100)
    # Where drawn_heatmap is opaque, its red lies over the grey of the picture; far from it nothing does.
    place, elsewhere = (36, 60), (115, 5)
    grey = plain.convert("L").getpixel(place)
    red, green, blue = heated.convert("RGB").getpixel(place)
    assert red == pytest.approx(HEATMAP_STRENGTH * 255 + (1 - HEATMAP_STRENGTH) * grey, abs=12)
    assert red > green > blue
    assert heated.convert("RGB").getpixel(elsewhere)[0] == pytest.approx(plain.convert("L").getpixel(elsewhere), abs=8)


def test_without_a_heatmap_the_picture_stands_alone(browser, alice, version):
    [page] = report(browser, prediction_at(State.SUCCEEDED, scan_of(alice), version)).pages
    assert len(page.images) == 1


def test_a_large_picture_is_made_small_for_print(browser, answered):
    given_picture(answered.scan, encoded(chest_like_16_bit().resize((3000, 2600)), "PNG", compress_level=1))
    [page] = report(browser, answered).pages
    assert all(image.image.width <= MOST_PIXELS[0] and image.image.height <= MOST_PIXELS[1] for image in page.images)
    assert max(page.images[0].image.size) > 500


def test_a_report_is_one_tagged_page_with_a_title_and_a_language_and_nobodys_name(browser, answered):
    reader = report(browser, answered)
    [page] = reader.pages
    assert [round(float(side) / 72 * 25.4) for side in page.mediabox[2:]] == [210, 297]
    assert reader.metadata.title == "Report of one answer"
    assert reader.metadata.author is None
    assert "alice" not in words(reader)
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    tags = str(root["/Metadata"].get_data())
    assert "<pdfuaid:part>1</pdfuaid:part>" in tags
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in tags


def test_a_screen_reader_finds_a_title_headings_and_words_for_each_picture(browser, answered):
    found = list(tags_of(report(browser, answered).trailer["/Root"]["/StructTreeRoot"]))
    kinds = [kind for kind, _ in found]
    assert kinds[0] == "/Document"
    assert kinds.count("/Title") == 1
    assert kinds.count("/H1") >= 3
    assert kinds.index("/Title") < kinds.index("/H1") < kinds.index("/Figure")
    assert [words for kind, words in found if kind == "/Figure"] == [
        "The X-ray of this scan, as it was stored",
        "The same picture under the heatmap: where the model looked",
    ]


def tags_of(node) -> Iterator[tuple[str, str | None]]:
    """Give the tags of a document in the order of reading, each with its words for those who don't see it."""
    node = node.get_object()
    if isinstance(node, list):
        for each in node:
            yield from tags_of(each)
    elif isinstance(node, dict):
        if "/S" in node:
            yield node["/S"], node.get("/Alt")
        yield from tags_of(node.get("/K", NullObject()))


def test_the_same_answer_gives_the_same_bytes_until_somebody_reviews_it(browser, answered, rita):
    first, second = (browser.get(address(answered)).content for _ in range(2))
    assert first == second
    services.record_review(prediction=answered, reviewer=rita, label=Label.NORMAL)
    assert browser.get(address(answered)).content != first


def test_reviews_are_told_by_verdict_and_without_names(browser, answered, rita, sam):
    services.record_review(prediction=answered, reviewer=rita, label=Label.NORMAL)
    said = words(report(browser, answered))
    assert "Reviewed by a reader on" in said
    assert "reads it as Normal." in said
    # A change of mind counts once.
    services.record_review(prediction=answered, reviewer=rita, label=Label.PNEUMONIA)
    services.record_review(prediction=answered, reviewer=sam, label=Label.NORMAL)
    said = words(report(browser, answered))
    assert "Reviewed by 2 readers, last on" in said
    assert "agrees: 1" in said
    assert "reads it as Normal: 1" in said
    assert "rita" not in said
    assert "sam" not in said


def test_what_was_kept_of_a_dicom_file_is_reported(browser, alice, version):
    facts = {"modality": "DX", "view_position": "PA", "photometric_interpretation": "MONOCHROME1"}
    scan = scan_of(alice, row_spacing=0.1432, column_spacing=0.1432, patient_age=OLDEST, **facts)
    said = words(report(browser, prediction_at(State.SUCCEEDED, scan, version)))
    assert "Modality DX View PA Pixel spacing 0.1432 × 0.1432 mm Patient's age 90 years or more" in said


@pytest.mark.parametrize("reason", FailureReason)
def test_a_report_without_an_answer_has_the_reason_and_no_number(browser, alice, version, reason):
    prediction = prediction_at(State.FAILED, scan_of(alice), version, reason=reason)
    said = words(report(browser, prediction))
    assert str(reason.label) in said
    assert f"Reason {reason}" in said
    assert "%" not in said
    assert (SENTENCE in said) is (reason == FailureReason.NOT_A_CHEST_XRAY)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_there_is_no_report_before_the_answer(browser, alice, state):
    assert browser.get(address(prediction_at(state, scan_of(alice)))).status_code == 404


def test_strangers_find_no_report_and_staff_who_may_see_the_scan_do(client, answered, bob, rita):
    assert client.get(address(answered)).status_code == 302
    for user, status in ((bob, 404), (person("eve", is_staff=True), 404), (rita, 200)):
        client.force_login(user)
        assert client.get(address(answered)).status_code == status


def test_a_report_is_written_down_with_who_got_it(client, answered, rita, bob):
    for user in (rita, bob):
        client.force_login(user)
        client.get(address(answered))
    [event] = events_of(scan=answered.scan).filter(action=Action.EXPORTED)
    assert event.actor.user == rita
    assert event.detail == "PDF"


def test_the_report_of_another_scans_answer_is_not_there(browser, alice, answered):
    other = scan_of(alice)
    assert browser.get(reverse("diagnosis:prediction_report", args=[other.pk, answered.pk])).status_code == 404


def test_the_name_of_the_file_tells_nothing_and_no_cache_keeps_it(browser, answered):
    response = browser.get(address(answered))
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Disposition"] == f'attachment; filename="report-{answered.pk.hex[:8]}.pdf"'
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("reference", ["Станция 7", "Θάλαμος", "Übung, año, naïve", "מחלקה"])
def test_the_owners_words_are_printed_in_their_own_letters(browser, answered, reference):
    written(answered.scan, reference=reference)
    assert reference.split()[0] in words(report(browser, answered)) or reference[::-1] in words(
        report(browser, answered)
    )


def test_letters_that_no_font_has_are_replaced_by_words(browser, answered):
    written(answered.scan, reference="\U00010600\U00010601")
    said = words(report(browser, answered))
    assert "Reference: (in letters that can't be printed here)" in said
    assert "chest.jpg" in said
    assert "93.1 %" in said


@pytest.mark.parametrize(
    "reference", ['#panic("no")', "*x* _y_ $z$ @a <b> `c`", "\\", '"]) #read("/etc/passwd")', "a\nb\x00\u202ec"]
)
def test_what_the_owner_wrote_is_text_and_never_markup(browser, answered, reference):
    written(answered.scan, reference=reference.replace("\x00", ""))
    said = words(report(browser, answered))
    shown = " ".join(reference.replace("\x00", " ").replace("\u202e", " ").split())
    assert f"Reference: {shown}".replace(" ", "") in said.replace(" ", "")


def test_a_file_that_is_told_by_its_place_is_so_in_the_reader_s_language(browser, answered):
    written(answered.scan, original_name="File 3 of 40")
    assert "Archivo 3 de 40" in words(report(browser, answered, language="es"))


def test_the_longest_words_wrap_and_all_still_fits_on_one_page(browser, alice, version, rita, sam):
    facts = {"modality": "DX", "view_position": "PA", "photometric_interpretation": "MONOCHROME1", "patient_age": 4}
    scan = scan_of(
        alice,
        reference="W" * 100,
        original_name="W" * 251 + ".png",
        quality_issues=list(QualityIssue),
        row_spacing=0.1432,
        column_spacing=0.1432,
        **facts,
    )
    given_picture(scan, encoded(chest_like(300, 900), "PNG"))
    prediction = prediction_at(State.SUCCEEDED, scan, version, probability=0.7, has_heatmap=True)
    for reviewer, label in ((rita, Label.NORMAL), (sam, Label.PNEUMONIA)):
        services.record_review(prediction=prediction, reviewer=reviewer, label=label)
    reader = report(browser, prediction)
    assert len(reader.pages) == 1
    said = words(reader)
    assert "W" * 100 in said.replace(" ", "")
    assert said.replace(" ", "").count("WWW.png") == 1
    assert all(str(sentence)[:40] in said for sentence in scan.quality_sentences)


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n nonsense", encoded(chest_like(), "PNG")[:4000]])
def test_a_damaged_picture_is_told_in_words(browser, answered, damage):
    given_picture(answered.scan, damage)
    reader = report(browser, answered)
    assert "The stored picture is missing or damaged." in words(reader)
    assert not reader.pages[0].images


def test_a_missing_picture_or_heatmap_does_not_stop_the_report(browser, answered):
    answered.heatmap.storage.delete(answered.heatmap.name)
    assert len(report(browser, answered).pages[0].images) == 1
    answered.scan.picture.storage.delete(answered.scan.picture.name)
    assert "The stored picture is missing or damaged." in words(report(browser, answered))


def test_while_the_storage_is_away_there_is_no_report_without_pictures(browser, answered, monkeypatch):
    def away(*_args, **_kwargs):
        raise StorageAway("nobody there")

    monkeypatch.setattr(FileSystemStorage, "open", away)
    assert browser.get(address(answered)).status_code == 503


def test_the_page_of_a_scan_leads_to_the_report_once_there_is_an_answer(browser, alice):
    scan = scan_of(alice)
    page = reverse("diagnosis:scan_detail", args=[scan.pk])
    open_one = prediction_at(State.QUEUED, scan)
    assert address(open_one) not in browser.get(page).content.decode()
    earlier, latest = (prediction_at(State.SUCCEEDED, scan, model_version_of()) for _ in range(2))
    shown = browser.get(page).content.decode()
    assert address(earlier) in shown
    assert address(latest) in shown
    poll = browser.get(reverse("diagnosis:scan_status", args=[scan.pk])).content.decode()
    assert address(latest) in poll
