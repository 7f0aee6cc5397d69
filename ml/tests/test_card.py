"""The model card: every figure from the checkpoint, nothing invented, nothing left over from another version."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import card, runs
from ml.card import CardError, Subject
from ml.card_parts import OFFICIAL_TEST, PARTS
from ml.checkpoint import SHIPPED, Checkpoint, Metadata, write_metadata
from ml.drift import reference_of
from ml.metrics import curves, recall_by_cause, robustness_point, share_of, summarise, uncertain_summary
from ml.shortcuts import audit

THRESHOLD, BAND = 0.3, (0.2, 0.45)
SHIFTS = ("none", "darker", "blurred", "marked")


PARITY = {"n": 490, "flips": 2, "auc_loss": 0.0001, "largest_change": 0.026, "usual_change": 0.0031}


def scored(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities that are right more often than not, and labels."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 4 > 0).astype(int)
    return 1 / (1 + np.exp(-rng.normal(5.0 * (labels - 0.5), 1.5))), labels


def full_metrics() -> dict:
    """Measure made-up answers in every way that a card can show."""
    by_shift = {shift: scored(80, seed=i) for i, shift in enumerate(SHIFTS)}
    p, y = by_shift["none"]
    every = tuple(np.concatenate(parts) for parts in zip(*by_shift.values(), strict=True))
    shortcuts = audit(np.random.default_rng(9).random(80), p, y, THRESHOLD, [f"person{i}" for i in range(80)])
    return {
        "held_out": {shift: summarise(*answers, THRESHOLD, draws=50) for shift, answers in by_shift.items()},
        "stress": summarise(*every, THRESHOLD, draws=50),
        "by_cause": recall_by_cause(p, ["bacteria" if i % 2 else "virus" for i in range(len(p))], THRESHOLD),
        "curves": curves(p, y),
        "stress_curves": curves(*every),
        "robustness": {
            shift: [robustness_point(p, y, THRESHOLD, severity=s) for s in (0.0, 0.5, 1.0, 1.5)] for shift in SHIFTS[1:]
        },
        "uncertain": uncertain_summary(p, y, THRESHOLD, BAND),
        "refusal": {"false_refusals": {shift: share_of(np.arange(80) == 0) for shift in SHIFTS}},
        "shortcuts": shortcuts,
        "stress_shortcuts": shortcuts,
        "serving": {
            "machine": "a CPU of this kind",
            "rounds": 20,
            "table": [
                {"engine": "tensorflow", "milliseconds": 290.5, "serves": False},
                {"engine": "int8", "milliseconds": 48.3, "serves": True, "held_out": PARITY, "stress": PARITY},
            ],
        },
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Checkpoint:
    """A checkpoint of which everything is known; it has no weights."""
    return write_metadata(
        tmp_path_factory.mktemp("checkpoint"),
        Metadata(
            name="vgg19-made-up",
            created="2026-01-01T00:00:00+00:00",
            image_size=96,
            temperature=1.234,
            bias=-0.567,
            threshold=THRESHOLD,
            uncertain=BAND,
            refusal_sha256="e" * 64,
            weights_sha256="f" * 64,
            metrics=full_metrics(),
            reference=reference_of(
                [Image.new("L", (224, 224), 77)] * 3, np.array([0.2, 0.5, 0.8]), np.array([0, 1, 1])
            ),
            training={
                "command": "python -m ml.train --seed 7",
                "seed": 7,
                "precision": "float32",
                "machine": "a toaster",
                "hours": 1.5,
                "commit": "abc1234",
                "versions": {"keras": "3.0"},
                "started_from": {"name": "the-first", "hours": 9.75, "recipe": {"patience": 3}, "started_from": None},
                "recipe": {"image_size": 96, "patience": None, "cosine": True},
                "data": {"hash": "d" * 64, "held_out": {"NORMAL": 20, "PNEUMONIA": 60}, "held_out_patients": 71},
            },
        ),
    )


def report_on(checkpoint: Checkpoint, counts: dict[str, int]) -> dict:
    """Make up what ml.evaluate would write about pictures of which all are answered rightly."""
    labels = np.repeat([0, 1], list(counts.values()))
    p = np.where(labels == 1, 0.876, 0.1)
    metrics = summarise(p, labels, THRESHOLD, draws=20)
    return {
        "n": metrics.pop("n"),
        "confusion": metrics.pop("confusion"),
        "metrics": metrics,
        "by_cause": recall_by_cause(p, ["virus"] * len(p), THRESHOLD),
        "uncertain": uncertain_summary(p, labels, THRESHOLD, BAND),
        "refused": {**share_of(labels > 1), "count": 0},
        "wrong": [{"picture": "NORMAL/IM-0001-0001.jpeg"}],
        "held_out": False,
        "others": {"noise": share_of(np.arange(40) > 0)},
        "heatmaps": {"below the lungs": share_of(np.arange(60) < 9)},
        "robustness": {"lettered": [robustness_point(p, labels, THRESHOLD, severity=1.0)]},
        "patients": 321,
        "duplicates": 2,
        "checkpoint": {"sha256": checkpoint.sha256},
    }


@pytest.fixture
def write_report(checkpoint, tmp_path):
    """Give a function that writes a report, changed as said, and returns its path."""

    def written(counts: dict[str, int] = OFFICIAL_TEST, **changes) -> Path:
        path = tmp_path / "report.json"
        path.write_text(json.dumps(report_on(checkpoint, counts) | changes))
        return path

    return written


def rendered(checkpoint: Checkpoint, *, test=None, runs=()) -> str:
    return card.render(Subject(checkpoint, test or {}, list(runs)))


def run(checkpoint: Checkpoint, out: Path, *flags: str) -> int:
    return card.main(["--checkpoint", str(checkpoint.folder), "--out", str(out), *flags])


@pytest.fixture(scope="module")
def written(checkpoint, tmp_path_factory) -> Path:
    """The folder that the command line wrote, over the plots of an older card."""
    out = tmp_path_factory.mktemp("ml")
    (out / "figures").mkdir()
    (out / "figures" / "stale.svg").write_text("<svg/>")
    (out / "report.json").write_text(json.dumps(report_on(checkpoint, OFFICIAL_TEST)))
    assert run(checkpoint, out, "--test-split", str(out / "report.json")) == 0
    return out


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_engine_that_serves_stands_beside_the_reference(checkpoint):
    text = section(rendered(checkpoint), "What computes the answers")
    assert "| tensorflow | 290.5 | the reference | the reference |" in text
    changed = "2 of 490 change, -0.0001, by at most 0.026 (mean 0.0031)"
    assert f"| **int8** | 48.3 | {changed} | {changed} |" in text
    assert "Median of 20 pictures" in text
    assert "a CPU of this kind" in text


# --- bad input ---


def test_a_folder_without_a_checkpoint_is_one_line_and_exit_code_1(tmp_path, capsys):
    assert card.main(["--checkpoint", str(tmp_path / "absent"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"checkpoint": {"sha256": "0" * 64}}, "is about checkpoint 000000000000"),
        ({"counts": {"NORMAL": 8, "PNEUMONIA": 8}}, "not about the official test split: 8 of 16 are NORMAL"),
        ({"confusion": None}, "is no report of ml.evaluate"),
    ],
)
def test_a_report_on_something_else_is_not_taken(write_report, checkpoint, changes, complaint):
    with pytest.raises(CardError, match=complaint):
        card.keep(write_report(**changes), checkpoint)


def test_a_report_on_more_than_the_held_out_patients_is_not_taken_for_theirs(write_report, checkpoint):
    assert card.keep_held_out(write_report(held_out=True), checkpoint)["n"] == 624
    with pytest.raises(CardError, match="not about held-out patients alone"):
        card.keep_held_out(write_report(), checkpoint)


def test_a_report_without_robustness_is_not_taken_for_the_held_out_patients(write_report, checkpoint):
    with pytest.raises(CardError, match=r"no report of ml\.evaluate"):
        card.keep_held_out(write_report(held_out=True, robustness=None), checkpoint)


def test_a_file_that_is_no_json_is_not_taken(tmp_path, checkpoint):
    (tmp_path / "report.json").write_text("# a report")
    with pytest.raises(CardError, match=r"no report of ml\.evaluate"):
        card.keep(tmp_path / "report.json", checkpoint)


def test_figures_of_another_version_on_the_test_split_are_left_out(tmp_path, checkpoint, write_report):
    kept = tmp_path / card.TEST_SPLIT
    kept.write_text(json.dumps(card.keep(write_report(), checkpoint)))
    assert card.of_version(kept, checkpoint)["patients"] == 321
    other = dataclasses.replace(checkpoint, metadata=dataclasses.replace(checkpoint.metadata, threshold=0.31))
    assert card.of_version(kept, other) == {}


# --- what it says ---


def test_a_checkpoint_without_any_figure_gets_a_card_that_invents_none(checkpoint):
    bare = dataclasses.replace(checkpoint.metadata, metrics={}, training={}, reference={})
    text = rendered(dataclasses.replace(checkpoint, metadata=bare))
    for heading in ("Under shifts", "Refusal", "Shortcuts", "Reference"):
        assert "Not measured for this version" in section(text, heading), heading
    assert not re.search(r"\d %", section(text, "Performance").replace("95 % intervals", ""))


def test_the_reference_of_a_site_is_described(checkpoint):
    told = section(rendered(checkpoint), "Reference")
    assert re.search(r"\| brightness \| 7\d\.\d+ \| 77\.\d \| 7\d\.\d+ \| 3 \|", told)
    assert re.search(r"\| probability \| 0\.\d+ \| 0\.5\d* \|", told)


def test_every_placeholder_of_the_prose_has_a_part_and_every_part_is_used():
    used = re.findall(r"\$(\w+)", card.TEMPLATE.read_text())
    assert set(used) == set(PARTS)


def test_the_figures_stand_there_with_their_intervals_and_n(checkpoint):
    text, stress = rendered(checkpoint), checkpoint.metadata.metrics["stress"]
    auc = stress["auc"]
    assert f"{auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f})" in section(text, "Performance")
    assert "| n | – | 80 | 320 |" in text
    counts = [
        found["confusion"]["true_pneumonia"] for found in (checkpoint.metadata.metrics["held_out"]["none"], stress)
    ]
    assert f"| PNEUMONIA | PNEUMONIA | – | {counts[0]} | {counts[1]} |" in text
    assert re.search(r"\| virus \| – \| – \| \d+\.\d % \(.*\) \| 40 \|", text)
    assert re.search(r"\| 10 % \| – \| – \|( \d+\.\d % \(\d+\.\d–\d+\.\d\) \|){4}", text)
    assert text.index("| none | ") < text.index("| blurred | ")


def test_the_card_says_which_model_it_is_and_how_it_was_made(checkpoint):
    text = rendered(checkpoint)
    said = (
        *(checkpoint.sha256, "f" * 64, "e" * 64, "d" * 64, "squash224-jpeg75-v1", "96 × 96"),
        *("python -m ml.train --seed 7", "| Hardware | – | a toaster |", "| Time | 9.75 h | 1.5 h |", "abc1234"),
        *("|  | the-first | vgg19-made-up |", "| patience | 3 | – |", "| cosine | – | yes |"),
        *("| 1.234 | -0.567 | 0.300 | 0.200 | 0.450 |", "| held out from it | 20 | 60 | 71 |"),
    )
    assert [words for words in said if words not in text] == []


@pytest.mark.parametrize(
    "promise",
    [
        "not a medical device", "adults", "lateral views", "CT", "photographs", "CC BY 4.0", "Patient rule",
        "two physicians", "0.54 on another hospital's children", "is not a localisation", "ask for a human reader",
    ],
)  # fmt: skip
def test_the_card_states_what_a_reader_must_know(checkpoint, promise):
    words = " ".join(rendered(checkpoint).replace("asks", "ask").split())
    assert promise in words


def test_the_shortcut_audit_and_the_false_refusals_are_told(checkpoint):
    text = rendered(checkpoint)
    found = checkpoint.metadata.metrics["shortcuts"]
    assert f"AUROC of {found['statistics_auc']:.3f}" in section(text, "Shortcuts")
    assert f"| held out, as they are | wrong | {found['rule_wrong']['auc']:.3f} |" in section(text, "Shortcuts")
    assert re.search(r"\| marked \| 1\.2 % \(0\.2–6\.7\) \| 80 \|", section(text, "Refusal"))


def test_without_a_report_the_test_split_has_dashes_and_the_way_to_fill_them(checkpoint):
    performance = section(rendered(checkpoint), "Performance")
    assert all(line.split("|")[2].strip() == "–" for line in performance.splitlines() if line.startswith("| acc"))
    assert "A dash: this version has not been measured on the official test split" in performance


def test_a_report_on_the_test_split_fills_its_column(written):
    text = (written / card.CARD).read_text()
    assert "| n | 624 | 80 | 320 |" in text
    assert "| accuracy | 100.0 % (99.4–100.0) |" in text
    assert "A dash" not in text
    assert "321 patients" in text
    assert "IM-0001" not in (written / card.TEST_SPLIT).read_text()


def test_a_report_on_the_held_out_patients_tells_what_is_refused_and_where_heatmaps_lie(
    checkpoint, write_report, tmp_path
):
    (tmp_path / "figures").mkdir()
    assert run(checkpoint, tmp_path, "--held-out", str(write_report(held_out=True))) == 0
    text = (tmp_path / card.CARD).read_text()
    assert "| noise | 97.5 % (87.1–99.6) | 40 |" in section(text, "Refusal")
    assert "| below the lungs | 15.0 % (8.1–26.1) | 60 |" in section(text, "Heatmap and wrong answers")
    assert "| lettered | 1.0 | 100.0 % | 100.0 % | 1.000 | 624 |" in section(text, "Under shifts")
    assert "lettered" in words_of(tmp_path / "figures" / "robustness.svg")
    assert "IM-0001" not in (tmp_path / card.HELD_OUT).read_text()
    # A card that is written again keeps them; without them it says so.
    assert run(checkpoint, tmp_path) == 0
    assert (tmp_path / card.CARD).read_text() == text
    (tmp_path / card.HELD_OUT).unlink()
    assert run(checkpoint, tmp_path) == 0
    assert "*Not measured for this version.*" in section((tmp_path / card.CARD).read_text(), "Refusal")


def test_the_runs_that_were_made_stand_in_a_table_with_the_spread_of_their_seeds(checkpoint):
    line = dict.fromkeys(runs.COLUMNS, "") | {"n": "490", "patients": "1280", "stress_accuracy": "0.8"}
    rows = [
        line | {"run": "base", "worse_auc": "0.91"},
        line | {"run": "base", "worse_auc": "0.95"},
        line | {"run": "frozen", "changed": "head | only", "worse_auc": "0.7312"},
    ]
    tried = section(rendered(checkpoint, runs=rows), "What was tried")
    assert "| base | – | 2 | 1280 | 490 | 0.930 (0.910–0.950) | – | 80.0 % (80.0–80.0) |" in tried
    assert "| frozen | head \\| only | 1 | 1280 | 490 | 0.731 | – | 80.0 % |" in tried


def test_the_readme_of_the_repository_gets_its_figures_between_the_marks(checkpoint):
    text = "before\n<!-- python -m ml.card writes this -->\nold\nfigures\n<!-- up to here -->\nafter\n"
    filled = card.with_summary(text, Subject(checkpoint, {}, []))
    held_out = checkpoint.metadata.metrics["held_out"]
    worst = min(SHIFTS[1:], key=lambda shift: held_out[shift]["specificity"]["value"])
    assert "old" not in filled
    assert filled.startswith("before\n<!-- python")
    assert filled.endswith("<!-- up to here -->\nafter\n")
    assert re.search(rf"\| specificity \| – \|.*, {worst} \|\n", filled)
    assert card.with_summary(filled, Subject(checkpoint, {}, [])) == filled


def test_a_readme_without_marks_is_left_alone(checkpoint):
    with pytest.raises(CardError, match="lost the marks"):
        card.with_summary("# A site\n", Subject(checkpoint, {}, []))


# --- the plots ---


def test_every_plot_in_the_card_is_drawn_and_stale_ones_go(written):
    shown = set(re.findall(r"\(figures/(\w+\.svg)\)", (written / card.CARD).read_text()))
    assert shown == {path.name for path in (written / "figures").iterdir()}
    assert len(shown) == 9
    for path in (written / "figures").iterdir():
        assert path.stat().st_size < 100_000
        assert "<image" not in path.read_text(), path.name


# --- the card in the repository ---


def words_of(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg.read_text())


def test_the_card_in_the_repository_is_that_of_the_shipped_checkpoint(tmp_path):
    """Where this fails, `python -m ml.card` was not run after a change of weights/, runs.csv or card.md."""
    shipped = Checkpoint.read(SHIPPED)
    test = card.of_version(card.FOLDER / card.TEST_SPLIT, shipped)
    subject = Subject(shipped, test, runs.read(), card.of_version(card.FOLDER / card.HELD_OUT, shipped))
    assert (card.FOLDER / card.CARD).read_text() == card.render(subject)
    assert card.README.read_text() == card.with_summary(card.README.read_text(), subject)
    drawn = {path.name: words_of(path) for path in card.draw(subject, tmp_path)}
    assert drawn == {path.name: words_of(path) for path in (card.FOLDER / "figures").glob("*.svg")}
