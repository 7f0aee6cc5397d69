"""The site in full mode for a measurement: own PostgreSQL and Redis, the real web server, real workers.

The servers are those of the tests, PostgreSQL with its own settings, so that a commit reaches the disk as it does in
production. Everything is stopped and deleted at the end.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import httpx

from bench.report import PROJECT
from diagnosis.tests.servers import free_port, start_postgresql, start_redis, wait_for

# What somebody's shell may say of a site of theirs; INFERENCE_ENGINE stays, it chooses what is measured.
SITE_VARIABLES = (
    "ALLOWED_HOSTS",
    "CACHE_URL",
    "CELERY_BROKER_URL",
    "DATABASE_URL",
    "MEDIA_ROOT",
    "MODEL_CHECKPOINT",
    "SECRET_KEY",
    "SITE_HTTPS",
    "SITE_MODE",
    "STATIC_ROOT",
    "TRUSTED_PROXY_COUNT",
    "VAR_DIR",
)

# As in the Dockerfile.
GUNICORN = [
    "--config",
    "python:pneumonia_site.gunicorn_conf",
    "--workers",
    "2",
    "--worker-class",
    "gthread",
    "--threads",
    "4",
    "--no-control-socket",
]
START_SECONDS = 300
STOP_SECONDS = 60


class Site:
    """Processes share `environment` and the interpreter `python`; `folder` holds their logs and files."""

    def __init__(self, folder: Path, environment: dict[str, str], *, python: str = sys.executable) -> None:
        self.folder = folder
        self.environment = environment
        self.python = python

    def manage(self, *arguments: str) -> None:
        """Run a Django command."""
        with (self.folder / "commands.log").open("a") as log:
            command = [self.python, "manage.py", *arguments]
            subprocess.run(command, cwd=PROJECT, env=self._all(), stdout=log, stderr=log, check=True)

    @contextlib.contextmanager
    def command(self, *arguments: str) -> Iterator[subprocess.Popen]:
        """Run a Django command beside what is done meanwhile; at the end it is stopped."""
        with self._running([self.python, "manage.py", *arguments], arguments[0]) as (process, _):
            yield process

    @contextlib.contextmanager
    def web(self) -> Iterator[tuple[str, int]]:
        """Run the web server; when it gives its first page, give its address and the id of its first process."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [self.python, "-m", "gunicorn", "pneumonia_site.wsgi", "--bind", f"127.0.0.1:{port}", *GUNICORN]
        if Path("/dev/shm").is_dir():  # noqa: S108 - where the image has it too
            command += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
        with self._running(command, "web") as (process, log):
            wait_for(lambda: _serves(url) or process.poll() is not None, START_SECONDS, every=0.01)
            if process.poll() is not None:
                raise RuntimeError(f"The web server did not start: {log.read_text()[-400:]}")
            yield url, process.pid

    @contextlib.contextmanager
    def worker(self, name: str = "worker", *, wait: bool = True) -> Iterator[int]:
        """Run a worker; give the id of its first process, with `wait` when its child has loaded the model."""
        # Of its own: the file in it says that this one is ready.
        var = self.folder / f"var-{name}"
        var.mkdir(mode=0o700, exist_ok=True)
        ready = var / "worker.ready"
        ready.unlink(missing_ok=True)
        command = [self.python, "manage.py", "run_worker", "--hostname", f"{name}@%h"]
        with self._running(command, name, VAR_DIR=str(var)) as (process, log):
            if wait:
                wait_for(
                    lambda: (ready.exists() and " ready." in log.read_text()) or process.poll() is not None,
                    START_SECONDS,
                )
                if process.poll() is not None:
                    raise RuntimeError(f"The worker did not start: {log.read_text()[-400:]}")
            yield process.pid

    @contextlib.contextmanager
    def _running(self, command: list[str], name: str, **more: str) -> Iterator[tuple[subprocess.Popen, Path]]:
        path = self.folder / f"{name}.log"
        with path.open("w") as log:
            process = subprocess.Popen(
                command, cwd=PROJECT, env=self._all() | more, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process, path
        finally:
            stop(process)

    def _all(self) -> dict[str, str]:
        return os.environ | self.environment


def _serves(url: str) -> bool:
    try:
        return httpx.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def stop(process: subprocess.Popen) -> None:
    """End a process group kindly, and whatever is left of it for sure."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pneumonia-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # The servers' user, another one where this runs as root, has to pass through.
        folder.chmod(0o711)
        yield folder


@contextlib.contextmanager
def full_site(folder: Path, *, checkpoint: Path | None = None, python: str = sys.executable) -> Iterator[Site]:
    """Start PostgreSQL and Redis in `folder`, make the database, let `checkpoint` answer; this process gets Django.

    Without a checkpoint no model version is known. `python` is what the site's processes run with.
    """
    with contextlib.ExitStack() as stack:
        # The database's user must not read it, and it must not be in the way of a second site.
        var = folder / "var"
        var.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, var, ignore_errors=True)
        environment = {
            "SITE_MODE": "full",
            "SITE_HTTPS": "false",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
            "VAR_DIR": str(var),
            "MEDIA_ROOT": str(var / "media"),
            **({"MODEL_CHECKPOINT": str(checkpoint)} if checkpoint else {}),
            "DATABASE_URL": start_postgresql(folder / "postgresql", stack, {}),
            "CELERY_BROKER_URL": start_redis(folder / "redis", stack),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            # One person stands for many.
            "UPLOADS_PER_MINUTE": "1000000",
        }
        site = Site(folder, environment, python=python)
        site.manage("migrate", "--no-input")
        site.manage("collectstatic", "--no-input")
        if checkpoint:
            site.manage("install_shipped_model")
        django_with(environment)
        yield site


def base_python() -> str:
    """Give the interpreter that this environment was made from: what somebody has before the clone."""
    return str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))


def django_with(environment: dict[str, str]) -> None:
    """Set Django up in this process, once."""
    os.environ.update(environment)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumonia_site.settings")
    django.setup()
    # Its log is for operators; here it would hide the progress.
    logging.getLogger().setLevel(logging.WARNING)
