"""Looking a folder or an archive through, preparing one, and the two commands."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.helpers.cli import command
from tests.helpers.layout import pack, sentence_file, tagging_file, write_file, write_layout, write_task
from xglue_harness.benchmark import TASKS, TaskSpec, task
from xglue_harness.data import check as check_module
from xglue_harness.data.check import check
from xglue_harness.data.manifest import manifest_rows, official_archive
from xglue_harness.data.prepare import prepare
from xglue_harness.data.report import Problem, Report
from xglue_harness.errors import DataError

NER, POS, XNLI, QAM = task("ner"), task("pos"), task("xnli"), task("qam")


@pytest.fixture
def as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest in which every file has as many rows as the helpers write."""

    def rows(spec: TaskSpec, _split: str, language: str) -> int | None:
        return None if (spec.name, language) == ("pos", "pt") else 4

    monkeypatch.setattr(check_module, "manifest_rows", rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "data")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*args: object) -> tuple[int, str, str]:
    return command("data", *args)


def one(report: Report, path: str) -> check_module.FileReport:
    return next(file for file in report.files if file.path == path)


def test_manifest() -> None:
    assert official_archive().sha256.startswith("e11016c0")
    assert manifest_rows(task("pawsx"), "train", "en") == 49401
    assert manifest_rows(NER, "dev", "de") == 2874
    assert manifest_rows(POS, "test", "pt") is None
    missing = [
        (spec.name, lang)
        for spec in TASKS.values()
        for split, lang, _ in spec.files()
        if not manifest_rows(spec, split, lang)
    ]
    assert missing == [("pos", "pt"), ("pos", "pt")]


@pytest.mark.usefixtures("as_published")
def test_complete_and_right(folder: Path) -> None:
    report = check(folder)
    assert report.ok()
    assert report.ok(allow_partial=True)
    assert len(report.files) == sum(len(spec.files()) for spec in TASKS.values())
    de = one(report, "XNLI/de.test")
    assert (de.rows, de.expected, de.labels) == (4, 4, {"entailment": 2, "neutral": 1, "contradiction": 1})
    assert one(report, "NER/de.test").labels["O"] == 2
    assert run("check", folder)[0] == 0


def test_row_differences_count_only_in_strict_mode(folder: Path) -> None:
    report = check(folder, [XNLI])
    assert "XNLI/de.test: 4 rows; the official file has 5010" in report.problems()
    assert report.ok(allow_partial=True)
    assert run("check", folder)[0] == 1
    code, out, _ = run("check", folder, "--allow-partial")
    assert code == 0
    assert "other rows than the official" in out
    assert out.rstrip().endswith(f"{folder}: all is well")


@pytest.mark.usefixtures("as_published")
def test_absent_languages(folder: Path) -> None:
    (folder / "XNLI/sw.test").unlink()
    report = check(folder)
    assert report.problems() == ["XNLI/sw.test: no such file"]
    assert report.ok(allow_partial=True)
    code, out, _ = run("check", folder)
    assert code == 1
    assert "\nXNLI/sw.test: no such file\n" in out
    assert f"{folder}: 1 problem\n" in out


@pytest.mark.usefixtures("as_published")
def test_absent_training_file_is_always_a_problem_but_an_absent_task_is_partial(folder: Path) -> None:
    (folder / "NER/en.train").unlink()
    assert check(folder).problems(allow_partial=True) == ["NER/en.train: no such file"]
    assert run("check", folder, "--allow-partial")[0] == 1
    for path in list((folder / "NER").iterdir()):
        path.unlink()
    assert check(folder).ok(allow_partial=True)
    assert not check(folder).ok()


def test_an_empty_folder_is_not_partial(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    problems = check(tmp_path / "empty").problems(allow_partial=True)
    assert problems == [f"{tmp_path}/empty: no file of any task; expected a layout such as NC/xglue.nc.en.train"]


@pytest.mark.usefixtures("as_published")
def test_every_bad_line_up_to_twenty(folder: Path) -> None:
    bad = sentence_file(QAM, "test", "de", rows=3) + b"".join(b"q\ta\t%d\n" % n for n in range(100, 130))
    write_file(folder, QAM, "test", "de", bad)
    write_file(folder, NER, "test", "de", b"a O\nb\n\nc X\n")
    report = check(folder)
    qam, ner = one(report, "QAM/xglue.qam.de.test"), one(report, "NER/de.test")
    assert (qam.rows, len(qam.problems), qam.more_problems) == (3, 20, 10)
    assert [problem.line for problem in qam.problems] == list(range(4, 24))
    assert qam.problems[0].message == "unknown label '100'; expected one of False, True, 0, 1"
    assert ner.problems[0] == Problem(
        2,
        "a word without a label: 'b'; expected a word, a blank and its label on each line, "
        "and a blank line after each sentence",
    )
    problems = report.problems(allow_partial=True)
    assert len(problems) == 23
    assert "QAM/xglue.qam.de.test:4: unknown label '100'; expected one of False, True, 0, 1" in problems
    assert "QAM/xglue.qam.de.test: and 10 more bad lines" in problems
    assert run("check", folder, "--allow-partial")[0] == 1


@pytest.mark.usefixtures("as_published")
def test_one_sentence_more_is_right_where_no_blank_line_ends_the_last(folder: Path) -> None:
    five = tagging_file(NER, "test", "de", rows=5)
    write_file(folder, NER, "test", "de", five.removesuffix(b"\n"))
    report = check(folder)
    assert one(report, "NER/de.test").rows == 5
    assert "dropped a last sentence without a blank line after it: right" in one(report, "NER/de.test").note
    assert report.ok()
    assert "dropped a last sentence" in run("check", folder)[1]
    write_file(folder, NER, "test", "de", five)
    assert check(folder).problems() == ["NER/de.test: 5 rows; the official file has 4"]


@pytest.mark.usefixtures("as_published")
def test_strange_files_are_a_note(folder: Path) -> None:
    for name in ("notes.md", "XNLI/de.test.bak", "NER/labels.txt", "MLQA/en.train"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    report = check(folder)
    assert report.extra == ("XNLI/de.test.bak", "notes.md")
    assert report.ok()
    assert report.remarks() == ["note: files that belong to no task: XNLI/de.test.bak, notes.md"]
    for number in range(30):
        (folder / f"x{number:02}").touch()
    assert check(folder).extra[-1] == "and 12 more"


@pytest.mark.usefixtures("as_published")
def test_archive(folder: Path, tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tar.gz", folder, {"xglue_full_dataset/MLQA/en.train": b"{}"})
    report = check(archive)
    assert report.ok()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert report.notes == (f"sha256 {digest}: it is not the official archive",)


def test_json_and_table(folder: Path) -> None:
    write_file(folder, XNLI, "test", "de", b"[bold]\n")
    code, out, _ = run("check", folder, "--allow-partial", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["ok"] is False
    assert found["problems"] == [
        "XNLI/de.test:1: 1 field; expected 3 fields separated by tabs: premise, hypothesis, label"
    ]
    assert len(found["files"]) == 126
    tables = [*check(folder).tables()]
    assert sum(map(len, tables)) == 126
    assert [row[0] for row in tables[0]][:2] == ["NC", ""]


def test_nothing_to_read(tmp_path: Path) -> None:
    code, out, err = run("check", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert err == (
        f"xglue-harness: {tmp_path}/nowhere: no such file or folder; "
        "expected a folder in the official layout or the official archive\n"
    )
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    code, _, err = run("check", tmp_path / "x.tar.gz")
    assert code == 2
    assert err.startswith(f"xglue-harness: {tmp_path}/x.tar.gz: not a complete gzip tar archive")


def test_help_shows_examples() -> None:
    for example in ("get /shared/xglue", "check xglue_full_dataset.tar.gz", "prepare xglue_full_dataset.tar.gz"):
        code, out, _ = run(example.split()[0], "--help")
        assert code == 0
        assert f"xglue-harness data {example}" in " ".join(out.split())


def test_prepare(tmp_path: Path) -> None:
    write_task(tmp_path / "data", NER)
    archive = pack(tmp_path / "x.tar.gz", tmp_path / "data")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (tmp_path / "empty").mkdir()
    for target in ("new/folder", "empty"):
        code, out, err = run("prepare", archive, tmp_path / target, "--sha256", digest.upper())
        assert (code, err) == (0, "")
        assert f"XGLUE_DATA={tmp_path}/{target}" in out
        assert (tmp_path / target / "NER/de.test").read_bytes() == (tmp_path / "data/NER/de.test").read_bytes()


def test_prepare_refuses_another_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"other")
    code, _, err = run("prepare", tmp_path / "x.tar.gz", tmp_path / "target")
    digest = hashlib.sha256(b"other").hexdigest()
    assert code == 2
    assert err == (
        f"xglue-harness: {tmp_path}/x.tar.gz: sha256 {digest} (5 bytes); expected "
        f"{official_archive().sha256} of the official xglue_full_dataset.tar.gz (875905871 bytes): "
        "fetch it again, or give --sha256 if you mean another archive\n"
    )
    assert not (tmp_path / "target").exists()


def test_prepare_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(tmp_path / "data", NER)
    archive = pack(tmp_path / "x.tar.gz", tmp_path / "data")
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-300])
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(DataError, match="not a complete gzip tar archive"):
        prepare(cut, place / "target", hashlib.sha256(cut.read_bytes()).hexdigest())
    assert list(place.iterdir()) == []

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("xglue_harness.data.tar._write", full)
    with pytest.raises(DataError, match=r"cannot unpack .*: No space left on device; nothing was left behind"):
        prepare(archive, place / "target", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert list(place.iterdir()) == []


def test_prepare_does_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(DataError, match="full: the folder is not empty; expected a new or an empty one"):
        prepare(tmp_path / "x.tar.gz", tmp_path / "full")
    with pytest.raises(DataError, match="mine: is not a folder"):
        prepare(tmp_path / "x.tar.gz", tmp_path / "full" / "mine")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        prepare(tmp_path / "x.tar.gz", tmp_path / "new")
