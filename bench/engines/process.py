"""An engine in a process of its own: it loads, says "ready", then times one call for each line it is told.

    python -m bench.engines.process ENGINE CHECKPOINT FOLDER [THREADS]

A line on standard input is the number of pictures of the next call; the answer is its milliseconds. FOLDER holds what
bench.engines.conversions made. No engine's threads wait busily beside another engine's call.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench.engines.served import loaded_engine
from bench.measure import milliseconds
from bench.report import PROJECT
from ml.checkpoint import Checkpoint


class EngineFailed(Exception):
    """The engine could not be loaded or called; the text is its own reason."""


Call = Callable[[np.ndarray], Any]

THREADS = 2
WARM_UP_CALLS = 3


class EngineProcess:
    """The other end of it; use it with `with`."""

    def __init__(self, engine: str, *, checkpoint: Path, folder: Path, log: Path) -> None:
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.engines.process", engine, str(checkpoint), str(folder)],
                cwd=PROJECT,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def milliseconds(self, pictures: int = 1) -> float:
        """Time one call with so many pictures."""
        assert self._process.stdin
        self._process.stdin.write(f"{pictures}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _answer(self) -> Any:
        """Read the next line of JSON; libraries that print are passed over. Raises EngineFailed."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("bench "):
                told = json.loads(line.removeprefix("bench "))
                if isinstance(told, dict):
                    raise EngineFailed(told["failed"])
                return told
        raise EngineFailed("Its process ended without an answer.")


def main() -> None:
    """Serve until standard input closes."""
    engine, checkpoint, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    try:
        call = ENGINES[engine](checkpoint, folder)
        pictures = np.load(folder / "inputs.npy")
        for _ in range(WARM_UP_CALLS):
            call(pictures[:1])
        _tell("ready")
        seen: set[int] = {1}
        place = 0
        for line in sys.stdin:
            count = int(line)
            chosen = pictures[[(place + step) % len(pictures) for step in range(count)]]
            place += count
            if count not in seen:
                # A number of pictures that is new is compiled for, or laid out in memory.
                call(chosen)
                seen.add(count)
            _tell(milliseconds(lambda batch=chosen: call(batch)))  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - the other end records it
        _tell({"failed": f"{type(error).__name__}: {error}"})


def _tell(what: Any) -> None:
    print(f"bench {json.dumps(what)}", flush=True)


# --- the engines: (checkpoint, folder) → call ---


def keras_predict(checkpoint: Path, folder: Path) -> Call:
    """What a plain Flask application does for each request."""
    model = _keras(folder)
    return lambda pictures: model.predict(pictures, verbose=0)


def keras_call(checkpoint: Path, folder: Path) -> Call:
    """The network called as a function, without the machinery of predict."""
    model = _keras(folder)
    return lambda pictures: model(pictures, training=False).numpy()


def tf_function(checkpoint: Path, folder: Path) -> Call:
    """The same, compiled by TensorFlow once for every number of pictures."""
    import tensorflow as tf

    model = _keras(folder)
    shape = tf.TensorSpec((None, *model.input.shape[1:]), tf.float32)
    compiled = tf.function(lambda pictures: model(pictures, training=False), input_signature=[shape])
    return lambda pictures: compiled(tf.constant(pictures)).numpy()


def onnxruntime_fp32(checkpoint: Path, folder: Path) -> Call:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(folder / "network.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pictures: session.run(None, {name: pictures})[0]


def openvino_fp32(checkpoint: Path, folder: Path) -> Call:
    """OpenVINO, told to stay in float32."""
    return _openvino(folder / "fp32.xml", "f32")


def openvino_bf16(checkpoint: Path, folder: Path) -> Call:
    """OpenVINO, told to multiply in bfloat16."""
    return _openvino(folder / "fp32.xml", "bf16")


def openvino_int8(checkpoint: Path, folder: Path) -> Call:
    """OpenVINO on the checkpoint's own graph, the answer alone; on a plain quantisation where there is none."""
    found = Checkpoint.read(checkpoint)
    if found.has_graph:
        return _graph(folder / "int8.xml", found, {"INFERENCE_NUM_THREADS": THREADS})
    return _openvino(folder / "int8.xml", "")


def served(checkpoint: Path, folder: Path) -> Call:
    """The site's own engine, as the worker holds it, on pictures that are ready: all outputs, nothing else."""
    return loaded_engine(Checkpoint.read(checkpoint)).read


def served_stream(checkpoint: Path, folder: Path) -> Call:
    """The same as a batch has it: one picture after the other, and it reads several at once."""
    read_each = loaded_engine(Checkpoint.read(checkpoint)).read_each
    return lambda pictures: sum(1 for _ in read_each(pictures))


def served_alone(checkpoint: Path, folder: Path) -> Call:
    """The same without the features and the heatmaps."""
    found = Checkpoint.read(checkpoint)
    if found.has_graph:
        return _graph(folder / "int8.xml", found, {})
    return tf_function(checkpoint, folder)


def served_picture(checkpoint: Path, folder: Path) -> Call:
    """What the worker calls: pictures in the form of the data set in, answers out."""
    from bench.pictures import canonical_pictures
    from ml.classifier import Classifier

    classifier = Classifier.load(checkpoint)
    drawn = canonical_pictures(8)
    return lambda pictures: classifier.classify(drawn[: len(pictures)])


def _keras(folder: Path) -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    return tf.keras.models.load_model(folder / "whole.h5", compile=False)


def _graph(path: Path, checkpoint: Checkpoint, options: dict[str, Any]) -> Call:
    """Compile a part of the checkpoint's graph as the site compiles the whole; one picture after the other."""
    import openvino as ov

    precision = checkpoint.metadata.graph_precision
    hint = {"fp32": "f32"}.get(precision, precision)
    options = options | {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    compiled = ov.Core().compile_model(path, "CPU", options)
    return lambda pictures: [compiled(picture[np.newaxis])[0] for picture in pictures]


def _openvino(path: Path, precision: str) -> Call:
    import openvino as ov

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RuntimeError("This processor has no bfloat16.")
    options = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(core.read_model(path), "CPU", options)
    return lambda pictures: compiled(pictures)[0]


ENGINES: dict[str, Callable[[Path, Path], Call]] = {
    engine.__name__: engine
    for engine in (
        keras_predict,
        keras_call,
        tf_function,
        onnxruntime_fp32,
        openvino_fp32,
        openvino_bf16,
        openvino_int8,
        served,
        served_stream,
        served_alone,
        served_picture,
    )
}

if __name__ == "__main__":
    main()
