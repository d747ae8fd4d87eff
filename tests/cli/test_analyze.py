"""The commands of ``xglue-harness analyze``, end to end on tiny encoders: tables, records, figures, errors."""

from __future__ import annotations

import csv
import json
import sys

import pyarrow.parquet
import pytest
import torch

from tests.helpers.families import Checkpoints
from xglue_analysis import compare, layer_states
from xglue_harness.cli import app as cli
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.probe import position_limit
from xglue_harness.published import paper


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    return Checkpoints(tmp_path_factory.mktemp("families"))


@pytest.fixture
def analyze(tmp_path, capsys):
    """Runs a command with an output folder of the test's own; gives what it printed."""

    def run(*arguments, status=0):
        with pytest.raises(SystemExit) as end:
            cli.main(["analyze", *map(str, arguments), "--output", str(tmp_path / "out")])
        assert end.value.code == status, capsys.readouterr()
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    run.out = tmp_path / "out"
    return run


QUICK = ("--permutations", 20, "--replicates", 20)
SAMPLE = ("--data", "sample", "--task")


def _csv(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _names(folder):
    return {path.name for path in folder.iterdir()}


def _figures(*names):
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def test_cka_of_two_encoders(analyze, checkpoints):
    a, b = checkpoints("mbert"), checkpoints("xlmr")
    printed = analyze("cka", a, b, *SAMPLE, "nc", "--languages", "en,ru", *QUICK, "--seed", 3)
    assert "en" in printed
    assert "null_p95" in printed
    rows = _csv(analyze.out / "cka.csv")
    assert len(rows) == 2 * 3 * 3
    assert _names(analyze.out) == {"cka.csv", "cka.json", *_figures("cka_lines", "cka_layers")}
    # the library on the same texts gives the same numbers
    from xglue_harness.analyze.sentences import task_texts

    texts = task_texts("nc", "sample", ["ru"], 1000).by_language["ru"]
    xs, ys = (
        list(layer_states(body.encoder, body.tokenizer, texts, max_length=position_limit(body)))
        for body in (load_backbone(str(name), torch.device("cpu")) for name in (a, b))
    )
    expected = compare(xs, ys, permutations=20, replicates=20, seed=3)
    found = [row for row in rows if row["language"] == "ru"]
    for row, wanted in zip(found, expected, strict=True):
        for name in ("layer_a", "layer_b", "n", "cka", "low", "null_p95", "cka_standardised"):
            assert float(row[name]) == pytest.approx(wanted[name], abs=1e-3), name  # states are kept in float16
    record = json.loads((analyze.out / "cka.json").read_text())
    assert record["languages"] == {"en": 60, "ru": 60}
    assert [one["model_type"] for one in record["encoders"]] == ["bert", "xlm-roberta"]
    assert record["text_files"].keys() == {"NC/xglue.nc.en.test", "NC/xglue.nc.ru.test"}
    assert record["permutations"] == 20
    assert record["environment"]["versions"]["torch"]
    assert record["files"] == [name for name in record["files"] if (analyze.out / name).exists()]


def test_a_table_may_be_parquet_and_equal_runs_give_equal_files(analyze, checkpoints, tmp_path):
    a = checkpoints("mbert")
    command = ("cka", a, a, *SAMPLE, "pos", "--languages", "en", *QUICK, "--format", "parquet")
    analyze(*command)
    first = {path.name: path.read_bytes() for path in analyze.out.iterdir()}
    table = pyarrow.parquet.read_table(analyze.out / "cka.parquet")
    assert table.num_rows == 9
    assert table["cka"][0].as_py() == pytest.approx(1, abs=1e-6)
    analyze(*command)
    assert first == {path.name: path.read_bytes() for path in analyze.out.iterdir()}


def test_encoders_of_different_depth_have_no_lines_but_a_map(analyze, checkpoints):
    analyze("cka", checkpoints("mbert"), checkpoints("modernbert"), *SAMPLE, "nc", "--languages", "en", *QUICK)
    assert _names(analyze.out) == {"cka.csv", "cka.json", *_figures("cka_layers")}
    assert len(_csv(analyze.out / "cka.csv")) == 3 * 5


@pytest.mark.parametrize("family", ["mbart50", "nllb", "t5"])
def test_languages_of_one_encoder(family, analyze, checkpoints):
    printed = analyze("languages", "--model", checkpoints(family), *SAMPLE, "xnli", "--languages", "en,de,bg", *QUICK)
    assert "de-en" in printed
    rows = _csv(analyze.out / "languages.csv")
    assert len(rows) == 3 * 3 * 2
    measures = ("cka", "anc", "p1_csls", "mutual_knn", "mexa", "separability", "layers", "neighbours")
    figures = _figures("spaces", *(f"languages_{name}" for name in measures))
    assert _names(analyze.out) == {"languages.csv", "spaces.csv", "languages.json", *figures}
    assert [row["language"] for row in _csv(analyze.out / "spaces.csv")[:3]] == ["en", "de", "bg"]
    assert not any("calibrated" in name for name in rows[0])
    assert {row["language_a"] for row in rows} == {"en", "de", "bg"}
    assert {row["data"] for row in rows} == {"SAMPLE"}
    assert "SAMPLE data: the numbers mean nothing" in printed
    assert json.loads((analyze.out / "languages.json").read_text())["pivot"] == "en"


def test_figures_say_what_they_rest_on(analyze, monkeypatch, tmp_path):
    """Of the toy and of data with other numbers of rows than XGLUE's; nothing is said of one's own text."""
    from types import SimpleNamespace

    from xglue_harness.analyze.output import DataMark, Output

    drawn = []
    out = Output(tmp_path, "csv")
    out.plots = SimpleNamespace(save=lambda figure, path: [], kind=lambda rows, title=None: drawn.append(title))
    for mark in (None, DataMark("SAMPLE"), DataMark("UNOFFICIAL", ["x"]), DataMark("XGLUE"), DataMark("text")):
        out.data = mark
        out.figure("name", "kind", [], title="model")
        out.figure("name", "kind", [])
    assert drawn == ["model", None, "model [SAMPLE]", "[SAMPLE]", "model [UNOFFICIAL]", "[UNOFFICIAL]"] + 2 * [
        "model",
        None,
    ]


def test_languages_need_translations(analyze, checkpoints):
    printed = analyze("languages", "--model", checkpoints("mbert"), *SAMPLE, "nc", status=2)
    assert "sentences must be translations of each other" in printed
    assert not (analyze.out / "languages.csv").exists()


def test_spectra_in_the_papers_columns_beside_the_papers_values(analyze, checkpoints, tmp_path):
    base, tuned = tmp_path / "mbart-large-50", tmp_path / "mbart-large-50-many-to-many-mmt"
    base.symlink_to(checkpoints("mbart50"))
    body = load_backbone(str(base), torch.device("cpu"))
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(base)
    with torch.no_grad():
        model.get_encoder().layers[1].fc1.weight *= 1.5
        model.get_decoder().layers[1].fc2.weight *= 9
    model.save_pretrained(tuned)
    printed = analyze("spectra", base, tuned, "--published", "--layer", 1)
    rows = [row for row in _csv(analyze.out / "spectra.csv") if row["model"] == str(tuned)]
    assert len(rows) == 12
    distances = {(int(row["layer"]), row["role"]): float(row["distance"]) for row in rows}
    norm = float(body.encoder.layers[1].fc1.weight.double().norm())
    assert distances.pop((1, "FC up")) == pytest.approx(0.5 * norm, rel=1e-6)
    assert set(distances.values()) == {0}
    assert "mbart-large-50-many-to-many-mmt" in printed
    assert "52.62" in printed, "the paper's norm of Q in layer 1 of m2m"
    assert _names(analyze.out) == {"spectra.csv", "spectra.md", "spectra.json", *_figures("spectra")}
    lines = (analyze.out / "spectra.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| layer | model | K ‖σ‖ | K d | Q ‖σ‖ |")
    assert len(lines) == 2 + 2 * 2
    assert lines[5].split(" | ")[1:3] == ["mbart-large-50-many-to-many-mmt", lines[4].split(" | ")[2]]
    assert f"| {0.5 * norm:.2f} |" in lines[5]
    totals = json.loads((analyze.out / "spectra.json").read_text())["totals"]
    assert totals[1]["sigma_distance"] == pytest.approx(0.5 * norm, rel=1e-6)


def test_shapes_that_differ_are_refused(analyze, checkpoints):
    printed = analyze("spectra", checkpoints("mbert"), checkpoints("modernbert"), status=2)
    assert "2" in printed
    assert "layers" in printed
    assert not (analyze.out / "spectra.csv").exists()
    assert "given twice" in analyze("spectra", checkpoints("mbert"), checkpoints("mbert"), status=2)


def _results(folder, model, values):
    configs = {}
    for language, score, value in values:
        configs[f"xglue_xnli_zs_{language}"] = {
            "metadata": {
                "xglue": {
                    "backbone": {"name": model},
                    "recipe": {"seed": 1},
                    "task": "xnli",
                    "target_language": language,
                    "source_language": "en",
                    "SAMPLE": True,
                    "selection": {"rule": "last", "scores": {"last": {"score": score}}},
                    "diagnostics": {
                        "metrics": {
                            "cka_en": {"value": value, "stderr": 0.1},
                            "sigma_norm": {"value": score, "stderr": None},
                        }
                    },
                }
            }
        }
    folder.mkdir(parents=True)
    (folder / "results_2026.json").write_text(json.dumps({"configs": configs}))


@pytest.mark.parametrize(
    ("over", "diagnostics"), [("models", {"cka_en", "sigma_norm"}), ("languages", {"cka_en", "sigma_norm"})]
)
def test_correlation_over_models_and_over_languages(over, diagnostics, analyze, tmp_path):
    for number, model in enumerate("abcde"):
        languages = [
            (name, 0.1 * number + 0.01 * place, 0.3 * number - 0.1 * place)
            for place, name in enumerate(("de", "fr", "ru", "sw"))
        ]
        _results(tmp_path / "results" / model, model, languages)
    printed = analyze("correlate", tmp_path / "results", "--over", over)
    rows = {row["diagnostic"]: row for row in _csv(analyze.out / "correlate.csv")}
    assert set(rows) == diagnostics
    assert rows["cka_en"]["models"] == "5"
    expected = 1 if over == "models" else -1
    assert float(rows["cka_en"]["rho"]) == pytest.approx(expected)
    assert float(rows["cka_en"]["p"]) < 0.05
    assert "permutation p" in printed
    assert "SAMPLE data: the numbers mean nothing" in printed
    assert {row["data"] for row in rows.values()} == {"SAMPLE"}
    assert json.loads((analyze.out / "correlate.json").read_text())["data"] == "SAMPLE"
    assert _names(analyze.out) == {
        "correlate.csv",
        "correlate.json",
        *_figures(*(f"correlate_{name}" for name in diagnostics)),
    }


def test_recipes_of_one_model_are_told_apart_in_print_and_record(analyze, tmp_path):
    for number, model in enumerate(("a", "a2")):
        _results(tmp_path / "results" / model, "a", [("de", 0.1, number), ("fr", 0.2, number)])
        file = tmp_path / "results" / model / "results_2026.json"
        file.write_text(file.read_text().replace('"seed": 1', f'"seed": 1, "epochs": {number + 3}'))
    printed = analyze("correlate", tmp_path / "results")
    assert "recipes that differ are points of their own: a (epochs 3); a (epochs 4)" in printed
    points = json.loads((analyze.out / "correlate.json").read_text())["points"]["cka_en"]
    assert [(point["recipe"], point["cka_en"]) for point in points] == [("epochs 3", 0), ("epochs 4", 1)]


def test_one_point_has_no_figure_but_a_message(analyze, tmp_path):
    _results(tmp_path / "results" / "a", "a", [("de", 0.1, 0.2), ("fr", 0.2, 0.3)])
    printed = " ".join(analyze("correlate", tmp_path / "results").split())
    assert "no figure of cka_en, sigma_norm: a scatter needs two points, and no task has more than one" in printed
    assert "or --over languages" in printed
    assert _names(analyze.out) == {"correlate.csv", "correlate.json"}


def test_text_that_the_tokenizer_does_not_know_is_told(analyze, checkpoints, tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "en.txt").write_text("the same words\n" * 8 + "\n".join(f"a line {n}" for n in range(8)))
    (texts / "th.txt").write_text("\n".join(f"ꙮ ꙮ ꙮ {n}" for n in range(16)))
    printed = " ".join(analyze("languages", "--model", checkpoints("mbert"), "--text", texts, *QUICK).split())
    assert "reads much text as unknown" in printed
    assert printed.partition("share of unknown subwords: ")[2].startswith("th 100%")
    (encoder,) = json.loads((analyze.out / "languages.json").read_text())["encoders"]
    assert encoder["unknown"]["th"] > 0.5


def test_a_measure_of_the_task_is_not_correlated_over_languages(analyze, tmp_path):
    for number, model in enumerate("ab"):
        _results(
            tmp_path / "results" / model,
            model,
            [(name, number, place) for place, name in enumerate(("de", "fr", "ru", "sw"))],
        )
    analyze("correlate", tmp_path / "results", "--over", "languages")
    assert [row["diagnostic"] for row in _csv(analyze.out / "correlate.csv")] == ["cka_en"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cka", "A", "A"], "no sentences: give --text"),
        (["cka", "A", "A", "--text", "x", "--task", "nc"], "not both"),
        (["cka", "A", "none", "--data", "sample", "--task", "nc"], "the configuration of none can't be loaded"),
        (
            ["languages", "--model", "A", "--data", "sample", "--task", "xnli", "--layer", "7", "--languages", "en,de"],
            "layers 0 to 2",
        ),
        (["correlate", "none.json"], "none.json is no results file"),
        (["spectra", "A", "none"], "none"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_table(arguments, message, analyze, checkpoints):
    given = [str(checkpoints("mbert")) if argument == "A" else argument for argument in arguments]
    printed = analyze(*given, status=2)
    assert message in printed
    assert "xglue-harness: " in printed
    assert "Traceback" not in printed
    assert not [name for name in _names(analyze.out) if name.endswith((".csv", ".json"))]


@pytest.fixture
def no_matplotlib(monkeypatch):
    """As in an installation without the extra ``plots``, and in a process that has not drawn yet."""
    for name in {"matplotlib"} | {name for name in sys.modules if name.partition(".")[0] == "matplotlib"}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("plots", "figures"):
        monkeypatch.delitem(sys.modules, f"xglue_analysis.{name}", raising=False)
        monkeypatch.delattr(f"xglue_analysis.{name}", raising=False)


@pytest.mark.parametrize("command", ["cka", "languages", "spectra", "correlate"])
def test_without_matplotlib_there_are_table_and_record_and_a_word_about_the_figures(
    command, analyze, checkpoints, tmp_path, capsys, no_matplotlib
):
    a, b = checkpoints("mbert"), tmp_path / "other"
    b.symlink_to(a)
    for number, model in enumerate("abcde"):
        _results(tmp_path / "results" / model, model, [("de", 0.1 * number, 0.2 * number)])
    arguments = {
        "cka": (a, b, *SAMPLE, "nc", "--languages", "en", *QUICK),
        "languages": ("--model", a, *SAMPLE, "xnli", "--languages", "en,de", *QUICK),
        "spectra": (a, b),
        "correlate": (tmp_path / "results",),
    }[command]
    with pytest.raises(SystemExit) as end:
        cli.main(["analyze", command, *map(str, arguments), "--output", str(analyze.out)])
    printed = capsys.readouterr()
    assert end.value.code == 0, printed
    said = [line for line in printed.err.splitlines() if "need matplotlib" in line]
    assert said == ["table and record only: figures need matplotlib: pip install 'xglue-harness[plots]'"]
    more = {"spectra": {"spectra.md"}, "languages": {"spaces.csv"}}.get(command, set())
    assert _names(analyze.out) == {f"{command}.csv", f"{command}.json", *more}
    assert _csv(analyze.out / f"{command}.csv")
    assert json.loads((analyze.out / f"{command}.json").read_text())["files"] == sorted({f"{command}.csv", *more})


@pytest.mark.parametrize("command", ["cka", "languages", "spectra", "correlate"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit):
        cli.main(["analyze", command, "--help"])
    assert f"xglue-harness analyze {command} " in capsys.readouterr().out


def test_the_papers_tables():
    assert paper.spectrum("facebook/mbart-large-50", 11, "K") == (44.76, None)
    assert paper.spectrum("x/mbart-large-50-one-to-many-mmt/", 11, "FC down") == (120.5, 22.15)
    assert paper.spectrum("mbart-large-50-many-to-one-mmt", 10, "FC up") == (103.56, 12.19)
    assert paper.spectrum("mbart-large-50", 12, "K") is None
    assert paper.spectrum("bert-base-multilingual-cased", 3, "K") is None
    tables = paper.tables()
    assert set(paper.NAMES.values()) == set(tables["table1"])
    assert len(tables["table5"]) == 11
