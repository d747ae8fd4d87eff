"""CKA of all layers of two encoders, in each language (Figure 1 of Ji et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xglue_analysis.comparison import compare, matched
from xglue_harness.analyze.output import Output
from xglue_harness.analyze.sentences import Texts
from xglue_harness.analyze.settings import Settings
from xglue_harness.analyze.states import every_layer, facts_of, load, parts_of
from xglue_harness.analyze.summary import Summary, mean, short_name
from xglue_harness.encoders.unknown import unknown_shares, warning
from xglue_harness.probing.states import keep_states


def analyze_cka(a: str, b: str, texts: Texts, settings: Settings, dropped: int, out: Output) -> Summary:
    """Compare two encoders; table, figures and record are written.

    Args:
        a: an encoder: Hub id (``@revision``) or folder.
        b: the one to compare it with.
        texts: sentences by language.
        settings: how they are read, and what is drawn.
        dropped: dominant features left out in one column.
        out: where to.

    Raises:
        DataError: for a language that an encoder can't be told, and states that can't be kept.
        EncoderError: where an encoder can't be used.
    """
    out.data = texts.data
    one, other = (load(name, settings) for name in (a, b))
    table: list[dict[str, Any]] = []
    parts, others = (parts_of(encoder, texts.by_language) for encoder in (one, other))
    wanted = [(encoder, [*own.values()], range(encoder.last + 1)) for encoder, own in ((one, parts), (other, others))]
    keep_states(wanted, max_disk=settings.max_disk)
    for language in texts.by_language:
        xs, ys = every_layer(one, parts[language]), every_layer(other, others[language])
        rows = compare(
            list(xs),
            list(ys),
            permutations=settings.permutations,
            replicates=settings.replicates,
            dropped=dropped,
            seed=settings.seed,
            progress=True,
        )
        facts = {"model_a": a, "model_b": b, "language": language, "pooling": settings.pooling}
        table += [{**facts, **row} for row in rows]
    out.table("cka", table)
    names = short_name(a), short_name(b)
    title = f"{names[0]} vs {names[1]}"
    if len(xs) == len(ys):
        out.figure("cka_lines", "cka_lines", table, title=title)
    out.figure("cka_layers", "cka_heatmaps", table, title=title, name_a=names[0], name_b=names[1])
    unknown = [unknown_shares(encoder.backbone.tokenizer, texts.by_language) for encoder in (one, other)]
    encoders = [{**facts_of(one), "unknown": unknown[0]}, {**facts_of(other), "unknown": unknown[1]}]
    out.record("cka", one.backbone.device, {"encoders": encoders, **settings.facts(texts)})
    summary = _summary(table)
    lines = (warning(name, shares) for name, shares in zip((a, b), unknown, strict=True))
    summary.remark = "\n".join(filter(None, lines))
    return summary


def _summary(table: Sequence[dict[str, Any]]) -> Summary:
    """By language, means over layers at the same relative depth, the embeddings not among them."""
    layers, others = (max(row[name] for row in table) for name in ("layer_a", "layer_b"))
    pairs = set(matched(layers, others)[1:]) if layers else {(0, 0)}
    names = ("cka", "low", "high", "null_p95", "cka_biased", "null_mean_biased", "cka_standardised")
    summary = Summary(
        ("language", "n", *names, "without dominant"),
        "means over layers; shuffled sentences give cka 0 (in 95% up to null_p95), cka_biased null_mean_biased",
    )
    for language in dict.fromkeys(row["language"] for row in table):
        rows = [row for row in table if row["language"] == language and (row["layer_a"], row["layer_b"]) in pairs]
        means = (mean(row[name] for row in rows) for name in (*names, "cka_without_dominant"))
        summary.add(language, str(rows[0]["n"]), *means)
    return summary
