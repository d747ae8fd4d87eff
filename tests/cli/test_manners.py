"""Every command, by walking the tree of them: names of options, their help, its width, JSON, errors, completion.

A new command needs no test here; one that breaks a rule fails. What is exempt is named, with the reason.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.helpers.cli import command
from xglue_harness.cli import app as cli
from xglue_harness.cli import options
from xglue_harness.store.trainings import Store

WIDTH = 80

METAVARS = {
    "--address": "URL",
    "--backbone": "NAME",
    "--backbones": "NAME,...",
    "--base": "DIR",
    "--data": "DATA",
    "--device": "NAME",
    "--languages": "CODE,...",
    "--model": "MODEL",
    "--output": "DIR",
    "--replicates": "N",
    "--rows": "N",
    "--seed": "N",
    "--task": "TASK",
    "--tasks": "TASK,...",
    "--tree": "DIR",
}
"""What an option of this name takes, wherever it stands; other values of options have some name in capitals, too."""

FLAGS = {"--json": "Print JSON.", "--dry-run": "Only say what would be done.", "--yes": "Don't ask."}
"""Options that mean the same everywhere, with their help."""

OTHER_NAMES = {
    "--out": "--output",
    "--output-dir": "--output",
    "--folder": "--output",
    "--encoder": "--model",
    "--pretrained": "--model",
    "--from-hub": "--model",
    "--dataset": "--data",
    "--language": "--languages",
    "--lang": "--languages",
    "--random-seed": "--seed",
    "--as-json": "--json",
    "--force": "--yes",
    "--dry": "--dry-run",
    "--markdown": "--format",
    "--csv": "--format",
    "--bootstrap": "--replicates",
}
"""What such an option would be called here."""

NO_TABLE = {
    "run": "lm_eval prints its own, and writes JSON with --output_path",
    "export": "it writes files, and says which",
    "schema": "it prints JSON",
    "data get": "it writes files, and says where",
    "data prepare": "it writes files, and says where",
    "data prune": "a line for each file, before it asks",
    "cache verify": "a line for each problem",
    "store export": "it writes files, and says where",
    "results export": "it writes files, and says which",
    "store verify": "a line for each problem",
    "store prune": "a line for each training, before it asks",
    "results plot": "it writes files, and says which",
    "backbone new": "it writes a file, and prints it",
    "backbone convert fairseq": "it writes files, and says where",
    "backbone check": "a line for each backbone",
    "sweep run": "a line for each job; sweep status has JSON",
    "sweep prefetch": "a line for each backbone",
    "sweep cancel": "a line",
    "sweep work": "a line for each job; sweep status has JSON",
    "sweep schema": "it prints JSON",
    "leaderboard add": "a line for each file",
    "leaderboard validate": "a line for each change",
    "leaderboard explain": "a line for each file",
    "leaderboard build": "it writes files, and says where",
}
"""Commands without ``--json``, and why they need none."""

PASSED_ON = {"run"}
"""Commands whose arguments are all another program's."""


def _commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All commands by their whole name; groups, too."""
    group = group or get_command(cli.app)
    yield " ".join(path), group
    if hasattr(group, "list_commands"):
        for name in group.list_commands(None):
            yield from _commands(group.get_command(None, name), (*path, name))


EVERY = dict(_commands())
LEAVES = {name: leaf for name, leaf in EVERY.items() if not hasattr(leaf, "list_commands")}
OURS = {name: leaf for name, leaf in LEAVES.items() if name not in PASSED_ON}
OPTIONS = [
    (name, option)
    for name, leaf in OURS.items()
    for option in leaf.params
    if option.param_type_name == "option" and "--help" not in option.opts
]
ARGUMENTS = [
    (name, argument)
    for name, leaf in OURS.items()
    for argument in leaf.params
    if argument.param_type_name == "argument"
]


def _help(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERMINAL_WIDTH", str(WIDTH))
    status, out, err = command(*name.split(), "--help")
    assert (status, err) == (0, "")
    return out


def _shell(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash is told could stand for the last word."""
    monkeypatch.setenv("_XGLUE_HARNESS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"xglue-harness {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    status, out, err = command()
    assert (status, err) == (0, "")
    return out.split()


def test_the_whole_tree_is_walked() -> None:
    assert len(LEAVES) > 25
    assert {"", "data", "store", "sweep", "leaderboard", "analyze", "data check", "sweep run", "demo"} <= EVERY.keys()
    assert len(OPTIONS) > 80


@pytest.mark.parametrize("name", [name for name in EVERY if name not in PASSED_ON])
def test_help_is_whole_at_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _help(name, monkeypatch)
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    assert "…" not in text
    for entry in re.split(r"\n(?=  \S)", text):
        assert not re.search(r"\w\.\.\.$", entry), f"cut: {entry}"


@pytest.mark.parametrize("name", [name for name, one in EVERY.items() if hasattr(one, "list_commands")])
def test_a_list_of_commands_says_all_that_their_first_paragraphs_say(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = " ".join(_help(name, monkeypatch).partition("Commands:")[2].split())
    for word in EVERY[name].list_commands(None):
        first = " ".join(EVERY[f"{name} {word}".strip()].help.split("\n\n")[0].split())
        assert first.endswith((".", ").")), f"{name} {word}: {first}"
        assert f"{word} {first}" in listed


@pytest.mark.parametrize("name", OURS)
def test_help_has_an_example(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(_help(name, monkeypatch).split())
    examples = text.rpartition("Example")[2]
    assert f"xglue-harness {name}" in examples


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda part: part if isinstance(part, str) else part.opts[0])
def test_options_are_named_and_told_alike(name: str, option: Any) -> None:
    flag = option.opts[0]
    assert flag not in OTHER_NAMES, f"{name} {flag}: elsewhere it is {OTHER_NAMES[flag]}"
    assert re.fullmatch(r"--[a-z][a-z0-9-]*", flag), f"{name} {flag}"
    assert option.help, f"{name} {flag}: no help"
    assert option.help[0].upper() == option.help[0] or re.match(r"[a-z]+,", option.help), (
        f"{name} {flag}: {option.help}"
    )
    assert option.help.endswith("."), f"{name} {flag}: {option.help}"
    if flag in FLAGS:
        assert (option.is_flag, option.help) == (True, FLAGS[flag]), f"{name} {flag}"
    elif not option.is_flag and not _is_choice(option):
        assert option.metavar == METAVARS.get(flag, option.metavar), f"{name} {flag} {option.metavar}"
        assert option.metavar, f"{name} {flag}: say by metavar= what it takes"
        assert re.fullmatch(r"[A-Z]+(,\.\.\.|=[A-Z]+)?|\[NAME=\]N", option.metavar), f"{name} {flag} {option.metavar}"


def _is_choice(option: Any) -> bool:
    """Whether the values are listed; releases of typer differ in how they say so."""
    found = getattr(option, "type_descriptor", None)
    return bool(found.is_choice if found is not None else hasattr(option.type, "choices"))


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=lambda part: getattr(part, "name", part))
def test_arguments_are_told(name: str, argument: Any) -> None:
    assert argument.metavar, f"{name}: say by metavar= what {argument.name} is"
    assert re.fullmatch(r"[A-Z][A-Z_]*", argument.metavar), f"{name}: {argument.metavar}"
    assert argument.help, name
    assert argument.help.endswith("."), f"{name}: {argument.help}"


@pytest.mark.parametrize("name", OURS)
def test_one_model_is_an_option(name: str) -> None:
    """An argument only where there are several."""
    models = [found for where, found in ARGUMENTS if where == name and found.metavar.startswith(("MODEL", "BASE"))]
    assert len(models) != 1


@pytest.mark.parametrize("name", OURS)
def test_what_prints_a_table_prints_json_as_well(name: str) -> None:
    has = any(where == name and "--json" in option.opts for where, option in OPTIONS)
    assert has is (name not in NO_TABLE), f"{name}: give it --json (options.Json, console.print_json), or say why not"


def test_no_reason_is_left_over() -> None:
    assert NO_TABLE.keys() <= LEAVES.keys()


def test_json_is_printed_in_one_way() -> None:
    """By ``console.print_json``: what is not finite, what no terminal can show and what is no JSON is seen to there."""
    folder = Path(inspect.getfile(cli)).parent
    users = {path.stem for path in folder.glob("*.py") if "json.dumps" in path.read_text(encoding="utf-8")}
    assert users == {"console", "run", "sweep"}, "schemas are printed as they are; all else by print_json"


# Errors

REFUSED = [
    (("data", "check", "{tmp}/nowhere"), "/nowhere: no such file or folder"),
    (("data", "prepare", "{tmp}/x", "{tmp}/y"), "/x: cannot be read"),
    (("store", "prune"), "say what to remove"),
    (("leaderboard", "validate", "--tree", "{tmp}/nowhere"), "/nowhere: no leaderboard"),
    (("sweep", "plan", "{tmp}/nowhere.yaml"), "nowhere.yaml"),
    (("score", "--predictions", "{tmp}", "--data", "sample"), "no predictions of any task"),
    (("export", "{tmp}/nowhere.json", "{tmp}/out"), "/nowhere.json is no results file of lm_eval"),
    (("backbone", "check", "nobody", "--tree", "{tmp}"), ": no leaderboard"),
    (("analyze", "correlate", "{tmp}/nowhere"), "nowhere"),
    (("stor", "ls"), "No such command 'stor'"),
    (("store", "lss"), "No such command 'lss'"),
    (("store", "ls", "--jsn"), "No such option: --jsn"),
    (("probe",), "Missing option '--model'"),
    (("probe", "--model", "x", "--seed", "-1"), "'--seed'"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED, ids=[" ".join(words[:2]) for words, _ in REFUSED])
def test_an_error_has_one_prefix_and_is_the_last_line(
    words: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = command(*(word.format(tmp=tmp_path) for word in words))
    assert (status, out) == (2, "")
    *before, last = err.splitlines()
    assert last.startswith("xglue-harness: ")
    assert reason in last
    assert all(
        line.startswith(("Usage: xglue-harness ", "Try 'xglue-harness ", "table and record only")) for line in before
    )


@pytest.mark.parametrize("name", [name for name in EVERY if name and hasattr(EVERY[name], "list_commands")])
def test_a_group_alone_shows_its_help(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = command(*name.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"Usage: xglue-harness {name} ")


def test_no_other_prefix_is_in_the_code() -> None:
    root = Path(inspect.getfile(cli)).parents[1]
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"""(echo|print)\(f?["'](error|warning|Error|Warning): """, line)
    ]
    assert found == []


# Completion


def test_completion_can_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--install-completion" in _help("", monkeypatch)
    assert "--show-completion" in _help("", monkeypatch)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lea", ["leaderboard"]),
        ("leaderboard sh", ["show"]),
        ("score --tasks p", ["pawsx", "pos"]),
        ("score --tasks pos,n", ["pos,nc", "pos,ner"]),
        ("probe --languages e", ["el", "en", "es"]),
        ("probe --data s", ["sample"]),
        ("analyze cka --task wp", ["wpr"]),
        ("sweep report --format l", ["latex"]),
    ],
)
def test_names_are_completed(words: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shell(words, monkeypatch) == expected


def test_keys_of_the_store_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path))
    keys = ["3fa9c1" + "0" * 26, "4" + "1" * 31]
    for key in keys:
        folder = Store().root / "entries" / key
        folder.mkdir(parents=True)
    assert [key for key, _ in options.store_keys("3f")] == [keys[0][:12]]
    assert _shell("store prune 3", monkeypatch) == [keys[0][:12]]
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    assert options.store_keys("3f") == []


@pytest.mark.parametrize(
    "name",
    sorted({flag for _, option in OPTIONS for flag in option.opts if flag in ("--tasks", "--task", "--languages")}),
)
def test_options_that_can_be_completed_are(name: str) -> None:
    for where, option in OPTIONS:
        if name in option.opts:
            assert option._custom_shell_complete is not None, f"{where} {name}: take it from cli/options.py"


def test_a_list_has_no_name_twice() -> None:
    assert options.task_names("nc,xnli,") == [
        f"nc,xnli,{name}" for name in options.task_names("") if name not in ("nc", "xnli")
    ]
    assert options.names(" nc, xnli,") == ["nc", "xnli"]
    assert options.names(None) is None


# JSON


def test_json_of_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path))
    assert json.loads(command("store", "ls", "--json")[1]) == []
    found = json.loads(command("store", "du", "--json")[1])
    assert found["finished"] == {"count": 0, "bytes": 0}
    assert found["free"]["bytes"] > 0
