"""Execute the notebooks of ``examples/``, offline, and keep their outputs: ``python -m tools.execute_notebooks``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "examples"


def execute(path: Path, *, seconds: int = 600) -> nbformat.NotebookNode:
    """A notebook with the outputs of all its cells, without what differs from run to run.

    Args:
        path: of the notebook.
        seconds: that a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: where a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=seconds, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [
                output for output in cell.outputs if output.output_type != "stream" or output.name == "stdout"
            ]
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


def main() -> None:
    """Execute those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", type=Path, help="notebooks; by default all of examples/")
    for path in parser.parse_args().names or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(execute(path), path)
        print(f"executed: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
