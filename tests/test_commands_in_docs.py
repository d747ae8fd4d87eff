"""The commands of README, CONTRIBUTING and docs: each block runs here, or bears the reason why it can't.

A block is a fence of ``sh``, or indented. It is run in this process, with a tiny encoder and the sample in the place of
what lies elsewhere (`STAND_INS`) and a recipe that is over in seconds, unless one of these stands before it:

- ``<!-- not run: REASON -->``; then names of commands, options, tasks, extras, modules are still looked at;
- ``<!-- demo command -->``, ``<!-- test command -->``: CI runs these two as they are.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.helpers.runs import QUICK
from xglue_harness.cli import app as cli
from xglue_harness.recipe import read_by

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))) if path.exists()
]
BY_CI = ("demo command", "test command")
REASON = "not run: "
OTHER_PROGRAMS = {"git", "cd", ".", "mkdir", "export", "venv", "pytest", "pre-commit", "build", "twine"}
"""Programs whose options are not ours to look at."""
STAND_INS = {
    "facebook/mbart-large-50-many-to-many-mmt": "TINY",
    "facebook/mbart-large-50": "TINY",
    "FacebookAI/xlm-roberta-base": "TINY",
    "google-bert/bert-base-multilingual-cased": "TINY",
    "ORG/MODEL": "TINY",
    "xglue_full_dataset.tar.gz": "sample",
    "~/xglue": "sample",
    "xglue_xnli_zs": "xglue_pawsx_zs",  # 4 languages for 15
}
"""Longer names first."""
FEWER_DRAWS = {
    ("analyze", "cka"): ("--permutations", "20", "--replicates", "20"),
    ("leaderboard", "compare"): ("--replicates", "100"),
}

pytestmark = [
    pytest.mark.skipif(not FILES, reason="the documentation is not beside the tests"),
    pytest.mark.usefixtures("no_list_of_packages"),
]


@dataclass(frozen=True)
class Block:
    """Commands as a reader sees them.

    Attributes:
        place: file and line.
        mark: the comment that stands before them; ``None`` where there is none.
        text: the lines.
    """

    place: str
    mark: str | None
    text: str

    @property
    def is_run(self) -> bool:
        return self.mark not in BY_CI and not (self.mark or "").startswith(REASON)


def blocks_of(text: str, name: str) -> list[Block]:
    """All blocks of commands in a Markdown text."""
    blocks: list[Block] = []
    lines = text.splitlines()
    mark, number = None, 0
    while number < len(lines):
        line, start = lines[number], number
        number += 1
        if comment := re.fullmatch(r"\s*<!-- (.*) -->", line):
            mark = comment[1]
        elif fence := re.fullmatch(r"\s*```(\w*)", line):
            while lines[number].strip() != "```":
                number += 1
            inside = "\n".join(lines[start + 1 : number])
            number += 1
            if fence[1] == "sh":
                blocks.append(Block(f"{name}:{start + 1}", mark, textwrap.dedent(inside)))
            assert fence[1] in ("sh", "python", "toml") or not _commands_in(inside), f"{name}:{start + 1}: is it sh?"
            mark = None
        elif line.startswith("    ") and not lines[start - 1].strip():
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            blocks.append(Block(f"{name}:{start + 1}", mark, textwrap.dedent("\n".join(lines[start:number]))))
            mark = None
        elif line.strip():
            mark = None
    return blocks


def _commands_in(text: str) -> list[str]:
    return re.findall(r"^\s*(?:lm_eval|xglue-harness|pip|python3?|tox) .*", text, flags=re.MULTILINE)


def commands_of(text: str) -> list[list[str]]:
    """The words of each command; of a loop, those of its first turn."""
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        if loop := re.fullmatch(r"for (\w+) in (\S+) .*; do", line):
            text = text.replace(f"${loop[1]}", loop[2])
            return commands_of(text.replace(line, "").replace("\ndone", ""))
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                commands.append(words)
                words = []
    return commands


BLOCKS = [block for path in FILES for block in blocks_of(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())]


def test_blocks_are_found_with_their_marks():
    indented = "a\n\n<!-- not run: why -->\n\n    x \\\n      y\n\nb\n"
    fenced = "- c\n  ```sh\n  export A=1 && z  # d\n  ```\n```\ntree\n```\n"
    assert blocks_of(indented + fenced, "f") == [
        Block("f:5", "not run: why", "x \\\n  y\n"),
        Block("f:10", None, "export A=1 && z  # d"),
    ]
    assert commands_of("x \\\n  y\n\nexport A=1 && z  # d") == [["x", "y"], ["export", "A=1"], ["z"]]
    assert commands_of("for s in 1 2; do\n  x --seed $s \\\n    y\ndone") == [["x", "--seed", "1", "y"]]
    with pytest.raises(AssertionError, match="f:1: is it sh"):
        blocks_of("```\ntox -e lint\n```\n", "f")


def test_every_block_has_no_mark_or_one_with_a_reason():
    assert len(BLOCKS) > 15
    assert [block.place for block in BLOCKS if block.is_run and block.mark] == []
    assert [block.place for block in BLOCKS if (block.mark or "").strip() == REASON.strip()] == []
    assert sum(block.mark in BY_CI for block in BLOCKS) == 2
    assert sum(block.is_run for block in BLOCKS) > 5


# What can be said of a command without running it


def look_at(words: list[str]) -> None:
    """Fail where a command names something that is not there."""
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, rest = words[0].rpartition("/")[2], words[1:]
    if program in ("python", "python3") and rest[0] == "-m":
        assert rest[1] == "build" or find_spec(rest[1]) is not None, f"no module {rest[1]}"
        program, rest = rest[1], rest[2:]
    if program == "lm_eval":
        _look_at_lm_eval(rest)
    elif program == "xglue-harness":
        _look_at_ours(rest)
    elif program == "pip":
        _look_at_extras(" ".join(rest))
    elif program == "tox":
        _look_at_environments(rest[rest.index("-e") + 1])
    else:
        assert program in OTHER_PROGRAMS, f"{program}: say here what can be looked at"


def _look_at_lm_eval(words: list[str]) -> None:
    from lm_eval._cli import HarnessCLI

    from xglue_harness.recipe import parse_options

    parsed = HarnessCLI()._parser.parse_args(["run", *words])
    parse_options(parsed.metadata or {})
    for name in parsed.tasks if isinstance(parsed.tasks, list) else parsed.tasks.split(","):
        assert _tasks().match_tasks([name]), f"no task {name}"


@cache
def _tasks():
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    return TaskManager(include_path=str(tasks_folder()), include_defaults=False)


def _look_at_ours(words: list[str]) -> None:
    from typer.main import get_command

    command, name = get_command(cli.app), "xglue-harness"
    while hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(None, name)
        assert command is not None, f"no command {name}"
    command.make_context(name, [*words])


def _look_at_extras(text: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"(?:\.|xglue-harness)\[(\w+)\]", text):
        assert re.search(rf"^{extra} = \[", project, flags=re.MULTILINE), f"no extra {extra}"


def _look_at_environments(names: str) -> None:
    for name in names.split(","):
        assert f"[testenv:{name}]" in (ROOT / "tox.ini").read_text(encoding="utf-8"), f"no environment {name} of tox"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_commands_name_nothing_that_is_not_there(block):
    commands = commands_of(block.text)
    assert commands
    for words in commands:
        look_at(words)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_so_do_commands_in_a_sentence(path):
    text = path.read_text(encoding="utf-8")
    for code in re.findall(r"`([^`\n]+)`", text):
        _look_at_extras(code)
        for module in re.findall(r"\b(?:benchmarks|tools)(?:\.\w+)+", code):
            assert find_spec(module) is not None, module
        if environments := re.match(r"tox -e (\S+)", code):
            _look_at_environments(environments[1])
        if ours := re.match(r"xglue-harness((?: [a-z]+)+)", code):
            from typer.main import get_command

            command = get_command(cli.app)
            for name in ours[1].split():
                if hasattr(command, "get_command"):
                    command = command.get_command(None, name)
                    assert command is not None, code


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("xglue-harness leaderbord show", "no command leaderbord"),
        ("xglue-harness leaderboard show --task pos", "--task"),
        ("xglue-harness export results", "Missing parameter|DIR"),
        ("lm_eval --model hf --tasks xglue_pos_zs --tsk x", "2"),
        ("lm_eval --model hf --tasks xglue_poss_zs", "no task xglue_poss_zs"),
        ("lm_eval --model hf --tasks xglue_pos_zs --metadata epoch=3", "unknown option .epoch."),
        ("pip install 'xglue-harness[plot]'", "no extra plot"),
        (".venv/bin/tox -e lints", "no environment lints"),
        ("python -m tools.make_tasts", "make_tasts"),
        ("make", "make: say here"),
    ],
)
def test_a_name_that_is_not_there_is_seen(line, reason):
    [words] = commands_of(line)
    with pytest.raises((Exception, SystemExit), match=reason):
        look_at(words)


# Running them


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """An encoder that is as small as can be."""
    from xglue_harness.harness.demo import build_encoder

    folder = tmp_path_factory.mktemp("models") / "tiny"
    build_encoder(folder, width=8, layers=1)
    return folder


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    """``shell(words)``, in a folder that looks like a checkout and may be written."""
    from lm_eval.tasks.manager import TaskManager

    from xglue_harness.harness.plugin import register
    from xglue_harness.resources import tasks_folder

    register()
    scanning = TaskManager.__init__

    def without_the_tasks_of_lm_eval(self, *_, metadata, **__):
        scanning(self, None, str(tasks_folder()), False, metadata=metadata)

    monkeypatch.setattr(TaskManager, "__init__", without_the_tasks_of_lm_eval)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # which lm_eval would leave behind
    shutil.copytree(ROOT / "leaderboard", tmp_path / "leaderboard")  # a tree that is a link is not read
    for name in ("tests", "README.md", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("lm_eval").level

    def run(words: list[str]) -> None:
        program, *rest = [os.path.expandvars(_stood_in(word, tiny)) for word in words]
        if program == "lm_eval":
            _evaluate(rest)
        elif program == "xglue-harness":
            _command(rest)
        elif program == "mkdir":
            Path(rest[-1]).mkdir(parents="-p" in rest)
        elif program == "export":
            monkeypatch.setenv(*rest[0].split("=", 1))
        else:
            pytest.fail(f"{program} can't be run here: put <!-- {REASON}why --> before the block")

    yield run
    logging.getLogger("lm_eval").setLevel(level)


def _stood_in(word: str, tiny: Path) -> str:
    for name, other in STAND_INS.items():
        word = word.replace(name, str(tiny) if other == "TINY" else other)
    return word


def _evaluate(words: list[str]) -> None:
    from lm_eval._cli import HarnessCLI

    harness = HarnessCLI()
    parsed = harness._parser.parse_args(["run", *words])
    given = parsed.metadata or {}
    quick = {name: QUICK[name] for name in QUICK if name in read_by(given.get("protocol", "finetune"))}
    parsed.metadata = {**quick, **given}
    harness.execute(parsed)


def _command(words: list[str]) -> None:
    from xglue_harness.leaderboard.contributions.answers import EXAMPLES

    if words[:2] == ["backbone", "new"]:  # what would be asked at the terminal
        answers = {**EXAMPLES, "hub": "", "pretraining.languages": "en"}
        words = [*words, *(word for key, value in answers.items() for word in ("--set", f"{key}={value}"))]
    words = [*words, *FEWER_DRAWS.get(tuple(words[:2]), ())]
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert not end.value.code, shlex.join(words)


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    """What a run of lm_eval on one task leaves in the folder ``results``."""
    from xglue_harness.harness.demo import evaluate_sample

    folder = tmp_path_factory.mktemp("run") / "results"
    evaluate_sample(tiny, tasks=["xglue_pawsx_zs"], output=folder, **QUICK)
    return folder


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_run], ids=lambda block: block.place)
def test_a_block_runs(block, shell, request):
    commands = commands_of(block.text)
    if "results" in block.text and "--output_path" not in block.text:
        shutil.copytree(request.getfixturevalue("results"), "results")
    before = {path.name for path in Path.cwd().iterdir()}
    for words in commands:
        shell(words)
    for words in commands:
        if "--output_path" in words:
            [*written] = Path(words[words.index("--output_path") + 1]).rglob("results_*.json")
            assert written
            configs = json.loads(written[0].read_text(encoding="utf-8"))["configs"]
            assert all(config["metadata"]["xglue"]["SAMPLE"] for config in configs.values())
    new = {path.name for path in Path.cwd().iterdir()} - before
    ignored = re.findall(r"^/(\w+)/$", (ROOT / ".gitignore").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert new <= {*ignored, "analysis"}, "in a checkout, git and the checks of style would trip over them"


def test_the_notebook_of_the_analysis_runs(shell, tiny, capsys):
    text = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")
    [*_, notebook] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(_stood_in(notebook, tiny), "docs/analysis.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^CKA \S+ biased \S+$", printed, flags=re.MULTILINE)
    assert printed.splitlines()[-1].startswith("layers ")


# What else they name


def _first_cells(text: str) -> dict[str, str]:
    """The second cell of each row of the tables in a text, by the code in its first."""
    return dict(re.findall(r"^\| `(\w+)` \| `?([^|]*?)`? \|", text, flags=re.MULTILINE))


def test_the_table_of_options_has_them_all_with_their_defaults():
    from xglue_harness.recipe import Options
    from xglue_harness.training.selection import RULES

    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    first, *sections = page.split("\n## ")
    rows = _first_cells(first)
    fields = Options.model_fields
    assert rows.keys() == fields.keys()
    [rules] = (section for section in sections if section.startswith("Which epoch counts"))
    assert _first_cells(rules).keys() == {*RULES, "average_last_3"}
    for name in fields:
        default, written = fields[name].default, yaml.safe_load(rows[name].strip())
        if default in (None, ()):
            assert isinstance(written, str), name
        else:
            assert written == default, name
