"""The notebooks of examples/ run as they are, offline; what they show is kept with them, and small."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="the notebooks are not beside the tests")


def _code(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_there_and_small_and_name_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    outputs = [output for cell in _code(path) for output in cell["outputs"]]
    assert len(outputs) >= 2
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert len(text) < 60_000
    shown = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    assert "/tmp" not in shown
    assert "/home" not in shown
    assert "numbers mean nothing" in text


@pytest.mark.processes
@pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ipykernel") is None,
    reason="no nbclient or ipykernel: pip install 'xglue-harness[docs]'",
)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    from tools.execute_notebooks import execute

    executed = execute(path)
    kept = [[output["output_type"] for output in cell["outputs"]] for cell in _code(path)]
    found = [[output.output_type for output in cell.outputs] for cell in executed.cells if cell.cell_type == "code"]
    assert found == kept, "run python -m tools.execute_notebooks, and commit what it writes"
    assert any(kept)
