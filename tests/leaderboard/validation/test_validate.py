"""Every bad contribution is refused, with a reason that names file and key; the good one passes."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace

import pytest

from tests.leaderboard.spoiled import BAD, RESULT, claimed, edited, edited_labels, edited_score, real, script_in_a_field
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.results import read_result, render, rescored
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.records import predictions


def test_the_example_is_as_it_says(tree):
    validated = validate(tree, example=True)
    assert validated.example
    assert len(validated.results) == 18
    for item in validated.results:
        assert set(item.items) == set(item.result.languages)


@pytest.mark.parametrize(("spoil", "reason"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
def test_a_bad_contribution_is_refused_with_its_reason(tree, spoil, reason):
    spoil(tree)
    with pytest.raises(LeaderboardError, match=reason):
        validate(tree, example=True)


def test_sample_data_are_refused_without_example(tree):
    with pytest.raises(LeaderboardError, match=r"record.SAMPLE: the data are the packaged toy; expected XGLUE"):
        validate(tree)


def test_an_example_tree_takes_no_real_results(tree):
    real(tree)
    with pytest.raises(LeaderboardError, match=r"record.SAMPLE: real data in an example tree"):
        validate(tree, example=True)


def test_other_data_than_the_official_ones_are_refused_by_their_rows(tree):
    real(tree)
    with pytest.raises(LeaderboardError) as refused:
        validate(tree)
    message = str(refused.value)
    assert "record.predictions.total: 60 test rows; the official data have 2000" in message
    assert "record.training.train_rows: 240; the official data have 49401" in message


def test_gold_labels_are_compared_with_the_data_where_those_are_at_hand(tree):
    validate(tree, data="sample", example=True)
    for path in tree.glob("results/*/toy/*/pawsx.*"):
        if path.parent != tree / "results/tiny-lm/toy/1":
            path.unlink()
    edited_labels(tree)  # of the only result there is, so that no other one disagrees
    validate(tree, example=True)
    with pytest.raises(LeaderboardError, match=r"gold labels and queries of the predictions: de: not those of"):
        validate(tree, data="sample", example=True)


def test_the_queries_of_a_ranking_are_those_of_the_data(example, tmp_path):
    """Queries cut so that every ranking is right: two rows each, of those that were ranked well."""
    for path in [example / "backbones/tiny-lm.yaml", *example.glob("results/tiny-lm/toy/*/wpr.*")]:
        place = tmp_path / path.relative_to(example)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    validate(tmp_path, data="sample", example=True)
    path = tmp_path / "results/tiny-lm/toy/1/wpr.de.parquet"
    original = predictions.read(path)
    forged = replace(original, documents=[row // 2 for row in original.rows])
    path.write_bytes(predictions.encoded(forged))
    scores = rescored(forged)

    def change(value):
        claimed(value, "de", scores.score, stderr=scores.stderr, official=scores.official.official)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        value["languages"]["de"]["record"]["predictions"].update(sha256=digest)

    edited(tmp_path, change, "results/tiny-lm/toy/1/wpr.json")
    with pytest.raises(LeaderboardError, match=r"gold labels and queries of the predictions: de is \w+; \S+ has \w+"):
        validate(tmp_path, example=True)
    for number in (2, 3):
        shutil.rmtree(tmp_path / f"results/tiny-lm/toy/{number}")
    validate(tmp_path, example=True)  # nothing to compare with
    with pytest.raises(LeaderboardError, match=r"gold labels and queries of the predictions: de: not those of"):
        validate(tmp_path, data="sample", example=True)


def test_all_problems_are_listed_at_once(tree):
    edited_score(tree)
    script_in_a_field(tree)
    (tree / "results/tiny-mt/toy/1/ner.json").unlink()
    with pytest.raises(LeaderboardError) as refused:
        validate(tree, example=True)
    message = str(refused.value)
    assert "title: holds HTML" in message
    assert "ner.de.parquet: belongs to no result" in message
    assert re.search(
        r"results/tiny-lm/toy/1/pawsx.json: backbone: there is no \S+tiny-lm.yaml that can be read", message
    )


@pytest.mark.parametrize("change", ["score", "removed"])
def test_a_score_changes_only_with_a_reason(tree, tmp_path, change):
    base = tmp_path / "base"
    shutil.copytree(tree, base)
    validate(tree, base=base, example=True)
    if change == "removed":
        for path in (tree / "results/tiny-lm/toy/1").glob("pawsx.*"):
            path.unlink()
        with pytest.raises(LeaderboardError, match=r"pawsx.json: removed"):
            validate(tree, base=base, example=True)
        return
    for path in (tree / "results/tiny-lm/toy/1").glob("pawsx.*.parquet"):  # base had other scores: those of seed 2
        shutil.copyfile(base / "results/tiny-lm/toy/2" / path.name, base / "results/tiny-lm/toy/1" / path.name)
    other = read_result(base / "results/tiny-lm/toy/2/pawsx.json")
    (base / RESULT).write_text(render(other.model_copy(update={"seed": 1})))
    with pytest.raises(LeaderboardError, match=r"pawsx.json: scores differ from those before, and changes gives no"):
        validate(tree, base=base, example=True)
    reason = {"reason": "the first run used the wrong checkpoint", "previous": other.scores}
    edited(tree, lambda value: value.update(changes=[reason]))
    validate(tree, base=base, example=True)
    kept = {**reason, "previous": dict.fromkeys(other.scores, 0.5)}
    edited(tree, lambda value: value.update(changes=[kept]))
    with pytest.raises(LeaderboardError, match=r"changes gives no reason"):
        validate(tree, base=base, example=True)


def test_reasons_given_before_stay(tree, tmp_path):
    reason = {"reason": "a bug of ours", "previous": {"de": 0.5}}
    edited(tree, lambda value: value.update(changes=[reason]))
    base = tmp_path / "base"
    shutil.copytree(tree, base)
    validate(tree, base=base, example=True)
    edited(tree, lambda value: value.update(changes=[]))
    with pytest.raises(LeaderboardError, match=r"changes: reasons that were given before are gone"):
        validate(tree, base=base, example=True)


def test_a_folder_that_is_no_tree_is_named(tmp_path):
    with pytest.raises(LeaderboardError, match=r"no leaderboard; expected a folder with backbones, results, reference"):
        validate(tmp_path)


def test_the_published_tree_is_as_it_says():
    from xglue_harness.resources import published_tree

    validated = validate(published_tree())
    assert {"mbert", "xlmr-base", "mbart-large-50", "mbart-m2m", "mbart-m2o", "mbart-o2m", "nllb-600m"} <= {
        *validated.backbones
    }
    assert not any(rescored.result.sample for rescored in validated.results)
