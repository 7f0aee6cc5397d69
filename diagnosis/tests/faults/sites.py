"""The whole site in either mode, as processes that a test uses from outside and strikes."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import psycopg2

from diagnosis.tests.embedded import FULL_MODE_ONLY, EmbeddedSite
from diagnosis.tests.faults import stages
from diagnosis.tests.faults.services import PostgreSQL, Redis
from diagnosis.tests.servers import PROJECT, free_port, wait_for

START_SECONDS = 120
END_SECONDS = 90

# Short, so that what is lost is found while a test waits; long beside a reading, which takes milliseconds here.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "diagnosis.tests.faults.settings",
    "PREDICTION_STALE_SECONDS": "4",
    "PREDICTION_HARD_TIME_LIMIT": "3",
    "INFERENCE_THREADS": "1",
}

# Each UPDATE that gives a prediction an end leaves a row: two of them would be an answer that was given twice.
COUNT_ENDS = {
    "postgresql": (
        "CREATE TABLE ends (prediction uuid)",
        """CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN INSERT INTO ends VALUES (NEW.id); RETURN NEW; END'""",
        """CREATE TRIGGER note_ends AFTER UPDATE OF state ON diagnosis_prediction FOR EACH ROW
           WHEN (NEW.state IN ('SUCCEEDED', 'FAILED')) EXECUTE FUNCTION note_end()""",
    ),
    "sqlite": (
        "CREATE TABLE ends (prediction char(32))",
        """CREATE TRIGGER note_ends AFTER UPDATE OF state ON diagnosis_prediction
           WHEN NEW.state IN ('SUCCEEDED', 'FAILED') BEGIN INSERT INTO ends VALUES (NEW.id); END""",
    ),
}

ROWS = """
    SELECT scan_id, p.id, trigger, state, reason, attempts, heatmap,
           (SELECT count(*) FROM ends WHERE ends.prediction = p.id)
      FROM diagnosis_prediction p ORDER BY requested_at
"""

ASK_AGAIN = """
from diagnosis.models import Scan
from diagnosis.services import active_model_version, request_predictions
scans = Scan.objects.filter(pk__in={ids!r})
request_predictions(scans=scans, model_version=active_model_version(), trigger="COMMAND")
"""


class Row(NamedTuple):
    """A prediction as the database has it; `scan` is the path of the scan's page, `ends` how often it was ended."""

    scan: str
    prediction: str
    trigger: str
    state: str
    reason: str
    attempts: int
    heatmap: str
    ends: int


class Struck:
    """What both sites have in common: orders to be struck, and what became of the scans."""

    var: Path
    url: str
    environment: dict[str, str]

    def query(self, statement: str, *values: Any) -> list[tuple]:
        """Run a statement on the site's database, whose parameters are %s; give the rows."""
        raise NotImplementedError

    def rows(self, scans: Iterable[str]) -> list[Row]:
        """Give the predictions of `scans`, named by the paths of their pages, oldest first."""
        rows = [Row(f"/scans/{UUID(str(scan))}/", *others) for scan, *others in self.query(ROWS)]
        return [row for row in rows if row.scan in set(scans)]

    def order(self, stage: str, what: str = stages.KILL) -> None:
        """Let the next process that comes to `stage` be struck."""
        stage_file = self.faults / stage
        part = self.faults / "part"
        part.write_text(what)
        part.replace(stage_file)

    def was_struck(self, stage: str) -> bool:
        """Tell whether a process came to the stage and took the order."""
        return not (self.faults / stage).exists()

    @property
    def faults(self) -> Path:
        """Give the place of the orders."""
        (self.var / "faults").mkdir(exist_ok=True)
        return self.var / "faults"

    @contextmanager
    def held(self, stage: str) -> Iterator[Callable[[], Any]]:
        """Hold the next process that comes to `stage`; the block waits for that by what it is given."""
        self.order(stage, stages.HOLD)
        held = self.faults / f"{stage}.held"
        try:
            yield lambda: wait_for(held.exists, END_SECONDS)
        finally:
            held.unlink(missing_ok=True)
            (self.faults / stage).unlink(missing_ok=True)

    def ask_again(self, scans: list[str]) -> None:
        """Ask for a new answer to each of `scans` by one message, as a batch does."""
        ids = [scan.split("/")[2] for scan in scans]
        self.manage("shell", "--no-imports", "-c", ASK_AGAIN.format(ids=ids))

    def manage(self, *arguments: str) -> str:
        """Run a command of the site's and give what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=START_SECONDS,
        )
        return done.stdout

    def wait_for_ends(self, scans: list[str], seconds: float = END_SECONDS) -> list[Row]:
        """Wait until everything that was asked of `scans` has an end, and give the predictions."""
        wait_for(lambda: all(row.state in ("SUCCEEDED", "FAILED") for row in self.rows(scans)), seconds)
        return self.rows(scans)

    def assert_each_is_answered_once(self, scans: list[str], *, answers: int = 1) -> list[Row]:
        """Wait until every one of `scans` has exactly its `answers`, each given once; give the predictions."""
        rows = self.wait_for_ends(scans)
        assert sorted(row.scan for row in rows) == sorted(scans * answers), rows
        assert {(row.state, row.ends) for row in rows} == {("SUCCEEDED", 1)}, rows
        return rows

    def let_go(self, stage: str) -> None:
        """Let the process go on that is held at `stage`."""
        (self.faults / f"{stage}.held").unlink()

    def web_master(self) -> int:
        """Give the process of the web server that starts the others."""
        web = self.processes("gunicorn")
        [master] = [pid for pid in web if parent_of(pid) not in web]
        return master

    def web_children(self) -> list[int]:
        """Give the processes that answer requests."""
        return [pid for pid in self.processes("gunicorn") if pid != self.web_master()]

    def open_rows(self) -> list[tuple]:
        """Give the predictions without an end."""
        return self.query("SELECT id, state, attempts FROM diagnosis_prediction WHERE state IN ('QUEUED', 'RUNNING')")


class StruckEmbedded(Struck, EmbeddedSite):
    """Embedded mode: `manage.py run_embedded`, which starts again what was killed."""

    name = "embedded"

    def __init__(self, var: Path, *, checkpoint: Path) -> None:
        self.checkpoint = own_copy(checkpoint, var.parent)
        super().__init__(var, checkpoint=self.checkpoint)
        self.environment |= ENVIRONMENT

    def start(self) -> None:
        """Start it, and count from now on."""
        super().start()
        with closing(sqlite3.connect(self.var / "db.sqlite3", timeout=20)) as database:
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'ends'").fetchone()
            for statement in () if known else COUNT_ENDS["sqlite"]:
                database.execute(statement)

    def query(self, statement: str, *values: Any) -> list[tuple]:
        with closing(sqlite3.connect(self.var / "db.sqlite3", timeout=20)) as database, database:
            return database.execute(statement.replace("%s", "?"), values).fetchall()

    def log(self, program: str = "worker") -> str:
        """Give what a program has written since the site started."""
        return (self.var / "log" / f"{program}.log").read_text()

    def restart_worker(self) -> None:
        """The supervisor does."""

    def restart_web(self) -> None:
        """The supervisor does."""

    @property
    def messages_folder(self) -> Path:
        """Give the place of the broker's messages."""
        return self.var / "broker" / "messages"

    def take_messages(self) -> list[bytes]:
        """Take the messages away that no worker has taken yet, oldest first."""
        files = sorted(self.messages_folder.glob("*.people.msg"))
        messages = [file.read_bytes() for file in files]
        for file in files:
            file.unlink()
        return messages

    def put_messages(self, messages: list[bytes]) -> None:
        """Put messages before all that wait."""
        for place, message in enumerate(messages):
            part = self.messages_folder / "part"
            part.write_bytes(message)
            part.rename(self.messages_folder / f"0_{place:03}.people.msg")


class StruckFull(Struck):
    """Full mode: web, worker and beat by the commands of the images, with a PostgreSQL and a Redis of their own."""

    name = "full"
    commands = {
        "web": "-m gunicorn pneumonia_site.wsgi --workers 2 --worker-class gthread --threads 4 --no-control-socket",
        "worker": "manage.py run_worker",
        "beat": "-m celery -A pneumonia_site beat --loglevel INFO --pidfile=",
    }

    def __init__(self, var: Path, *, checkpoint: Path) -> None:
        var.mkdir()
        self.var, self.checkpoint = var, own_copy(checkpoint, var)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.programs: dict[str, subprocess.Popen] = {}
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Start everything, servers first, and count from now on."""
        servers = Path(tempfile.mkdtemp(prefix="pneumonia-tests-"))
        self._stack.callback(shutil.rmtree, servers, ignore_errors=True)
        servers.chmod(0o711)
        self.postgresql = self._stack.enter_context(PostgreSQL(servers / "postgresql"))
        self.redis = self._stack.enter_context(Redis(servers / "redis"))
        self.environment = {name: value for name, value in os.environ.items() if name not in FULL_MODE_ONLY}
        self.environment |= ENVIRONMENT | {
            "SITE_MODE": "full",
            "SITE_HTTPS": "false",
            "SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 4,
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": self.postgresql.url,
            "CELERY_BROKER_URL": self.redis.url,
            "VAR_DIR": str(self.var),
            "PYTHONUNBUFFERED": "1",
        }
        self.manage("migrate", "--verbosity", "0")
        self.manage("register_model", str(self.checkpoint), "--activate")
        for statement in COUNT_ENDS["postgresql"]:
            self.query(statement)
        for program in self.commands:
            self.run(program)
        wait_for(lambda: " ready." in self.log("worker"), START_SECONDS)
        wait_for(lambda: "Booting worker" in self.log("web"), START_SECONDS)

    def run(self, program: str) -> None:
        """Start one program."""
        command = [sys.executable, *self.commands[program].split()]
        command += {"web": ["--bind", f"127.0.0.1:{self.port}"], "beat": ["--schedule", f"{self.var}/schedule"]}.get(
            program, []
        )
        with self.log_file(program).open("a") as log:
            self.programs[program] = subprocess.Popen(
                command, cwd=PROJECT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def log_file(self, program: str) -> Path:
        """Give the place of what a program writes."""
        return self.var / f"{program}.log"

    def log(self, program: str = "worker") -> str:
        """Give what a program has written since the site started."""
        return self.log_file(program).read_text()

    def restart_worker(self) -> None:
        """Start the worker again, as a host does with a program that ended."""
        self.restart("worker")

    def restart(self, program: str) -> None:
        """Start a program again that was killed or is to be stopped at once, with whatever it left behind."""
        process = self.programs[program]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.run(program)

    def restart_web(self) -> None:
        """Start the web server again, as a host does with a program that ended."""
        self.restart("web")

    def stop(self, program: str) -> None:
        """Stop a program as a host does."""
        self.programs[program].terminate()
        self.programs[program].wait(START_SECONDS)

    def take_messages(self) -> list[bytes]:
        """Take the messages away that no worker has taken yet."""
        with self.redis.client() as client, client.pipeline() as pipe:
            return pipe.lrange("people", 0, -1).delete("people").execute()[0]

    def put_messages(self, messages: list[bytes]) -> None:
        """Put messages before all that wait."""
        with self.redis.client() as client:
            client.rpush("people", *messages)

    def processes(self, words: str) -> list[int]:
        """Give the processes of this site whose command line holds `words`."""
        return EmbeddedSite.processes(self, words)

    def signal_worker(self, number: signal.Signals) -> None:
        """Send a signal to each process of the worker."""
        with suppress(ProcessLookupError):
            os.killpg(self.programs["worker"].pid, number)

    def query(self, statement: str, *values: Any) -> list[tuple]:
        with closing(psycopg2.connect(self.postgresql.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Leave nothing behind, however the test ended."""
        for process in self.programs.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._stack.close()


def took(what: Callable[[], Any]) -> float:
    """Give the seconds that it took."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def answers(site: Struck) -> bool:
    """Tell whether the web server answers."""
    try:
        return httpx.get(f"{site.url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def own_copy(checkpoint: Path, folder: Path) -> Path:
    """Give a copy of the checkpoint in `folder`, which a test may damage."""
    return Path(shutil.copytree(checkpoint, folder / "checkpoint"))


def parent_of(pid: int) -> int:
    """Give the process that started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
