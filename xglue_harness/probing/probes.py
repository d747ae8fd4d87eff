"""Probes on frozen vectors, pure: numbers in, predictions out. numpy and scikit-learn, no encoder and no files."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xglue_harness.errors import DataError

if TYPE_CHECKING:
    from xglue_harness.probing.recipe import ProbeRecipe

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNSEEN = float(np.log(np.finfo(np.float32).tiny))
"""Log-probability (natural) of a class without a training row, and the least of any class: Parquet holds float32."""


@dataclass(frozen=True)
class Classifier:
    """A fitted linear classifier.

    Attributes:
        mean: ``[features]``, of the training rows.
        scale: ``[features]``, their standard deviation; 1 where a feature is constant.
        model: scikit-learn's, fitted on standardised rows.
        classes: of the task, those without a training row among them.
    """

    mean: Floats
    scale: Floats
    model: Any
    classes: int

    @property
    def iterations(self) -> int:
        """That the solver took."""
        return int(np.max(self.model.n_iter_))

    def log_probabilities(self, features: Floats) -> Floats:
        """Natural logarithms of the classes' probabilities, ``[rows, classes]``.

        Args:
            features: ``[rows, features]``.
        """
        found = np.full((len(features), self.classes), UNSEEN)
        if len(features):
            logs = self.model.predict_log_proba((features - self.mean) / self.scale)
            found[:, self.model.classes_] = np.maximum(logs, UNSEEN)
        return found


def fit(features: Floats, labels: Ints, classes: int, recipe: ProbeRecipe, what: str = "") -> Classifier:
    """Fit a logistic regression on standardised features.

    Equal to scikit-learn's ``make_pipeline(StandardScaler(), LogisticRegression(C=c / features, ...))``: standardised
    rows are about ``sqrt(features)`` long, and a weight of 1 is meant for rows of length 1, such as mteb's embeddings.

    Args:
        features: ``[rows, features]``.
        labels: ``[rows]`` class ids.
        classes: of the task.
        recipe: regularisation and solver.
        what: is fitted, for messages.

    Raises:
        DataError: for training rows of a single class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        raise DataError(f"{what}: the English training rows have {len(np.unique(labels))} class: a probe needs two")
    scaler = StandardScaler().fit(features)
    ways: Any = {"solver": recipe.solver, "tol": recipe.tolerance, "max_iter": recipe.max_iterations}
    model = LogisticRegression(C=recipe.c / features.shape[1], **ways)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaler.transform(features), labels)
    found = Classifier(scaler.mean_, scaler.scale_, model, classes)
    if found.iterations >= recipe.max_iterations:
        logger.warning("%s: the classifier has not converged in %d iterations", what, recipe.max_iterations)
    return found


def pair_features(first: Floats, second: Floats) -> Floats:
    """The usual features of two sentences: ``[u, v, |u - v|, u * v]`` (Conneau et al. 2017).

    Args:
        first: ``[pairs, width]``.
        second: the same.

    Returns:
        ``[pairs, 4 * width]``.
    """
    return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)


def cosines(first: Floats, second: Floats) -> Floats:
    """Cosine of each pair, ``[pairs]``; 0 where a vector is zero.

    Args:
        first: ``[pairs, width]``.
        second: the same.
    """
    products: Floats = (unit(first) * unit(second)).sum(axis=1)
    return products


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1, ``[n, width]``; a zero vector stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.where(lengths > 0, lengths, 1.0)
    return scaled


def nearest(first: Floats, second: Floats, *, chunk: int = 4096) -> Ints:
    """For each vector the place of its nearest one by cosine, ``[n]``; of equally near ones the first.

    Args:
        first: ``[n, width]``.
        second: ``[m, width]``.
        chunk: rows of ``first`` that are compared at once.
    """
    others = unit(second).T
    found = [np.argmax(unit(first[at : at + chunk]) @ others, axis=1) for at in range(0, len(first), chunk)]
    return np.concatenate(found).astype(np.int64)


def bitext_scores(found: Ints) -> dict[str, float]:
    """How well translations were mined, where row ``i`` of both sides are translations of each other.

    Args:
        found: ``[n]``, the place that each sentence is matched with.

    Returns:
        ``accuracy``, and mteb's ``f1``, ``precision`` and ``recall``: means over sentences as classes of their own, so
        that F1 is a little below the accuracy where a sentence is found for several.
    """
    right = found == np.arange(len(found))
    times = np.bincount(found, minlength=len(found))
    precision = np.where(right, 1 / np.maximum(times, 1), 0.0)
    found_f1 = np.where(right, 2 * precision / (precision + 1), 0.0)
    means = {"f1": found_f1, "accuracy": right, "precision": precision, "recall": right}
    return {name: float(np.mean(values)) for name, values in means.items()}
