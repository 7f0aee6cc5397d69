"""What the tests of reviewing share."""

import pytest
from django.contrib.auth.models import Group

from diagnosis.tests import factories


@pytest.fixture
def remo(db, rita):
    """Reads as well, without being staff."""
    user = factories.person("remo")
    user.groups.add(Group.objects.get(name="Reviewers"))
    return user


@pytest.fixture
def reader(client, rita):
    """Rita's browser."""
    client.force_login(rita)
    return client
