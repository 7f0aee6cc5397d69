"""What these tests share."""

import pytest

from diagnosis.tests.attackers.people import House


@pytest.fixture
def house(alice, bob, rita, sam) -> House:
    return House.built(alice=alice, bob=bob, rita=rita, sam=sam)
