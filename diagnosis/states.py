"""The states of a prediction, the moves between them, and the sentences that explain an end without an answer."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """Where a prediction stands. Four states drive the machine; a FailureReason only explains."""

    QUEUED = "QUEUED", _("Waiting")
    RUNNING = "RUNNING", _("Reading")
    SUCCEEDED = "SUCCEEDED", _("Answered")
    FAILED = "FAILED", _("Not answered")


OPEN_STATES = (State.QUEUED, State.RUNNING)
TERMINAL_STATES = (State.SUCCEEDED, State.FAILED)

# Every allowed move. RUNNING → QUEUED happens when a worker was lost and its prediction is put back.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.QUEUED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
}


class FailureReason(models.TextChoices):
    """Why there is no answer; the label is the sentence that the owner of the scan reads."""

    UNREADABLE_IMAGE = (
        "UNREADABLE_IMAGE",
        _("The stored picture could not be read. Delete the scan and upload the original file again."),
    )
    NOT_A_CHEST_XRAY = (
        "NOT_A_CHEST_XRAY",
        _("This does not look like a frontal chest X-ray, so the model gives no answer. This is no medical finding."),
    )
    MODEL_UNAVAILABLE = (
        "MODEL_UNAVAILABLE",
        _("The model could not be loaded. The scan is kept; staff can ask for an answer again once it is repaired."),
    )
    TIMED_OUT = (
        "TIMED_OUT",
        _("Reading this picture took too long and was stopped. The scan is kept; staff can ask for an answer again."),
    )
    WORKER_LOST = (
        "WORKER_LOST",
        _("The reading was interrupted several times and was given up. The scan is kept; staff can ask again."),
    )
    INTERNAL_ERROR = (
        "INTERNAL_ERROR",
        _("Something went wrong on our side. The scan is kept and the fault was logged; staff can ask again."),
    )


class Trigger(models.TextChoices):
    """Why a prediction was asked for."""

    UPLOAD = "UPLOAD", _("Upload")
    ADMIN = "ADMIN", _("Staff")
    COMMAND = "COMMAND", _("Batch command")
    API = "API", "API"

    @property
    def queue(self) -> str:
        """Name the queue of the settings that its message waits in.

        Nobody sits in front of a batch command, nor of the hundreds of scans that staff choose from a list at once.
        """
        return settings.QUEUE_OF_BATCHES if self in (Trigger.COMMAND, Trigger.ADMIN) else settings.QUEUE_OF_PEOPLE
