"""Asks whether the installed packages have known vulnerabilities, as far as there is a service that can be asked.

Exits with 1 when there is one that is not accepted below. Where no service can be reached, as in a network that leads
to a package index alone, it says so loudly and exits with 0: a check of the code must not hang on somebody's server.

    OSV_URL     a mirror of the service of https://osv.dev
"""

import json
import os
import subprocess
import sys
from typing import Any

# Known ones that do no harm here: the id that is printed, and the reason.
ACCEPTED: dict[str, str] = {}

# They make the environment and come with Python; nothing of the site runs them.
OF_PYTHON = {"pip", "setuptools"}

SECONDS = 300


class NotAudited(Exception):
    """A service gave no answer."""


def ask(service: list[str]) -> list[dict[str, Any]]:
    """Give each installed package with what `service` knows of it; raises NotAudited."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", *service]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        raise NotAudited(f"no answer within {SECONDS} s") from None
    except ValueError:
        raise NotAudited((done.stderr.strip() or "no answer").splitlines()[-1][:300]) from None
    if all("vulns" not in package for package in packages):
        raise NotAudited("it knows none of the packages")
    return packages


def report(packages: list[dict[str, Any]]) -> bool:
    """Print what is known; tell whether all of it is accepted."""
    is_fine = True
    for package in packages:
        for known in package.get("vulns", ()):
            names = {known["id"], *known["aliases"]}
            reason = next((ACCEPTED[name] for name in names if name in ACCEPTED), "")
            if package["name"] in OF_PYTHON:
                reason = "it comes with Python"
            verdict = f"accepted: {reason}" if reason else f"VULNERABLE, mended in {', '.join(known['fix_versions'])}"
            print(f"{package['name']} {package['version']}: {known['id']} ({verdict})")
            is_fine = is_fine and bool(reason)
    unknown = [package["name"] for package in packages if "vulns" not in package]
    if unknown:
        print(f"Not audited, because the service doesn't know them: {', '.join(unknown)}")
    print(f"pip-audit: {len(packages) - len(unknown)} packages, {'nothing to mend' if is_fine else 'update them'}")
    return is_fine


def main() -> int:
    """Ask one service after the other, until one answers."""
    mirror = os.environ.get("OSV_URL", "").strip()
    osv = ["-s", "osv", *(["--osv-url", mirror] if mirror else [])]
    for service in (osv, ["-s", "pypi"]):
        try:
            return 0 if report(ask(service)) else 1
        except NotAudited as error:
            print(f"pip-audit {' '.join(service)}: {error}", file=sys.stderr)
    print("!" * 80, file=sys.stderr)
    print("THE PACKAGES ARE NOT AUDITED: no service of known vulnerabilities can be reached here.", file=sys.stderr)
    print("!" * 80, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
