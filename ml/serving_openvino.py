"""The engine of CPUs: a checkpoint's graph, compiled by OpenVINO; no TensorFlow in the process."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import openvino as ov
from openvino.passes import ConstantFolding, Manager

from ml.checkpoint import GRAPH_FILE, Checkpoint, CheckpointCorrupt
from ml.engine import TAKEN_AHEAD, Engine, Outputs

# What OpenVINO calls a precision, and what a CPU has to be able to do for it.
PRECISIONS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16")}

# The names by which Linux knows instructions that add products of bytes in 32 bits. The ones before them do so in 16,
# and large sums are cut off there: measured on this network, logits moved by up to 0.8.
BYTE_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


class CompiledGraph(Engine):
    """A graph of ml.graph.build_graph, compiled for this CPU; it reads one picture after the other.

    `precision`, one of PRECISIONS, is what the graph's operations are computed in where they are not quantised. A CPU
    without bfloat16 instructions computes them in fp32, and one that can't add products of bytes exactly computes the
    quantised ones so too, with the same whole numbers: both more slowly, and no less exactly. `threads` are those that
    it computes with, 0 for one on every core.
    """

    name = "openvino"

    def __init__(self, graph: ov.Model, precision: str, *, threads: int = 0) -> None:
        core = ov.Core()
        hint, capability = PRECISIONS[precision]
        if capability not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            hint = "f32"
        settings = {"INFERENCE_PRECISION_HINT": hint} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        if not multiplies_bytes():
            settings["LP_TRANSFORMS_MODE"] = "NO"
            graph = _with_wide_kernels(graph)
        self._compile = partial(core.compile_model, graph, "CPU")
        self._settings = settings
        compiled = self._compile(settings | {"PERFORMANCE_HINT": "LATENCY"})
        self.threads = compiled.get_property("INFERENCE_NUM_THREADS")
        self._request = compiled.create_infer_request()
        self.image_size = graph.input().shape[1]

    @classmethod
    def load(cls, checkpoint: Checkpoint, precision: str = "", *, threads: int = 0) -> Self:
        """Load the graph beside the weights of `checkpoint`, by default in the precision that its metadata say.

        Raises CheckpointCorrupt.
        """
        try:
            graph = ov.Core().read_model(checkpoint.graph_path, checkpoint.graph_weights_path)
            return cls(graph, precision or checkpoint.metadata.graph_precision, threads=threads)
        except (RuntimeError, KeyError) as error:
            raise CheckpointCorrupt(f"{checkpoint.graph_path} can't be compiled: {error}") from error

    def read(self, inputs: np.ndarray) -> Outputs:
        """Read (n, image_size, image_size, 1) float32 grey levels 0..255, n at least 1."""
        found = [self._request.infer([picture[np.newaxis]], share_inputs=True) for picture in inputs]
        return Outputs(*(np.concatenate([one[name] for one in found]) for name in Outputs._fields))

    def read_each(self, inputs: Iterable[np.ndarray]) -> Iterator[Outputs]:
        """Read as Engine.read_each says, each picture by one thread and as many at once as there are threads.

        Together they take less than by turns on all threads, and one of them takes longer.
        """
        idle = [self._by_threads.create_infer_request() for _ in range(TAKEN_AHEAD * self.threads)]
        taken: deque[ov.InferRequest] = deque()
        try:
            for one in inputs:
                if not idle:
                    yield _outputs(taken[0])
                    idle.append(taken.popleft())
                taken.append(idle.pop())
                taken[-1].start_async([one[np.newaxis]], share_inputs=False)
            while taken:
                yield _outputs(taken[0])
                taken.popleft()
        finally:
            for request in taken:
                request.wait()

    @cached_property
    def _by_threads(self) -> ov.CompiledModel:
        """Compile the graph once more when it is first needed: a stream of its own for each thread."""
        return self._compile(self._settings | {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(self.threads)})


def _outputs(request: ov.InferRequest) -> Outputs:
    request.wait()
    return Outputs(*(request.get_tensor(name).data.copy() for name in Outputs._fields))


def _with_wide_kernels(graph: ov.Model) -> ov.Model:
    """Give a copy whose kernels are float32: OpenVINO widens those of a dense layer by instructions beyond AVX2.

    NNCF forbids that in the graphs that it makes, until they were in a file.
    """
    wide, passes = graph.clone(), Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(wide)
    return wide


def multiplies_bytes() -> bool:
    """Tell whether this CPU has one of BYTE_PRODUCTS; where it can't be told, it has none."""
    try:
        return bool(BYTE_PRODUCTS & set(Path("/proc/cpuinfo").read_text().split()))
    except OSError:
        return False


def as_written(graph: ov.Model) -> ov.Model:
    """Give `graph` as a file brings it back: its numbers in half precision, without what was noted at its making."""
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # the folder goes
    with TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH_FILE
        ov.save_model(graph, path, compress_to_fp16=True)
        return core.read_model(path)


def write_graph(graph: ov.Model, checkpoint: Checkpoint) -> None:
    """Write `graph` beside the weights of `checkpoint`, numbers in half precision as those are, under its own names."""
    part = checkpoint.graph_path.with_name(f"part.{checkpoint.graph_path.name}")
    ov.save_model(graph, part, compress_to_fp16=True)
    os.replace(part.with_suffix(".bin"), checkpoint.graph_weights_path)
    os.replace(part, checkpoint.graph_path)
