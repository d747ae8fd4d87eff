"""How alike one encoder represents the languages: measures on translations, none of which settles it alone.

CKA forgives any rotation, which a classifier on top does not (Del and Fishel 2022); neuron-wise correlation forgives
none; search for the translation, both ways in MEXA, looks at single sentences; neighbourhoods are what is left of
similarity when chance is taken away (Gröger et al. 2026); and languages that are alike may still be told apart by a
linear probe, which is what Ji et al. 2024 blame. Report all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from tqdm import tqdm

from xglue_analysis.arrays import Array, tensor
from xglue_analysis.calibration import calibrated, shuffled
from xglue_analysis.cka import cka_grid, null_deviation
from xglue_analysis.comparison import known
from xglue_analysis.errors import AnalysisError
from xglue_analysis.isotropy import iso_score, mean_cosine
from xglue_analysis.neighbours import NEAREST, dali, nearest
from xglue_analysis.pairs import Pair
from xglue_analysis.resampling import PAIRWISE_LIMIT, Pairwise
from xglue_analysis.separability import FOLDS, Separability, separability

CALIBRATED = ("cka", "anc", "p1_cosine", "p1_csls", "mutual_knn", "mexa", "separability")
"""Measures of a pair that can be shown beside their null."""


def compare_languages(
    states: Mapping[str, Array],
    *,
    permutations: int = 100,
    replicates: int = 200,
    seed: int = 0,
    calibrate: bool = False,
    samples: Sequence[int] | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """One row for each layer and ordered pair of languages.

    - ``cka``, ``low``, ``high``, ``null_sd``, ``null_p95``, ``cka_biased``, ``null_mean_biased``: as in
      `comparison.compare`.
    - ``anc``, ``anc_signed``, ``anc_null``: as in `alignment.anc`; ``constant``: neurons that do not vary.
    - ``p1_cosine``, ``p1_csls``: share of sentences of ``language_a`` that find their translation in ``language_b``;
      chance is ``1 / n``.
    - ``mutual_knn``, ``mexa``: as in `neighbours`, each with what it is by chance (``_null``).
    - ``separability``: how well a probe tells the two languages apart (`separability`); chance is a half.
    - with ``samples``, ``dali`` and ``dali_strict``: as in `neighbours.dali`.
    - with ``calibrate``, for each of `CALIBRATED`, ``_p`` and ``_calibrated``: as in `calibration.calibrated`.

    Args:
        states: for each language ``[layers + 1, n, d]``, sentence i of one being the translation of i of every other.
        permutations: for the nulls.
        replicates: of the bootstrap.
        seed: of both, and of the folds.
        samples: ``[n]``, which sample each text is an option of, as the premise of an XNLI pair.
        calibrate: whether each measure is compared with its null, which takes several times as long.
        progress: show bars.

    Raises:
        AnalysisError: for fewer than two languages, different shapes, or as `cka.cka_grid`.
    """
    states = checked(states)
    names = list(states)
    layers, n, d = next(iter(states.values())).shape
    orders = shuffled(n, permutations, seed) if calibrate else torch.empty(0, n)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    rows: list[dict[str, Any]] = []
    bar = tqdm(total=layers * len(pairs), desc="pairs of languages", unit="pair", disable=not progress)
    for layer in range(layers):
        at = [states[name][layer] for name in names]
        columns, draws = _cka(at, permutations, replicates, seed)
        near = [nearest(x, min(NEAREST, n - 2)) for x in at]
        for i, j in pairs:
            pair = Pair(at[i], at[j], (near[i], near[j]))
            apart = _apart({names[i]: at[i], names[j]: at[j]}, permutations if calibrate else 0, seed)
            shared: dict[str, Any] = {"layer": layer, "n": n, "d": d}
            shared |= {name: known(values[i, j]) for name, values in columns.items()}
            shared |= {name: known(value) for name, value in pair.values().items()}
            shared["constant"] = int(shared["constant"] or 0)
            shared["separability"] = apart.accuracy
            null = {"cka": draws[:, i, j], **pair.null(orders)} if calibrate else {}
            if samples is not None:
                for name, strict in (("dali", False), ("dali_strict", True)):
                    shared[name] = known(dali(at[i], at[j], samples, strict=strict))
            for a, b, backward in ((i, j, False), (j, i, True)):
                row = {"language_a": names[a], "language_b": names[b], **shared, **pair.found(backward=backward)}
                if calibrate:
                    row |= dict(_beside(row, {**null, **pair.null_of_found(orders, backward=backward)}, apart))
                rows.append(row)
            bar.update()
    bar.close()
    return rows


def language_spaces(
    states: Mapping[str, Array], *, permutations: int = 0, seed: int = 0, progress: bool = False
) -> list[dict[str, Any]]:
    """One row for each layer and language: its own space, and how well it is told from all others.

    - ``iso_score``, ``mean_cosine``: as in `isotropy`.
    - ``told``: share of its sentences whose language a probe of all languages finds.
    - ``separability``, ``separability_p``, ``separability_calibrated``: the same of all languages together, beside its
      null where permutations are asked for; ``chance``: one over the number of languages.

    Args:
        states: as `compare_languages`.
        permutations: for the null.
        seed: of folds and permutations.
        progress: show a bar.

    Raises:
        AnalysisError: as `compare_languages`.
    """
    states = checked(states)
    rows = []
    for layer in tqdm(range(len(next(iter(states.values())))), desc="layers", disable=not progress):
        at = {name: layers[layer] for name, layers in states.items()}
        apart = _apart(at, permutations, seed)
        together = {"separability": apart.accuracy, "chance": apart.chance}
        if apart.null is not None:
            together |= {"separability_p": apart.null.p, "separability_calibrated": apart.null.score}
        for name, x in at.items():
            found = {"iso_score": iso_score(x), "mean_cosine": mean_cosine(x), "told": apart.languages[name]}
            own = {key: known(value) for key, value in found.items()}
            rows.append({"language": name, "layer": layer, "n": len(x), "d": x.shape[1], **own, **together})
    return rows


def checked(states: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """States of two languages at least, with the same sentences and layers.

    Raises:
        AnalysisError: where they are not.
    """
    if not isinstance(states, Mapping):
        raise AnalysisError(f"states of type {type(states).__name__}: give a mapping from languages to [layers, n, d]")
    tensors = {language: tensor(layers, f"states of {language}") for language, layers in states.items()}
    shapes = {language: tuple(layers.shape) for language, layers in tensors.items()}
    if len(tensors) < 2 or len(set(shapes.values())) != 1:
        raise AnalysisError(f"give two languages at least, with the same sentences and layers; there are {shapes}")
    if len(next(iter(shapes.values()))) != 3:
        raise AnalysisError(f"states of {shapes}: give [layers, n, d] for each language")
    return tensors


def _apart(at: Mapping[str, torch.Tensor], permutations: int, seed: int) -> Separability:
    n = len(next(iter(at.values())))
    return separability(at, folds=min(FOLDS, n), permutations=permutations, seed=seed)


def _beside(
    row: Mapping[str, Any], null: Mapping[str, torch.Tensor], apart: Separability
) -> Iterator[tuple[str, float | None]]:
    """Columns that compare measures with their nulls."""
    for measure in CALIBRATED:
        value = row[measure]
        if measure == "separability":
            assert apart.null is not None  # permutations were asked for
            got = apart.null
        else:
            got = calibrated(float("nan") if value is None else value, null[measure])
        yield f"{measure}_p", known(got.p)
        yield f"{measure}_calibrated", known(got.score)


def _cka(
    at: list[torch.Tensor], permutations: int, replicates: int, seed: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Matrices languages × languages, and the null of the debiased one; above the diagonal all of them hold."""
    grid = cka_grid(at)
    n, empty = grid.n, torch.full((len(at), len(at)), torch.nan)
    columns = dict.fromkeys(("cka", "low", "high", "null_sd", "null_p95", "cka_biased", "null_mean_biased"), empty)
    draws = torch.full((1, *empty.shape), torch.nan)
    columns.update(cka=grid.debiased, cka_biased=grid.biased, null_sd=torch.full_like(empty, null_deviation(n)))
    if n <= PAIRWISE_LIMIT:
        pairwise = Pairwise(at)
        null = pairwise.null(permutations=permutations, seed=seed)
        above = [(i, j) for i in range(len(at)) for j in range(i + 1, len(at))]
        interval = pairwise.bootstrap(replicates=replicates, seed=seed, pairs=above)
        columns.update(low=interval.low, high=interval.high)
        draws = null.debiased
        columns.update(null_p95=null.debiased_p95, null_mean_biased=null.biased_mean)
    return columns, draws
