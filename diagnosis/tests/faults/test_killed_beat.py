"""A beat that is killed comes back: without it nobody would ever send again what was lost."""

import os
import signal

from diagnosis.tests.servers import wait_for


def test_what_is_lost_after_beat_was_killed_is_answered(embedded, upload_to):
    # It starts after the site is ready, and one that ends before it began anything ends the whole start.
    [killed] = wait_for(lambda: embedded.processes("pneumonia_site beat"))
    wait_for(lambda: "beat: Starting" in embedded.log("beat"))
    os.kill(killed, signal.SIGKILL)
    with embedded.held("before the claim") as is_held:
        scans = upload_to(embedded)
        is_held()
        scans += upload_to(embedded)
        embedded.take_messages()

    embedded.assert_each_is_answered_once(scans)
    assert wait_for(lambda: embedded.processes("pneumonia_site beat")) != [killed]
