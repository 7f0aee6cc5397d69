"""A web process that is killed while somebody uploads: what was accepted is answered, what was not leaves no row."""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from diagnosis.tests.faults.conftest import seeds
from diagnosis.tests.faults.sites import answers
from diagnosis.tests.servers import wait_for


def test_half_an_upload_is_no_scan(site, browser_at, upload_to):
    browser = browser_at(site)
    before = site.query("SELECT count(*) FROM diagnosis_scan")
    cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    with socket.create_connection(("127.0.0.1", site.port)) as half:
        half.sendall(
            f"POST /scans/new/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 500000\r\n"
            "Expect: 100-continue\r\n\r\n--b\r\n".encode()
        )
        half.settimeout(30)
        # Some child has begun with it: one that nobody has taken yet would wait for the next children.
        assert b"100 Continue" in received(half)
        killed = site.web_children()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        # The connection is cut, and no answer says that anything was kept.
        assert b"302" not in received(half)
    # One that is not wholly gone holds the browser's idle connection still, and would take the next request with it.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in killed), 60)

    site.assert_each_is_answered_once(upload_to(site))
    assert site.query("SELECT count(*) FROM diagnosis_scan") == [(before[0][0] + 1,)]


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


def test_an_upload_that_was_not_committed_leaves_no_row_and_can_be_given_again(site, browser_at):
    browser, seed = browser_at(site), next(seeds)
    before = site.query("SELECT count(*) FROM diagnosis_scan")
    site.order("before the upload is committed")

    with pytest.raises(httpx.HTTPError):
        browser.give(seed)

    assert site.query("SELECT count(*) FROM diagnosis_scan") == before
    site.assert_each_is_answered_once([browser.upload(seed)])


def test_an_upload_that_was_committed_and_never_sent_is_answered(site, browser_at):
    browser, seed = browser_at(site), next(seeds)
    site.order("before the message is sent")

    with pytest.raises(httpx.HTTPError):
        browser.give(seed)

    # Whoever tries again comes to the scan that is there.
    site.assert_each_is_answered_once([browser.upload(seed)])


def test_the_whole_web_server_is_killed_and_comes_back(site, browser_at, upload_to):
    scans = upload_to(site)
    master = site.web_master()
    for pid in site.processes("gunicorn"):
        os.kill(pid, signal.SIGKILL)
    site.restart_web()
    wait_for(lambda: answers(site), 60)

    site.assert_each_is_answered_once(scans + upload_to(site))
    assert site.web_master() != master
