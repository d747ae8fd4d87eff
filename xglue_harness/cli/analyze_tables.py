"""What an analysis prints: the short form of its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from xglue_analysis.comparison import matched
from xglue_analysis.roles import ROLES
from xglue_harness.cli.console import PlainConsole
from xglue_harness.published import paper as facts

Row = dict[str, Any]


def print_cka(rows: Sequence[Row]) -> None:
    """By language, means over layers at the same relative depth, the embeddings not among them."""
    layers, others = (max(row[name] for row in rows) for name in ("layer_a", "layer_b"))
    pairs = set(matched(layers, others)[1:]) if layers else {(0, 0)}
    names = ("cka", "low", "high", "null_p95", "cka_biased", "null_mean_biased", "cka_standardised")
    table = _table("language", "n", *names, "without dominant")
    for language in dict.fromkeys(row["language"] for row in rows):
        own = [row for row in rows if row["language"] == language and (row["layer_a"], row["layer_b"]) in pairs]
        columns = (*names, "cka_without_dominant")
        table.add_row(language, str(own[0]["n"]), *(_mean(row[name] for row in own) for name in columns))
    _show(
        table, "means over layers; shuffled sentences give cka 0 (in 95% up to null_p95), cka_biased null_mean_biased"
    )


def print_languages(rows: Sequence[Row], pivot: str) -> None:
    """Each language against the pivot: mean over layers above the embeddings, and the last layer."""
    last = max(row["layer"] for row in rows)
    names = ("cka", "cka_biased", "anc", "p1_cosine", "p1_csls")
    table = _table("language", "n", *(f"{name} {where}" for where in ("mean", "last") for name in names))
    for language in dict.fromkeys(row["language_a"] for row in rows):
        own = [row for row in rows if (row["language_a"], row["language_b"]) == (language, pivot) and row["layer"]]
        if own:
            means = (_mean(row[name] for row in own) for name in names)
            ends = (_mean(row[name] for row in own if row["layer"] == last) for name in names)
            table.add_row(f"{language}-{pivot}", str(own[0]["n"]), *means, *ends)
    _show(table, f"p1: share of sentences that find their translation; chance is 1/n. Layer {last} is the last")


def print_spectra(rows: Sequence[Row], layer: int, *, paper: bool) -> None:
    """One layer with the columns of the paper's Table 2; its own values below ours where they are wanted."""
    table = _table("model", *(f"{role} {what}" for role in ROLES for what in ("‖σ‖", "d")))
    for model in dict.fromkeys(row["model"] for row in rows):
        own = {row["role"]: row for row in rows if row["model"] == model and row["layer"] == layer}
        cells = [_number(own[role][name], 2) for role in ROLES for name in ("norm", "distance")]
        table.add_row(model.rstrip("/").rsplit("/", 1)[-1], *cells)
        if paper:
            theirs = [facts.spectrum(model, layer, role) or (None, None) for role in ROLES]
            table.add_row("  the paper's", *(_number(value, 2) for pair in theirs for value in pair), style="dim")
    _show(table, f"encoder layer {layer}, counted from 0")


def spectra_markdown(rows: Sequence[Row]) -> str:
    """All layers with the columns of the paper's Table 5, as Markdown."""
    titles = ["layer", "model", *(f"{role} {what}" for role in ROLES for what in ("‖σ‖", "d"))]
    lines = [titles, ["---"] * 2 + ["---:"] * 2 * len(ROLES)]
    for layer in sorted({row["layer"] for row in rows}):
        for model in dict.fromkeys(row["model"] for row in rows):
            own = {row["role"]: row for row in rows if row["model"] == model and row["layer"] == layer}
            cells = [_number(own[role][name], 2) for role in ROLES for name in ("norm", "distance")]
            lines.append([str(layer), model.rstrip("/").rsplit("/", 1)[-1], *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def print_correlations(rows: Sequence[Row]) -> None:
    """All of them."""
    table = _table("task", "diagnostic", "rho", "p", "models", "points", "permutations")
    for row in rows:
        numbers = (_number(row["rho"], 3), _number(row["p"], 4))
        table.add_row(
            row["task"], row["diagnostic"], *numbers, *(str(row[name]) for name in ("models", "points", "permutations"))
        )
    _show(
        table, "Spearman's rho with the score, two-sided permutation p; - where 4 points are not there or do not differ"
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _show(table: Table, note: str) -> None:
    console = PlainConsole(wide=200)
    console.print(table)
    console.print(note, style="dim")


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _number(sum(known) / len(known) if known else None, 3)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
