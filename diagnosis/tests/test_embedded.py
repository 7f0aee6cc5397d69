"""`make run` from outside: it starts, answers, survives kills, stops."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from diagnosis.tests.embedded import EmbeddedSite, wait_for
from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import PROJECT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = EmbeddedSite(tmp_path_factory.mktemp("embedded") / "var")
    try:
        site.start()
        yield site
    finally:
        site.kill()


class Person:
    """Somebody with a browser that knows no JavaScript."""

    def __init__(self, site: EmbeddedSite, username: str) -> None:
        self.client = httpx.Client(base_url=site.url, follow_redirects=True, timeout=60)
        fields = {"username": username, "email": f"{username}@example.org"}
        page = self.send("/accounts/signup/", fields | {"password1": PASSWORD, "password2": PASSWORD})
        assert page.url.path == "/scans/", page.text

    def send(self, address: str, fields: dict[str, str], files: list | None = None) -> httpx.Response:
        """Fill in the form at `address`."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(address).text).group(1)
        return self.client.post(address, data=fields | {"csrfmiddlewaretoken": token}, files=files)

    def upload(self, seed: int) -> str:
        """Upload a picture and give the address of its scan."""
        picture = encoded(chest_like(640, 560, seed=seed), "JPEG")
        page = self.send("/scans/new/", {"reference": ""}, [("image", ("chest.jpg", picture, "image/jpeg"))])
        assert page.status_code == 200, page.text
        return page.url.path

    def state(self, address: str) -> str:
        """Give the state on a scan's page."""
        return re.search(r'data-state="(\w+)"', self.client.get(address).text).group(1)


def states(site: EmbeddedSite, scans: list[str]) -> list[str]:
    """Give the state of every prediction of these scans; two of one scan are two."""
    return [state for scan, state in site.predictions() if f"/scans/{scan}/" in scans]


def test_a_worker_killed_in_the_middle_starts_again_and_each_scan_is_answered_once(site):
    alice = Person(site, "alice")
    scans = [alice.upload(seed) for seed in range(8)]

    # Where the worker stops for a moment while one is being read, it is killed: its child and all, none can tidy up.
    def stopped_while_reading() -> bool:
        for pid in site.processes("celery"):
            os.kill(pid, signal.SIGSTOP)
        if "RUNNING" in states(site, scans):
            return True
        for pid in site.processes("celery"):
            os.kill(pid, signal.SIGCONT)
        return False

    wait_for(stopped_while_reading, every=0.01)
    for pid in site.processes("celery"):
        os.kill(pid, signal.SIGKILL)

    wait_for(lambda: all(alice.state(scan) == "SUCCEEDED" for scan in scans), 240)
    assert states(site, scans) == ["SUCCEEDED"] * len(scans)
    assert "The worker process was killed by SIGKILL; it starts again" in site.said


def test_a_killed_launcher_leaves_nothing_that_the_next_start_trips_over(site):
    alice = Person(site, "alina")
    with site.worker_held():
        scan = alice.upload(20)
        site.process.kill()
        site.process.wait()

    site.start()

    wait_for(lambda: alice.state(scan) == "SUCCEEDED")
    assert states(site, [scan]) == ["SUCCEEDED"]
    assert "with the password" not in site.said, "the demo user is made only once"


def test_a_second_launcher_on_the_same_folder_is_refused(site):
    second = subprocess.run(
        [sys.executable, "manage.py", "run_embedded", "--port", "1"],
        cwd=PROJECT,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert second.returncode == 1
    assert "It runs already" in second.stderr


def test_a_busy_port_is_said_before_anything_starts(tmp_path):
    site = EmbeddedSite(tmp_path / "var")
    with socket.create_server(("127.0.0.1", site.port)):
        refused = subprocess.run(
            [sys.executable, "manage.py", "run_embedded", "--port", str(site.port)],
            cwd=PROJECT,
            env=site.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert refused.returncode == 1
    assert f"Can't listen on 127.0.0.1:{site.port}" in refused.stderr
    assert not (site.var / "db.sqlite3").exists()


def test_ctrl_c_stops_all_of_it(site):
    assert site.interrupt() == 0
    assert site.processes("celery") + site.processes("gunicorn") == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(site.url)
