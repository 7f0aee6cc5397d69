"""Rows for tests, made by the services and the real transitions. Plain functions; everything has a sensible default."""

import io
import secrets
import uuid
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from diagnosis import services
from diagnosis.models import ModelVersion, Prediction, Scan
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.pictures import chest_like, drawn_heatmap, encoded

PASSWORD = "correct horse battery staple"
WIDTH, HEIGHT = 120, 100


def person(username: str, **fields: Any):
    """Give the user `username` with PASSWORD; made when there is none yet."""
    users = get_user_model().objects
    found = users.filter(username=username).first()
    return found or users.create_user(username, f"{username}@example.org", PASSWORD, **fields)


def model_version_of(
    *, sha256: str = "", name: str = "tiny", active: bool = False, threshold: float = 0.5, **fields: Any
) -> ModelVersion:
    """Give a further registered version, a row without files behind it."""
    fields = {"sha256": sha256 or secrets.token_hex(32), "folder": f"no/such/{name}", **fields}
    version = ModelVersion.objects.create(name=name, threshold=threshold, **fields)
    if active:
        services.activate_model(model_version=version)
    return version


def active_model_version() -> ModelVersion:
    """Give the active version; made when there is none yet."""
    return services.active_model_version() or model_version_of(sha256="a" * 64, active=True)


def scan_of(owner, **fields: Any) -> Scan:
    """Give a further scan of `owner` with a stored picture of WIDTH × HEIGHT pixels, and no prediction."""
    scan = Scan(
        owner=owner,
        **{
            "sha256": secrets.token_hex(32),
            "original_name": "chest.jpg",
            "width": WIDTH,
            "height": HEIGHT,
            **fields,
        },
    )
    for field, content in zip((scan.picture, scan.thumbnail), stored_files(), strict=True):
        if not field:
            field.save("", ContentFile(content), save=False)
    scan.save(force_insert=True)
    return scan


def prediction_at(
    state: State | str,
    scan: Scan | None = None,
    model_version: ModelVersion | None = None,
    *,
    probability: float = 0.9,
    reason: FailureReason = FailureReason.INTERNAL_ERROR,
    task_id: str = "",
    trigger: Trigger = Trigger.UPLOAD,
    requested_by=None,
    has_heatmap: bool = False,
    **fields: Any,
) -> Prediction:
    """Give a prediction that came to `state` by the moves of the state machine.

    Without a scan it gets a new one of the user "owner". `probability` counts for SUCCEEDED, `reason` for FAILED.
    Further `fields` are written at the end, past the machine: claimed_at in the past, say.
    """
    prediction = services.request_prediction(
        scan=scan or scan_of(person("owner")),
        model_version=model_version or active_model_version(),
        trigger=trigger,
        requested_by=requested_by,
        enqueue=False,
    )
    held = {"prediction_id": prediction.pk, "task_id": task_id or f"task-{uuid.uuid4()}"}
    if state != State.QUEUED:
        assert Prediction.objects.claim(**held)
    if state == State.SUCCEEDED:
        version = prediction.model_version
        assert Prediction.objects.succeed(
            **held,
            probability=probability,
            threshold=version.threshold,
            milliseconds=187,
            is_uncertain=version.is_uncertain_about(probability),
            heatmap=stored_heatmap(prediction) if has_heatmap else "",
        )
    if state == State.FAILED:
        assert Prediction.objects.fail(**held, reason=reason)
    Prediction.objects.filter(pk=prediction.pk).update(**{"enqueued_at": timezone.now(), **fields})
    prediction.refresh_from_db()
    return prediction


def stored_heatmap(prediction: Prediction) -> str:
    """Store a small heatmap as the worker does; give its name."""
    name = prediction.heatmap.field.generate_filename(prediction, "")
    return prediction.heatmap.storage.save(name, ContentFile(encoded(drawn_heatmap(), "PNG")))


def answer_queued() -> list[Prediction]:
    """Answer every queued prediction in this process by the worker's code, oldest first; needs fake_classifier."""
    from diagnosis import worker

    queued = list(Prediction.objects.filter(state=State.QUEUED).order_by("requested_at"))
    for prediction in queued:
        worker.answer(str(prediction.pk), task_id=f"task-{uuid.uuid4()}")
        prediction.refresh_from_db()
    return queued


@lru_cache(maxsize=1)
def stored_files() -> tuple[bytes, bytes]:
    """Give a small picture and its thumbnail as intake writes them."""
    picture = chest_like(WIDTH, HEIGHT)
    thumbnail = io.BytesIO()
    picture.resize((60, 50), Image.Resampling.BILINEAR).save(thumbnail, "JPEG")
    return encoded(picture, "PNG"), thumbnail.getvalue()
