"""The command of the GPU benchmark, where there is no GPU: its smallest part, in processes of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.results import Result
from benchmarks.gpu.runner import read
from xglue_harness.harness.demo import build_encoder


def test_options() -> None:
    given = gpu.parse(["--encoder", "x", "--minutes", "2.5", "--only", "facts, checks"])
    assert (given.minutes, given.only) == (2.5, ("facts", "checks"))
    assert gpu.parse(["--encoder", "x"]).only == gpu.GROUPS


@pytest.mark.parametrize("wrong", [["--encoder", "x", "--only", "nothing"], []])
def test_wrong_options(wrong: list[str], capsys) -> None:
    with pytest.raises(SystemExit):
        gpu.parse(wrong)
    assert "nothing" in (said := capsys.readouterr().err) or "--encoder is wanted" in said


def _file(card: str, **figures: float) -> tuple[dict[str, Any], list[Result]]:
    facts = Result("facts/card", "measured", {"card": card, "versions": {"torch": "2.11"}})
    return {"rehearsal": False}, [facts, *(Result(key, "measured", {"x": value}) for key, value in figures.items())]


def test_two_runs_are_shown_as_one() -> None:
    _, results = gpu.together([_file("one", a=1, b=1), _file("one", b=2)])
    assert {key: results[key].figures["x"] for key in "ab"} == {"a": 1, "b": 2}
    with pytest.raises(SystemExit, match=r"different machines.*one.*other"):
        gpu.together([_file("one"), _file("other")])


@pytest.mark.processes
def test_smallest_part_rehearses(tmp_path: Path, capsys) -> None:
    build_encoder(tmp_path / "encoder")
    path = tmp_path / "gpu.json"
    gpu.main(["--encoder", str(tmp_path / "encoder"), "--only", "facts", "--minutes", "3", "--json", str(path)])
    said = capsys.readouterr().out
    assert said.startswith("REHEARSAL: there is no CUDA here.")
    document, results = read(path)
    assert document["rehearsal"]
    statuses = {result.key: result.status for result in results}
    assert statuses["facts/card"] == statuses["facts/bf16 products"] == "measured"
    assert statuses["facts/a graph"] == "left out"
    assert "error" not in statuses.values()
    gpu.main(["--show", str(path)])
    assert "REHEARSAL" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="it waits for the figures of a card"):
        gpu.main(["--show", str(path), "--markdown", str(tmp_path / "page.md")])
    assert not (tmp_path / "page.md").exists()
