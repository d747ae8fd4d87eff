"""What lm-eval prints of a run: each number once, then a table for each task with its languages as columns."""

from __future__ import annotations

import copy
import math

import pytest

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.errors import RecipeError
from xglue_harness.harness.plugin import register
from xglue_harness.harness.task_tables import render, task_runs
from xglue_harness.resources import tasks_folder

KEY = "0123456789ab"


def _record(task, language, *, sample=False, collapsed=False, unofficial=(), key=KEY, diagnostics=None):
    return {
        "protocol": "finetune",
        "task": task,
        "target_language": language,
        "SAMPLE": sample,
        "recipe": {"key": key},
        "data": {"unofficial": [*unofficial]},
        "flags": {"collapsed": collapsed},
        "diagnostics": diagnostics
        and {"metrics": {name: {"value": value, "stderr": None} for name, value in diagnostics.items()}},
    }


def _results(task, scores, *, official=None, group=False, diagnostics=None, prefix="", **marks):
    """As ``simple_evaluate`` returns them: scores by language, all with a standard error of 0.01."""
    spec = TASKS[task]
    found: dict = {"results": {}, "configs": {}, "group_subtasks": {}, "versions": {}, "n-shot": {}}
    found["higher_is_better"] = {}
    for language, score in scores.items():
        name = f"{prefix}{spec.leaf(language)}"
        more = (diagnostics or {}).get(language)
        found["results"][name] = _numbers(name, spec.metric, score, (official or scores)[language], more or {})
        found["configs"][name] = {"metadata": {"xglue": _record(task, language, diagnostics=more, **marks)}}
        found["versions"][name], found["n-shot"][name] = 1.0, 0
        found["higher_is_better"][name] = {spec.metric: True}
    if group:
        mean = sum(scores.values()) / len(scores)
        whole = sum((official or scores).values()) / len(scores)
        shared = {"sigma_norm": 7.5} if diagnostics else {}
        found["results"][spec.group] = _numbers(spec.group, spec.metric, mean, whole, shared)
        found["groups"] = {spec.group: found["results"][spec.group]}
        found["group_subtasks"][spec.group] = [spec.leaf(language) for language in scores]
    return found


def _numbers(name, metric, score, official, more):
    numbers = {"alias": name, "sample_len": 9}
    for key, value in {metric: score, "score": score + 1e-12, "official": official, **more}.items():
        numbers[f"{key},none"] = value
        numbers[f"{key}_stderr,none"] = "N/A" if key == "official" or key in more else 0.01
    return numbers


@pytest.fixture
def make_table(monkeypatch):
    """lm-eval's, which the plug-in has replaced, at 120 columns."""
    import xglue_harness.harness.leaf_task  # noqa: F401  (a task is loaded)

    register()
    from lm_eval.utils import make_table as table

    monkeypatch.delenv("XGLUE_TABLE", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return table


def _printed(make_table, results):
    """What lm-eval's command line prints."""
    tables = [make_table(results), make_table(results, "groups")] if "groups" in results else [make_table(results)]
    return "\n".join(tables)


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def _rows(printed):
    """Name, metric and value of each line of lm-eval's table."""
    lines = [_cells(line) for line in printed.splitlines() if line.startswith("|") and "---" not in line][1:]
    rows, name = [], ""
    for cells in lines:
        name = cells[0] or name
        rows.append((name.lstrip("- "), cells[4], float(cells[6])))
    return rows


def test_a_number_is_there_once_and_the_results_stay_as_they_are(make_table):
    results = _results("xnli", {"en": 0.8, "de": 0.7, "sw": 0.6}, group=True)
    before = copy.deepcopy(results)
    assert _rows(_printed(make_table, results)) == [
        ("xglue_xnli_zs", "acc", 0.7),
        ("xglue_xnli_zs_de", "acc", 0.7),
        ("xglue_xnli_zs_en", "acc", 0.8),
        ("xglue_xnli_zs_sw", "acc", 0.6),
    ]
    assert results == before


def test_an_official_score_stays_where_it_is_another(make_table):
    results = _results("pos", {"en": 0.9, "th": 0.5}, official={"en": 0.9, "th": 0.4}, group=True)
    shown = _rows(_printed(make_table, results))
    assert [row for row in shown if row[1] == "official"] == [
        ("xglue_pos_zs", "official", 0.65),
        ("xglue_pos_zs_th", "official", 0.4),
    ]


def test_a_measure_of_the_encoder_is_there_once_and_one_of_a_language_for_each(make_table):
    found = {"en": {"cka_pretrained": 0.9, "sigma_norm": 7.5}}
    found["de"] = {"cka_pretrained": 0.8, "cka_en": 0.7, "sigma_norm": 7.5}
    results = _results("xnli", {"en": 0.8, "de": 0.7}, group=True, diagnostics=found)
    printed = _printed(make_table, results)
    measures = [row[:2] for row in _rows(printed) if row[1] != "acc"]
    assert measures == [
        ("xglue_xnli_zs", "sigma_norm"),
        ("xglue_xnli_zs_de", "cka_en"),
        ("xglue_xnli_zs_de", "cka_pretrained"),
        ("xglue_xnli_zs_en", "cka_pretrained"),
    ]
    table = printed.splitlines()
    assert "cka_pretrained  0.900  0.800  0.850" in table
    assert "cka_en              -  0.700  0.700" in table
    assert not any(line.startswith("sigma_norm") for line in table)


def test_groups_of_ours_are_printed_once_and_those_of_others_as_ever(make_table):
    results = _results("qam", {"en": 0.8, "de": 0.6}, group=True)
    assert _rows(make_table(results, "groups")) == []
    results["groups"]["mmlu"] = results["results"]["mmlu"] = {"alias": "mmlu", "acc,none": 0.25}
    results["results"]["arc"] = {"alias": "arc", "acc,none": 0.5, "score,none": 0.5}
    assert _rows(make_table(results, "groups")) == [("mmlu", "acc", 0.25)]
    assert {("arc", "acc", 0.5), ("arc", "score", 0.5)} <= {*_rows(make_table(results))}


def test_leaves_that_were_chosen_by_hand_have_a_mean(make_table):
    found = {"en": {"sigma_norm": 7.5}, "de": {"sigma_norm": 7.5}}
    marks = {"sample": True, "diagnostics": found}
    results = _results("pos", {"en": 0.9, "de": 0.5}, official={"en": 0.9, "de": 0.4}, **marks)
    printed = make_table(results)
    name = "xglue_pos_zs: mean of 2 of 18 [SAMPLE] [finetune]"
    assert _rows(printed)[:3] == [(name, "acc", 0.7), (name, "official", 0.65), (name, "sigma_norm", 7.5)]
    [line] = [line for line in printed.splitlines() if "mean of 2 of 18" in line and line.startswith("|")]
    assert float(_cells(line)[8]) == pytest.approx(math.sqrt(2) * 0.01 / 2, abs=5e-5)
    assert " - xglue_pos_zs_de" in printed
    assert sum(metric == "sigma_norm" for _, metric, _ in _rows(printed)) == 1


def test_one_leaf_and_leaves_of_a_users_own_group_have_none(make_table):
    assert "mean of" not in make_table(_results("pos", {"de": 0.5}))
    results = _results("pos", {"en": 0.9, "de": 0.5})
    results["group_subtasks"] = {"mine": [*results["results"]]}
    assert "mean of" not in make_table(results)


def test_a_task_in_a_table_of_its_own():
    scores = {"de": 0.7, "sw": 0.5, "en": 0.8}
    assert render(_results("xnli", scores), 120).splitlines() == [
        "XNLI: acc in %, 3 of 15 languages, finetune",
        "          en    de    sw  mean    gap",
        "score   80.0  70.0  50.0  66.7  +20.0",
        "± s.e.   1.0   1.0   1.0   0.6",
    ]


def test_what_an_intervention_gains_is_in_the_scores_own_unit():
    results = _results("xnli", {"en": 0.8, "sw": 0.5})
    of = {"erase": {"change": {"gain": 0.123, "gain_stderr": 0.01}, "control": {"gain": -0.004, "gain_stderr": 0.01}}}
    leaf = TASKS["xnli"].leaf("sw")
    results["configs"][leaf]["metadata"]["xglue"]["interventions"] = {"of": of}
    results["results"][leaf] |= {"erase_gain,none": 0.123, "erase_control_gain,none": -0.004}
    rows = {name: cells for name, *cells in map(str.split, render(results, 120).splitlines()[2:])}
    assert rows["score"][:2] == ["80.0", "50.0"]
    assert rows["erase_gain"] == ["-", "+12.3", "+12.3"]
    assert rows["erase_control_gain"] == ["-", "-0.4", "-0.4"]


def test_what_marks_the_numbers_stands_above_them():
    results = _results("qam", {"en": 0.8, "de": 0.6, "fr": 0.5}, sample=True, unofficial=["QAM/en.train: 9 rows"])
    results["configs"]["xglue_qam_zs_fr"]["metadata"]["xglue"]["flags"]["collapsed"] = True
    results["config"] = {"limit": 8}
    title = render(results, 120).splitlines()[0]
    assert title == "QAM: acc in %, 3 languages, finetune [SAMPLE] [UNOFFICIAL] [COLLAPSED: fr] [--limit 8]"
    assert render(_results("qam", {"en": 0.5}, collapsed=True), 120).splitlines()[0].endswith("finetune [COLLAPSED]")


def test_without_english_or_without_others_there_is_no_gap():
    assert render(_results("qam", {"de": 0.5, "fr": 0.7}), 120).splitlines()[2].split() == [
        *("score", "50.0", "70.0", "60.0", "-")
    ]
    assert render(_results("qam", {"en": 0.5}), 120).splitlines()[1:] == [
        "          en",
        "score   50.0",
        "± s.e.   1.0",
    ]


def test_a_standard_error_that_is_not_known_is_none():
    results = _results("wpr", {"en": 0.8, "de": 0.6})
    results["results"]["xglue_wpr_zs_de"]["score_stderr,none"] = "N/A"
    assert render(results, 120).splitlines()[3].split() == ["±", "s.e.", "1.0", "-", "-"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_all_languages_of_pos_fit_the_line(width):
    spec = TASKS["pos"]
    scores = {language: 0.5 + number / 100 for number, language in enumerate(spec.languages)}
    results = _results("pos", scores, official=dict.fromkeys(scores, 0.1), sample=True, collapsed=True)
    results["configs"]["xglue_pos_zs_en"]["metadata"]["xglue"]["flags"]["collapsed"] = False
    lines = render(results, width).splitlines()
    assert max(map(len, lines)) <= width
    title = next(number for number, line in enumerate(lines) if line.endswith("zh]"))
    lines = lines[title:]
    heads = [
        word for line in lines[1:] if not line.strip().startswith(("score", "±", "official")) for word in line.split()
    ]
    assert heads == ["en", *sorted(scores.keys() - {"en"}), "mean", "gap"]


def test_two_recipes_of_a_task_have_a_table_each():
    results, other = (_results("qam", {"en": score, "de": 0.5}, key=key) for score, key in ((0.8, "a"), (0.9, "b")))
    for part in ("results", "configs"):
        results[part] |= {f"{name}_again": value for name, value in other[part].items()}
    first, second = render(results, 120).split("\n\n")
    assert "finetune, recipe a" in first
    assert "finetune, recipe b" in second
    assert "90.0" in second


def test_all_tasks_have_a_table_together():
    results: dict = {"results": {}, "configs": {}}
    for number, (name, spec) in enumerate(TASKS.items()):
        found = _results(name, {"en": (number + 1) / 10}, collapsed=name == "wpr")
        results["results"] |= found["results"]
        results["results"][spec.group] = {"score,none": (number + 1) / 10, "score_stderr,none": 0.01}
        results["configs"] |= found["configs"]
    results["results"][ALL_GROUP] = {"score,none": 0.45, "score_stderr,none": 0.02}
    lines = render(results, 120).split("\n\n")[-1].splitlines()
    assert lines[0] == "XGLUE: mean of 8 tasks in % [COLLAPSED: WPR]"
    assert lines[1].split() == [*(spec.title for spec in TASKS.values()), "mean"]
    assert lines[2].split() == ["score", "10.0", "20.0", "30.0", "40.0", "50.0", "60.0", "70.0", "80.0", "45.0"]
    assert len(lines) == 4


def test_the_switch_leaves_lm_evals_tables_as_they_are(make_table, monkeypatch):
    results = _results("qam", {"en": 0.8, "de": 0.6}, group=True)
    ours = _printed(make_table, results)
    monkeypatch.setenv("XGLUE_TABLE", "off")
    theirs = _printed(make_table, results)
    assert theirs == "\n".join(make_table.__wrapped__(results, column) for column in ("results", "groups"))
    assert "QAM: acc in %" in ours
    assert "QAM: acc in %" not in theirs
    monkeypatch.setenv("XGLUE_TABLE", "no")
    with pytest.raises(RecipeError, match="XGLUE_TABLE=no: set it to off"):
        make_table(results)


def test_a_run_of_others_is_printed_as_ever(make_table):
    results = {"results": {"arc": {"alias": "arc", "score,none": 0.5}}, "configs": {"arc": {}}, "versions": {}}
    assert make_table(results) == make_table.__wrapped__(results)


def test_predictions_only_have_no_table():
    results = _results("qam", {"en": 0.8})
    results["results"]["xglue_qam_zs_en"] = {"bypass,none": 999}
    assert task_runs(results) == []
    assert render(results, 120) == ""


@pytest.mark.usefixtures("own_store")
def test_the_numbers_are_those_of_lm_evals_own_groups(evaluate, make_table):
    assert tasks_folder().is_dir()
    results = evaluate(["xglue_wpr_zs"], limit=12)
    [run] = task_runs(results)
    group = results["groups"]["xglue_wpr_zs"]
    lines = render(results, 120).splitlines()
    heads, scores, errors = (line.split() for line in lines[1:4])
    mean = heads.index("mean")
    assert float(scores[1 + mean]) == pytest.approx(100 * group["score,none"], abs=0.051)
    assert float(errors[2 + mean]) == pytest.approx(100 * group["score_stderr,none"], abs=0.051)
    assert [*run.leaves] == heads[:mean]
    assert "[SAMPLE]" in lines[0]
    assert "[--limit 12]" in lines[0]
    assert _rows(_printed(make_table, results))[0][1] == "ndcg"
