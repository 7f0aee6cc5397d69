"""Where it was measured: without that a time says nothing."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.report import PROJECT

# What decides how fast a convolution is.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")

# What this program itself writes is no change of the commit that is measured.
OWN = (":!bench/results.json", ":!bench/RESULTS.md")

PACKAGES = (
    "celery",
    "Django",
    "gunicorn",
    "keras",
    "nncf",
    "numpy",
    "onnxruntime",
    "openvino",
    "Pillow",
    "psycopg2-binary",
    "tensorflow",
    "tensorflow-cpu",
)


def machine() -> dict[str, Any]:
    """Name the machine, the software and the commit. The load tells whether somebody else was at work."""
    model, flags = _processor()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_the_start": round(os.getloadavg()[0], 2),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "software": {"Python": platform.python_version(), **_packages(), **_programs()},
    }


def _processor() -> tuple[str, set[str]]:
    """Give model and flags, as far as the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), set()
    lines: dict[str, str] = dict(re.findall(r"^(model name|flags|Features)\s*:\s*(.*)$", told, re.MULTILINE))
    flags = lines.get("flags", "") or lines.get("Features", "")
    return lines.get("model name", platform.machine()), set(flags.split())


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _programs() -> dict[str, str]:
    from diagnosis.tests.servers import postgresql_programs, redis_program

    folder = postgresql_programs()
    found = {
        "PostgreSQL": _told([str(folder / "postgres"), "--version"]) if folder else "",
        "Redis": _told([redis_program() or "redis-server", "--version"]),
    }
    return {name: version[0] for name, told in found.items() if (version := re.findall(r"\d+(?:\.\d+)+", told))}


def _commit() -> str:
    commit = _told(["git", "rev-parse", "--short=12", "HEAD"])
    changed = _told(["git", "status", "--porcelain", "--untracked-files=no", "--", ".", *OWN])
    return f"{commit} with changes" if commit and changed else commit or "unknown"


def _told(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout.strip()
