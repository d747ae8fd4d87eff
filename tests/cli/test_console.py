"""What users wrote is printed as it is: brackets, colons, escapes."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

import xglue_harness
from xglue_harness.cli.console import PlainConsole, print_json, printable

NAMES = ["org/[bold]model[/bold]", "[link=x]", "[/]", ":warning:", r"\[a]", "a\x1b[31mb", "a\rb", "\ud800", "‮a", "\0"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = PlainConsole(width=60)
    console.file = out
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    console.print(table, name)
    text = out.getvalue()
    assert text.count(printable(name)) == 4
    assert text.encode()
    assert not set(text) & set("\x1b\r\0‮")


def test_words_of_any_script_stay() -> None:
    for word in ("Größe", "日本語", "हिन्दी", "ไทย", "a\u00a0b", "🙂", "line\nline"):
        assert printable(word) == word


def test_there_is_no_other_console() -> None:
    folder = Path(xglue_harness.__file__).parent
    users = [
        path.name for path in folder.rglob("*.py") if re.search(r"rich\.(console|markup)", path.read_text("utf-8"))
    ]
    assert users == ["console.py"]


@dataclass(frozen=True)
class _Row:
    place: Path
    score: object


def test_json_holds_what_tables_do_and_nothing_that_is_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (_Row(Path("a/b"), np.float64(0.25)), _Row(Path("ü\ud800\x9b"), float("nan")))
    print_json({"rows": rows, 3: {np.int64(4)}, "no": None, "yes": True})
    text = capsys.readouterr().out
    assert text.isascii()
    expected = [{"place": "a/b", "score": 0.25}, {"place": "ü\ud800\x9b", "score": None}]
    assert json.loads(text, parse_constant=pytest.fail) == {"rows": expected, "3": [4], "no": None, "yes": True}
