"""The stages of an upload and of a reading, where a process is struck when a test has ordered it.

An order is a file in VAR_DIR/faults: named after the stage, its content says what happens. The first process that
comes to the stage takes the file away, and is struck. Some pictures strike their worker each time that they are read:
those whose reference is one of PICTURES.
"""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from kombu.exceptions import ChannelError

KILL, KILL_WITH_PARENT, HOLD = "kill", "kill with its parent", "hold"
LETHAL, HUNGRY = "kills its worker", "needs too much memory"
PICTURES = {LETHAL, HUNGRY}

# While an order of this name is there, nothing can be stored: for machines where no small disk can be mounted.
DISK_IS_FULL = "the disk is full"

# For so long a process sends nothing when its broker was away; the site's own half a minute would outlast the test.
REST_SECONDS = 5

# As many at once as a group of a batch's message: few scans make several groups.
AT_ONCE = 3


def folder() -> Path:
    """Give the place of the orders."""
    return settings.VAR_DIR / "faults"


def install() -> None:
    """Wrap the functions at whose beginning or end a stage lies."""
    from django.core.files.storage import FileSystemStorage
    from kombu.transport.filesystem import Channel

    from diagnosis import queues, stream, supervisor, worker
    from diagnosis.services import predictions, scans

    supervisor.LONGEST_DELAY = 1
    queues.REST_SECONDS = REST_SECONDS
    needs_room(FileSystemStorage, "_save", OSError)
    needs_room(Channel, "_put", ChannelError)

    before(scans, "request_prediction", "before the upload is committed")
    before(predictions, "_send", "before the message is sent")
    before(worker, "begin", "before the claim")
    before(worker, "read", "after the claim")
    before(worker, "record", "before the record")
    before(worker, "store_heatmap", "in the record")
    after(worker, "store_heatmap", "in the record, with the heatmap stored")
    after(worker, "record", "after the record")
    before(stream, "answer_message", "before the claim")
    before(stream, "record_all", "before the record")
    after(stream, "record_all", "after the record")
    stream.AT_ONCE = AT_ONCE
    read, load = worker.read, worker.loaded_classifier

    def read_and_mark(prediction, *, task_id):
        reading = read(prediction, task_id=task_id)
        if reading:
            reading.picture.info["reference"] = prediction.scan.reference
        return reading

    worker.read = read_and_mark
    worker.loaded_classifier = lambda folder, sha256: Struck(load(folder, sha256))


def before(module: Any, name: str, stage: str) -> None:
    """Let a process be struck each time that it is about to call the function."""
    wrapped = getattr(module, name)

    def struck(*args, **named):
        come_to(stage)
        return wrapped(*args, **named)

    setattr(module, name, struck)


def after(module: Any, name: str, stage: str) -> None:
    """Let a process be struck when the function has done its work."""
    wrapped = getattr(module, name)

    def struck(*args, **named):
        result = wrapped(*args, **named)
        come_to(stage)
        return result

    setattr(module, name, struck)


def needs_room(owner: Any, name: str, error: type[Exception]) -> None:
    """Let the method fail while the disk is said to be full."""
    wrapped = getattr(owner, name)

    def struck(*args, **named):
        if (folder() / DISK_IS_FULL).exists():
            raise error(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return wrapped(*args, **named)

    setattr(owner, name, struck)


class Struck:
    """A classifier that is struck with a picture in its hands."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def classify_canonical(self, pictures):
        return self.classifier.classify_canonical([in_inference(picture) for picture in pictures])

    def classify_each(self, pictures):
        return self.classifier.classify_each(map(in_inference, pictures))


def in_inference(picture: Any) -> Any:
    """Strike, if it is ordered or the picture is such a one; else give the picture on."""
    come_to("in inference")
    if picture.info.get("reference") == LETHAL:
        os.kill(os.getpid(), signal.SIGKILL)
    if picture.info.get("reference") == HUNGRY:
        without_memory(lambda: bytearray(2**30))
    return picture


def without_memory(need: Callable[[], Any]) -> None:
    """Let the process have 64 MB more than it has now while it does what needs more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26, limits[1]))
    try:
        need()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def come_to(stage: str) -> None:
    """Do what is ordered for this stage, if anything is."""
    order = folder() / stage
    try:
        what = order.read_text()
        order.unlink()
    except FileNotFoundError:
        return
    if what == HOLD:
        hold(stage)
        return
    if what == KILL_WITH_PARENT:
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def hold(stage: str) -> None:
    """Wait here until the test lets go."""
    held = folder() / f"{stage}.held"
    held.touch()
    while held.exists():
        time.sleep(0.01)
