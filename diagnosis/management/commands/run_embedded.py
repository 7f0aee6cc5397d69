"""Run the whole site on this machine, with nothing else installed: the web server and one worker."""

import http.client
import ipaddress
import os
import secrets
import signal
import socket
import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from diagnosis import services
from diagnosis.supervisor import Program, Supervisor, SupervisorError

DEMO = "demo"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Command(BaseCommand):
    """Prepare var/, start the processes, say where the site is, and keep it running until Ctrl-C."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen."""
        parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000, help="8000 by default")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; by default this machine's")

    def handle(self, *, port: int, host: str, **options: Any) -> None:
        """Run until a signal says stop; the exit status is 0 then."""
        if not settings.EMBEDDED:
            raise CommandError("run_embedded is for SITE_MODE=embedded; docker-compose.yml runs SITE_MODE=full.")
        supervisor = Supervisor(
            folder=settings.VAR_DIR / "run",
            log_folder=settings.VAR_DIR / "log",
            say=self.say,
            environment=os.environ | {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.stop_requested.set())
        try:
            with supervisor:
                refuse_a_busy_port(host, port)
                self.prepare()
                self.say("Starting the web server and the worker, which loads the model …")
                supervisor.start([web(host, port), worker()])
                if not supervisor.stop_requested.is_set():
                    self.announce(host, port)
                    # Afterwards, because nobody waits for it.
                    supervisor.start([beat()])
                    supervisor.watch()
                self.say("Stopping …")
        except SupervisorError as error:
            raise CommandError(str(error)) from error
        self.say("Stopped.")

    def prepare(self) -> None:
        """Bring the database, the static files and the model up to date. Raises CommandError without a model."""
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        # An update of the software may bring a better model: here it answers at once.
        call_command("install_shipped_model", activate_new=True, stdout=self.stdout, stderr=self.stderr)
        connections.close_all()

    def announce(self, host: str, port: int) -> None:
        """Say where the site is, and the demo user's password if this run made the user."""
        self.say(f"\nThe site is ready:  {site_url(host, port)}")
        password = make_demo_user()
        if password:
            self.say(f"Sign in as {DEMO} with the password {password} (shown this once), or sign up.")
        elif get_user_model().objects.filter(username=DEMO).exists():
            self.say(f"A forgotten password: {python()} manage.py changepassword {DEMO}")
        if host not in LOOPBACK:
            self.say("Other machines reach it by the names that the variable ALLOWED_HOSTS lists.")
        self.say(f"The logs are in {settings.VAR_DIR / 'log'}. Ctrl-C stops everything.\n")

    def say(self, sentence: str) -> None:
        """Print it now, also where the output is a file."""
        self.stdout.write(sentence)
        self.stdout.flush()


def web(host: str, port: int) -> Program:
    """The web server: one process, so that the cache in its memory sees every log-in, with threads."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    command = [sys.executable, "-m", "gunicorn", "pneumonia_site.wsgi", "--bind", address, "--workers", "1"]
    command += ["--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "5"]
    command += ["--access-logfile", "-", "--no-control-socket"]
    return Program("web", command, is_ready=lambda: answers(host, port))


def worker() -> Program:
    """The worker."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_worker"]
    return Program("worker", command, is_ready=settings.WORKER_READY_FILE.exists, before_start=put_back_lost_work)


def beat() -> Program:
    """Celery's beat. Not inside the worker, which would not notice that it died, of a full disk say."""
    command = [sys.executable, "-m", "celery", "-A", "pneumonia_site", "beat", "--loglevel", "INFO", "--pidfile="]
    command += ["--schedule", str(settings.VAR_DIR / "celerybeat-schedule")]
    return Program("beat", command, is_ready=lambda: True)


def put_back_lost_work() -> None:
    """Before the only worker starts nothing runs, so whatever is open was lost with the last one."""
    for file in (settings.WORKER_READY_FILE, settings.WORKER_MODEL_FILE, settings.WORKER_ALIVE_FILE):
        file.unlink(missing_ok=True)
    services.requeue_stale(older_than=timedelta(0))
    connections.close_all()


def answers(host: str, port: int) -> bool:
    """Tell whether the home page can be had."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """An address of this machine under which a server listening on `host` is reached."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def site_url(host: str, port: int) -> str:
    """The address for a browser on this machine."""
    name = reachable(host)
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def refuse_a_busy_port(host: str, port: int) -> None:
    """Raise CommandError when nothing can listen on host:port."""
    if not 0 < port < 65536:
        raise CommandError(f"Port {port} does not exist; choose one from 1 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"Can't listen on {host}:{port}: {reason}. Choose another: make run PORT=8001") from error


def python() -> Path:
    """The interpreter of this installation, as one types it here."""
    path = Path(sys.executable)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def make_demo_user() -> str | None:
    """Make the superuser of a new installation; gives the password, or None when one was made before."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists() or users.filter(username=DEMO).exists():
        return None
    password = secrets.token_urlsafe(9)
    users.create_superuser(username=DEMO, password=password)
    return password
