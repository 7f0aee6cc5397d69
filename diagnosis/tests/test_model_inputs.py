"""The small picture that the models read: it says what the whole one says, is made once, and goes with its scan."""

import io
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from PIL import Image

from diagnosis import intake, services, worker
from diagnosis.files import model_input_path
from diagnosis.models import Prediction, Scan
from diagnosis.states import FailureReason, State
from diagnosis.tests.dicom_files import dicom_file
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from ml.preprocess import CANONICAL_SIZE, canonical, canonical_jpeg

pytestmark = pytest.mark.django_db


def deep(picture: Image.Image) -> Image.Image:
    """Give a picture with 12 of 16 bits in use."""
    return Image.fromarray(np.asarray(picture, np.uint16) * 16 + 7)


def answered(scan: Scan) -> Prediction:
    """Let the worker read the scan."""
    prediction = prediction_at(State.QUEUED, scan)
    worker.answer(str(prediction.pk), task_id="task")
    prediction.refresh_from_db()
    scan.refresh_from_db()
    return prediction


def input_files(media: Path) -> list[Path]:
    return [path for path in (media / "inputs").rglob("*") if path.is_file()]


@pytest.fixture
def uploaded(alice) -> Scan:
    """A scan that came through the intake."""
    upload = io.BytesIO(encoded(chest_like(640, 500), "PNG"))
    return services.submit_scan(owner=alice, upload=upload, original_name="chest.png").scan


@pytest.mark.parametrize("picture", [chest_like(640, 500), deep(chest_like(500, 640))], ids=["8 bit", "16 bit"])
def test_the_network_sees_the_same_pixels_as_in_the_whole_picture(picture):
    clean = intake.clean(io.BytesIO(encoded(picture, "PNG")), limits=intake.Limits.from_settings())
    whole, small = (Image.open(io.BytesIO(data)) for data in (clean.png, clean.model_input))
    assert whole.size == picture.size
    assert small.size == (CANONICAL_SIZE, CANONICAL_SIZE)
    assert np.array_equal(canonical(whole), small)


def test_a_window_for_display_is_in_the_small_picture_whoever_makes_it(alice, fake_classifier):
    data = dicom_file(WindowCenter=2048, WindowWidth=12000)
    scan = services.submit_scan(owner=alice, upload=io.BytesIO(data), original_name="1.dcm").scan
    assert answered(scan).state == State.SUCCEEDED
    scan.model_input.delete()
    assert answered(scan).state == State.SUCCEEDED

    by_intake, by_worker = (np.asarray(picture) for picture in fake_classifier.pictures)
    assert np.array_equal(by_intake, by_worker)
    assert by_intake.shape == (CANONICAL_SIZE, CANONICAL_SIZE)
    assert by_intake.min() > 60, "no percentile stretched it to black"


def test_the_worker_reads_the_small_picture_and_leaves_the_whole_one_alone(uploaded, fake_classifier):
    Path(uploaded.picture.path).unlink()

    assert answered(uploaded).state == State.SUCCEEDED

    (seen,) = fake_classifier.pictures
    assert seen.size == (CANONICAL_SIZE, CANONICAL_SIZE)


def test_a_scan_from_before_gets_its_small_picture_at_its_first_reading(alice, fake_classifier):
    scan = scan_of(alice)
    assert not scan.has_model_input

    assert answered(scan).state == State.SUCCEEDED
    assert scan.has_model_input

    Path(scan.picture.path).unlink()
    assert answered(scan).state == State.SUCCEEDED
    first, second = fake_classifier.pictures
    assert np.array_equal(first, second)


def test_a_small_picture_made_by_other_steps_is_replaced(alice, fake_classifier, media):
    scan = scan_of(alice)
    scan.model_input.name = scan.model_input.storage.save("inputs/older-steps/00/0.png", ContentFile(b"older"))
    scan.save()

    assert answered(scan).state == State.SUCCEEDED

    assert scan.has_model_input
    assert input_files(media) == [Path(scan.model_input.path)]


def test_a_damaged_small_picture_is_made_anew(uploaded, fake_classifier):
    Path(uploaded.model_input.path).write_bytes(b"half a fi")

    assert answered(uploaded).state == State.SUCCEEDED

    with Image.open(uploaded.model_input.path) as picture:
        assert picture.size == (CANONICAL_SIZE, CANONICAL_SIZE)


def test_a_full_disk_costs_the_small_picture_and_not_the_answer(alice, fake_classifier, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no space left on device")

    monkeypatch.setattr(FileSystemStorage, "save", refuse)
    scan = scan_of(alice, picture="scans/00/0.png", thumbnail="thumbnails/00/0.jpg")
    path = Path(scan.picture.path)
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(chest_like(300, 260), "PNG"))

    assert answered(scan).state == State.SUCCEEDED

    assert not scan.model_input


def test_a_picture_with_colours_is_refused_without_being_read(alice, fake_classifier):
    assert answered(scan_of(alice, is_colour=True)).reason == FailureReason.NOT_A_CHEST_XRAY
    assert fake_classifier.pictures == []


@pytest.mark.parametrize("is_named", [True, False], ids=["named by the row", "left by a worker that was killed"])
def test_erasing_a_scan_erases_its_small_picture(uploaded, media, django_capture_on_commit_callbacks, is_named):
    assert input_files(media) == [media / model_input_path(uploaded, "")]
    if not is_named:
        Scan.objects.update(model_input="")

    with django_capture_on_commit_callbacks(execute=True):
        services.erase_scan(scan=Scan.objects.get(), erased_by=None)

    assert input_files(media) == []


def test_a_scan_that_is_erased_while_it_is_read_keeps_no_small_picture(alice, media):
    scan = scan_of(alice)
    Scan.objects.all().delete()

    worker.store_model_input(scan, canonical_jpeg(chest_like(300, 260)))

    assert input_files(media) == []
