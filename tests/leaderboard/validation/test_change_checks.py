"""What a pull request changes is listed to the last byte, and what is not its own needs a reason."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from tests.leaderboard.conftest import EXAMPLE, PUBLISHED
from tests.leaderboard.spoiled import described, edited
from xglue_harness.cli.leaderboard import app
from xglue_harness.errors import LeaderboardError
from xglue_harness.leaderboard.contributions.results import read_result
from xglue_harness.leaderboard.validation import change_checks
from xglue_harness.leaderboard.validation.change_checks import explain
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.records import predictions

RESULT = "results/tiny-lm/toy/1/pawsx.json"


@pytest.fixture
def base(tmp_path):
    """The tree before: two backbones with results, and every other kind of file."""
    folder = tmp_path / "base" / "leaderboard"
    shutil.copytree(EXAMPLE / "backbones", folder / "backbones")
    shutil.copytree(PUBLISHED.parent / "reference", folder / "reference")
    shutil.copyfile(PUBLISHED.parent / "README.md", folder / "README.md")
    (folder / "results").mkdir()
    (folder / "results" / ".gitkeep").touch()
    for name in ("tiny-lm/toy/1", "tiny-mt/toy/1"):
        for path in EXAMPLE.glob(f"results/{name}/pawsx.*"):
            place = folder / path.relative_to(EXAMPLE)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return folder


@pytest.fixture
def pull(base, tmp_path):
    """The tree with a change, which is none yet."""
    folder = tmp_path / "pull" / "leaderboard"
    shutil.copytree(base, folder)
    return folder


def exchanged(pull):
    """Another's predictions by as many right and wrong ones: the score stays, ranks may not."""
    path = pull / RESULT.replace("json", "de.parquet")
    original = predictions.read(path)
    right = [label == own for label, own in zip(original.labels, original.predictions, strict=True)]
    mixed = random.Random(1).sample(right, len(right))
    other = [label if good else 1 - label for label, good in zip(original.labels, mixed, strict=True)]
    assert other != original.predictions
    path.write_bytes(predictions.encoded(replace(original, predictions=other)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(pull, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


def one_byte(name):
    def change(pull):
        path = pull / name
        path.write_bytes(path.read_bytes() + b"\n")

    return change


def removed(*names):
    def change(pull):
        for pattern in names:
            for path in pull.glob(pattern):
                path.unlink()

    return change


def renamed(pull):
    (pull / "backbones/tiny-new.yaml").rename(pull / "backbones/tiny-own.yaml")
    described(pull, "tiny-own", name="tiny-own")


def rerecorded(pull):
    """Cost and hardware of another's run."""

    def change(value):
        value["record"]["training"]["cost"]["seconds"] = 0.001
        value["record"]["environment"]["hardware"]["processor"] = "Abacus"

    edited(pull, change)


def numbers(pull):
    path = pull / "reference/ji2024.json"
    path.write_text(path.read_text().replace("81.3", "99.9", 1))


CHANGES = [
    (exchanged, ["results/tiny-lm/toy/1/pawsx.json", "results/tiny-lm/toy/1/pawsx.de.parquet"], ""),
    (lambda pull: described(pull, family="MT"), ["backbones/tiny-lm.yaml"], 'family "LM" -> "MT"'),
    (
        lambda pull: described(pull, "tiny-new", pretraining__languages=["en"]),
        ["backbones/tiny-new.yaml"],
        r"pretraining\.languages",
    ),
    (rerecorded, [RESULT], r"record\.training\.cost\.seconds [\d.]+ -> 0\.001.*\"Abacus\""),
    (one_byte("backbones/tiny-mt.yaml"), ["backbones/tiny-mt.yaml"], "other bytes, the same values"),
    (one_byte(RESULT), [RESULT], "other bytes, the same values"),
    (one_byte("README.md"), ["README.md"], r"\d+ -> \d+ bytes"),
    (numbers, ["reference/ji2024.json"], r"table1\.mbert\.NC 81\.3 -> 99\.9"),
    (lambda pull: (pull / "README.md").chmod(0o755), ["README.md"], "mode 100644 -> 100755"),
    (removed("backbones/tiny-new.yaml"), ["backbones/tiny-new.yaml"], ""),
    (removed("results/tiny-mt/toy/1/pawsx.*"), ["results/tiny-mt/toy/1/pawsx.json"], ""),
    (removed("results/.gitkeep"), ["results/.gitkeep"], ""),
    (renamed, ["backbones/tiny-new.yaml"], ""),
]


@pytest.mark.parametrize(("change", "files", "detail"), CHANGES, ids=range(len(CHANGES)))
def test_a_change_of_what_is_others_is_listed_and_needs_a_reason(pull, base, change, files, detail):
    validate(pull, base=base, example=True)
    change(pull)
    with pytest.raises(LeaderboardError, match=rf"without a reason, and not yours.*\n(.*\n)*.*{detail}") as refused:
        validate(pull, base=base, example=True)
    for file in files:
        assert f"{pull / file}: " in str(refused.value)
        assert f" {file} (NO REASON GIVEN)" in str(refused.value)
    explain(pull, base, "a reviewer will know why")
    if change.__name__ == "<lambda>" and "mode" in detail:  # a reason makes nothing run
        with pytest.raises(LeaderboardError, match=r"1 problem\n- .*README.md: is executable, and nothing here is run"):
            validate(pull, base=base, example=True)
        return
    lines = validate(pull, base=base, example=True).changes
    for file in files:
        assert any(f" {file} (reason: a reviewer will know why)" in line for line in lines)


def test_what_is_added_is_ones_own_and_listed(pull, base):
    shutil.copytree(EXAMPLE / "results/tiny-lm/toy/2", pull / "results/tiny-lm/toy/2")
    added = yaml.safe_load((EXAMPLE / "backbones/tiny-new.yaml").read_text())
    changed = {**added, "name": "mine", "title": "mine", "encoder_sha256": "a" * 64}
    (pull / "backbones/mine.yaml").write_text(yaml.safe_dump(changed))
    lines = validate(pull, base=base, example=True).changes
    count = 1 + len([*(pull / "results/tiny-lm/toy/2").iterdir()])
    assert lines[0] == f"Files under leaderboard/: {count} added"
    assert "added backbones/mine.yaml" in lines
    (own,) = [line for line in lines if "2/pawsx.json" in line]
    assert own == (
        "added results/tiny-lm/toy/2/pawsx.json: joins tiny-lm, which was there, and moves its means under toy, with "
        "the predictions of de, en, es, fr"
    )
    (other,) = [line for line in lines if "2/nc.json" in line]
    assert "moves" not in other


def test_what_is_added_elsewhere_needs_a_reason(pull, base):
    (base / "README.md").unlink()
    with pytest.raises(LeaderboardError, match=r"README\.md: added without a reason"):
        validate(pull, base=base, example=True)


@pytest.mark.parametrize(
    "reason",
    [
        {"after": "0" * 64},
        {"before": "0" * 64},
        {"before": None},
        {"after": None},
        {"file": "backbones/tiny-mt.yaml"},
        {"file": "../leaderboard/backbones/tiny-lm.yaml"},
    ],
)
def test_a_reason_is_of_one_change(pull, base, reason):
    described(pull, family="MT")
    explain(pull, base, "why")
    path = pull / "changes.yaml"
    (entry,) = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump([{**entry, **reason}]))
    with pytest.raises(LeaderboardError, match=r"tiny-lm\.yaml: changed .* without a reason"):
        validate(pull, base=base, example=True)


def test_a_reason_that_was_given_before_is_used_up(pull, base):
    """And stays where it is."""
    original = (base / "backbones/tiny-lm.yaml").read_bytes()
    described(pull, family="MT")
    explain(pull, base, "why")
    shutil.rmtree(base)
    shutil.copytree(pull, base)
    (base / "backbones/tiny-lm.yaml").write_bytes(original)  # put back by another
    with pytest.raises(LeaderboardError, match=r"tiny-lm\.yaml: changed .* without a reason"):
        validate(pull, base=base, example=True)
    (base / "backbones/tiny-lm.yaml").write_bytes((pull / "backbones/tiny-lm.yaml").read_bytes())
    validate(pull, base=base, example=True)
    for text in ("[]", ""):
        (pull / "changes.yaml").write_text(text)
        with pytest.raises(LeaderboardError, match=r"changes\.yaml: reasons that were given before are gone"):
            validate(pull, base=base, example=True)
    (pull / "changes.yaml").unlink()
    with pytest.raises(LeaderboardError, match=r"changes\.yaml: reasons that were given before are gone"):
        validate(pull, base=base, example=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "Input should be a valid list"),
        ("[{file: x}]", r"0\.before: Field required"),
        ("- {file: x, before: null, after: null, reason: '<b>'}", r"0\.reason: holds HTML"),
        ('- {file: x, before: null, after: null, reason: "a\\rb"}', "holds the control character"),
    ],
)
def test_reasons_have_a_form(pull, base, text, reason):
    (pull / "changes.yaml").write_text(text)
    with pytest.raises(LeaderboardError, match=rf"changes\.yaml: .*{reason}"):
        validate(pull, base=base, example=True)


def test_a_reason_in_the_result_is_one_for_its_predictions(pull, base):
    """As `leaderboard add --reason` writes it."""
    scores = read_result(base / RESULT).scores
    exchanged(pull)
    edited(pull, lambda value: value.update(changes=[{"reason": "the wrong file", "previous": scores}]))
    lines = validate(pull, base=base, example=True).changes
    assert len([line for line in lines if line.endswith("bytes") and "(reason: the wrong file)" in line]) == 1
    assert sum("(reason: the wrong file)" in line for line in lines) == 2


def test_reference_numbers_cannot_go(pull, base):
    shutil.rmtree(pull / "reference")
    explain(pull, base, "why")
    with pytest.raises(LeaderboardError, match=r"ji2024\.json: removed; the pages need it"):
        validate(pull, base=base, example=True)


def test_an_empty_folder_may_be_a_submodule(pull, base):
    (pull / "backbones/sub").mkdir()
    validate(pull, example=True)
    with pytest.raises(LeaderboardError, match=r"backbones/sub: an empty folder, as a submodule is"):
        validate(pull, base=base, example=True)


def test_a_change_is_small_enough_to_be_looked_at(pull, base, monkeypatch):
    monkeypatch.setattr(change_checks, "BYTES_LIMIT", 10_000)
    (pull / "backbones/x.yaml").write_text("x" * 10_001)
    with pytest.raises(LeaderboardError, match=r"1 files of 10,001 bytes are new; .*: make several pull requests"):
        validate(pull, base=base, example=True)


def test_explain_refuses_a_reason_that_is_none(pull, base):
    with pytest.raises(LeaderboardError, match="nothing needs a reason"):
        explain(pull, base, "why")
    described(pull, family="MT")
    with pytest.raises(LeaderboardError, match="--reason: reason: holds the control character"):
        explain(pull, base, "a\u200bb")
    assert not (pull / "changes.yaml").exists()


def test_report_and_comment_list_what_changes(pull, base):
    """On the terminal after the check, and in the Markdown of the comment as text that Markdown leaves alone."""
    described(pull, family="MT")
    options = ["--tree", str(pull), "--base", str(base), "--example"]
    run = CliRunner(env={"COLUMNS": "200"}).invoke
    refused = run(app, ["validate", *options])
    assert 'changed backbones/tiny-lm.yaml (NO REASON GIVEN): family "LM" -> "MT"' in str(refused.exception)
    explained = ["explain", "--tree", str(pull), "--base", str(base), "--reason", "[its](x) ![paper](y) says so"]
    assert run(app, explained).output == "explained: backbones/tiny-lm.yaml\n"
    expected = 'changed backbones/tiny-lm.yaml (reason: [its](x) ![paper](y) says so): family "LM" -> "MT"'
    assert expected in run(app, ["validate", *options]).output.splitlines()
    shown = run(app, ["show", *options, "--format", "markdown"]).output.splitlines()
    assert f"    {expected}" in shown
    assert all(line.startswith("    ") for line in shown if "paper](y)" in line)


def test_json_and_yaml_differ_by_key(pull, base):
    edited(pull, lambda value: value["record"].update(recipe={f"k{number}": number for number in range(20)}))
    with pytest.raises(LeaderboardError) as refused:
        validate(pull, base=base, example=True)
    (line,) = [line for line in str(refused.value).split("\n") if line.startswith(f"changed {RESULT}")]
    assert "more keys" in line
    assert len(line) < 700
    assert json.loads((pull / RESULT).read_text())["record"]["recipe"]["k19"] == 19
