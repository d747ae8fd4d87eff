"""What an analysis leaves behind: a tidy table, a JSON with where it comes from, and figures."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch

from xglue_harness.atomic import replacing
from xglue_harness.errors import DataError
from xglue_harness.records.provenance import environment

logger = logging.getLogger(__name__)

Format = Literal["csv", "parquet"]
Kind = Literal["SAMPLE", "UNOFFICIAL", "XGLUE", "text"]

_NO_FIGURES = "table and record only: figures need matplotlib: pip install 'xglue-harness[plots]'"


@dataclass(frozen=True)
class DataMark:
    """What an analysis rests on.

    Attributes:
        kind: the packaged toy; task data with other numbers of rows than XGLUE's; XGLUE's; or one's own text.
        unofficial: what is to be said of the sets with other numbers of rows.
    """

    kind: Kind
    unofficial: list[str] = field(default_factory=list)

    @property
    def warning(self) -> str:
        """What a reader must know; may be empty."""
        if self.kind == "SAMPLE":
            return "SAMPLE data: the numbers mean nothing"
        if self.kind == "UNOFFICIAL":
            return "; ".join(["UNOFFICIAL data: the numbers do not compare with those on XGLUE", *self.unofficial])
        return ""


class Output:
    """A folder that an analysis writes into; every file in it is whole or absent."""

    def __init__(self, folder: Path, form: Format) -> None:
        """Make the folder, and say so if no figures can be drawn, before anything is computed.

        Args:
            folder: where to.
            form: of the table.

        Raises:
            DataError: where the folder can't be made.
        """
        self.plots: ModuleType | None
        try:
            self.plots = import_module("xglue_analysis.plots")
        except ImportError:
            self.plots = None
            print(_NO_FIGURES, file=sys.stderr)  # noqa: T201
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder} can't be made ({error.strerror}): choose another --output") from error
        self.folder, self.form = folder, form
        self.written: list[Path] = []
        self.rows: list[dict[str, Any]] = []
        """Of the table."""
        self.data: DataMark | None = None
        """What the numbers rest on, once it is known: every table, record and figure says so."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; one column a key."""
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        path = self.folder / f"{name}.{self.form}"
        said = {} if self.data is None else {"data": self.data.kind}
        self.rows = [{**row, **said} for row in rows]
        columns = pa.Table.from_pylist(self.rows)
        with replacing(path) as temporary:
            if self.form == "csv":
                pyarrow.csv.write_csv(columns, temporary)
            else:
                pyarrow.parquet.write_table(columns, temporary)
        self.written.append(path)

    def as_json(self) -> dict[str, Any]:
        """The table, what it rests on and which files there are, for programs."""
        mark = {} if self.data is None else {"data": self.data.kind, "unofficial": self.data.unofficial}
        return {**mark, "rows": self.rows, "files": self.written}

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        path = self.folder / name
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        self.written.append(path)

    def record(self, name: str, device: torch.device, facts: Mapping[str, Any]) -> None:
        """Write what the table rests on, with versions and hardware."""
        where = environment(device).model_dump(mode="json")
        said = {} if self.data is None else {"data": self.data.kind, "unofficial": self.data.unofficial}
        value = {"analysis": name, **said, **facts, "environment": where, "files": [file.name for file in self.written]}
        self.text(f"{name}.json", json.dumps(value, indent=1, allow_nan=False))

    def figure(self, name: str, kind: str, *rows: Sequence[Mapping[str, Any]], **options: Any) -> None:
        """Write a figure as PNG and SVG; where there is nothing to draw, say why.

        Args:
            name: of its files.
            kind: the function of `xglue_analysis.plots` that draws it.
            rows: what it draws.
            options: others of its arguments.
        """
        if self.plots is None:
            return
        if self.data is not None and self.data.warning:
            options["title"] = f"{options.get('title') or ''} [{self.data.kind}]".strip()
        try:
            self.written += self.plots.save(getattr(self.plots, kind)(*rows, **options), self.folder / name)
        except ValueError as error:
            logger.warning("no figure %s: %s", name, error)
