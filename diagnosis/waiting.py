"""When to look again for an answer that is not there yet; pages and API say the same. A new page waits a moment itself.

Most answers are there within a second, so the first looks come soon. The longer nothing has happened, the more others
wait too: looks grow rare, so that many open pages behind a long queue cost the web server little.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from time import sleep

from django.conf import settings
from django.utils import timezone

from diagnosis.models import Prediction

# The header of a page's news, in seconds.
LOOK_AGAIN = "X-Look-Again"

# The page of a scan waits so long after the request for its answer before it is shown, and looks so often.
A_MOMENT = 0.15  # seconds
BETWEEN_LOOKS = 0.015  # seconds

# What did not come in that moment often comes in the next. Who has waited longer waits for others too.
FIRST_LOOK = 0.1  # seconds
JUST_NOW = 0.2  # seconds since something happened, more than A_MOMENT
LATER_LOOK = 0.3  # seconds
LONGEST = 10  # seconds
# A fifth of the time that nothing has happened for: who has waited a minute waits no fifth longer for having looked.
SHARE = 0.2


def wait_a_moment(prediction: Prediction | None) -> None:
    """Let `prediction` come to its end, and hold that, if it was asked for just now and somebody is about to see it.

    Where nobody else waits the answer is nearly there when an upload has led to its page: the page is shown a little
    later, and with it. Not where others wait too, or its message is not sent: that takes longer. Nor in embedded mode,
    whose worker looks for messages less often. Raises Prediction.DoesNotExist when it was erased meanwhile.
    """
    if settings.EMBEDDED or prediction is None or prediction.is_terminal or prediction.is_unsent:
        return
    open_ones = Prediction.objects.open()
    if not _was_asked_just_now(prediction) or open_ones.exclude(pk=prediction.pk).exists():
        return
    while _was_asked_just_now(prediction):
        sleep(BETWEEN_LOOKS)
        if not open_ones.filter(pk=prediction.pk).exists():
            version = Prediction.objects.select_related("model_version").defer("model_version__metadata")
            prediction.refresh_from_db(from_queryset=version)
            return


def _was_asked_just_now(prediction: Prediction) -> bool:
    return 0 <= (timezone.now() - prediction.requested_at).total_seconds() < A_MOMENT


def seconds_to_look(predictions: Iterable[Prediction | None], *, at_least: float = 0) -> float:
    """Give the seconds to wait before looking at `predictions` again; 0: all of them have ended, or are None.

    Where some of them have, it is the last of these that shows how fast it goes.
    """
    asked = [prediction for prediction in predictions if prediction]
    if all(prediction.is_terminal for prediction in asked):
        return 0
    return max(at_least, _after(max(_last_move(prediction) for prediction in asked)))


def retry_after(prediction: Prediction | None) -> str:
    """Give seconds_to_look of one prediction as the header Retry-After has them, whole; "" once it has ended."""
    seconds = seconds_to_look([prediction])
    return str(math.ceil(seconds)) if seconds else ""


def _after(moment: datetime) -> float:
    idle = (timezone.now() - moment).total_seconds()
    # Below 0 where the clock of a database or another machine is ahead.
    least = FIRST_LOOK if abs(idle) < JUST_NOW else LATER_LOOK
    return min(max(round(SHARE * idle, 1), least), LONGEST)


def _last_move(prediction: Prediction) -> datetime:
    return prediction.finished_at or prediction.claimed_at or prediction.requested_at
