"""PostgreSQL and Redis for a test run: those given by URL, else our own. Tests that need what is missing are skipped.

Loaded by `-p diagnosis.tests.servers`, so that the environment stands before Django's settings are read from it.

    TEST_DATABASE_URL, TEST_CELERY_BROKER_URL    servers for tests only (DATABASE_URL, CELERY_BROKER_URL do as well)
    REQUIRE_SERVICES=1                           refuse to run instead of skipping, also without Chromium or PgBouncer

Our own servers live in a second process, `python -m diagnosis.tests.servers`, which holds them as long as its
standard input is open. However this run ends, also by SIGKILL, the pipe closes, the servers stop, their files go.
"""

import contextlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 20

FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}

POSTGRESQL = "DATABASE_URL"
REDIS = "CELERY_BROKER_URL"


@dataclass(frozen=True)
class Need:
    """What the tests with a marker need; `hint` tells how to get it."""

    marker: str
    what: str
    hint: str
    is_met: Callable[[], bool]


SERVICES = Need(
    "services",
    "PostgreSQL and Redis",
    "install them (Debian: apt-get install postgresql redis-server), "
    "or set TEST_DATABASE_URL and TEST_CELERY_BROKER_URL",
    lambda: bool((given(POSTGRESQL) or postgresql_programs()) and (given(REDIS) or redis_program())),
)
BROWSER = Need(
    "browser", "Chromium", "install it (Debian: apt-get install chromium)", lambda: chromium_program() is not None
)
POOL = Need(
    "pool", "PgBouncer", "install it (Debian: apt-get install pgbouncer)", lambda: pgbouncer_program() is not None
)
NEEDS = (SERVICES, BROWSER, POOL)

keeper_key = pytest.StashKey["Keeper"]()
missing_key = pytest.StashKey[list[Need]]()
skipped_key = pytest.StashKey[dict[Need, int]]()


class Keeper:
    """The process that holds our own servers and the directory of the run."""

    def __init__(self, wanted: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "diagnosis.tests.servers", *wanted],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tests: the servers stop after them.
            start_new_session=True,
        )
        answer = self.process.stdout.readline()
        if not answer:
            _, errors = self.process.communicate()
            raise pytest.UsageError(f"PostgreSQL or Redis could not be started for the tests.\n{errors.strip()}")
        self.environment: dict[str, str] = json.loads(answer)

    def stop(self) -> None:
        """Stop the servers and wait until their files are gone."""
        if self.process.poll() is None:
            self.process.communicate(timeout=2 * STOP_SECONDS)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Set the environment before pytest-django reads the settings."""
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        prepare(early_config)
    try:
        return (yield)
    except BaseException:
        pytest_unconfigure(early_config)
        raise


def prepare(config: pytest.Config) -> None:
    """Note what is missing, decide between given, own and no servers, and set the environment accordingly."""
    config.stash[missing_key] = missing = [need for need in NEEDS if not need.is_met()]
    if missing and os.environ.get("REQUIRE_SERVICES", "0") not in ("", "0"):
        lines = [f"The tests need {need.what}: {need.hint}." for need in missing]
        raise pytest.UsageError("\n".join(["REQUIRE_SERVICES is set, so nothing may be skipped.", *lines]))
    urls = {name: url for name in (POSTGRESQL, REDIS) if (url := given(name))}
    wanted = [name for name in (POSTGRESQL, REDIS) if name not in urls]
    embedded = SERVICES in missing
    if embedded:
        wanted = []
        for name in (POSTGRESQL, REDIS):
            os.environ.pop(name, None)
    # kill and a CI's time-out end the run like Ctrl-C, so that fixtures still stop what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.stash[keeper_key] = keeper = Keeper(wanted)
    var = Path(keeper.environment.pop("VAR_DIR"))
    environment = {"VAR_DIR": str(var), "SITE_MODE": "embedded"}
    if not embedded:
        urls |= keeper.environment
        environment |= urls | {
            "SITE_MODE": "full",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
            "SITE_HTTPS": "false",
        }
        # A process of pytest-xdist finds the servers of the first one.
        environment |= {f"TEST_{name}": url for name, url in urls.items()}
    os.environ.update(environment)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for need in NEEDS:
        config.addinivalue_line("markers", f"{need.marker}: needs {need.what}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests that need what is missing."""
    config.stash[skipped_key] = skipped = {}
    for need in config.stash[missing_key]:
        marked = [item for item in items if item.get_closest_marker(need.marker)]
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"needs {need.what}"))
        skipped[need] = len(marked)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what we started; the last lines of the run tell what was left out."""
    if keeper_key in config.stash:
        config.stash[keeper_key].stop()
    for need, count in config.stash.get(skipped_key, {}).items():
        if count:
            line = f"{count} tests that need {need.what} were SKIPPED: {need.hint}."
            config.get_terminal_writer().line(line, red=True, bold=True)


def given(name: str) -> str | None:
    """Give the URL of the server that the environment names for tests."""
    return os.environ.get(f"TEST_{name}") or os.environ.get(name)


def chromium_program() -> str | None:
    """Give the browser's program."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def wait_for(what: Callable[[], Any], seconds: float = 60, *, every: float = 0.05) -> Any:
    """Wait until `what` gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not come true within {seconds} s"
        time.sleep(every)
    return found


# From here on: the second process.


def keep(wanted: list[str]) -> None:
    """Start the `wanted` servers, tell the environment as one line of JSON, hold all until standard input closes."""
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="pneumonia-tests-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        # The servers' user has to pass through; what it must not read is closed below.
        directory.chmod(0o711)
        var = directory / "var"
        var.mkdir(mode=0o700)
        environment = {"VAR_DIR": str(var)}
        if POSTGRESQL in wanted:
            environment[POSTGRESQL] = start_postgresql(directory / "postgresql", stack)
        if REDIS in wanted:
            environment[REDIS] = start_redis(directory / "redis", stack)
        print(json.dumps(environment), flush=True)
        sys.stdin.read()


def start_postgresql(directory: Path, stack: contextlib.ExitStack, settings: Mapping[str, str] = FORGETFUL) -> str:
    """Make a cluster, by default one that forgets on a crash, start it on a free port, give its URL."""
    import psycopg2

    programs = postgresql_programs()
    assert programs
    user = unprivileged_user(directory)
    password, port = secrets.token_hex(16), free_port()
    password_file = directory / "password"
    password_file.write_text(password)
    if user.get("user"):
        shutil.chown(password_file, user["user"])
    data = directory / "data"
    command = [programs / "initdb", "-D", data, "-U", "tests", "-A", "scram-sha-256", f"--pwfile={password_file}"]
    subprocess.run(
        [*command, "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=directory,
        **user,
    )
    command = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", directory]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    # SIGINT: PostgreSQL's fast shutdown, which does not wait for clients.
    server = start(command, directory, stack, stop_signal=signal.SIGINT, **user)

    def answers() -> bool:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="tests", password=password, dbname="postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    wait_until(answers, server, directory)
    return f"postgres://tests:{password}@127.0.0.1:{port}/postgres"


def start_redis(directory: Path, stack: contextlib.ExitStack, *, url: str = "") -> str:
    """Start a Redis that stores nothing; give its URL. `url` is that of one that was stopped, else the port is free."""
    import redis

    program = redis_program()
    assert program
    user = unprivileged_user(directory)
    password, port = secrets.token_hex(16), free_port()
    if url:
        password, port = str(urlsplit(url).password), urlsplit(url).port
    configuration = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
    # On standard input: the password stays out of the list of processes.
    server = start([program, "-"], directory, stack, stop_signal=signal.SIGTERM, given=configuration, **user)

    def answers() -> bool:
        try:
            with redis.Redis(host="127.0.0.1", port=port, password=password) as client:
                return client.ping()
        except redis.ConnectionError:
            return False

    wait_until(answers, server, directory)
    return f"redis://:{password}@127.0.0.1:{port}/0"


def start_pgbouncer(directory: Path, stack: contextlib.ExitStack, database: dict[str, Any], **changes: Any) -> int:
    """Start a PgBouncer for `database`, a dictionary of Django's, as the site's own image does; give its port.

    `changes` are settings of PgBouncer's. Nothing of it is kept.
    """
    import psycopg2

    program = pgbouncer_program()
    assert program
    user, port = unprivileged_user(directory), free_port()
    settings = {"listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_file": "users", **changes}
    shared = (PROJECT / "pneumonia_site" / "pgbouncer.ini").read_text()
    files = {
        "users": '"{USER}" "{PASSWORD}"\n'.format(**database),
        "shared.ini": shared,
        "pgbouncer.ini": "[databases]\n* = host={HOST} port={PORT}\n%include shared.ini\n".format(**database)
        + "".join(f"{name} = {value}\n" for name, value in settings.items()),
    }
    for name, content in files.items():
        (directory / name).write_text(content)
    server = start([program, "pgbouncer.ini"], directory, stack, stop_signal=signal.SIGINT, **user)

    def answers() -> bool:
        place = {"host": "127.0.0.1", "port": port, "dbname": database["NAME"]}
        try:
            psycopg2.connect(user=database["USER"], password=database["PASSWORD"], **place).close()
        except psycopg2.OperationalError:
            return False
        return True

    wait_until(answers, server, directory)
    return port


def start(command, directory: Path, stack: contextlib.ExitStack, *, stop_signal, given: str = "", **user):
    """Start a server whose output goes to a file in `directory`; the stack stops it."""
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=directory, text=True, **user
        )
    server.stdin.write(given)
    server.stdin.close()

    def stop() -> None:
        server.send_signal(stop_signal)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    stack.callback(stop)
    return server


def wait_until(answers: Callable[[], bool], server: subprocess.Popen, directory: Path) -> None:
    """Wait for the server's first answer. Ends the process with the server's own words when there is none."""
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{server.args[0]} did not start:\n{(directory / 'log').read_text()[-2000:]}")
        time.sleep(0.02)


def unprivileged_user(directory: Path) -> dict:
    """Make `directory` and give Popen's arguments for the user who owns it: PostgreSQL refuses to run as root."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def postgresql_programs() -> Path | None:
    """Give the folder that holds initdb and postgres; the newest where Debian has several."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(digits) for digits in re.findall(r"\d+", folder.parent.name)],
        reverse=True,
    )
    for folder in [*debian, *map(Path, os.environ.get("PATH", "").split(os.pathsep))]:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    return None


def redis_program() -> str | None:
    """Give the Redis server's program."""
    return shutil.which("redis-server")


def pgbouncer_program() -> str | None:
    """Give the program of PgBouncer; Debian keeps it where only root looks."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


if __name__ == "__main__":
    keep(sys.argv[1:])
