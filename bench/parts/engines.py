"""The network alone: every way to run it, and what refusal and heatmap add."""

from functools import partial

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.engines.interleaving import FILES, convert, running
from bench.engines.process import THREADS
from bench.measure import interleaved
from bench.report import Report
from bench.site import work_folder

WHAT = {
    "keras_predict": "keras model.predict for each request",
    "keras_call": "the Keras model called directly",
    "tf_function": "tf.function",
    "onnxruntime_fp32": "ONNX Runtime, float32",
    "openvino_fp32": "OpenVINO, float32",
    "openvino_bf16": "OpenVINO, bfloat16",
    "openvino_int8": "OpenVINO, int8",
    "served": "the site's engine: answer, features for the refusal, heatmaps",
    "served_alone": "the site's engine: the answer alone",
    "served_picture": "Classifier.classify of a 224 px picture, all of it",
}
BATCHES = (1, 8)


def measure(report: Report) -> None:
    """Time every engine with one picture and with eight."""
    report.note(f"{THREADS} threads each; the site's engine as the site runs it. Loading and first calls are left out.")
    with work_folder() as folder:
        checkpoint = lenient_copy(folder / "checkpoint")
        metadata = checkpoint.metadata
        report.note(f"{metadata.name} ({checkpoint.sha256[:12]}), {metadata.image_size} × {metadata.image_size} px.")
        report.note(LENIENT_NOTE)
        convert(report, checkpoint=checkpoint.folder, folder=folder, files=FILES)
        with running(WHAT, report, checkpoint=checkpoint.folder, folder=folder) as engines:
            for batch in BATCHES:
                subjects = {name: partial(engine.milliseconds, batch) for name, engine in engines.items()}
                rounds = report.options.rounds(60 if batch == 1 else 15, quick=3)
                found = interleaved(subjects, rounds=rounds, failed=report.fail)
                for name, values in found.items():
                    what = f"{WHAT[name]}; {batch} picture{'s' if batch > 1 else ''}"
                    report.add(f"{name}.{batch}", what, "ms", values)
