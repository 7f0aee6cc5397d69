"""Programs of people, each with the person's token."""

import pytest
from django.test import Client

from diagnosis.tokens import ApiToken


class Program:
    """A client without cookies that sends the token of `user` with each request."""

    def __init__(self, user) -> None:
        self.client = Client()
        _, self.secret = ApiToken.objects.issue(user=user, lifetime=None)
        self.headers = {"Authorization": f"Bearer {self.secret}"}

    def get(self, path: str, **query):
        return self.client.get(path, query, headers=self.headers)

    def post(self, path: str, data: dict, **more):
        return self.client.post(path, data, headers=self.headers, **more)

    def delete(self, path: str):
        return self.client.delete(path, headers=self.headers)


@pytest.fixture
def alices(alice) -> Program:
    return Program(alice)


@pytest.fixture
def bobs(bob) -> Program:
    return Program(bob)


@pytest.fixture
def ritas(rita) -> Program:
    return Program(rita)
