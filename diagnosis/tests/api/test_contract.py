"""The API keeps to its own OpenAPI document: schemathesis makes requests from it, right and wrong ones, and looks."""

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from diagnosis.states import State
from diagnosis.tests import factories
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tokens import ApiToken
from pneumonia_site.wsgi import application

EXAMPLES = 5  # of each operation, besides those that schemathesis always makes: limits, absent and wrong values

# A file that the document allows is a picture; what is none is refused, which test_new_scans shows.
PICTURES = st.integers(0, 3).map(lambda seed: encoded(chest_like(80, 70, seed=seed), "PNG"))
schemathesis.openapi.format("binary", PICTURES)
# Of pages that a list gave; nobody makes one up.
schemathesis.openapi.format("cursor", st.sampled_from(["cD0yMDI2LTAzLTAyKzA5JTNBMTQlMkIwMCUzQTAw", "bz0x", "cj0x"]))


CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 1,
        "generation": {"allow-x00": False},  # what no database keeps; test_lists shows that it is refused
        # In a form all is text: a "wrong type" that schemathesis sends as {} is a good reference there.
        "operations": [
            {"include-operation-id": "createScan", "checks": {"negative_data_rejection": {"enabled": False}}}
        ],
    }
)


def site(environ, start_response) -> list[bytes]:
    """The WSGI application behind a server that closes what it has sent, as real ones do."""
    answer = application(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()


schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", site, config=CONFIG)


@pytest.fixture
def headers(alice, model_version, settings):
    """Alice's token; requests to the real application leave the test's transaction open."""
    settings.API_READS_PER_MINUTE = settings.API_UPLOADS_PER_MINUTE = 10**6
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    _, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    yield {"Authorization": f"Bearer {secret}"}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_every_answer_is_one_that_the_document_promises(case, headers, alice, model_version):
    is_positive = case.meta.generation.mode == GenerationMode.POSITIVE
    if is_positive and case.query and "since" in case.query:
        case.query.pop("until", None)  # by chance it may be the earlier one, which is refused
    case.call_and_validate(headers=headers)
    if case.path_parameters and is_positive:
        # Generated ids name nothing; the same request about what is there.
        scan = factories.scan_of(alice, reference="study 7")
        prediction = factories.prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
        there = {"scan_id": str(scan.pk), "prediction_id": str(prediction.pk), "sha256": model_version.sha256}
        case.path_parameters = {name: there[name] for name in case.path_parameters}
        response = case.call_and_validate(headers=headers)
        assert response.status_code < 300 or case.query
