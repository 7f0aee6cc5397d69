"""What reads pictures behind ml.classifier: two engines with one face, and the choice between them.

    openvino      the checkpoint's own graph, on CPUs; what serves wherever a checkpoint has a graph
    tensorflow    the network itself: the reference that a graph is held against, and what GPUs run

Neither library is imported here: a process loads the one that it answers with.
"""

import importlib.util
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, NamedTuple

import numpy as np
from PIL import Image

from ml.checkpoint import Checkpoint, CheckpointError, CheckpointMissing, compare_files
from ml.preprocess import canonical, to_array

# Where each is.
ENGINES = {"openvino": "ml.serving_openvino", "tensorflow": "ml.serving"}

# What one call holds in memory at most.
BATCH = 16

# Of a stream, by each thread of the network's: one that it reads, and others that it finds while the caller is busy
# with the statements for a few dozen answers. Measured: with 2 it was idle meanwhile; more than 4 gain little, and a
# person may wait for all that are taken.
TAKEN_AHEAD = 4


class EngineUnavailable(CheckpointError):
    """The checkpoint is whole, but this process has nothing to run it with; the text says what to do."""


class Outputs(NamedTuple):
    """What the network tells of n pictures, float32."""

    logits: np.ndarray  # (n, 2), in LABELS order
    features: np.ndarray  # (n, GRID² · channels): mean activations of FEATURE_CONVOLUTION, never negative
    heatmaps: np.ndarray  # (n, 2, rows, columns), 0..1: one for each label


class Engine(ABC):
    """A loaded network. Not to be carried over a fork: threads of both libraries are lost in the child."""

    name: ClassVar[str]  # one of ENGINES
    image_size: int  # the side of the network's input in pixels

    @abstractmethod
    def read(self, inputs: np.ndarray) -> Outputs:
        """Read (n, image_size, image_size, 1) float32 grey levels 0..255, n at least 1."""

    def read_each(self, inputs: Iterable[np.ndarray]) -> Iterator[Outputs]:
        """Read (image_size, image_size, 1) grey levels one after the other, in their order; n is 1 in each Outputs.

        TAKEN_AHEAD are taken ahead of the one that is given, so that the network works while the caller does.
        """
        taken: deque[Future[Outputs]] = deque()
        with ThreadPoolExecutor(max_workers=1) as network:
            try:
                for one in inputs:
                    taken.append(network.submit(self.read, one[np.newaxis]))
                    if len(taken) > TAKEN_AHEAD:
                        yield taken.popleft().result()
                while taken:
                    yield taken.popleft().result()
            finally:
                network.shutdown(cancel_futures=True)

    def __call__(self, pictures: Sequence[Image.Image]) -> Outputs:
        """Read at least one picture, of any mode and size, as the site does."""
        return self.read_canonical([canonical(picture) for picture in pictures])

    def read_canonical(self, pictures: Sequence[Image.Image]) -> Outputs:
        """Read at least one picture that is in canonical form already."""
        batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        found = [self.read(np.stack([to_array(picture, self.image_size) for picture in batch])) for batch in batches]
        return Outputs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def logits(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Give the (n, 2) float32 logits of at least one picture, of any mode and size."""
        return self(pictures).logits

    def features(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Give the (n, f) float32 features that ml.refusal judges, of at least one picture, of any mode and size."""
        return self(pictures).features


def load_engine(checkpoint: Checkpoint, name: str = "", *, threads: int = 0) -> Engine:
    """Verify the files of `checkpoint` and load it into the engine called `name`, one of ENGINES.

    Without a name INFERENCE_ENGINE of the environment decides, and without that the checkpoint: openvino where it has
    a graph, else tensorflow. It computes with so many `threads`, 0 for one on every core. Raises EngineUnavailable,
    CheckpointMissing or CheckpointCorrupt.
    """
    name = name or os.environ.get("INFERENCE_ENGINE", "").strip() or _usual_engine(checkpoint)
    if name not in ENGINES:
        raise EngineUnavailable(f"INFERENCE_ENGINE is {name!r}; it has to be one of {', '.join(ENGINES)}, or empty.")
    if name == "openvino" and not checkpoint.has_graph:
        raise CheckpointMissing(
            f"{checkpoint.folder} has no graph for INFERENCE_ENGINE=openvino. `python -m ml.export --help` says how to "
            "make one; without INFERENCE_ENGINE the checkpoint is read by TensorFlow."
        )
    if importlib.util.find_spec(name) is None:
        raise EngineUnavailable(_absent(checkpoint, name))
    # OpenVINO brings its converter along, which reports each import to its makers' statistics. Nothing converts where a
    # graph is served: without it nothing is reported, and less is loaded.
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
    # A worker starts sooner: files are hashed beside Python, which imports the library meanwhile, and beside OpenVINO,
    # which compiles the graph. Nothing is read before it was compared, and nothing answers before all was.
    with ThreadPoolExecutor(max_workers=1) as beside:
        graph, files = checkpoint.sha256_by_graph_path, checkpoint.sha256_by_path
        graph_compared = beside.submit(compare_files, graph)
        rest = {path: sha256 for path, sha256 in files.items() if path not in graph}
        rest_compared = beside.submit(compare_files, rest)
        importlib.import_module(ENGINES[name])
        graph_compared.result()
        if name == "openvino":
            from ml.serving_openvino import CompiledGraph

            engine: Engine = CompiledGraph.load(checkpoint, threads=threads)
            rest_compared.result()
            return engine
        rest_compared.result()
    from ml.model import load_network
    from ml.serving import ServingGraph, limit_threads

    limit_threads(threads)
    return ServingGraph(load_network(checkpoint))


def _usual_engine(checkpoint: Checkpoint) -> str:
    return "openvino" if checkpoint.has_graph else "tensorflow"


def _absent(checkpoint: Checkpoint, name: str) -> str:
    if name == "openvino":
        return "OpenVINO is not installed here: pip install -r requirements-serve.txt"
    if checkpoint.has_graph:
        return (
            "TensorFlow is not installed here: pip install -r requirements.txt, or leave INFERENCE_ENGINE empty, so "
            "that the checkpoint's own graph answers."
        )
    return (
        f"{checkpoint.folder} has no graph, and TensorFlow, which would read its weights, is not installed here. Make "
        "the graph where training runs (python -m ml.export), or pip install -r requirements.txt"
    )
