"""What waits in the broker, asked of a real one."""

import pytest

from diagnosis import queues
from diagnosis.tasks import run_prediction, run_predictions

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("empty_queues")]


@pytest.fixture
def turn(monkeypatch) -> queues.Turn:
    """A turn that looks each time it is asked."""
    monkeypatch.setattr(queues, "LOOK_SECONDS", 0)
    return queues.Turn()


def test_a_turn_goes_on_while_only_batches_wait(turn, settings):
    run_predictions.apply_async((["id"],), queue=settings.QUEUE_OF_BATCHES)

    assert not turn.is_over()


def test_a_turn_is_over_as_soon_as_a_person_waits(turn, settings):
    assert not turn.is_over()
    run_prediction.apply_async(("id",), queue=settings.QUEUE_OF_PEOPLE)

    assert turn.is_over()


def test_the_broker_is_not_asked_before_each_picture(settings):
    turn = queues.Turn()
    run_prediction.apply_async(("id",), queue=settings.QUEUE_OF_PEOPLE)

    assert not turn.is_over(), "it has just begun"


def test_without_a_broker_a_turn_goes_on_and_asks_no_more(no_broker, turn, caplog):
    assert not turn.is_over()
    assert not turn.is_over()
    assert caplog.text.count("The broker is away") == 1
