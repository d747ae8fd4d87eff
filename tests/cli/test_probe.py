"""The command ``xglue-harness probe``, end to end on a tiny encoder: what it writes, and its errors."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from tests.helpers import families
from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.records.predictions import read
from xglue_harness.scoring import score_predictions


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mbert")
    families.mbert(folder)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XGLUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def probe(tmp_path, capsys, bert):
    def run(*arguments, status=0):
        command = ["probe", "--model", bert, *map(str, arguments), "--max-length", "64", "--output", str(run.out)]
        if status:
            with pytest.raises(SystemExit) as end:
                cli.main(command)
            assert end.value.code == status
            return capsys.readouterr().err
        with pytest.raises(SystemExit) as end:
            cli.main(command)
        assert end.value.code == 0
        return capsys.readouterr()

    run.out = tmp_path / "out"
    return run


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


SOME = ("--data", "sample", "--languages", "en,de")


def test_tables_figure_record_and_predictions(probe):
    printed = probe(*SOME, "--tasks", "nc,wpr,ner,bitext", "--layers", "all")
    assert "GB to be computed" in printed.err
    assert "SAMPLE data" in printed.out
    rows = rows_of(probe.out / "probes.csv")
    by_language = {(row["task"], row["language"], row["layer"]): row for row in rows}
    pairs = [("bitext", pair) for pair in ("de-en", "en-de")]
    tests = [(task, language) for task in ("nc", "wpr", "ner") for language in ("de", "en")]
    assert {*by_language} == {(*one, str(layer)) for one in [*tests, *pairs] for layer in range(3)}
    assert {row["data"] for row in rows} == {"SAMPLE"}
    for (task, language, layer), row in by_language.items():
        if task == "bitext":
            continue
        kept = read(probe.out / "predictions" / f"{task}_{language}_layer_{int(layer):02d}.parquet")
        assert kept.header.protocol == "probe"
        assert kept.complete
        found = score_predictions(TASKS[task], kept.labels, kept.predictions, kept.documents)
        assert found.score == pytest.approx(float(row["score"]), abs=1e-12)
    assert {path.name for path in probe.out.glob("probes.*")} == {
        f"probes.{end}" for end in ("csv", "json", "png", "svg")
    }
    record = json.loads((probe.out / "probes.json").read_text())
    assert record["layers"] == [0, 1, 2]
    assert record["recipes"]["nc"]["classifier"] == "logistic_regression"
    assert record["recipes"]["wpr"]["train_rows"] == 10_000
    assert record["data"] == "SAMPLE"


def test_mteb_reads_the_files(probe, bert):
    mteb = pytest.importorskip("mteb", reason="needs the extra mteb")
    probe(*SOME, "--tasks", "nc,qam,wpr,pos,bitext", "--layers", "0,2")
    cache = mteb.ResultCache(probe.out / "mteb")
    rows = {(row["task"], row["language"], row["layer"]): row for row in rows_of(probe.out / "probes.csv")}
    for layer in (0, 2):
        kwargs = {"layer": layer, "pooling": "mean", "max_length": 64}
        results = cache.load_results(load_experiments="match_kwargs", experiment_kwargs=kwargs)
        frame = results.to_dataframe(aggregation_level="subset", format="long")
        scores = {
            (name.split("-")[2], subset): score
            for name, subset, score in zip(frame["task_name"], frame["subset"], frame["score"], strict=True)
        }
        assert len(scores) == 4 * 2 + 2  # two languages of four tasks, and two directions
        for task, title in [("nc", "NC"), ("qam", "QAM"), ("wpr", "WPR"), ("pos", "POS")]:
            for language in ("de", "en"):
                expected = float(rows[task, language, str(layer)]["mteb_score"])
                assert scores[title, language] == pytest.approx(expected, abs=1e-5)
    assert "local/" in str(results.to_dataframe().columns)


def test_it_works_without_mteb_and_says_what_is_missing(probe, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mteb"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("files", "tasks", "encoder", "bitext_task"):
        monkeypatch.delitem(sys.modules, f"xglue_harness.probing.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "mteb", None)
    printed = probe(*SOME, "--tasks", "nc")
    assert "pip install 'xglue-harness[mteb]'" in printed.err
    assert not (probe.out / "mteb").exists()
    assert {row["mteb_score"] for row in rows_of(probe.out / "probes.csv")} == {""}


def test_parallel_texts_are_mined(probe, tmp_path):
    folder = tmp_path / "parallel"
    folder.mkdir()
    for language in ("de", "en", "fr"):
        (folder / f"{language}.txt").write_text("\n".join(families.texts()[language]) + "\n", encoding="utf-8")
    probe("--tasks", "bitext", "--parallel", folder)
    found = {row["language"] for row in rows_of(probe.out / "probes.csv")}
    assert found == {"de-en", "en-de", "fr-en", "en-fr"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tasks", "squad"), "no task 'squad'; there are nc, xnli"),
        (("--tasks", "nc", "--layers", "7"), "has the layers 0 to 2"),
        (("--tasks", "nc", "--layers", "top"), "expected last, all, or numbers"),
        (("--tasks", "nc", "--max-disk", "0"), "more than --max-disk allows"),
        (("--tasks", "nc", "--seed", 2**32), "seed 4294967296"),
        (("--tasks", "nc", "--languages", "xx"), "has no test set of NC in xx"),
    ],
)
def test_what_can_not_be_done_is_one_clear_error(probe, arguments, said):
    data = () if "--languages" in arguments else ("--languages", "en,es")
    assert said in probe("--data", "sample", *arguments, *data, status=2)


def test_text_that_the_tokenizer_does_not_know_is_told(probe, tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "en.txt").write_text("".join(f"the same words {n}\n" for n in range(8)))
    (texts / "th.txt").write_text("".join(f"ꙮ ꙮ ꙮ {n}\n" for n in range(8)))
    printed = " ".join(probe("--tasks", "bitext", "--parallel", texts).out.split())
    assert "reads much text as unknown" in printed
    assert printed.partition("share of unknown subwords: ")[2].startswith("th ")
    assert json.loads((probe.out / "probes.json").read_text())["unknown_subwords"]["th"] > 0.5
