"""The numbers of a report are the leaderboard's own; what is missing, collapsed or not comparable is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.helpers.sweeps import EXAMPLE, example_rescored
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import SweepError
from xglue_harness.leaderboard.contributions.backbones import read_backbone
from xglue_harness.leaderboard.ranking.board import boards
from xglue_harness.leaderboard.validation.validate import ValidatedTree
from xglue_harness.sweeps.comparison import MEAN, Cell, Compared, compare, contrast_pairs, restricted

BACKBONES = {
    "tiny-lm": Compared("Tiny_LM", "LM", None),
    "tiny-cp": Compared("Tiny_CP", "CP", "tiny-lm"),
    "tiny-mt": Compared("Tiny_MT", "MT", None),
    "tiny-new": Compared("Tiny_new", "LM", None),
}
SPECS = [TASKS["pawsx"], TASKS["ner"]]


@pytest.fixture(scope="module")
def results():
    return [item for spec in SPECS for item in example_rescored(spec.name) if item.result.recipe == "toy"]


@pytest.fixture(scope="module")
def comparison(results):
    return compare(BACKBONES, SPECS, 3, results)


@pytest.fixture(scope="module")
def board(results):
    """The leaderboard of the same results."""
    described = {path.stem: read_backbone(path) for path in (EXAMPLE / "backbones").glob("*.yaml")}
    (only,) = boards(ValidatedTree(EXAMPLE, True, described, tuple(results)))
    return only


@pytest.mark.parametrize("task", ["pawsx", "ner"])
@pytest.mark.parametrize("name", [*BACKBONES])
def test_scores_and_intervals_are_the_leaderboards(comparison, board, name, task):
    row, cells = board.tasks[task].row(name), comparison.tasks[task].cells[name]
    assert cells[MEAN].estimate == row.score
    assert {language: cells[language].estimate for language in TASKS[task].languages} == dict(row.languages)
    assert cells[MEAN].seeds == len(row.results)
    assert cells[MEAN].collapsed == bool(row.collapsed)


@pytest.mark.parametrize("task", ["pawsx", "ner"])
def test_contrasts_are_the_leaderboards(comparison, board, task):
    families = board.families[task]
    expected = {(item.first, item.second): item.difference for item in (*families.versus, *families.continued)}
    actual = {pair: cell.estimate for pair, cell in comparison.tasks[task].contrasts.items()}
    assert actual == expected
    assert {*actual} == {("LM", "MT"), ("LM", "CP"), ("MT", "CP"), ("tiny-cp", "tiny-lm")}


def test_a_contrast_stands_on_the_seeds_of_the_backbone_that_has_fewest(comparison):
    contrasts = comparison.tasks["ner"].contrasts
    assert contrasts["LM", "MT"].seeds == 1  # the newcomer's
    assert contrasts["tiny-cp", "tiny-lm"].seeds == 2
    assert not contrasts["LM", "MT"].partial


def test_what_has_no_result_is_missing_and_its_family_is_partial(results):
    some = [item for item in results if (item.result.backbone, item.result.task) != ("tiny-new", "ner")]
    comparison = compare(BACKBONES, SPECS, 3, some)
    assert comparison.tasks["ner"].cells["tiny-new"]["de"] == Cell(None, 0, 3)
    assert comparison.tasks["ner"].contrasts["LM", "MT"].partial
    assert not comparison.tasks["pawsx"].contrasts["LM", "MT"].partial
    assert not comparison.tasks["ner"].contrasts["MT", "CP"].partial
    assert comparison.over_all["LM", "MT"].partial  # the mean over both tasks is without it


def test_a_task_without_results_has_no_contrast_and_no_mean_over_all(results):
    comparison = compare(BACKBONES, SPECS, 3, [item for item in results if item.result.task == "ner"])
    assert all(cell.estimate is None for cell in comparison.tasks["pawsx"].contrasts.values())
    assert all(cell.estimate is None for cell in comparison.over_all.values())
    assert comparison.tasks["ner"].contrasts["LM", "MT"].estimate is not None


def test_a_backbone_of_no_family_is_in_no_contrast(results):
    told = {**BACKBONES, "tiny-mt": Compared("Tiny_MT", None, None)}
    assert contrast_pairs(told) == [("LM", "CP"), ("tiny-cp", "tiny-lm")]
    comparison = compare(told, SPECS, 3, results)
    assert comparison.tasks["ner"].cells["tiny-mt"][MEAN].estimate is not None


def test_tracks_are_never_contrasted(results):
    """A backbone of a study is in no family's mean, lends nobody its variance, and has the contrasts of its study."""
    told = {
        **BACKBONES,
        "tiny-cp": Compared("Tiny_CP", "LM", None, "controlled"),
        "tiny-mt": Compared("Tiny_MT", "MT", None, "controlled", ("tiny-cp",)),
    }
    assert contrast_pairs(told) == [("tiny-mt", "tiny-cp")]
    main = {key: item for key, item in BACKBONES.items() if key in ("tiny-lm", "tiny-new")}
    assert contrast_pairs({**told, **main, "other": Compared("Other", "MT", None)})[0] == ("LM", "MT")
    comparison = compare(told, SPECS, 3, results)
    alone = compare(main, SPECS, 3, [item for item in results if item.result.backbone in main])
    for task in ("pawsx", "ner"):
        cells = comparison.tasks[task]
        assert {*cells.contrasts} == {("tiny-mt", "tiny-cp")}
        scores = [cells.cells[key][MEAN].estimate.value for key in ("tiny-mt", "tiny-cp")]
        assert cells.contrasts["tiny-mt", "tiny-cp"].estimate.value == pytest.approx(scores[0] - scores[1], abs=1e-12)
        assert {key: cells.cells[key] for key in main} == alone.tasks[task].cells
    assert {*comparison.over_all} == {("tiny-mt", "tiny-cp")}


def test_a_familys_mean_is_that_without_the_controlled_track(results):
    told = {**BACKBONES, "tiny-new": Compared("Tiny_new", "LM", None, "controlled")}
    without = {key: item for key, item in BACKBONES.items() if key != "tiny-new"}
    comparison = compare(told, SPECS, 3, results)
    expected = compare(without, SPECS, 3, [item for item in results if item.result.backbone != "tiny-new"])
    assert comparison.over_all == expected.over_all
    assert [task.contrasts for task in comparison.tasks.values()] == [
        task.contrasts for task in expected.tasks.values()
    ]


def _with_recipe(item, **options):
    languages = {
        language: each.model_copy(
            update={"record": each.record.model_copy(update={"recipe": {**each.record.recipe, **options}})}
        )
        for language, each in item.result.languages.items()
    }
    return replace(item, result=item.result.model_copy(update={"languages": languages}))


def test_two_recipes_are_refused(results):
    mixed = [*results[:-1], _with_recipe(results[-1], learning_rate=0.5)]
    with pytest.raises(SweepError, match=r"one table .*--backbones(.|\n)*learning_rate is 0.5"):
        compare(BACKBONES, SPECS, 3, mixed)


def test_a_paper_recipe_beside_another_is_refused(results):
    paper = replace(results[-1], result=results[-1].result.model_copy(update={"recipe": "paper"}))
    with pytest.raises(SweepError, match=r"recipe paper; .* has toy"):
        compare(BACKBONES, SPECS, 3, [*results[:-1], paper])


def test_other_gold_labels_are_refused(results):
    other = replace(results[-1], labels={**results[-1].labels, "de": "f" * 64})
    with pytest.raises(SweepError, match="gold labels"):
        compare(BACKBONES, SPECS, 3, [*results[:-1], other])


def test_a_task_may_be_of_some_languages():
    assert restricted(TASKS["xnli"], ["zh", "de"]).languages == ("de", "zh")
