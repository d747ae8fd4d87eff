"""The diagnostics ``alignment``, ``cka`` and ``spectra`` of the harness.

They are entry points of the group ``xglue_harness.diagnostics``.

Their context is what the harness hands over: it knows ``languages``, ``source``, ``encoders``, ``parallel``, ``seed``
and ``device``, and gives ``states(encoder, language)`` (``[layers + 1, n, d]``) and ``weights(encoder)``, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from xglue_analysis.calibration import calibrated, shuffled
from xglue_analysis.comparison import at_depth, known
from xglue_analysis.isotropy import iso_score
from xglue_analysis.neighbours import NEAREST, nearest
from xglue_analysis.pairs import Pair
from xglue_analysis.result import DiagnosticResult, Metric
from xglue_analysis.separability import FOLDS, separability
from xglue_analysis.spectra import table, totals
from xglue_analysis.weights import MemoryWeights

PERMUTATIONS = 99
"""For the nulls of `alignment`."""


class DiagnosticContext(Protocol):
    """What a diagnostic is given."""

    languages: tuple[str, ...]
    source: str
    encoders: tuple[str, ...]
    parallel: bool
    seed: int
    device: torch.device

    def states(self, encoder: str, language: str) -> torch.Tensor:
        """``[layers + 1, n, d]``."""

    def weights(self, encoder: str) -> Mapping[str, torch.Tensor]:
        """Weights by name."""


def cka(context: DiagnosticContext) -> DiagnosticResult:
    """Debiased CKA, mean over the layers above the embeddings; values by layer are in the details.

    - ``cka_en``: a language against English in the fine-tuned encoder, where test sets are translations.
    - ``cka_pretrained``: the fine-tuned against the pretrained encoder, on the language's own sentences.
    - ``cka_reference``: the fine-tuned against another encoder, at the same relative depth.

    Standard errors are the bootstrap's over sentences.
    """

    def states(encoder: str, language: str) -> torch.Tensor:  # Gram matrices are made where the encoder is
        return context.states(encoder, language).to(context.device)

    languages: dict[str, dict[str, Metric]] = {}
    details: dict[str, Any] = {}
    for language in context.languages:
        tuned = states("finetuned", language)
        others = {f"cka_{name}": states(name, language) for name in context.encoders if name != "finetuned"}
        if context.parallel and language != context.source:
            others[f"cka_{context.source}"] = states("finetuned", context.source)
        languages[language], details[language] = {}, {}
        for name, other in others.items():
            languages[language][name], details[language][name] = compared(tuned, other, context.seed)
    return DiagnosticResult(languages, details=details)


def alignment(context: DiagnosticContext) -> DiagnosticResult:
    """How the languages of the fine-tuned encoder lie to each other; means over the layers above the embeddings.

    - ``iso_score``: `isotropy.iso_score` of a language's sentences.
    - where test sets are translations, with English: ``mutual_knn_en`` and ``mexa_en`` (`neighbours`), and
      ``separability_en``, how well a probe tells the two apart (`separability.separability`).

    The standard errors of the last three are over sentences. The details have them by layer, each beside its null.
    """
    tuned = {language: context.states("finetuned", language).to(context.device) for language in context.languages}
    source = context.source if context.parallel else None
    beside = None if source is None else _Source(tuned[source].cpu(), context.seed)
    languages: dict[str, dict[str, Metric]] = {}
    details: dict[str, Any] = {}
    for language, states in tuned.items():
        spread = [known(iso_score(layer)) for layer in states]
        above = [value for value in spread[1:] if value is not None]
        languages[language] = {"iso_score": Metric(sum(above) / len(above))} if above else {}
        details[language] = {"n": states.shape[1], "iso_score": spread}
        if beside is not None and language != source:
            metrics, rows = beside.measured(states.cpu())
            languages[language] |= {f"{name}_{source}": metric for name, metric in metrics.items()}
            details[language] |= {
                "columns": ["layer", *rows[0]],
                "rows": [[i, *row.values()] for i, row in enumerate(rows)],
            }
    return DiagnosticResult(languages, details=details)


class _Source:
    """The language that others are compared with, and all of it that does not depend on them."""

    def __init__(self, states: torch.Tensor, seed: int) -> None:
        """Args: states ``[layers + 1, n, d]``; seed of folds and permutations."""
        n = states.shape[1]
        self._states, self._seed, self._n = states, seed, n
        self._k, self._folds = min(NEAREST, n - 2), min(FOLDS, n)
        self._near = [nearest(layer, self._k) for layer in states]
        self._orders = shuffled(n, PERMUTATIONS, seed)

    def measured(self, states: torch.Tensor) -> tuple[dict[str, Metric], list[dict[str, float | None]]]:
        """Measures of translations: means over layers with standard errors over sentences, and values by layer.

        Args:
            states: ``[layers + 1, n, d]``.
        """
        by_sentence: dict[str, list[torch.Tensor]] = {"mutual_knn": [], "mexa": [], "separability": []}
        rows = []
        for a, b, near in zip(states, self._states, self._near, strict=True):
            pair = Pair(a, b, (nearest(a, self._k), near))
            apart = separability({"x": a, "y": b}, folds=self._folds, permutations=PERMUTATIONS, seed=self._seed)
            values = {
                "mutual_knn": pair.overlap,
                "mexa": pair.meeting,
                "separability": torch.stack([*apart.right.values()]).double().mean(0),
            }
            drawn = pair.null(self._orders, ("mutual_knn", "mexa"))
            null = {name: calibrated(float(values[name].mean()), draws) for name, draws in drawn.items()}
            assert apart.null is not None  # permutations were asked for
            null["separability"] = apart.null
            row: dict[str, float | None] = {}
            for name, value in values.items():
                by_sentence[name].append(value)
                row |= {name: float(value.mean()), f"{name}_p": null[name].p, f"{name}_calibrated": null[name].score}
            rows.append(row)
        means = {name: torch.stack(layers[1:]).mean(0) for name, layers in by_sentence.items()}
        return {
            name: Metric(float(mean.mean()), float(mean.std()) / self._n**0.5) for name, mean in means.items()
        }, rows


def compared(x: torch.Tensor, y: torch.Tensor, seed: int) -> tuple[Metric, dict[str, Any]]:
    """Mean CKA over pairs of layers at the same relative depth, its standard error, and the values of each pair.

    Args:
        x: ``[layers + 1, n, d]``.
        y: ``[other layers + 1, n, e]``.
        seed: of the bootstrap.
    """
    between = at_depth(list(x), list(y), seed=seed)
    columns = ["layer", "other_layer", "cka", "cka_biased", "low", "high"]
    metric = Metric(between.mean, between.interval.mean_stderr)
    return metric, {"n": between.n, "columns": columns, "rows": between.rows()}


def spectra(context: DiagnosticContext) -> DiagnosticResult:
    """Norm of all singular values of the fine-tuned encoder's matrices, and their distance from the pretrained one's.

    Both go over K, Q, V, Out, FC up and FC down of all layers as one vector; the details have them by layer and role.
    """
    base, tuned = (MemoryWeights(context.weights(name)) for name in ("pretrained", "finetuned"))
    rows = table(base, {"finetuned": tuned}, base_name="pretrained")
    whole = totals(rows)[1]
    assert whole["sigma_distance"] is not None  # only the base has none
    task = {"sigma_norm": Metric(whole["sigma_norm"]), "sigma_distance": Metric(whole["sigma_distance"])}
    columns = ["model", "layer", "role", "norm", "distance", "stable_rank", "effective_rank"]
    values: list[dict[str, Any]] = [dict(row) for row in rows]
    details = {"columns": columns, "rows": [[row[name] for name in columns] for row in values]}
    return DiagnosticResult(task=task, details={"task": details})
