"""The check of the packages fails over what is known of them, and says loudly when nobody could be asked."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from django.conf import settings

AUDIT = settings.BASE_DIR / ".ci" / "audit.py"


@contextmanager
def service(known: dict[str, str]) -> Iterator[str]:
    """Serve as osv.dev does, with one vulnerability for each of these packages; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = asked["package"]["name"]
            affected = [
                {
                    "package": {"name": name, "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "99"}]}],
                }
            ]
            found = (
                [{"id": known[name], "summary": "It leaks.", "affected": affected, "aliases": []}]
                if name in known
                else []
            )
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def audited(address: str) -> subprocess.CompletedProcess:
    """Run the check with this service; an index of packages is out of reach."""
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | nowhere
    return subprocess.run(
        [sys.executable, AUDIT], env=environment | {"OSV_URL": address}, capture_output=True, text=True
    )


def test_a_known_vulnerability_fails_the_check_and_is_named_with_its_mend():
    with service({"django": "PYSEC-2099-1"}) as address:
        done = audited(address)
    assert done.returncode == 1, done.stderr
    assert "django" in done.stdout.lower()
    assert "PYSEC-2099-1 (VULNERABLE, mended in 99)" in done.stdout


def test_an_accepted_one_is_named_with_its_reason_and_passes(capsys):
    audit = runpy.run_path(str(AUDIT))
    audit["ACCEPTED"]["CVE-2099-1"] = "this part is not used"
    known = {"id": "PYSEC-2099-1", "aliases": ["CVE-2099-1"], "fix_versions": ["99"]}
    assert audit["report"]([{"name": "django", "version": "5.2", "vulns": [known]}])
    assert "PYSEC-2099-1 (accepted: this part is not used)" in capsys.readouterr().out
    assert not audit["report"]([{"name": "django", "version": "5.2", "vulns": [known | {"aliases": []}]}])


def test_where_nobody_can_be_asked_the_check_says_so_loudly_and_goes_on():
    done = audited("http://127.0.0.1:9/")
    assert done.returncode == 0
    assert "THE PACKAGES ARE NOT AUDITED" in done.stderr
