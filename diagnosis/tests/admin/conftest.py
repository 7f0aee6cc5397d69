"""What the tests of the admin share."""

import pytest

from diagnosis.models import Prediction
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of


@pytest.fixture
def answered(alice) -> Prediction:
    return prediction_at(State.SUCCEEDED, scan_of(alice, reference="left lung"), probability=0.9731)
