"""The last step of a checkpoint: fit, choose and measure with the engine that will serve it, and write it."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ml.checkpoint import (
    GRAPH_FILE,
    GRAPH_WEIGHTS_FILE,
    REFUSAL_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    Metadata,
    file_sha256,
    write_metadata,
)
from ml.drift import reference_of
from ml.engine import Engine
from ml.fitting import Data
from ml.refusal import Refusal, false_refusals, fit_for
from ml.shifts import SHIFTS
from ml.stress import Choice, HeldOut, Passes, all_passes, ask, choose, measure, robustness


class Finished(NamedTuple):
    """A written checkpoint, what was chosen for it, and what its engine said of the held-out patients."""

    checkpoint: Checkpoint
    choice: Choice
    passes: Passes


def finish(
    folder: Path, engine: Engine, data: Data, *, seed: int, metrics: Mapping[str, Any] | None = None, **named: Any
) -> Finished:
    """Choose and measure on the held-out patients under every shift, write refusal and metadata beside the weights.

    The weights are in `folder`, as they are shipped, and with `graph_precision` among the `named` fields of Metadata a
    graph too; `engine` has loaded what serves. The detector is drawn from `seed`. `metrics` come on top of those that
    are measured here. Raises CalibrationError, and then nothing was written.
    """
    held_out = data.held_out
    refusal = fit_for(engine.features, data.pictures, seed=seed)
    features = []

    def logits_of(pictures: Sequence[Image.Image]) -> np.ndarray:
        outputs = engine(pictures)
        features.append(outputs.features)
        return outputs.logits

    passes = ask(logits_of, held_out.pictures, all_passes(len(held_out.pictures)))
    choice = choose(passes, held_out.labels)
    measured = measure(passes, choice, held_out)
    measured["refusal"] = {"false_refusals": refused_by_shift(refusal, np.concatenate(features), passes, held_out)}
    measured["robustness"] = robustness(engine.logits, passes, choice, held_out)

    as_they_are = passes.of("none")
    reference = reference_of(
        [held_out.pictures[place] for place in as_they_are.index],
        choice.calibration.probability(as_they_are.logits),
        held_out.labels[as_they_are.index],
    )
    refusal.save(folder / REFUSAL_FILE)
    if named.get("graph_precision"):
        named["graph_sha256"] = file_sha256(folder / GRAPH_FILE)
        named["graph_weights_sha256"] = file_sha256(folder / GRAPH_WEIGHTS_FILE)
    metadata = Metadata(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        temperature=choice.calibration.temperature,
        bias=choice.calibration.bias,
        threshold=choice.threshold,
        uncertain=choice.uncertain,
        weights_sha256=file_sha256(folder / WEIGHTS_FILE),
        refusal_sha256=file_sha256(folder / REFUSAL_FILE),
        metrics=measured | dict(metrics or {}),
        reference=reference,
        **named,
    )
    return Finished(write_metadata(folder, metadata), choice, passes)


def refused_by_shift(
    refusal: Refusal, features: np.ndarray, passes: Passes, held_out: HeldOut
) -> dict[str, dict[str, Any]]:
    """Give the share of held-out chest X-rays that are refused under each shift."""
    return {
        shift: false_refusals(
            refusal,
            features[passes.shift == shift],
            groups=held_out.patients[passes.index[passes.shift == shift]].tolist(),
        )
        for shift in SHIFTS
    }
