"""The one gate for texts and numbers, and the readers of YAML and JSON behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from xglue_harness.errors import LeaderboardError
from xglue_harness.untrusted.problems import collect_problems, shown
from xglue_harness.untrusted.text import HubId, Link, Name, plain
from xglue_harness.untrusted.values import DEPTH_LIMIT, read_json, read_yaml

UNSEEN = {
    "nul": "\x00",
    "tab": "\t",
    "carriage return": "\r",
    "line feed": "\n",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "soft hyphen": "\u00ad",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "right-to-left mark": "\u200f",
    "override": "\u202e",
    "isolate": "\u2066",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "Mongolian vowel separator": "\u180e",
    "Hangul filler": "\u3164",
    "grapheme joiner": "\u034f",
    "variation selector": "\ufe0f",
    "another variation selector": "\U000e0100",
    "tag": "\U000e0041",
    "surrogate": "\ud800",
    "private use": "\ue000",
    "no character": "\uffff",
    "interlinear annotation": "\ufff9",
}


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_a_character_that_cannot_be_seen_is_refused_wherever_it_stands(file, character):
    with pytest.raises(ValueError, match="holds"):
        plain(f"a{character}b")
    escaped = "".join(f"\\u{unit:04x}" for unit in _utf16(character))
    for text in (f'{{"x": ["a{escaped}"]}}', f'{{"a{escaped}": 1}}'):
        file.write_text(text)
        with pytest.raises(LeaderboardError, match=r"file: .*holds"):
            read_json(file, 1000)
        with pytest.raises(LeaderboardError, match=r"file: .*(holds|no YAML)"):
            read_yaml(file, 1000)
    assert shown(f"a{character}b\x1b").isprintable()


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@pytest.mark.parametrize("text", ["mBERT", "naïve – “quoted” 5×2", "通义千问", "नमस्ते", "ทดสอบ", "a b", "§ 4 ≤ 5 €"])
def test_what_can_be_seen_is_taken(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    "name", ["con", "prn", "aux", "nul", "com1", "lpt9", "com0", "con.x", "nul.tar.gz", "a..b", "a/b", "A", "a."]
)
def test_names_can_be_checked_out_anywhere(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("name", ["console", "nullb", "com", "com10", "mbert", "a.con", "x-aux"])
def test_names_that_only_look_like_devices_are_taken(name):
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Link, "https://arxiv.org@evil.example/abs"),
        (Link, "https://аrxiv.org/abs"),
        (Link, "https://x.org/\u200b"),
        (Link, "https://x.org/a b"),
        (Link, "http://x.org"),
        (HubId, "оrg/model"),
        (HubId, "org/../model"),
    ],
)
def test_addresses_are_what_they_look_like(kind, text):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize("text", ["https://arxiv.org/abs/2403.16777", "https://x.org", "https://x.org:80/a?b=c#d(e)~"])
def test_addresses_are_taken(text):
    assert TypeAdapter(Link).validate_python(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9" * 5000, "a number of 5,000 digits"),
        ("9" * 4000, "a number of 4,000 digits"),
        ("-" + "9" * 19, "is beyond"),
        (str(2**53 + 1), "is beyond 9007199254740992"),
        ("1e999", r"is beyond 1e\+15"),
        ("-1e16", r"is beyond 1e\+15"),
        ("NaN", "NaN is no JSON"),
        ("-Infinity", "Infinity is no JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "key a stands there twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "key a stands there twice"),
        ('"' + "x" * 5000 + '"', "5,000 characters; at most 4,000"),
        ("[" * 50_000, "nested too deeply"),
        ("[" * (DEPTH_LIMIT + 2) + "]" * (DEPTH_LIMIT + 2), "nested too deeply"),
        ("[" + "0," * 100_000 + "0]", "more than 100,000 values"),
        ('"<script>"', "holds HTML"),
        ("\ufeff1", "no JSON"),
        ("", "no JSON"),
    ],
)
def test_json_that_is_not_let_in(file, text, reason):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LeaderboardError, match=rf"file: .*{reason}"):
        read_json(file, 1_000_000)


@pytest.mark.parametrize("data", [b"\xff\xfe1\x00", '{"a": 1}'.encode("utf-16"), b'"\xed\xa0\x80"'])
def test_only_utf_8_is_read(file, data):
    file.write_bytes(data)
    for read in (read_json, read_yaml):
        with pytest.raises(LeaderboardError, match=r"file: no (JSON|YAML) that is accepted"):
            read(file, 1000)


@pytest.mark.parametrize(
    "text",
    ["1:30", "1:30.5", "012", "0o17", "0x10", "0b1", "1_000", "1e5", "yes", "off", "2020-01-01", "=", "<<", ".nan"],
)
def test_what_yaml_1_1_takes_for_more_is_text(file, text):
    file.write_text(f"x: {text}")
    assert read_yaml(file, 1000) == {"x": text}


def test_numbers_and_words_of_yaml_are_values(file):
    file.write_text("[1, -2, 0.5, 1.0e-5, 2.0e+3, true, false, null, ~, x]")
    assert read_yaml(file, 1000) == [1, -2, 0.5, 1e-5, 2000.0, True, False, None, None, "x"]


def test_lines_may_end_as_in_windows(file):
    file.write_bytes(b"x: 1\r\ny: 2\r\n")
    assert read_yaml(file, 1000) == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x: " + "9" * 5000, r"no YAML|is beyond"),
        ("x: 99999999999999999", "is beyond"),
        ("x: 1.0e+999", "is beyond"),
        ("x: !!binary aGk=", "tags"),
        ("x: !!python/name:os.system", "tags"),
        ("x: !!int 5", "tags"),
        ("x: &a 1\ny: *a", "aliases"),
        ("x: 1\nx: 2", "key x stands there twice"),
        ("x: {y: 1, y: 1}", "key y stands there twice"),
        ("1: x", "no text"),
        ("? [x]\n: y", "no text"),
        ("[" * 3000 + "]" * 3000, "nested too deeply"),
        ("--- 1\n--- 2", "no YAML"),
        ('x: "\\ud800"', "holds"),
        ("x: 'a\u200bb'", "holds"),
        ("x: '\x1b'", "no YAML"),
    ],
)
def test_yaml_that_is_not_let_in(file, text, reason):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LeaderboardError, match=rf"file: .*({reason})"):
        read_yaml(file, 100_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("what", ["pipe", "device", "link", "folder", "nothing", "too long a name"])
def test_only_regular_files_are_read(tmp_path, what):
    path = tmp_path / "file"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "link":
        (tmp_path / "other").write_text("1")
        path.symlink_to(tmp_path / "other")
    elif what == "folder":
        path.mkdir()
    elif what == "too long a name":
        path = tmp_path / ("x" * 300)
    with pytest.raises(LeaderboardError, match="is a link or no file; expected a regular file"):
        read_json(path, 1000)


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), MemoryError(), ValueError("x"), ZeroDivisionError("y"), LeaderboardError("told")]
)
def test_whatever_a_file_raises_is_a_problem_of_that_file(error):
    problems: list[str] = []
    with collect_problems(Path("a.json"), problems):
        raise error
    expected = "told" if isinstance(error, LeaderboardError) else f"a.json: malformed: {type(error).__name__}: {error}"
    assert problems == [expected]


def test_who_interrupts_is_heard():
    with pytest.raises(KeyboardInterrupt), collect_problems(Path("a.json"), []):
        raise KeyboardInterrupt
