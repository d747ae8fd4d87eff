"""How alike an encoder represents translations (Figure 2), and how well its languages can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xglue_analysis.languages import CALIBRATED, compare_languages, language_spaces
from xglue_harness.analyze.output import Output
from xglue_harness.analyze.sentences import Texts
from xglue_harness.analyze.settings import Settings
from xglue_harness.analyze.states import every_layer, facts_of, layer_or_last, load, parts_of
from xglue_harness.analyze.summary import Summary, mean, short_name
from xglue_harness.encoders.unknown import unknown_shares, warning
from xglue_harness.errors import DataError
from xglue_harness.probing.states import keep_states

_SHOWN = ("cka", "anc", "p1_csls", "mutual_knn", "mexa", "separability")


def analyze_languages(
    name: str, texts: Texts, settings: Settings, layer: int | None, out: Output, *, calibrate: bool = False
) -> Summary:
    """Compare an encoder's languages; tables, figures and record are written.

    Args:
        name: of the encoder: Hub id (``@revision``) or folder.
        texts: parallel sentences by language.
        settings: how they are read, and what is drawn.
        layer: of the matrices; ``None``: the last.
        out: where to.
        calibrate: compare every measure with its null.

    Raises:
        DataError: where the sentences are not parallel, there is no such layer, a language is not known, or states
            can't be kept.
        EncoderError: where the encoder can't be used.
    """
    out.data = texts.data
    if not texts.parallel:
        raise DataError(
            f"{texts.description}: sentences must be translations of each other; give --text with a folder of parallel "
            "files, or --task xnli or pawsx"
        )
    encoder = load(name, settings)
    at = layer_or_last(layer, encoder.last)
    parts = parts_of(encoder, texts.by_language)
    keep_states([(encoder, [*parts.values()], range(encoder.last + 1))], max_disk=settings.max_disk)
    states = {language: every_layer(encoder, part) for language, part in parts.items()}
    rows = compare_languages(
        states,
        permutations=settings.permutations,
        replicates=settings.replicates,
        seed=settings.seed,
        calibrate=calibrate,
        samples=texts.samples,
        progress=True,
    )
    permutations = settings.permutations if calibrate else 0
    spaces = language_spaces(states, permutations=permutations, seed=settings.seed, progress=True)
    table = [{"model": name, "pooling": settings.pooling, **row} for row in rows]
    out.table("languages", table)
    out.table("spaces", [{"model": name, "pooling": settings.pooling, **row} for row in spaces])
    for measure in _SHOWN:
        title = f"{short_name(name)}, layer {at}"
        out.figure(f"languages_{measure}", "language_matrix", table, measure=measure, layer=at, title=title)
    pivot = "en" if "en" in states else next(iter(states))
    title = f"{short_name(name)}: each language with {pivot}"
    out.figure("languages_layers", "language_lines", table, pivot=pivot, title=title)
    out.figure("languages_neighbours", "language_lines", table, pivot=pivot, title=title, measures=_SHOWN[3:])
    if calibrate:
        columns = [f"{measure}_calibrated" for measure in CALIBRATED if measure != "p1_cosine"]
        out.figure("languages_calibrated", "language_lines", table, pivot=pivot, title=title, measures=columns)
    out.figure("spaces", "space_lines", spaces, title=short_name(name))
    unknown = unknown_shares(encoder.backbone.tokenizer, texts.by_language)
    facts = {"encoders": [{**facts_of(encoder), "unknown": unknown}], "layer_of_matrices": at, "pivot": pivot}
    facts |= {"calibrated": calibrate}
    out.record("languages", encoder.backbone.device, {**facts, **settings.facts(texts)})
    summary = _summary(table, pivot)
    summary.remark = warning(name, unknown)
    return summary


def _summary(table: Sequence[dict[str, Any]], pivot: str) -> Summary:
    """Each language against the pivot: mean over layers above the embeddings, and the last layer."""
    last = max(row["layer"] for row in table)
    names, n = _SHOWN, table[0]["n"]
    summary = Summary(
        ("language", *(f"{name} {where}" for where in ("mean", "last") for name in names)),
        f"{n} sentences; mean over layers 1 to {last}, and layer {last}. By chance: P@1 {1 / n:.3f}, mutual k-NN "
        f"{table[0]['mutual_knn_null']:.3f}, separability 0.5; of others and by pair see the table",
    )
    for language in dict.fromkeys(row["language_a"] for row in table):
        rows = [row for row in table if (row["language_a"], row["language_b"]) == (language, pivot) and row["layer"]]
        if rows:
            means = (mean(row[name] for row in rows) for name in names)
            ends = (mean(row[name] for row in rows if row["layer"] == last) for name in names)
            summary.add(f"{language}-{pivot}", *means, *ends)
    return summary
