"""The gate for files that users name: pipes, devices, folders, names that no system takes, JSON without end."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.layout import write_task
from xglue_harness import files
from xglue_harness.analyze.sentences import read_texts
from xglue_harness.benchmark import task
from xglue_harness.cli import main
from xglue_harness.data import open_source
from xglue_harness.data.archive import ArchiveSource
from xglue_harness.data.check import check
from xglue_harness.errors import DataError, RecipeError
from xglue_harness.files import is_folder, is_regular, open_regular, parse_json, read_json, read_regular, user_path
from xglue_harness.recipe import parse_options
from xglue_harness.records.results_files import read_runs
from xglue_harness.submission.score import score_folder

DEEP = b"[" * 100_000 + b"]" * 100_000
NER = task("ner")


@pytest.fixture(params=["pipe", "device", "socket", "folder"])
def strange(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, str]]:
    """Something that is no regular file, and what is said of it."""
    path = tmp_path / request.param
    if request.param == "pipe":
        os.mkfifo(path)
        yield path, "is a named pipe; expected a regular file"
    elif request.param == "device":
        path.symlink_to("/dev/zero")
        yield path, "is a device; expected a regular file"
    elif request.param == "folder":
        path.mkdir()
        yield path, "is a folder; expected a regular file"
    else:
        with socket.socket(socket.AF_UNIX) as end:
            monkeypatch.chdir(tmp_path)  # a socket's path is short
            end.bind(request.param)
            yield path, "is a socket; expected a regular file|No such device"


def test_only_regular_files_are_opened(strange: tuple[Path, str]) -> None:
    path, message = strange
    for read in (open_regular, read_regular, read_json):
        with pytest.raises(OSError, match=message):
            read(path)
    assert is_folder(path) == path.is_dir()
    if path.is_dir():
        assert not is_regular(path)
    else:
        with pytest.raises(OSError, match=message):
            is_regular(path)


@pytest.mark.parametrize("strange", ["pipe", "device"], indirect=True)
def test_wherever_a_user_names_one(strange: tuple[Path, str], tmp_path: Path) -> None:
    path, message = strange
    data = tmp_path / "data"
    write_task(data, NER)
    (data / "NER/de.test").unlink()
    (data / "NER/de.test").symlink_to(path)
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "en.txt").write_text("one\n")
    (texts / "de.txt").symlink_to(path)
    submission = tmp_path / "submission/NER"
    submission.mkdir(parents=True)
    (submission / "en.prediction").symlink_to(path)
    for use in (
        lambda: open_source(str(path)),
        lambda: open_source(str(data)).load(NER, "test", "de"),
        lambda: open_source(str(data)).available(NER),
        lambda: ArchiveSource(path),
        lambda: check(path),
        lambda: check(data, [NER]),
        lambda: score_folder(submission.parent, "sample", "test", ["ner"], True),
        lambda: read_runs([path]),
        lambda: read_texts(path, None, None),
        lambda: read_texts(texts, None, None),
    ):
        with pytest.raises(DataError, match=message):
            use()


LONG = ["x" * 300, "/".join(["y" * 200] * 30), "~nobody_here/x", "a\0b"]


@pytest.mark.parametrize("name", LONG)
def test_names_that_no_system_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match=r"too long|stands for no folder|NUL"):
        user_path(name)
    for data in (name, {"xnli": name}):
        with pytest.raises(DataError, match=r"^data: ") as caught:
            open_source(data)
        assert len(str(caught.value)) < 400
    if "\0" in name:
        return  # which neither a command line nor the environment can hold
    for variable, command in (("XGLUE_DATA", ["data", "check"]), ("XGLUE_STORE", ["store", "ls"])):
        with monkeypatch.context() as patch:
            patch.setenv(variable, name)
            assert _refused(command, capsys)
    with monkeypatch.context() as patch:
        patch.setenv("XGLUE_CACHE", name)
        assert _refused(["store", "ls"], capsys).startswith("xglue-harness: XGLUE_CACHE=")
    for command in (["data", "check", name], ["score", "--predictions", name], ["export", name, "out"]):
        assert _refused(command, capsys)


def _refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert len(message) < 7000
    return message


def test_json_without_end(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(DEEP)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(DataError, match=r"is no results file of lm_eval: .*nested too deeply"):
        read_runs([path])
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecipeError, match=r"bad option in --metadata: data=\[\[\[\[\[\[\[\.\.\.\]"):
        parse_options({"data": value})
    while value:
        value = value.pop()  # type: ignore[assignment]


def test_depth_that_no_one_expects_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xglue_harness.data.check.check", lambda _: parse_deep())
    assert _refused(["data", "check", "."], capsys).startswith("xglue-harness: something that was read is nested too")


def parse_deep() -> None:
    raise RecursionError("maximum recursion depth exceeded")


def test_a_file_is_bounded_and_takes_no_more_memory_than_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 1000)
    tracemalloc.start()
    assert read_regular(path) == b"x" * 1000
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert read_regular(path, 1000) == b"x" * 1000
    with pytest.raises(OSError, match="has 1,000 bytes and more; at most 999 are read"):
        read_regular(path, 999)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(files.MOST_BYTES + 1)
    with pytest.raises(OSError, match="at most 1,000,000,000 are read"):
        read_regular(tmp_path / "sparse")
    assert read_regular(Path("/proc/self/status")).startswith(b"Name:")
