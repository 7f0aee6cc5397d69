"""The model card: what a checkpoint tells of itself, whatever part of it is missing."""

import re
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from diagnosis import model_card
from diagnosis.model_card import ModelCard
from diagnosis.models import ModelVersion
from diagnosis.states import State
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from ml import augmentation

pytestmark = pytest.mark.django_db

SVG = "{http://www.w3.org/2000/svg}"


def interval(value: float, **more) -> dict:
    return {"value": value, "low": value - 0.02, "high": value + 0.01, **more}


SUMMARY = {
    **{name: interval(0.9) for name in ("auc", "accuracy", "precision", "npv", "f1", "auprc")},
    **{name: interval(0.05) for name in ("log_loss", "brier", "ece")},
    "recall": interval(0.97),
    "specificity": interval(0.93),
    "confusion": {"true_normal": 128, "false_pneumonia": 8, "false_normal": 11, "true_pneumonia": 343},
    "n": 490,
}
CURVES = {
    "roc": [[0, 0], [0.05, 0.9], [1, 1]],
    "precision_recall": [[0, 1], [0.9, 0.97], [1, 0.7]],
    "reliability": [[0.1, 0.08, 120], [0.9, 0.93, 300]],
}
FULL = {
    "preprocessing": "squash224-jpeg75-v1",
    "image_size": 128,
    "temperature": 1.551,
    "bias": 0.999,
    "created": "2026-01-31T10:00:00+00:00",
    "metrics": {
        "targets": {"sensitivity": 0.965, "uncertain_share": 0.015},
        "held_out": {"none": SUMMARY, "blurred": SUMMARY},
        "stress": {**SUMMARY, "n": 5390},
        "by_cause": {"bacteria": interval(0.98, n=250), "virus": interval(0.94, n=104)},
        "curves": CURVES,
        "stress_curves": CURVES,
        "robustness": {
            "blurred": [
                {"severity": severity, "n": 123, "auc": 0.99 - severity / 10, "recall": 0.9, "specificity": 0.8}
                for severity in (0.0, 0.5, 1.0, 1.5)
            ]
        },
        "uncertain": {
            "share": interval(0.061),
            "accuracy_inside": interval(0.62),
            "accuracy_outside": interval(0.981),
        },
        "refusal": {"false_refusals": {"none": {"value": 0.004, "low": 0.001, "high": 0.015, "n": 490}}},
        "shortcuts": {
            "statistics_auc": 0.979,
            "correlation": 0.31,
            "rule_right": {"n": 450, "accuracy": interval(0.97)},
            "rule_wrong": {"n": 40, "accuracy": interval(0.85), "auc": 0.912},
        },
        "serving": {
            "machine": "a CPU of this kind",
            "rounds": 20,
            "table": [
                {"engine": "tensorflow", "milliseconds": 290.5, "serves": False},
                {
                    "engine": "int8",
                    "milliseconds": 48.3,
                    "serves": True,
                    "held_out": {"n": 490, "flips": 2, "auc_loss": 0.0001, "largest_change": 0.026},
                },
            ],
        },
        "stress_shortcuts": {"correlation": 0.27, "rule_wrong": {"n": 440, "accuracy": interval(0.8), "auc": 0.87}},
    },
    "training": {
        "command": "python -m ml.train --recipe robust --weights vgg19_notop.weights.h5",
        "machine": "x86_64, 2 CPUs",
        "hours": 2.03,
        "data": {"held_out": {"NORMAL": 136, "PNEUMONIA": 354}},
    },
}


def version_with(metadata) -> ModelVersion:
    return model_version_of(
        name="vgg19-robust", threshold=0.4, uncertain_low=0.3, uncertain_high=0.6, metadata=metadata
    )


def card_page(client, metadata) -> str:
    response = client.get(version_with(metadata).get_absolute_url())
    assert response.status_code == 200
    return response.content.decode()


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\N{NO-BREAK SPACE}", " ").split())


def without(key: str) -> dict:
    return FULL | {"metrics": {name: told for name, told in FULL["metrics"].items() if name != key}}


def test_an_unknown_version_has_no_card(client):
    assert client.get(f"/models/{'f' * 64}/").status_code == 404
    assert client.get("/models/nonsense/").status_code == 404


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        None,
        [],
        {"metrics": None, "training": "by hand"},
        {"metrics": {"held_out": {"none": {"auc": None, "n": None}}}},
        {"metrics": {"held_out": {"none": {"recall": {"value": 0.9, "low": None, "high": None}, "specificity": 0}}}},
        {"metrics": {"curves": {"roc": "a line", "reliability": [[0.5, None, 3], [1, 2]], "precision_recall": []}}},
        {"metrics": {"robustness": {"blurred": [None, {"severity": None, "auc": 0.5}, {"n": 3}], "noisy": 7}}},
        {"metrics": {"shortcuts": {"rule_wrong": 0.5}, "uncertain": [], "refusal": {"false_refusals": {"none": None}}}},
    ],
    ids=repr,
)
def test_a_checkpoint_that_tells_little_still_has_a_card(client, metadata):
    page = card_page(client, [] if metadata is None else metadata)
    text = words(page)

    assert "Not a medical device" in text
    assert "fell to an AUC of 0.54" in text
    assert "None" not in text
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("key", "heading"),
    [
        ("curves", 'id="curves"'),
        ("held_out", 'id="performance"'),
        ("held_out", 'id="shifts"'),
        ("uncertain", 'id="uncertain"'),
        ("refusal", 'id="refusals"'),
        ("serving", 'id="engines"'),
        ("shortcuts", "Held-out patients, pictures as they are"),
        ("stress_shortcuts", "Held-out patients, all shifts pooled"),
        ("targets", "of the pneumonias are found"),
        ("by_cause", "Bacterial pneumonia"),
        ("robustness", 'id="robustness-blurred-title"'),
        ("stress", "All shifts pooled"),
    ],
)
def test_what_was_not_measured_is_left_out_with_its_heading(client, key, heading):
    assert heading in card_page(client, FULL)
    assert heading not in card_page(client, without(key))


def test_it_says_for_whom_it_is_and_what_is_out_of_scope(client):
    text = words(card_page(client, FULL))

    for said in (
        "Not a medical device",
        "Children of one to five years",
        "adults",
        "lateral views",
        "CT",
        "photographs",
        "Kermany et al. 2018",
        "10.17632/rscbjbr9sj",
        "CC BY 4.0",
        "Guangzhou",
        "Patient rule",
        "A heatmap is not a localisation",
        "burned into a picture",
        "between runs that differ in nothing but their seed",
    ):
        assert said in text


def test_every_figure_comes_with_its_interval_and_n(client):
    text = words(card_page(client, FULL))

    assert "Pictures as they are, n = 490" in text
    assert "All shifts pooled, n = 5,390" in text
    assert "Sensitivity 0.970 (0.950–0.980)" in text
    assert "Bacterial pneumonia 0.980 0.960–0.990 250" in text
    assert "Truth pneumonia 11 343" in text
    assert re.search(r"10 % 0\.606 \(0\.\d{3}–0\.\d{3}\) 0\.996 \(0\.\d{3}–0\.\d{3}\)", text)
    assert "as they are 0.004 0.001–0.015 490" in text
    assert "Accuracy where the statistics are wrong 0.850 0.830–0.860 40" in text
    assert "AUROC where the statistics are wrong 0.912" in text
    assert "python -m ml.train --recipe robust" in text
    assert "1.551" in text


def test_what_an_answer_is_worth_follows_from_bayes_rule():
    rows = ModelCard(FULL).predictive_values

    assert [row.prevalence for row in rows] == [f"{share}\N{NO-BREAK SPACE}%" for share in (5, 10, 30)]
    # 0.97 × 0.10 / (0.97 × 0.10 + 0.07 × 0.90), and 0.93 × 0.90 / (0.93 × 0.90 + 0.03 × 0.10)
    assert (rows[1].ppv.value, rows[1].npv.value) == ("0.606", "0.996")


def test_an_answer_that_nobody_gets_is_worth_nothing_that_could_be_told():
    blind = {"metrics": {"held_out": {"none": {"recall": {"value": 0}, "specificity": {"value": 1}}}}}

    assert {row.ppv for row in ModelCard(blind).predictive_values} == {None}


def test_the_operating_point_is_told_with_what_this_version_was_chosen_for(client):
    text = words(card_page(client, FULL))

    assert "at least 96.5 % of the pneumonias are found with all shifts pooled" in text
    assert "at most 1.5 % of the pneumonias, and of the normals, are on the wrong side there" in text
    assert "97 %" not in words(card_page(client, without("targets")))


def test_it_claims_the_patient_rule_for_our_own_split_alone(client):
    text = words(card_page(client, {}))

    assert "Nobody is on both sides of our own split" in text
    assert "Its publishers divided it: numbers in its file names may stand for persons who are also in training" in text


def test_curves_say_on_how_many_pictures_they_stand(client):
    text = words(card_page(client, FULL))

    assert "Blurred, n = 123" in text
    assert "pictures as they are, n = 490" in text
    assert "all shifts pooled, n = 5,390" in text


def test_it_tells_which_engine_serves_and_how_far_its_answers_lie_from_the_reference(client):
    page = words(card_page(client, FULL))
    assert "tensorflow 290.5 – –" in page
    assert "int8 (serves) 48.3 2 of 490 0.026" in page
    assert "timed one picture at a time on a CPU of this kind" in page


def test_a_robustness_curve_on_a_varying_number_of_pictures_tells_the_range():
    steps = [{"severity": severity, "n": n, "auc": 0.9} for severity, n in ((0.0, 130), (0.5, 120), (1.0, None))]

    (chart,) = ModelCard({"metrics": {"robustness": {"noisy": steps}}}).robustness

    assert chart.title == "Noisy, n = 120–130"


def test_the_audit_under_stress_stands_beside_the_one_on_pictures_as_they_are(client):
    text = words(card_page(client, FULL))

    assert "all shifts pooled Figure Value 95 % interval n Rank correlation" in text
    assert "AUROC where the statistics are wrong 0.870 – 440" in text


def test_a_run_that_started_from_another_one_tells_both_and_where_the_first_one_started(client):
    first = {
        "name": "vgg19-first",
        **FULL["training"],
        "recipe": {"augmentation": "gentle", "image_size": 224},
    }
    second = {
        "command": "python -m ml.train --weights vgg19_pneumonia.h5",
        "recipe": {"augmentation": "matched"},
        "started_from": first,
    }
    text = words(card_page(client, FULL | {"training": second}))
    latest, earlier = text.split("Started from the network of vgg19-first")

    assert "sharpness drawn from one distribution for all pictures" in latest
    assert "small rotations, crops and changes of brightness" in earlier
    assert "Starting weights of the first run: vgg19_notop.weights.h5 , a VGG16 trained on ImageNet" in earlier
    assert "started from ·" not in text


@pytest.mark.parametrize("earlier", [{}, {"started_from": None}, {"started_from": "somewhere"}], ids=repr)
def test_a_run_of_its_own_has_no_history(client, earlier):
    text = words(card_page(client, FULL | {"training": {"command": "by hand", **earlier}}))

    assert "by hand" in text
    assert "Started from" not in text
    assert "Starting weights" not in text


def test_every_augmentation_of_training_has_its_words():
    assert model_card.AUGMENTATIONS.keys() == augmentation.AUGMENTATIONS.keys()


def test_it_says_how_to_get_what_is_not_on_the_site(client):
    text = words(card_page(client, {}))

    assert "The official test split: python -m ml.evaluate" in text
    assert "A gallery of wrong answers" in text


def test_operating_point_and_band_are_those_of_the_version(client):
    text = words(card_page(client, FULL))

    assert "Operating point 40.0 %" in text
    assert "Uncertain band 30.0 % to 60.0 %" in text


def test_each_chart_has_a_title_a_description_and_its_numbers_as_a_table(client):
    page = card_page(client, FULL)
    charts = re.findall(r'<figure class="chart">.*?</figure>', page, flags=re.DOTALL)

    assert len(charts) == 4
    for chart in charts:
        drawing = ElementTree.fromstring(re.search(r"<svg viewBox.*?</svg>", chart, flags=re.DOTALL)[0])
        assert drawing.get("role") == "img"
        named = {drawing.find("title").get("id"), drawing.find("desc").get("id")}
        assert set(drawing.get("aria-labelledby").split()) == named
        assert drawing.findall("polyline")
        assert "<details>" in chart
        assert chart.count("<tr>") > 2


def test_a_curve_is_drawn_to_scale(client):
    roc = next(chart for chart in ModelCard(FULL).charts if chart.slug == "roc")
    frame = roc.frame
    line = next(each for each in roc.drawn if each["line"].style == "solid")
    first, _, last = line["path"].split()

    assert first == f"{frame['left']:.1f},{frame['bottom']:.1f}"
    assert last == f"{frame['right']:.1f},{frame['top']:.1f}"


def test_a_hostile_name_is_only_text(client):
    page = card_page(client, FULL | {"training": {"command": "<script>alert(1)</script>"}})

    assert "<script>alert" not in page


def test_every_answer_leads_to_the_card_of_its_own_version(client, alice, rita):
    old, new = version_with(FULL), version_with({})
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, old)
    latest = prediction_at(State.SUCCEEDED, scan, new)
    client.force_login(alice)

    page = client.get(scan.get_absolute_url()).content.decode()
    answer, earlier = page.split("Earlier answers")
    assert f'href="/models/{new.sha256}/"' in answer
    assert f'href="/models/{old.sha256}/"' in earlier

    client.force_login(rita)
    assert f'href="/models/{new.sha256}/"' in client.get(f"/admin/diagnosis/prediction/{latest.pk}/change/").text


def test_staff_find_it_from_the_admin(client, sam):
    version = version_with(FULL)
    client.force_login(sam)
    page = client.get(f"/admin/diagnosis/modelversion/{version.pk}/change/").text.replace("\N{NO-BREAK SPACE}", " ")

    assert f'href="/models/{version.sha256}/"' in page
    assert "30.0 % to 60.0 %" in page


def test_pages_of_scans_do_not_read_the_whole_metadata(client, alice):
    prediction_at(State.SUCCEEDED, scan_of(alice), version_with(FULL))
    client.force_login(alice)
    with CaptureQueriesContext(connection) as captured:
        client.get("/scans/")
        client.get(alice.scans.get().get_absolute_url())

    assert [query["sql"] for query in captured if '"metadata"' in query["sql"]] == []
