"""Sentences by language, from files and from test sets."""

from __future__ import annotations

import hashlib

import pytest

from tests.helpers.layout import write_task
from xglue_harness.analyze.output import DataMark
from xglue_harness.analyze.sentences import read_texts, task_texts
from xglue_harness.benchmark import TASKS
from xglue_harness.errors import DataError
from xglue_harness.files import file_sha256


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "en.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (tmp_path / "de.txt").write_text("eins\nzwei\ndrei", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no language\n", encoding="utf-8")
    return tmp_path


def test_a_folder_is_parallel_line_by_line(folder):
    found = read_texts(folder, None, None)
    assert found.by_language == {"de": ["eins", "zwei", "drei"], "en": ["one", "two", "three"]}
    assert found.parallel
    assert found.files == {name: file_sha256(folder / name) for name in ("de.txt", "en.txt")}
    assert read_texts(folder, ["en"], 2).by_language == {"en": ["one", "two"]}


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path):
    (tmp_path / "en.txt").write_text("a\u2028b\x0cc\nd\u0085e\n", encoding="utf-8")
    assert read_texts(tmp_path, None, None).by_language["en"] == ["a\u2028b\x0cc", "d\u0085e"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\rb\nc\n", ["a\rb", "c"]),  # as in a text that was joined badly: no line of its own
        (b"\xef\xbb\xbfa\nc\n", ["a", "c"]),
        (b"a\r\nc\r\n", ["a", "c"]),
        (b"a\nc", ["a", "c"]),
        (b"a\x0b\x1c\x1ex\nc\xe2\x80\xa9x\n", ["a\x0b\x1c\x1ex", "c\u2029x"]),
    ],
)
def test_lines_are_those_of_the_official_reader(tmp_path, content, expected):
    (tmp_path / "en.txt").write_bytes(content)
    (tmp_path / "de.txt").write_bytes(b"x\ny\n")
    found = read_texts(tmp_path, None, None)
    assert found.by_language == {"de": ["x", "y"], "en": expected}
    assert found.files["en.txt"] == hashlib.sha256(content).hexdigest()


def test_rows_are_cut_after_lengths_are_compared(folder):
    (folder / "fr.txt").write_text("un\ndeux\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"different numbers of lines.*'fr': 2"):
        read_texts(folder, None, 2)
    (folder / "fr.txt").write_bytes(b"un\ndeux\n\n")
    with pytest.raises(DataError, match=r"fr\.txt:3: is empty"):
        read_texts(folder, None, 2)


def test_data_say_what_they_are(folder, tmp_path):
    assert read_texts(folder, None, None).data.kind == "text"
    assert task_texts("xnli", "sample", ["en", "sw"], 5).data == DataMark("SAMPLE")
    write_task(tmp_path / "data", TASKS["xnli"], ["de", "en"])
    found = task_texts("xnli", str(tmp_path / "data"), ["de"], 1).data
    assert found.kind == "UNOFFICIAL"
    assert found.unofficial[0].startswith("XNLI/de.test: ")
    assert "XNLI/de.test" in found.warning


def test_a_file_says_its_language_by_its_name(folder):
    assert read_texts(folder / "de.txt", None, None).by_language == {"de": ["eins", "zwei", "drei"]}
    assert not read_texts(folder / "de.txt", None, None).parallel
    assert list(read_texts(folder / "notes.txt", None, None).by_language) == ["en"]
    assert list(read_texts(folder / "notes.txt", ["fr"], None).by_language) == ["fr"]


def test_what_lacks_is_named(folder, tmp_path):
    with pytest.raises(DataError, match=r"has no fr\.txt, sw\.txt"):
        read_texts(folder, ["en", "fr", "sw"], None)
    with pytest.raises(DataError, match="no such file or folder"):
        read_texts(tmp_path / "none", None, None)
    (tmp_path / "fr.txt").write_text("un\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"different numbers of lines.*'fr': 1"):
        read_texts(folder, None, None)
    (tmp_path / "fr.txt").write_text("un\n\ntrois\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"fr\.txt:2: is empty"):
        read_texts(folder, None, None)
    (tmp_path / "fr.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"fr\.txt:1: invalid UTF-8"):
        read_texts(folder, None, None)


def test_texts_of_a_task_are_whole_rows():
    xnli = task_texts("xnli", "sample", ["en", "sw"], 5)
    assert [len(texts) for texts in xnli.by_language.values()] == [5, 5]
    assert xnli.parallel
    assert set(xnli.files) == {"XNLI/en.test", "XNLI/sw.test"}
    pos = task_texts("pos", "sample", ["th"], None)
    assert not pos.parallel
    assert len(pos.by_language["th"]) == 60
    assert " " in pos.by_language["th"][0]
    assert len(task_texts("nc", "sample", None, 3).by_language) == 5


def test_a_task_or_language_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no task 'nq'; there are nc, xnli"):
        task_texts("nq", "sample", None, None)
    with pytest.raises(DataError, match="has no test set of QAM in sw"):
        task_texts("qam", "sample", ["de", "sw"], None)
