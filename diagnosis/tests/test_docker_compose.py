"""docker-compose.yml keeps what scaling needs: one flag starts more workers, and all processes are told the same.

No image can be built here; that what they are made from is there to be copied is read from the files.
"""

import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from pneumonia_site.settings import S3_VARIABLES

SERVICES = yaml.safe_load(Path(settings.BASE_DIR, "docker-compose.yml").read_text())["services"]
SITE = ("web", "worker", "beat")


COPIED = re.findall(r"^COPY (?!--from)(.+) \S+$", Path(settings.BASE_DIR, "Dockerfile").read_text(), re.MULTILINE)


def test_the_images_may_copy_all_that_they_are_made_from():
    patterns = [line for line in Path(settings.BASE_DIR, ".dockerignore").read_text().splitlines() if line]
    admitted = {line.removeprefix("!") for line in patterns if line.startswith("!")}
    sources = {source for line in COPIED for source in line.split()} - {"."}
    assert "*" in patterns, "nothing but what is named"
    assert "requirements-serve.txt" in sources
    for source in sources:
        assert Path(settings.BASE_DIR, source).exists()
        assert any(Path(source).is_relative_to(one) for one in admitted), f".dockerignore keeps {source} out"


def test_the_images_hold_what_the_requirements_they_install_refer_to():
    for line in COPIED:
        given = set(line.split())
        for name in given:
            if name.startswith("requirements"):
                text = Path(settings.BASE_DIR, name).read_text()
                # The stage before has brought the web's along.
                assert set(re.findall(r"^-r (\S+)", text, re.MULTILINE)) <= given | {"requirements-web.txt"}


def test_workers_have_nothing_that_only_one_of_them_can_have():
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_a_worker_that_is_told_to_stop_has_the_time_to_finish_its_picture():
    seconds = int(re.search(r":-(\d+)\}s", SERVICES["worker"]["stop_grace_period"])[1])
    assert seconds > settings.PREDICTION_HARD_TIME_LIMIT


def test_a_worker_is_healthy_only_when_it_holds_the_model():
    [_, command] = SERVICES["worker"]["healthcheck"]["test"]
    assert command.startswith(f"test -e $$VAR_DIR/{settings.WORKER_READY_FILE.name} && celery")


@pytest.mark.parametrize("name", SITE)
def test_the_site_goes_through_the_pool(name):
    environment = SERVICES[name]["environment"]
    assert environment["DATABASE_URL"].endswith("@pgbouncer:6432/pneumonia")
    assert environment["DATABASE_POOLED"] == "true"
    assert SERVICES[name]["depends_on"]["pgbouncer"] == {"condition": "service_healthy"}


def test_migrations_go_past_the_pool():
    environment = SERVICES["migrate"]["environment"]
    assert environment["DATABASE_URL"].endswith("@postgres:5432/pneumonia")
    assert environment["DATABASE_POOLED"] == "false"


@pytest.mark.parametrize("name", [*SITE, "migrate"])
def test_every_process_is_told_of_the_bucket(name):
    for variable in (*S3_VARIABLES, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert SERVICES[name]["environment"][variable] == f"${{{variable}:-}}"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_every_service_tells_whether_it_works_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"
