"""Give a checkpoint the graph that CPUs serve it from: as fast as it gets while the answers stay the same.

    python -m ml.export --checkpoint runs/better/checkpoint --data data/chest_xray/train

Candidates are tried from the fastest on. Each reads all held-out patients of the checkpoint's own split, as they are
and under one shift each, and is compared with the network in TensorFlow; the first one that keeps the answers becomes
the checkpoint's graph. Then refusal, calibration, operating point and all figures are fitted and measured anew, with
that graph: the checkpoint becomes a new version. Whole numbers are fitted to training pictures, never to held-out ones.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import openvino as ov

from ml.calibration import CalibrationError
from ml.checkpoint import Checkpoint, CheckpointError
from ml.dataset import DatasetError
from ml.engine import Engine
from ml.finishing import finish
from ml.fitting import Data, load_data
from ml.graph import GraphError
from ml.model import load_network
from ml.parity import Parity, compare
from ml.preprocess import model_input
from ml.quantisation import CANDIDATES, Candidate
from ml.serving import ServingGraph
from ml.serving_openvino import CompiledGraph, as_written, write_graph
from ml.split import own_examples
from ml.stress import Passes, ask, choose, some_passes

# Rounds of one picture for each engine in turn: the machine's other work hits all of them alike.
ROUNDS = 20


class ExportError(Exception):
    """There is no graph to serve; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when checkpoint or data can't be used, or no graph keeps the answers."""
    arguments = parse_arguments(argv)
    try:
        export(arguments)
    except (DatasetError, CheckpointError, CalibrationError, GraphError, ExportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="what ml.train has written")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the folder that it was trained on, with NORMAL/ ..."
    )
    parser.add_argument(
        "--candidates",
        nargs="+",
        choices=[candidate.name for candidate in CANDIDATES],
        metavar="NAME",
        help=f"try only these, in this order: {', '.join(candidate.name for candidate in CANDIDATES)}",
    )
    parser.add_argument("--all", action="store_true", help="measure every candidate, also slower ones than the chosen")
    parser.add_argument("--dry-run", action="store_true", help="compare, and leave the checkpoint as it is")
    return parser.parse_args(argv)


def export(arguments: argparse.Namespace) -> Checkpoint:
    """Make, compare and choose the graph of the checkpoint; return the checkpoint with it, as a new version."""
    source = Checkpoint.read(arguments.checkpoint)
    source.verify()
    data = load_split(source, arguments.data)
    # A wider precision than the checkpoint's own training may have had: this is what the others are held against.
    keras.config.set_dtype_policy("float32")
    network = load_network(source)
    print(
        f"{len(data.held_out.pictures)} held-out pictures, as they are and shifted: TensorFlow reads them first",
        flush=True,
    )
    trial = Trial(source, network, data)
    for candidate in chosen_candidates(arguments.candidates):
        print(trial.describe(candidate), flush=True)
        if trial.kept and not arguments.all:
            break
    table = trial.table()
    print("\n".join(rows(table)))
    if not trial.kept:
        raise ExportError("No candidate keeps the answers: the checkpoint is left as it was.")
    return source if arguments.dry_run else write(trial, table)


def load_split(checkpoint: Checkpoint, folder: Path) -> Data:
    """Read the pictures that `checkpoint` was trained on, split as they were. Raises DatasetError for others."""
    examples, seed = own_examples(checkpoint, folder)
    return load_data(examples, seed=seed)


def chosen_candidates(names: Sequence[str] | None) -> list[Candidate]:
    """Give the named candidates in that order, or all of them."""
    by_name = {candidate.name: candidate for candidate in CANDIDATES}
    return [by_name[name] for name in names or by_name]


class Trial:
    """The network, the candidates that were tried in its place, and what is known of each."""

    def __init__(self, source: Checkpoint, network: keras.Model, data: Data) -> None:
        self.source, self.data = source, data
        self._network, self._seed = network, source.metadata.training["seed"]
        pictures = data.held_out.pictures
        self._pairs = some_passes(len(pictures), 1)
        self._reference = ServingGraph(network)
        self._expected = self._read(self._reference)
        self.engines: dict[str, Engine] = {}
        self.graphs: dict[str, ov.Model] = {}
        self.parities: dict[str, dict[str, Parity]] = {}
        self.kept: Candidate | None = None

    def describe(self, candidate: Candidate) -> str:
        """Try `candidate`, keep it if it is the first that keeps the answers, and say how it went."""
        began = time.monotonic()
        # What is compared is what would be shipped.
        graph = as_written(candidate.graph(self._network, self.data.pictures, seed=self._seed))
        engine = CompiledGraph(graph, candidate.precision)
        parity = self._parity(self._read(engine))
        self.engines[candidate.name], self.parities[candidate.name] = engine, parity
        self.graphs[candidate.name] = graph
        keeps = all(found.keeps_answers for found in parity.values())
        if keeps and not self.kept:
            self.kept = candidate
        found = parity["held_out"]
        return (
            f"{candidate.name}: {found.flips} of {found.n} labels change, AUC {-found.auc_loss:+.4f}, probabilities by "
            f"at most {found.largest_change:.3f}: {'keeps' if keeps else 'does not keep'} the answers "
            f"({time.monotonic() - began:.0f} s)"
        )

    def _read(self, engine: Engine) -> Passes:
        return ask(engine.logits, self.data.held_out.pictures, self._pairs)

    def _parity(self, found: Passes) -> dict[str, Parity]:
        """Compare as they are, and all passes; each engine judges by what is chosen on all its passes."""
        labels = self.data.held_out.labels
        own, expected = choose(found, labels), choose(self._expected, labels)
        return {
            "held_out": compare(found.of("none"), self._expected.of("none"), labels, by=own, reference_by=expected),
            "stress": compare(found, self._expected, labels, by=own, reference_by=expected),
        }

    def table(self) -> list[dict[str, Any]]:
        """Time TensorFlow and every tried candidate in turn, and give a row for each: milliseconds and parity."""
        engines = {"tensorflow": self._reference, **self.engines}
        milliseconds = time_in_turn(engines, self.data)
        return [
            {
                "engine": name,
                "milliseconds": round(milliseconds[name], 1),
                "serves": bool(self.kept and name == self.kept.name),
                **{kind: parity.as_json() for kind, parity in self.parities.get(name, {}).items()},
            }
            for name in engines
        ]


def time_in_turn(engines: Mapping[str, Engine], data: Data) -> dict[str, float]:
    """Give the median milliseconds in which each engine reads one prepared picture; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(ROUNDS + 1):
        picture = data.held_out.pictures[turn % len(data.held_out.pictures)]
        for name, engine in engines.items():
            prepared = model_input(picture, engine.image_size)[np.newaxis]
            began = time.perf_counter()
            engine.read(prepared)
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: median(found[1:]) for name, found in taken.items()}  # the first one compiles what is left


def rows(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Set the table in columns."""
    lines = [f"{'engine':<24}{'ms':>8}{'labels':>16}{'AUC':>10}{'largest change':>18}"]
    for row in table:
        found, serves = row.get("held_out"), " serves" if row["serves"] else ""
        parity = (
            f"{found['flips']:>8} of {found['n']:<4}{-found['auc_loss']:>+10.4f}{found['largest_change']:>18.3f}"
            if found
            else ""
        )
        lines.append(f"{row['engine']:<24}{row['milliseconds']:>8.1f}{parity}{serves}")
    return lines


def write(trial: Trial, table: list[dict[str, Any]]) -> Checkpoint:
    """Put the chosen graph beside the weights and finish the checkpoint with it."""
    source, kept = trial.source, trial.kept
    if kept is None:
        raise ValueError("None of the graphs is kept.")
    metadata = source.metadata
    print(f"{kept.name}: fitting and measuring anew, every held-out picture under every shift", flush=True)
    write_graph(trial.graphs[kept.name], source)
    finished = finish(
        source.folder,
        # Read again, because files hold half-precision numbers: what is measured is what is shipped.
        CompiledGraph.load(source, kept.precision),
        trial.data,
        seed=metadata.training["seed"],
        metrics={"serving": {"table": table, "machine": machine(), "rounds": ROUNDS}},
        name=metadata.name,
        image_size=metadata.image_size,
        head=metadata.head,
        normalisation=metadata.normalisation,
        training=metadata.training,
        graph_precision=kept.precision,
    )
    checkpoint = finished.checkpoint
    print(f"{kept.name} serves: {checkpoint.folder} is version {checkpoint.sha256[:12]} now")
    return checkpoint


def machine() -> str:
    """Name the processor that the times were taken on."""
    core = ov.Core()
    can = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"{core.get_property('CPU', 'FULL_DEVICE_NAME')}, {os.cpu_count()} CPUs, {platform.machine()} ({can})"


if __name__ == "__main__":
    sys.exit(main())
