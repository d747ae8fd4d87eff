"""Singular values of the weights of every encoder layer, and their distance from a base's (Tables 2 and 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from xglue_analysis import open_weights
from xglue_analysis.roles import ROLES
from xglue_analysis.spectra import table as table_of
from xglue_analysis.spectra import totals
from xglue_harness.analyze.output import Output
from xglue_harness.analyze.states import layer_or_last
from xglue_harness.analyze.summary import Summary, number, short_name
from xglue_harness.encoders.loading import Checkpoint
from xglue_harness.errors import DataError
from xglue_harness.published.paper import spectrum

_HEADS = tuple(f"{role} {what}" for role in ROLES for what in ("‖σ‖", "d"))


def analyze_spectra(base: str, models: Sequence[str], layer: int | None, out: Output, *, paper: bool) -> Summary:
    """Spectra of a base and others; table, figure and record are written.

    Args:
        base: the encoder that distances are from: Hub id (``@revision``) or folder.
        models: encoders of the same shapes.
        layer: of the summary; ``None``: the last.
        out: where to.
        paper: whether the paper's values stand beside ours.

    Raises:
        DataError: where an encoder is given twice, or there is no such layer.
        EncoderError: where weights can't be opened.
    """
    names = [base, *models]
    if len(set(names)) < len(names):
        raise DataError(f"one encoder is given twice: {', '.join(names)}")
    weights = {name: _open(name) for name in names}
    rows = table_of(weights.pop(base), weights, base_name=base, progress=True)
    table: list[dict[str, Any]] = [dict(row) for row in rows]
    out.table("spectra", table)
    out.text("spectra.md", _markdown(table))
    drawn = [{**row, "model": short_name(row["model"])} for row in table]
    out.figure("spectra", "spectra_lines", drawn, title="Singular values of the weights, by layer")
    out.record("spectra", torch.device("cpu"), {"base": base, "models": [*models], "totals": totals(rows)})
    return _summary(table, layer_or_last(layer, max(row["layer"] for row in table)), paper=paper)


def _open(name: str) -> Any:
    checkpoint = Checkpoint.of(name)
    return open_weights(checkpoint.name, revision=checkpoint.revision)


def _summary(table: Sequence[dict[str, Any]], layer: int, *, paper: bool) -> Summary:
    """One layer with the columns of the paper's Table 2; its own values below ours where they are wanted."""
    summary = Summary(("model", *_HEADS), f"encoder layer {layer}, counted from 0")
    for model, cells in _layer(table, layer):
        summary.add(short_name(model), *cells)
        if paper:
            theirs = [spectrum(model, layer, role) or (None, None) for role in ROLES]
            summary.add("  the paper's", *(number(value, 2) for pair in theirs for value in pair), published=True)
    return summary


def _markdown(table: Sequence[dict[str, Any]]) -> str:
    """All layers with the columns of the paper's Table 5, as Markdown."""
    lines = [["layer", "model", *_HEADS], ["---"] * 2 + ["---:"] * len(_HEADS)]
    for layer in sorted({row["layer"] for row in table}):
        lines += [[str(layer), short_name(model), *cells] for model, cells in _layer(table, layer)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _layer(table: Sequence[dict[str, Any]], layer: int) -> Iterator[tuple[str, list[str]]]:
    """Every model with its numbers of a layer, under `_HEADS`."""
    for model in dict.fromkeys(row["model"] for row in table):
        by_role = {row["role"]: row for row in table if row["model"] == model and row["layer"] == layer}
        yield model, [number(by_role[role][name], 2) for role in ROLES for name in ("norm", "distance")]
