"""Log lines: one JSON object each in full mode, for people in embedded mode. No line of ours names a person.

Kept is a list of fields, nothing that a library adds besides: Django would add the whole request. A request's path is
told as its route, `scans/<uuid:scan_id>/`: a path may hold the secret of a link for a new password.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

# What is known of whoever is served: set for a request or a task, found in each line that is written meanwhile.
_carried: ContextVar[dict[str, str]] = ContextVar("carried", default={})  # noqa: B039 - never changed, only replaced

IDS = ("request_id", "task_id", "prediction_id")
FIELDS = (*IDS, "method", "route", "status", "milliseconds")

# PostgreSQL quotes there the row that broke a rule.
DETAIL = re.compile(r"^(?:DETAIL|HINT|CONTEXT):.*$", re.MULTILINE)
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}\b", re.IGNORECASE)


@contextmanager
def carrying(**ids: str) -> Iterator[None]:
    """Let each line that is written meanwhile hold these ids too."""
    token = _carried.set(_carried.get() | ids)
    try:
        yield
    finally:
        _carried.reset(token)


def carry(**ids: str) -> None:
    """Let each further line of this task or request hold exactly these ids."""
    _carried.set(ids)


def carried(name: str) -> str:
    """Give an id of whoever is served now; "" where there is none."""
    return _carried.get().get(name, "")


class Line(JsonFormatter):
    """Time (UTC), level, logger, message, what FIELDS name, and the traceback of an error."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Put in what is kept of a record."""
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.getMessage()
        for name in FIELDS:
            value = getattr(record, name, None) or carried(name)
            if value:
                log_data[name] = value
        if error := message_dict.get("exc_info"):
            log_data["error"] = DETAIL.sub("", error)


class NothingThatWasSent(logging.Filter):
    """Django's own lines about a request quote it: its path becomes its route, and a host that it made up goes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all through."""
        if record.name == "django.security.DisallowedHost":
            record.msg, record.args, record.exc_info = "The Host header is none of ALLOWED_HOSTS.", (), None
        request = getattr(record, "request", None)
        if request is not None and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if part == request.path else part for part in record.args)
        return True


class WithoutAddresses(logging.Filter):
    """gunicorn tells from where a request came that it could not read."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let all through."""
        record.msg, record.args = ADDRESS.sub("[address]", record.getMessage()), ()
        return True


def route_of(request: Any) -> str:
    """Give the pattern that a request's path fits; "" for none."""
    match = getattr(request, "resolver_match", None)
    return match.route if match else ""


def logging_settings(*, json: bool) -> dict[str, Any]:
    """Give the configuration for Python's logging: all lines to the standard error, as JSON or for people."""
    people = {"format": "{asctime} {levelname} {name} {message}", "style": "{"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "diagnosis.operating.lines.Line"} if json else people},
        "filters": {
            "nothing_that_was_sent": {"()": "diagnosis.operating.lines.NothingThatWasSent"},
            "without_addresses": {"()": "diagnosis.operating.lines.WithoutAddresses"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["nothing_that_was_sent"] if json else [],
            }
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            # Django's own handlers would mail the administrators; here everything goes to the one log.
            "django": {"handlers": [], "level": "INFO"},
            # Each request has a line of ours, with its status.
            "django.request": {"level": "ERROR" if json else "WARNING"},
        },
    }
