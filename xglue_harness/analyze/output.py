"""What an analysis leaves behind: a tidy table, a JSON with where it comes from, and figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from xglue_harness.data.cache import replacing
from xglue_harness.errors import DataError
from xglue_harness.results.provenance import environment
from xglue_harness.transfer.store import code_sha256

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

Format = Literal["csv", "parquet"]


class Output:
    """A folder that an analysis writes into; every file in it is whole or absent."""

    def __init__(self, folder: Path, form: Format) -> None:
        """Make the folder, and see that figures can be drawn, before anything is computed.

        Args:
            folder: where to.
            form: of the table.

        Raises:
            DataError: where the folder can't be made, or matplotlib is not installed.
        """
        try:
            from xglue_analysis import plots
        except ImportError:
            raise DataError("figures need matplotlib: pip install 'xglue-harness[plots]'") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder} can't be made ({error.strerror}): choose another --output") from error
        self.folder, self.form, self.plots = folder, form, plots
        self.written: list[Path] = []

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; one column a key."""
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        path = self.folder / f"{name}.{self.form}"
        columns = pa.Table.from_pylist([dict(row) for row in rows])
        with replacing(path) as temporary:
            if self.form == "csv":
                pyarrow.csv.write_csv(columns, temporary)
            else:
                pyarrow.parquet.write_table(columns, temporary)
        self.written.append(path)

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        path = self.folder / name
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        self.written.append(path)

    def record(self, name: str, device: torch.device, facts: Mapping[str, Any]) -> None:
        """Write what the table rests on, with versions and hardware."""
        where = environment(device, code_sha256()).model_dump(mode="json")
        value = {"analysis": name, **facts, "environment": where, "files": [file.name for file in self.written]}
        self.text(f"{name}.json", json.dumps(value, indent=1, allow_nan=False))

    def figure(self, name: str, draw: Callable[[], Figure]) -> None:
        """Write a figure as PNG and SVG; where there is nothing to draw, say why."""
        try:
            self.written += self.plots.save(draw(), self.folder / name)
        except ValueError as error:
            logger.warning("no figure %s: %s", name, error)
