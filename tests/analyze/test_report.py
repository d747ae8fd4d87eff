"""The page of a report: its numbers are those of the records, and it says what can't be concluded from them."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from html import unescape

import numpy as np
import pytest
from scipy.stats import norm, t

from tests.helpers.cli import command
from tests.helpers.sweeps import DATE, example_rescored, write_results
from xglue_harness.analyze.report import report_of
from xglue_harness.analyze.report_page import page
from xglue_harness.analyze.report_scores import combined
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError
from xglue_harness.leaderboard.ranking.board import scored_runs
from xglue_harness.leaderboard.ranking.contrasts import contrast, transfer_gap

LANGUAGES = TASKS["pawsx"].languages


@pytest.fixture
def results(tmp_path):
    """``results(backbone, task, seed)`` writes a result of the example tree; the folder is its attribute."""

    def write(backbone="tiny-lm", task="pawsx", seed=1, change=None):
        folder = tmp_path / "results" / f"{task}-{seed}"
        write_results(folder, backbone, task, seed)
        file = folder / backbone / f"results_{DATE}.json"
        if change is not None:
            content = json.loads(file.read_text())
            for config in content["configs"].values():
                change(config["metadata"]["xglue"])
            file.write_text(json.dumps(content))
        return json.loads(file.read_text())

    write.folder = tmp_path / "results"
    return write


def _records(content):
    return {
        config["metadata"]["xglue"]["target_language"]: config["metadata"]["xglue"]
        for config in content["configs"].values()
    }


def _tables(page):
    """Cells of each table of a page, by its caption and then by the first cell of the row."""
    tables = {}
    for table in re.findall(r"<table>.*?</table>", page, flags=re.DOTALL):
        caption = unescape(re.search(r"<caption>(.*?)</caption>", table)[1])
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", table)]
        tables[caption] = {unescape(row[0]): [unescape(cell) for cell in row[1:]] for row in rows}
    return tables


def _page(results):
    """Without figures, which take a while."""
    return page(report_of([results.folder]), [])


def _command(results, *arguments):
    out = results.folder.parent / "out"
    status, printed, err = command("analyze", "report", results.folder, "--output", out, *arguments)
    assert status == 0, err
    return printed, out


def _intervention(language, gain, control, stderr=0.01):
    def change(by):
        return {
            "score": 0.5 + by,
            "gain": by,
            "gain_stderr": stderr,
            "better": 3,
            "worse": 1,
            "length": 2.5,
        }

    of = {
        "layer": 2,
        "states": "pooled",
        "documents": {language: 7},
        "files": {},
        "rank": None,
        "seed": 1,
        "change": change(gain),
        "control": change(control),
        "beyond_control": gain - control,
        "beyond_control_stderr": 2 * stderr,
    }
    return {"of": {"center": of}, "cost": {"seconds": 1.0}}


def _with_interventions(gains):
    def change(record):
        language = record["target_language"]
        if language != "en":
            record["interventions"] = _intervention(language, *gains[language])

    return change


def test_scores_are_those_of_the_results_with_the_leaderboards_intervals(results):
    contents = [results(seed=seed) for seed in (1, 2, 3)]
    tables = _tables(_page(results))
    table = tables["PAWS-X (acc)"]
    rescored = [item for item in example_rescored("pawsx") if item.result.backbone == "tiny-lm"]
    board = scored_runs(TASKS["pawsx"], rescored)
    for language in LANGUAGES:
        leaf = TASKS["pawsx"].leaf(language)
        mean = np.mean([content["results"][leaf]["acc,none"] for content in contents])
        expected = contrast([board], {"tiny-lm": 1.0}, [language])
        assert table[language] == [f"{100 * mean:.2f} ({100 * expected.low:.2f} to {100 * expected.high:.2f})"]
    gap = transfer_gap([board], "tiny-lm")
    assert table["transfer gap"] == [f"{100 * gap.value:.2f} ({100 * gap.low:.2f} to {100 * gap.high:.2f})"]
    assert table["seeds"] == ["3"]
    assert table["collapsed seeds"] == ["0"]


def test_one_training_has_the_interval_of_its_rows_and_says_so(results):
    content = results(task="ner")
    table = _tables(_page(results))["NER (f1)"]
    row = content["results"][TASKS["ner"].leaf("de")]
    value, stderr = row["f1,none"], row["f1_stderr,none"]
    text = re.fullmatch(r"([\d.]+) \(([\d.-]+) to ([\d.]+)\)\*", table["de"][0])
    assert float(text[1]) == pytest.approx(100 * value, abs=0.005)
    assert float(text[3]) - float(text[2]) == pytest.approx(2 * 100 * stderr * norm.ppf(0.975), rel=0.1)


def test_scores_without_predictions_have_no_rows_to_go_by(results):
    for seed in (1, 2):
        results(seed=seed)
    for file in results.folder.rglob("predictions_*"):
        file.unlink()
    (line,) = report_of([results.folder]).lines
    values = [run.score.value for run in line.series.runs if run.language == "de"]
    reach = 12.706204736 * np.std(values, ddof=1) / math.sqrt(2)
    assert line.cells["de"].over == "trainings"
    assert (line.cells["de"].value, line.cells["de"].high) == pytest.approx((np.mean(values), np.mean(values) + reach))
    assert any("no predictions" in text for text in report_of([results.folder / "pawsx-1"]).limits)


def test_measures_and_layers_are_those_of_the_records(results):
    records = _records(results(backbone="tiny-new", task="xnli"))
    tables = _tables(_page(results))
    heads = tables["XNLI, tiny-new"]["language"]
    for language, record in records.items():
        metrics = record["diagnostics"]["metrics"]
        for name, cell in zip(heads, tables["XNLI, tiny-new"][language], strict=True):
            assert cell.split(" ")[0] == (f"{metrics[name]['value']:.4g}" if name in metrics else "–")
    report = report_of([results.folder])
    layers = {(item.language, item.name, item.layer): item.number for item in report.layers}
    details = records["de"]["diagnostics"]["details"]["cka"]["de"]["cka_en"]
    assert details["columns"][0] == "layer"
    for row in details["rows"]:
        cells = dict(zip(details["columns"], row, strict=True))
        found = layers["de", "cka_en", cells["layer"]]
        assert (found.value, found.low, found.high) == (cells["cka"], cells["low"], cells["high"])


def test_layers_of_alignment_are_read_and_p_values_are_no_measures(results):
    own = {
        "n": 8,
        "iso_score": [0.1, None, 0.3],
        "columns": ["layer", "mexa", "mexa_p", "mexa_calibrated", "mutual_knn", "mutual_knn_p"],
        "rows": [[0, 0.5, 0.01, 1.0, 0.2, 0.5], [1, 0.6, 0.01, 1.0, 0.3, 0.5]],
    }

    def change(record):
        if record["target_language"] == "de":
            record["diagnostics"]["details"] = {"alignment": {"de": own}}
        else:
            record["diagnostics"] = None

    results(backbone="tiny-new", task="xnli", change=change)
    found = {(item.name, item.layer): item.number.value for item in report_of([results.folder]).layers}
    by_layer = {("mexa", 0): 0.5, ("mexa", 1): 0.6, ("mutual_knn", 0): 0.2, ("mutual_knn", 1): 0.3}
    assert found == {("iso_score", 0): 0.1, ("iso_score", 2): 0.3, **by_layer}


def test_measures_go_with_scores_over_the_languages_of_the_runs(results):
    for number, backbone in enumerate(("tiny-lm", "tiny-mt", "tiny-new"), start=1):
        write_results(results.folder / str(number), backbone, "xnli", 1)
    report = report_of([results.folder])
    points = report.points["xnli", "cka_en"]
    assert {title: len(own) for title, own in points.items()} == {"tiny-lm": 14, "tiny-mt": 14, "tiny-new": 14}
    assert {key[1] for key in report.points} == {"cka_en", "cka_pretrained"}, "weights have no language"
    found = {item.measure: item for item in report.associations}["cka_en"]
    x, y = (np.array([[cell[i] for cell in own.values()] for own in points.values()]) for i in (0, 1))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    assert found.slope == pytest.approx((x * y).sum() / (x**2).sum() * x.std())
    assert found.mixed is not None


def test_interventions_over_seeds_with_control_and_mean(results):
    gains = {1: {"de": (0.04, 0.01), "es": (0.02, 0.0), "fr": (0.0, 0.01)}}
    gains[2] = {language: (gain + 0.01, control) for language, (gain, control) in gains[1].items()}
    for seed, own in gains.items():
        results(seed=seed, change=_with_interventions(own))
    tables = _tables(_page(results))
    rows = tables["PAWS-X, tiny-lm: center, layer 2"]
    assert list(rows) == ["language", "de", "es", "fr", "mean of the others"]
    assert rows["de"][0] == "50.00"
    between, of_rows = np.var([0.04, 0.05], ddof=1) / 2, 0.01**2
    expected = combined([0.04, 0.05], [0.01, 0.01])
    df = ((between + of_rows) / between) ** 2
    assert expected.high - 0.045 == pytest.approx(t.ppf(0.975, df) * math.sqrt(between + of_rows))
    assert rows["de"][1] == f"+4.50 ({100 * expected.low:+.2f} to {100 * expected.high:+.2f})"
    assert rows["de"][2].startswith("+1.00 (")
    assert rows["de"][3].startswith("+3.50 (")
    assert rows["mean of the others"][1].startswith("+2.50 (")
    assert rows["mean of the others"][3].startswith("+1.83 (")
    assert rows["de"][-1] == "2"


def test_one_seed_of_an_intervention_has_its_paired_interval(results):
    results(change=_with_interventions({"de": (0.04, 0.01), "es": (0.02, 0.0), "fr": (0.0, 0.01)}))
    (de,) = (item for item in report_of([results.folder]).interventions if item.language == "de")
    for number, value, stderr in ((de.gain, 0.04, 0.01), (de.control, 0.01, 0.01), (de.beyond, 0.03, 0.02)):
        ends = (value - norm.ppf(0.975) * stderr, value + norm.ppf(0.975) * stderr)
        assert (number.value, number.low, number.high) == pytest.approx((value, *ends))
        assert number.over == "rows"


def test_what_cannot_be_concluded_is_made_from_the_facts(results):
    results()
    said = " ".join(report_of([results.folder]).limits)
    for words in (
        "the packaged SAMPLE",
        "tiny-lm (PAWS-X) with one seed only",
        "there is one of PAWS-X",
        "there is only PAWS-X",
        "no run has interventions",
    ):
        assert words in said
    assert "collapsed" not in said
    assert "no width" not in said
    assert "first rows" not in said

    def by_all_dev(record):
        record["selection"]["rule"] = "all_dev"
        record["selection"]["scores"]["all_dev"] = record["selection"]["scores"]["last"]

    def change(record):
        record["flags"] = {"collapsed": True, "reasons": ["it did"]}
        record["evaluation"]["unknown"] = 0.25
        if record["target_language"] != "en":
            record["interventions"] = _intervention(record["target_language"], 0.1, 0.0, stderr=0.0)

    results(seed=2, change=change)
    results(task="ner", change=by_all_dev)
    said = " ".join(report_of([results.folder]).limits)
    for words in (
        "runs of tiny-lm (PAWS-X) collapsed",
        "tiny-lm (PAWS-X) with fewer than 3 seeds",
        "chosen by all_dev",
        "PAWS-X tiny-lm de (25%)",
        "layer 2 only",
        "there is 1 draw",
        "That numbers with an interval of no width",
    ):
        assert words in said, said
    assert "there is only" not in said
    assert "no run has interventions" not in said


def test_the_page_stands_alone_and_everything_in_it_is_escaped(results):
    name = "<img onerror='alert(1)'>$a_b$&amp"
    results(backbone="tiny-new", task="xnli", change=lambda record: record["backbone"].update(name=name))
    _, out = _command(results)
    text = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<img|<script", text)
    assert "&lt;img onerror=&#39;alert(1)&#39;&gt;$a_b$&amp;amp" in text
    assert not re.search(r"<link|<iframe|\bsrc=|@import|url\((?!#)", text)
    assert not re.search(r'href="(?!#)', text)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert {*re.findall(r'href="#([^"]*)"', text), *re.findall(r"url\(#([^)]*)\)", text)} <= {*ids}
    svgs = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(svgs) == 4, "scores, layers, and scores against two measures"
    each = [{*re.findall(r'\bid="([^"]*)"', svg)} for svg in svgs]
    assert sum(map(len, each)) == len(set.union(*each)), "no two share an id"


def test_equal_runs_give_equal_files(results):
    results(change=_with_interventions({"de": (0.04, 0.01), "es": (0.02, 0.0), "fr": (0.0, 0.01)}))
    _, out = _command(results)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    _command(results)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert first.keys() == {"report.html", "report.pdf", "report.csv", "report.json"}
    assert first["report.pdf"].startswith(b"%PDF-")
    rows = list(csv.DictReader(first["report.csv"].decode().splitlines()))
    assert {row["data"] for row in rows} == {"SAMPLE"}
    gains = {row["language"]: float(row["value"]) for row in rows if row["name"] == "center: gain"}
    assert gains == {"de": 0.04, "es": 0.02, "fr": 0.0}
    assert json.loads(first["report.json"])["limits"][0].startswith("Anything: the data are the packaged SAMPLE")


def test_what_does_not_belong_together_is_refused(results):
    results()
    write_results(results.folder / "again", "tiny-lm", "pawsx", 1)
    with pytest.raises(DataError, match="seed 1, as in"):
        report_of([results.folder])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: record.update(SAMPLE=False), "can't stand in one report"),
        (
            lambda record: record["data"]["files"].update(
                {TASKS["pawsx"].path("test", record["target_language"]): "0" * 64}
            ),
            "another test set of pawsx",
        ),
    ],
)
def test_other_data_are_refused(change, reason, results):
    results()
    results(seed=2, change=change)
    status, _, err = command("analyze", "report", results.folder, "--output", results.folder.parent / "out")
    assert status == 2
    assert reason in " ".join(err.split())
    assert not (results.folder.parent / "out" / "report.html").exists()


def _without_layers(record):
    record["diagnostics"]["details"] = {}


def test_json_and_print_say_the_same_slopes(results):
    results(backbone="tiny-new", task="xnli", change=_without_layers)
    printed, _ = _command(results)
    (found,) = (item for item in report_of([results.folder]).associations if item.measure == "cka_en")
    assert f"{found.slope:+.2f} ({found.low:+.2f} to {found.high:+.2f})" in printed
    assert "What can't be concluded from these runs:" in printed
    printed, _ = _command(results, "--json")
    assert {row["section"] for row in json.loads(printed)["rows"]} == {"score", "measure"}


def test_without_matplotlib_there_is_a_page_without_figures(results, monkeypatch):
    results()
    monkeypatch.setitem(sys.modules, "xglue_analysis.plots", None)
    printed, out = _command(results)
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Without figures: these need matplotlib." in text
    assert "<svg" not in text
    assert {path.name for path in out.iterdir()} == {"report.html", "report.csv", "report.json"}
    assert "report.pdf" not in printed
