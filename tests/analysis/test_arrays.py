"""Every function that takes numbers takes arrays and lists as it takes tensors, or says what it can't."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import xglue_analysis
from xglue_analysis import (
    AnalysisError,
    MinibatchCKA,
    Pairwise,
    anc,
    calibrate,
    cka,
    cka_grid,
    compare,
    compare_languages,
    dali,
    iso_score,
    language_spaces,
    layer_states,
    mean_cosine,
    mexa,
    mutual_knn,
    null_deviation,
    retrieval,
    separability,
    singular_values,
    spectra,
    standardised,
    table,
    without_dominant,
)
from xglue_analysis.arrays import tensor

X, Y = (torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
BERT = ("attention.self.key", "attention.self.query", "attention.self.value")
BERT += ("attention.output.dense", "intermediate.dense", "output.dense")


def minibatches(x: Any, y: Any) -> torch.Tensor:
    actual = MinibatchCKA()
    actual.update([x], [y])
    return actual.value()


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "cka": cka,
    "anc": anc,
    "retrieval": lambda x, y: retrieval(x, y, csls=3),
    "cka_grid": lambda x, y: cka_grid([x, y], [y]).debiased,
    "compare": lambda x, y: compare([x], [y], permutations=20, replicates=20),
    "compare_languages": lambda x, y: compare_languages({"a": [x, y], "b": [y, x]}, permutations=20, replicates=20),
    "language_spaces": lambda x, y: language_spaces({"a": [x, y], "b": [y, x]}),
    "mutual_knn": lambda x, y: mutual_knn(x, y, 3),
    "mexa": mexa,
    "dali": lambda x, y: dali(x, y, [0, 0, 0, 1, 1, 1, 2, 2, 2]),
    "iso_score": lambda x, y: iso_score(x),
    "mean_cosine": lambda x, y: mean_cosine(x),
    "separability": lambda x, y: separability({"a": x, "b": y}).accuracy,
    "calibrate": lambda x, y: calibrate(x, y, lambda a, b: anc(a, b).absolute, permutations=5),
    "Pairwise": lambda x, y: Pairwise([x], [y]).leave_one_out(),
    "MinibatchCKA": minibatches,
    "standardised": lambda x, y: standardised(x),
    "without_dominant": lambda x, y: without_dominant(x, 1),
    "singular_values": lambda x, y: singular_values(x),
    "spectra": lambda x, y: [one.sigma for one in spectra({f"layer.0.{name}.weight": x for name in BERT})],
}
FORMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "numpy": lambda x: x.numpy(),
    "fortran": lambda x: np.asfortranarray(x.numpy()),
    "reversed twice": lambda x: np.ascontiguousarray(x.numpy()[::-1])[::-1],
    "big endian": lambda x: x.numpy().astype(">f8"),
    "read only": lambda x: np.frombuffer(x.numpy().tobytes(), dtype=np.float64).reshape(x.shape),
    "lists": lambda x: x.tolist(),
    "tuples of arrays": lambda x: tuple(x.numpy()),
    "list of tensors": lambda x: [*x],
    "wants gradients": lambda x: x.clone().requires_grad_(),
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return all(map(same, one, other)) if isinstance(one, list) and one and torch.is_tensor(one[0]) else one == other


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_and_lists_are_taken_as_tensors_are(name: str, form: str) -> None:
    expected = FUNCTIONS[name](X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(expected, FUNCTIONS[name](FORMS[form](X), FORMS[form](Y)))


@pytest.mark.parametrize("kind", ["float16", "float32", "int64", "int8", "uint16", "bool"])
def test_other_numbers(kind: str) -> None:
    x, y = ((10 * side.numpy()).astype(kind) for side in (X, Y))
    expected = cka(torch.from_numpy(x.astype(float)), torch.from_numpy(y.astype(float)))
    assert cka(x, y) == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert cka(x.tolist(), y.tolist()) == pytest.approx(expected, abs=1e-5, nan_ok=True)
    if kind != "uint16":  # which older torch does not have
        assert cka(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, abs=1e-5, nan_ok=True)


MASKED = np.ma.masked_array(X.numpy(), X.numpy() > 1)
BAD: dict[str, tuple[Any, str]] = {
    "None": (None, "NoneType"),
    "text": ("abc", "type str"),
    "strings": ([["a", "b"]] * 9, "expected real numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "parts of different shapes"),
    "ragged tensors": ([torch.ones(2), torch.ones(3)], "parts of different shapes"),
    "a mapping": ({"a": 1}, "dict"),
    "complex": (X.numpy() * 1j, "complex128"),
    "complex tensor": (X * 1j, "complex128"),
    "sparse": (X.to_sparse(), "sparse"),
    "masked": (MASKED, "masked"),
    "objects": (np.array([[object()] * 5] * 9), "object"),
    "dates": (np.zeros((9, 5), "datetime64[s]"), "datetime64"),
    "a number": (1.0, r"shape|\[n, d\]|matrix"),
    "a row": ([1.0, 2.0, 3.0], r"shape|\[n, d\]|matrix"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"standardised", "spectra"}))
def test_what_is_no_array_is_said(name: str, case: str) -> None:
    value, message = BAD[case]
    with pytest.raises(AnalysisError, match=message):
        FUNCTIONS[name](value, Y)


def test_every_public_function_of_numbers_is_tried() -> None:
    others = {
        "AnalysisError",
        "Calibrated",
        "Grid",
        "Separability",
        "calibrated",
        "layer_states",
        "null_deviation",
        "open_weights",
        "table",
    }
    assert set(xglue_analysis.__all__) - others == set(FUNCTIONS)


def test_layers_given_otherwise() -> None:
    both = torch.stack([X, Y])
    assert torch.equal(cka_grid(both.numpy()).debiased, cka_grid([X, Y]).debiased)
    with pytest.raises(AnalysisError, match=r"xs: one array of shape \(9, 5\); expected layers: give \[array\]"):
        cka_grid(X)
    for value in ("abc", None, 3):
        with pytest.raises(AnalysisError, match=r"xs: a value of type .*; expected layers"):
            cka_grid(value)  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="no layers are given"):
        cka_grid([])
    with pytest.raises(AnalysisError, match="states of type list: give a mapping"):
        compare_languages([X, Y])  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match=r"give \[layers, n, d\] for each language"):
        compare_languages({"a": X, "b": Y})


def test_weights_are_of_a_checkpoint_or_a_state_dict() -> None:
    state = {f"layer.0.{name}.weight": X.numpy() for name in BERT}
    rows = table(state, {"same": {name: torch.from_numpy(value) for name, value in state.items()}})
    assert [row["distance"] for row in rows] == [None] * 6 + [0.0] * 6
    for value in (X, X.numpy(), [X], "model", torch.nn.Linear(2, 2)):
        with pytest.raises(AnalysisError, match=r"weights of type .*: give open_weights"):
            spectra(value)  # type: ignore[arg-type]


def test_texts_are_a_list_of_sentences() -> None:
    for texts, message in (("One sentence.", "one string"), ([], "no texts"), (["a", None], "type NoneType")):
        with pytest.raises(AnalysisError, match=message):
            layer_states(torch.nn.Linear(1, 1), None, texts)  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="no texts"):
        layer_states(torch.nn.Linear(1, 1), None, np.array([], dtype=str))


def test_the_null_of_too_few_sentences_is_none() -> None:
    assert null_deviation(4) == pytest.approx(0.5**0.5)
    with pytest.raises(AnalysisError, match="3 sentences are too few"):
        null_deviation(3)


def test_a_tensor_stays_what_it_is() -> None:
    assert tensor(X, "x") is X
    assert tensor(X.numpy(), "x").data_ptr() == X.data_ptr(), "no copy where none is needed"
