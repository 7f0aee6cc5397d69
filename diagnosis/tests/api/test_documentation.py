"""The OpenAPI document and its page: open to all, complete, and without anything from elsewhere."""

import re

import pytest

from diagnosis.states import FailureReason

SCHEMA, PAGE = "/api/v1/schema/", "/api-docs/"


@pytest.fixture
def document(client) -> dict:
    return client.get(SCHEMA).json()


def operations(document: dict):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_the_document_is_open_to_all_as_json_and_as_yaml(client):
    assert client.get(SCHEMA).json()["openapi"].startswith("3.1")
    assert client.get(SCHEMA, headers={"Accept": "text/html,*/*"})["Content-Type"] == "application/json"
    assert client.get(SCHEMA, headers={"Accept": "application/yaml"}).content.startswith(b"openapi: 3.1")


def test_every_operation_has_a_name_a_description_a_scheme_and_says_what_can_go_wrong(document):
    names = set()
    for where, operation in operations(document):
        assert operation["summary"], where
        assert operation["security"] == [{"token": []}], where
        assert {"401", "429"} < set(operation["responses"]), where
        assert ("{" in where) <= ("404" in operation["responses"]), where
        assert all(parameter.get("description") for parameter in operation.get("parameters", [])), where
        for status, response in operation["responses"].items():
            assert response["description"], where
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], where
                assert response["content"]["application/problem+json"]["examples"], where
        names.add(operation["operationId"])
    assert names == {
        "createScan",
        "deleteScan",
        "getActiveModelVersion",
        "getModelVersion",
        "getPrediction",
        "getPredictionHeatmap",
        "getPredictionReport",
        "getScan",
        "getScanPicture",
        "listModelVersions",
        "listPredictions",
        "listScans",
    }


def test_the_document_says_how_to_sign_in(document):
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_the_document_names_every_reason_for_no_answer_and_the_disclaimer(document):
    said = document["components"]["schemas"]["Prediction"]["properties"]["failure"]["description"]
    assert all(reason in said for reason in FailureReason.values)
    assert "Not a medical device" in document["info"]["description"]


@pytest.mark.parametrize("path", ["/", "/accounts/"])
def test_the_page_is_linked_from_the_footer_and_the_account(browser, path):
    assert f'href="{PAGE}"' in browser.get(path).content.decode()


def test_the_page_needs_nothing_from_elsewhere_and_no_script_in_the_page(client, db):
    response = client.get(PAGE)
    page = response.content.decode()
    addresses = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page)
    assert any("swagger-ui-bundle.js" in address for address in addresses)
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert re.findall(r"<script(?![^>]*src=)", page) == []
    assert "<style" not in page
    assert "script-src 'self'" in response["Content-Security-Policy"]
    script = client.get(f"{PAGE}?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert SCHEMA in script.content.decode()


def test_the_page_shows_who_is_signed_in(browser, client):
    assert "alice" in browser.get(PAGE).content.decode()
