"""``backbone new`` writes what a checkpoint and its contributor say, or nothing; ``check`` finds what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from tests.helpers import fairseq, families
from tests.leaderboard.spoiled import described
from xglue_harness.cli import backbone as backbone_commands
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError, LeaderboardError
from xglue_harness.harness.demo import build_encoder
from xglue_harness.leaderboard.contributions.backbones import read_backbone

PUBLISHED = Path(__file__).parents[2] / "leaderboard"
COMMIT = "c0ffee" + "0" * 34
HUB = "tiny/bert"
ANSWERS = {
    "title": "Tiny LM",
    "hub": "",
    "family": "LM",
    "pretraining.data": "none: the weights are random",
    "pretraining.languages": "de, en,fr",
    "pretraining.languages_source": "made up",
    "parallel_data": "none",
    "licence": "Apache-2.0",
    "paper": "https://arxiv.org/abs/2403.16777",
    "contributor": "xglue-harness authors",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The demonstration's BERT."""
    folder = tmp_path_factory.mktemp("tiny")
    build_encoder(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "leaderboard"
    (folder / "backbones").mkdir(parents=True)
    return folder


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """The BERT as `HUB`, in a cache of the Hub, with nothing else to be reached."""
    place = tmp_path / "hub" / f"models--{HUB.replace('/', '--')}"
    shutil.copytree(tiny, place / "snapshots" / COMMIT, ignore=shutil.ignore_patterns("*.safetensors"))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return HUB


def invoke(*arguments, text=""):
    return CliRunner().invoke(backbone_commands.app, [*map(str, arguments)], input=text)


def settings(**changes):
    """Options of `ANSWERS`, with changes (``__`` for a dot; None leaves one out)."""
    answers = {**ANSWERS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [part for key, text in answers.items() if text is not None for part in ("--set", f"{key}={text}")]


def new(tree, source, *options, name="tiny-lm", text=""):
    return invoke("new", name, "--model", source, "--tree", tree, *options, text=text)


def refused(result, tree, match=r""):
    """The message; nothing was written."""
    assert isinstance(result.exception, LeaderboardError), result.output
    assert not [*(tree / "backbones").rglob("*")], "something was left behind"
    message = str(result.exception)
    assert match in message
    return message


def problems(result):
    """The lines of a refusal but the first."""
    assert isinstance(result.exception, LeaderboardError), result.output
    first, *lines = str(result.exception).splitlines()
    assert f"{len(lines)} problem" in first
    return lines


# new


def test_a_folder_is_described_with_the_numbers_of_its_encoder(tree, tiny):
    result = new(tree, tiny, *settings())
    assert result.exit_code == 0, result.exception
    path = tree / "backbones" / "tiny-lm.yaml"
    assert [*path.parent.iterdir()] == [path]
    backbone = read_backbone(path)
    loaded = load_backbone(str(tiny), torch.device("cpu"))
    assert backbone.encoder_sha256 == identify(loaded).weights
    assert backbone.parameters.encoder == sum(parameter.numel() for parameter in loaded.encoder.parameters())
    assert (backbone.hub, backbone.revision, backbone.continued_from) == (None, None, None)
    assert (backbone.layers, backbone.width, backbone.architecture) == (2, 96, "bert")
    assert backbone.tokenizer == f"WordPiece, cased, {len(loaded.tokenizer):,} entries"
    assert backbone.pretraining.languages == ("de", "en", "fr")
    for line in (
        path.read_text(),
        f"  xglue-harness backbone check tiny-lm --tree {tree}\n",
        f"  lm_eval --model hf --model_args pretrained={tiny} --tasks xglue_xnli_zs ",
    ):
        assert line in result.output
    assert invoke("check", "tiny-lm", "--tree", tree).exit_code == 0


def test_a_checkpoint_on_the_hub_is_described_with_its_commit_and_without_weights(tree, hub):
    result = new(tree, hub, *settings(hub=None))
    assert result.exit_code == 0, result.exception
    backbone = read_backbone(tree / "backbones" / "tiny-lm.yaml")
    assert (backbone.hub, backbone.revision, backbone.encoder_sha256) == (HUB, COMMIT, None)
    assert f"--model_args pretrained={HUB},revision={COMMIT} --tasks" in result.output


def test_set_comes_before_what_the_checkpoint_tells(tree, hub):
    result = new(tree, hub, *settings(hub="me/copy", revision="b" * 40, layers="3", tokenizer="WordPiece, 9 entries"))
    assert result.exit_code == 0, result.exception
    backbone = read_backbone(tree / "backbones" / "tiny-lm.yaml")
    assert (backbone.hub, backbone.revision, backbone.layers) == ("me/copy", "b" * 40, 3)
    assert backbone.tokenizer == "WordPiece, 9 entries"


def test_without_a_terminal_all_missing_answers_are_listed(tree, checkpoint):
    folder = checkpoint("mbart50")
    message = refused(new(tree, folder, "--set", "licence=MIT"), tree, "answers are missing")
    _, *lines = message.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [
        *("title", "hub", "family", "continued_from", "pretraining.data", "pretraining.languages"),
        *("pretraining.languages_source", "parallel_data", "paper", "contributor"),
    ]
    assert lines[0] == "- title: name in tables: e.g. --set title='XLM-R base'"
    assert "pretraining.languages=ar,de,en,es,fr,hi,it,nl,pl,pt,ru,sw,th,tr,ur,vi,zh" in lines[5]
    message = refused(new(tree, folder, *settings(family="CP", paper=None)), tree)
    assert [line.split()[1] for line in message.splitlines()[1:]] == ["continued_from", "paper:"]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"title": "<b>Tiny</b>"}, "title: holds HTML or a script"),
        ({"family": "XL"}, "family: Input should be 'LM', 'MT' or 'CP'"),
        ({"pretraining__languages": "en, tlh"}, "pretraining.languages: no languages of the benchmark: tlh"),
        ({"pretraining__languages_source": ""}, "pretraining.languages_source: is empty"),
        ({"paper": "http://a.b"}, "paper: String should match pattern"),
        ({"revision": "main"}, "revision: String should match pattern"),
        ({"layers": "-1"}, "layers: Input should be greater than 0"),
        ({"parameters__all": "10"}, "parameters.all: expected embedding <= encoder <= all"),
        ({"family": "CP", "continued_from": "nobody"}, "continued_from: there is no nobody.yaml; there are: none"),
        ({"family": "LM", "continued_from": "nobody"}, "continued_from: a CP names the backbone that it continues"),
        ({"height": "3"}, "--set height: no such key; expected one of title, hub, "),
        ({"name": "other"}, "--set name: no such key"),
        ({"parameters": "3"}, "--set parameters: no such key"),
    ],
)
def test_a_bad_answer_is_refused(tree, tiny, changes, match):
    refused(new(tree, tiny, *settings(**changes)), tree, match)


def test_bad_answers_are_listed_together_and_before_missing_ones(tree, tiny):
    bad = {"family": "XL", "paper": "x", "pretraining__languages_source": "<b>"}
    message = refused(new(tree, tiny, *settings(**bad, title=None)), tree)
    keys = [line.split()[1].rstrip(":") for line in message.splitlines()[1:]]
    assert sorted(keys) == ["family", "paper", "pretraining.languages_source"]  # and not pretraining.languages


def test_a_base_without_a_family_lacks_the_family_only(tree, tiny):
    assert new(tree, tiny, *settings(), name="base").exit_code == 0
    result = new(tree, tiny, *settings(family=None, continued_from="base"))
    assert [line.split()[1] for line in str(result.exception).splitlines()[1:]] == ["family:"]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--set", "licence"], "--set licence: expected KEY=VALUE"),
        (["--set", "licence=MIT", "--set", "licence=X"], "--set licence: given twice"),
    ],
)
def test_settings_are_keys_and_values_once_each(tree, tiny, options, match):
    refused(new(tree, tiny, *options), tree, match)


def test_languages_that_the_tokenizer_has_no_code_for_are_refused(tree, checkpoint):
    result = new(tree, checkpoint("mbart50"), *settings(pretraining__languages="bg,en"))
    refused(result, tree, "pretraining.languages: bg: mBART-50's tokenizer has no code for them")


@pytest.mark.parametrize("name", ["../../evil", "a/b", "a..b", ".hidden", "Tiny", "", "x" * 65])
def test_a_name_that_is_none_is_refused(tree, tiny, name):
    refused(new(tree, tiny, *settings(), name=name), tree, f"NAME {name!r}: expected lower-case letters")
    assert {path.name for path in tree.parent.iterdir()} == {"leaderboard"}
    with pytest.raises(LeaderboardError, match="NAME"):
        raise invoke("check", name, "--tree", tree).exception


def test_a_file_that_is_there_stays(tree, tiny):
    path = tree / "backbones" / "tiny-lm.yaml"
    path.write_text("mine")
    result = new(tree, tiny, *settings())
    assert isinstance(result.exception, LeaderboardError)
    assert "tiny-lm.yaml: is there already" in str(result.exception)
    assert path.read_text() == "mine"
    assert [*path.parent.iterdir()] == [path]


def test_nothing_is_left_of_a_file_that_cannot_be_written(tree, tiny, monkeypatch):
    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xglue_harness.atomic.os.fsync", full)
    refused(new(tree, tiny, *settings()), tree, "tiny-lm.yaml: can't be written: No space left on device")


def test_a_folder_that_is_no_tree_is_refused(tmp_path, tiny):
    result = new(tmp_path / "leaderbord", tiny, *settings())
    assert "no leaderboard; expected a folder with backbones in it" in str(result.exception)
    assert not (tmp_path / "leaderbord").exists()


def test_a_checkpoint_that_cannot_be_loaded_leaves_nothing(tree, tmp_path, hub):
    result = new(tree, "tiny/other", *settings())
    assert isinstance(result.exception, EncoderError)
    assert "the configuration of tiny/other can't be loaded" in str(result.exception)
    assert not [*(tree / "backbones").iterdir()]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(backbone_commands, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))


def test_at_a_terminal_the_rest_is_asked_and_bad_answers_again(tree, tiny, checkpoint, terminal):
    assert new(tree, tiny, *settings(pretraining__languages="de,en"), name="base").exit_code == 0
    lines = ["", "Tiny", "", "XX", "CP", "nobody", "base", "data", "tlh", "en,fr", "de,en,fr", "<i>", "a source"]
    lines += ["all of it", "MIT", "ftp://x", "https://a.b/c", "me"]
    result = new(tree, tiny, "--set", "pooling=mean", text="\n".join([*lines, ""]))
    assert result.exit_code == 0, (result.exception, result.output)
    backbone = read_backbone(tree / "backbones" / "tiny-lm.yaml")
    assert (backbone.hub, backbone.family, backbone.continued_from, backbone.pooling) == (None, "CP", "base", "mean")
    assert backbone.pretraining.languages == ("de", "en", "fr")
    assert (backbone.title, backbone.paper, backbone.contributor) == ("Tiny", "https://a.b/c", "me")
    assert result.output.count("not taken: ") == 7
    for line in (
        "name in tables\n",
        "; leave it empty for null\n",
        "not taken: nothing was answered, and there is no default; Ctrl-C ends this",
        "not taken: Input should be 'LM', 'MT' or 'CP'",
        "name of the backbone that its pretraining began with; there are: base\n",
        "not taken: there is no nobody.yaml; there are: base",
        "not taken: lacks de, which base, that it was continued from, has seen",
        "not taken: holds HTML or a script ('<i')",
    ):
        assert line in result.output


def test_languages_with_a_code_are_the_default(tree, checkpoint, terminal):
    result = new(tree, checkpoint("mbart50"), *settings(pretraining__languages=None), text="bg,en\n\n")
    assert result.exit_code == 0, result.exception
    assert "not taken: bg: mBART-50's tokenizer has no code for them" in result.output
    languages = read_backbone(tree / "backbones" / "tiny-lm.yaml").pretraining.languages
    assert len(languages) == 17
    assert not {"bg", "el"} & {*languages}


def test_whoever_stops_answering_leaves_nothing(tree, tiny, terminal):
    result = new(tree, tiny, text="Tiny\n")
    assert result.exit_code == 1
    assert not [*(tree / "backbones").iterdir()]


# check


def test_the_published_backbones_are_right_as_far_as_can_be_said_offline():
    result = invoke("check", "--offline", "--tree", PUBLISHED)
    assert result.exit_code == 0, result.exception
    assert len(result.output.splitlines()) == len([*(PUBLISHED / "backbones").glob("*.yaml")]) >= 7
    assert "mbert.yaml: mBERT, 177.9 M parameters: right (not compared)" in result.output


@pytest.fixture
def on_hub(tree, hub):
    """A tree with the BERT of the Hub."""
    assert new(tree, hub, *settings(hub=None)).exit_code == 0
    return tree


def test_what_was_written_passes(on_hub):
    result = invoke("check", "--tree", on_hub)
    assert result.exit_code == 0, result.exception
    [line] = result.output.splitlines()
    assert line.endswith(f"tiny-lm.yaml: Tiny LM, 0.8 M parameters: right (as {HUB}@{COMMIT})")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"layers": 3}, "layers: is 3; the checkpoint has 2"),
        ({"parameters__encoder": 700_000}, "parameters.encoder: is 700000; the checkpoint has 816576"),
        ({"parameters__all": 10**9}, "parameters.all: is 1000000000; the checkpoint has 825888"),
        ({"revision": None}, f"revision: is null; the checkpoint has {COMMIT}"),
        ({"pooling": "mean"}, "pooling: is mean; the checkpoint has first"),
        ({"architecture": "roberta"}, "architecture: is roberta; the checkpoint has bert"),
    ],
)
def test_what_differs_from_the_checkpoint_is_found(on_hub, changes, match):
    described(on_hub, **changes)
    assert problems(invoke("check", "tiny-lm", "--tree", on_hub)) == [
        f"- {on_hub / 'backbones' / 'tiny-lm.yaml'}: {match}"
    ]
    assert invoke("check", "--tree", on_hub, "--offline").exit_code == 0


def test_what_cannot_be_reached_is_said(on_hub):
    described(on_hub, revision="d" * 40)
    [line] = problems(invoke("check", "--tree", on_hub))
    assert "tiny-lm.yaml: hub: nothing was compared: the configuration of tiny/bert can't be loaded" in line
    assert "--offline" in line


def test_a_folder_of_the_name_on_the_hub_is_no_witness(on_hub, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / HUB)
    [line] = problems(invoke("check", "--tree", on_hub))
    assert f"hub: is {HUB}, which is a folder here" in line


def test_what_does_not_fit_its_base_is_found_offline_too(on_hub):
    path = on_hub / "backbones"
    shutil.copyfile(path / "tiny-lm.yaml", path / "tiny-cp.yaml")
    described(on_hub, "tiny-cp", name="tiny-cp", family="CP", continued_from="tiny-lm", pretraining__languages=["en"])
    [line] = problems(invoke("check", "--offline", "--tree", on_hub))
    assert "tiny-cp.yaml: pretraining.languages: lacks de, fr, which tiny-lm, that it was continued from" in line
    described(on_hub, "tiny-cp", continued_from="nobody", layers=5)
    lines = problems(invoke("check", "--tree", on_hub))
    assert "tiny-cp.yaml: continued_from: there is no nobody.yaml; there are: tiny-cp, tiny-lm" in lines[0]
    assert "tiny-cp.yaml: layers: is 5; the checkpoint has 2" in lines[1]
    assert len(lines) == 2


def test_files_that_cannot_be_read_and_names_that_are_not_there_are_listed(on_hub):
    (on_hub / "backbones" / "broken.yaml").write_text("name: broken")
    result = invoke("check", "broken", "absent", "tiny-lm", "--tree", on_hub)
    broken, absent = problems(result)
    assert "broken.yaml: title: Field required" in broken
    assert "absent.yaml: there is no such file; there are: broken, tiny-lm" in absent
    assert "tiny-lm.yaml: Tiny LM" in result.output


def test_a_tree_without_backbones_has_nothing_to_check(tree):
    assert "no backbone in it" in str(invoke("check", "--tree", tree).exception)


@pytest.mark.processes
@pytest.mark.parametrize("command", ["new", "check"])
def test_help_imports_nothing_of_the_leaderboard(command):
    code = f"from xglue_harness.cli.backbone import app; app(['{command}', '--help'])"
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Examples: " in done.stdout
    imported = set(done.stderr.splitlines()[-1].split())
    assert not imported & {
        "torch",
        "transformers",
        "numpy",
        "yaml",
        "xglue_harness.leaderboard.contributions.backbones",
    }


def test_a_checkpoint_of_fairseq_is_converted_at_the_command_line(tmp_path):
    made = fairseq.make(tmp_path / "fairseq", "bart-mt", [f"sentence number {number}" for number in range(90)])
    arguments = ["convert", "fairseq", *map(str, made.files), str(tmp_path / "out")]
    done = CliRunner().invoke(backbone_commands.app, arguments)
    assert done.exit_code == 0, done.output
    assert "mbart, 3 layers" in done.output
    assert "ar, en, es, fr, ru, zh; all others are read as English" in done.output
    assert "2 pieces of" in done.output
    assert (tmp_path / "out" / "model.safetensors").is_file()
