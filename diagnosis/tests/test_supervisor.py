"""The supervisor, over small programs of Python: nothing is lost sight of, nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from django.conf import settings

from diagnosis import supervisor as module
from diagnosis.supervisor import Program, Supervisor, SupervisorError
from diagnosis.tests.servers import wait_for


def lives(pid: int) -> bool:
    """Tell whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def said() -> list[str]:
    """What the supervisor said."""
    return []


@pytest.fixture
def make(tmp_path, said):
    """Make a supervisor of this test's folder."""

    def make() -> Supervisor:
        return Supervisor(folder=tmp_path / "run", log_folder=tmp_path / "log", say=said.append, environment=os.environ)

    return make


@pytest.fixture
def sleeper(tmp_path):
    """A program that writes its pid and its child's, then sleeps. Ready when both are written."""
    pids = tmp_path / "pids"
    code = f"""
        import subprocess, sys, os, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(pids) + ".part"!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        os.rename({str(pids) + ".part"!r}, {str(pids)!r})
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return Program("sleeper", command, is_ready=pids.exists, before_start=lambda: pids.unlink(missing_ok=True))


def pids_of_the_sleeper(tmp_path: Path) -> list[int]:
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def test_a_program_that_cannot_start_is_said_with_the_end_of_its_log(make):
    program = Program("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], is_ready=lambda: False)
    with (
        pytest.raises(SupervisorError, match=r"broken process ended with exit status 1(?s:.)*no such thing"),
        make() as it,
    ):
        it.start([program])


def test_a_program_that_is_never_ready_is_given_up(make, sleeper, monkeypatch):
    monkeypatch.setattr(module, "START_SECONDS", 0.1)
    program = Program("late", sleeper.command, is_ready=lambda: False)
    with pytest.raises(SupervisorError, match="late process was not ready"), make() as it:
        it.start([program])


def test_a_second_supervisor_is_refused(make):
    with make(), pytest.raises(SupervisorError, match="runs already"), make():
        pytest.fail("two at once")


def test_at_the_end_nothing_is_left(make, sleeper, tmp_path):
    with make() as it:
        it.start([sleeper])
        pids = pids_of_the_sleeper(tmp_path)
        assert all(lives(pid) for pid in pids)
    wait_for(lambda: not any(lives(pid) for pid in pids))


def test_a_program_deaf_to_a_polite_stop_is_ended_by_force(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    code = "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    with make() as it:
        it.start([Program("deaf", [sys.executable, "-c", code], is_ready=ready.exists)])
        pid = it.children[0].process.pid
    assert not lives(pid)


def test_a_killed_program_starts_again_and_its_orphans_are_ended_first(make, sleeper, tmp_path, said):
    with make() as it:
        it.start([sleeper])
        first = pids_of_the_sleeper(tmp_path)
        watching = threading.Thread(target=it.watch)
        watching.start()
        try:
            os.kill(first[0], signal.SIGKILL)
            wait_for(lambda: (tmp_path / "pids").exists() and pids_of_the_sleeper(tmp_path) != first)
        finally:
            it.stop_requested.set()
            watching.join()
        assert not any(lives(pid) for pid in first)
        assert all(lives(pid) for pid in pids_of_the_sleeper(tmp_path))
    assert said[0].startswith("The sleeper process was killed by SIGKILL; it starts again in 1 s.")


def test_the_delay_grows_while_a_program_keeps_dying(make, said, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    program = Program("mayfly", [sys.executable, "-c", ""], is_ready=lambda: True)
    with make() as it:
        child = module.Child(program, it.log_folder / "mayfly.log")
        it.children.append(child)
        for lived in (1, 1, 1, 1, 1, 1, 61):
            it._start(child)
            child.process.wait()
            clock[0] += lived
            it._note_death(child, child.process)
    assert [sentence.partition("again in ")[2].split()[0] for sentence in said] == [
        "1",
        "3",
        "7",
        "15",
        "30",
        "30",
        "0",
    ]


def test_the_next_supervisor_ends_what_a_killed_one_left(make, sleeper, tmp_path):
    code = f"""
        import os, pathlib
        from diagnosis.supervisor import Program, Supervisor
        it = Supervisor(folder=pathlib.Path({str(tmp_path / "run")!r}), log_folder=pathlib.Path({str(tmp_path)!r}),
                        say=print, environment=os.environ)
        with it:
            ready = pathlib.Path({str(tmp_path / "pids")!r}).exists
            it.start([Program("sleeper", {sleeper.command!r}, is_ready=ready)])
            it.watch()
    """
    killed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=settings.BASE_DIR)
    wait_for((tmp_path / "pids").exists)
    killed.kill()
    killed.wait()
    left = pids_of_the_sleeper(tmp_path)
    assert all(lives(pid) for pid in left)
    with make():
        wait_for(lambda: not any(lives(pid) for pid in left), seconds=2)


def test_groups_of_a_run_that_ended_well_are_forgotten(make, sleeper, tmp_path):
    with make() as it:
        it.start([sleeper])
    with make():
        assert (tmp_path / "run" / "children.lock").read_text() == ""


def test_the_log_of_the_run_before_is_kept(make, sleeper, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "sleeper.log").write_text("the run before")
    with make() as it:
        it.start([sleeper])
    assert (tmp_path / "log" / "sleeper.log.1").read_text() == "the run before"
