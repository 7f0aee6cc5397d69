"""Ways to compute a network's graph faster than in full precision; each is a candidate that ml.export tries."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import openvino as ov
from PIL import Image

from ml.graph import ASIDE, IDENTITY, build_graph
from ml.model import CONVOLUTIONS
from ml.preprocess import to_array
from ml.variations import varied

# Training pictures that are read to learn the range of each activation.
PICTURES = 300

# Made in fractions: the mean that is taken from a picture, and what convolutions that began as the identity add to.
FRACTIONS = ("picture", "same_levels", "usual_levels", "three_channels", "imagenet_centred", f".*/{IDENTITY}")

# Nothing to gain: three channels make a two-hundredth of all products.
FIRST = ("block1_conv1",)
LAST = tuple(CONVOLUTIONS[-4:])
HEAD = ("dense", "logits")


@dataclass(frozen=True)
class Candidate:
    """One way: the `precision` of what is not quantised, and for int8 graphs which layers `stay` in it.

    `thorough` corrects the biases layer after layer by what the quantised layers before give, instead of by one pass.
    """

    name: str
    precision: str  # of ml.serving_openvino.PRECISIONS
    quantised: bool = False
    stay: Sequence[str] = ()
    thorough: bool = False

    def graph(self, network: keras.Model, pictures: Sequence[Image.Image], *, seed: int) -> ov.Model:
        """Make the graph of `network`; of canonical training `pictures` some show what to expect, drawn from `seed`."""
        graph = build_graph(network)
        if not self.quantised:
            return graph
        return _quantised(graph, expected_inputs(pictures, network.input.shape[1], seed=seed), self)


def expected_inputs(pictures: Sequence[Image.Image], size: int, *, seed: int) -> list[np.ndarray]:
    """Draw PICTURES of canonical `pictures` as inputs (1, size, size, 1); every other one is varied."""
    rng = np.random.default_rng(seed)
    drawn = [pictures[index] for index in rng.permutation(len(pictures))[:PICTURES]]
    shown = [varied(picture, rng) if place % 2 else picture for place, picture in enumerate(drawn)]
    return [to_array(picture, size)[np.newaxis] for picture in shown]


def _quantised(graph: ov.Model, inputs: list[np.ndarray], candidate: Candidate) -> ov.Model:
    # Its own switch for not reporting to its makers; it is read at the import.
    os.environ.setdefault("NNCF_CI", "1")
    import nncf

    nncf.set_log_level(logging.WARNING)
    aside = [f"{name}.*" for name in (*ASIDE, *FRACTIONS, *candidate.stay)]
    return nncf.quantize(
        graph,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        fast_bias_correction=not candidate.thorough,
        ignored_scope=nncf.IgnoredScope(patterns=aside, validate=False),
    )


# From the fastest on. int8-head leaves the head, which weighs in bytes and not in time, int8-thorough corrects more,
# int8-last leaves the last convolutions too.
CANDIDATES = (
    Candidate("int8", "bf16", quantised=True, stay=FIRST),
    Candidate("int8-head", "bf16", quantised=True, stay=(*FIRST, *HEAD)),
    Candidate("int8-thorough", "bf16", quantised=True, stay=(*FIRST, *HEAD), thorough=True),
    Candidate("int8-last", "bf16", quantised=True, stay=(*FIRST, *LAST, *HEAD)),
    Candidate("bf16", "bf16"),
    Candidate("fp32", "fp32"),
)
