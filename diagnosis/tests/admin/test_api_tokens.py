"""Tokens in the admin: who has one, and taking it away."""

import pytest
from django.test import Client

from diagnosis.tokens import ApiToken

LIST = "/admin/diagnosis/apitoken/"


@pytest.fixture
def secret(alice) -> str:
    return ApiToken.objects.issue(user=alice, lifetime=None)[1]


def test_a_superuser_sees_whose_tokens_there_are_and_no_secret(client, sam, secret):
    client.force_login(sam)
    page = client.get(LIST).content.decode()
    assert "alice" in page
    assert secret[:9] in page
    assert secret not in page
    assert client.get(f"{LIST}add/").status_code == 403


def test_deleting_a_token_there_revokes_it(client, sam, secret):
    client.force_login(sam)
    client.post(f"{LIST}{ApiToken.objects.get().pk}/delete/", {"post": "yes"})
    assert Client().get("/api/v1/scans/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_reviewers_have_no_business_with_tokens(client, rita, secret):
    client.force_login(rita)
    assert client.get(LIST).status_code == 403
