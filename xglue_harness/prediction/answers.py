"""Classes and scores of inputs: on the device while a pass runs, lists of rows when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from xglue_harness.encoders.inputs import Inputs
from xglue_harness.errors import TrainingError


@dataclass(frozen=True)
class RowAnswers:
    """Predictions of all rows.

    Attributes:
        classes: of each row its class, or a list of those of its words; -1 where there is none.
        scores: of each row log-probabilities of all classes, or of each of its words that of its class.
        missing: ``[rows]``, labels of each row without a class.
    """

    classes: list[Any]
    scores: list[Any]
    missing: np.ndarray


class Answers:
    """What the batches of a pass give; nothing waits for the device before all of it is asked for."""

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        """Nothing is there yet.

        Args:
            inputs: all inputs.
            device: where they are computed.
        """
        self._inputs, self._device = inputs, device
        self._classes: list[torch.Tensor] = []
        self._scores: list[torch.Tensor] = []
        self._finite = torch.ones((), dtype=torch.bool, device=device)
        self._held = 0
        self._places = np.full(len(inputs), -1)  # of an input that was computed: of its (first) class among all

    def add(self, batch: np.ndarray, logits: torch.Tensor, mask: torch.Tensor) -> None:
        """Take what was computed for a batch.

        Args:
            batch: ``[batch]`` numbers of its inputs.
            logits: ``[batch, classes]``, or ``[batch, length, classes]`` for words.
            mask: ``[batch, length]``, 1 for real subwords.
        """
        tagging = self._inputs.tagging
        finite = torch.isfinite(logits).all(dim=-1)
        if tagging:
            finite = finite | (mask == 0)  # at padded places anything may stand
        classes: torch.Tensor = logits.argmax(dim=-1)
        scores = logits.float().log_softmax(dim=-1)
        if tagging:
            scores = scores.gather(-1, classes[..., None])
        self._finite = self._finite & finite.all()
        self._classes.append(classes.flatten())
        self._scores.append(scores.flatten() if tagging else scores)
        each = classes[0].numel()
        self._places[batch] = self._held + each * np.arange(len(batch))
        self._held += each * len(batch)

    def by_row(self, firsts: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> RowAnswers:
        """What was computed, row by row; the one place that waits for the device.

        Args:
            firsts: ``[inputs]``, for each input the one that was computed for it.
            rows: ``[inputs]``, the row that each is of.
            labels: ``[rows]``, each one's words (tagging), or 1.

        Raises:
            TrainingError: for scores that are not finite.
        """
        tagging, classes, scores = self._inputs.tagging, *self._fetched(firsts)
        bounds = np.concatenate([[0], np.cumsum(labels)])
        where = self._words_in_rows(bounds[rows]) if tagging else rows
        all_classes, all_scores = np.full(bounds[-1], -1), np.zeros((bounds[-1], *scores.shape[1:]), scores.dtype)
        all_classes[where], all_scores[where] = classes, scores
        missing = np.diff(np.concatenate([[0], np.cumsum(all_classes == -1)])[bounds])
        columns = all_classes.tolist(), all_scores.tolist()
        if not tagging:
            return RowAnswers(*columns, missing)
        cuts = bounds.tolist()
        classes_of_rows, scores_of_rows = ([column[start:stop] for start, stop in pairwise(cuts)] for column in columns)
        return RowAnswers(classes_of_rows, scores_of_rows, missing)

    def _fetched(self, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes and scores of all inputs, or of all their words, in their order."""
        if not self._finite.item():
            raise TrainingError(
                "the encoder gives scores that are NaN or infinite: no class could be told from them. Try precision "
                "fp32 or bf16, and see that the checkpoint is sound"
            )
        if not self._classes:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        places = self._places[firsts]
        if self._inputs.positions is not None:
            places = np.repeat(places, self._words()) + self._inputs.positions.numpy()
        wanted = torch.from_numpy(places).to(self._device)
        classes, scores = (torch.cat(pieces)[wanted].cpu().numpy() for pieces in (self._classes, self._scores))
        return classes, scores

    def _words_in_rows(self, starts: np.ndarray) -> np.ndarray:
        """``[words]``: where the words that the inputs answer for are among the words of all rows.

        Args:
            starts: ``[inputs]``, where the words of each one's row begin.
        """
        assert self._inputs.word_starts is not None
        assert self._inputs.first_words is not None
        shift = starts + self._inputs.first_words.numpy() - self._inputs.word_starts[:-1].numpy()
        words = self._words()
        return np.repeat(shift, words) + np.arange(int(words.sum()))

    def _words(self) -> np.ndarray:
        """``[inputs]``: the words that each input answers for."""
        assert self._inputs.word_starts is not None
        return np.diff(self._inputs.word_starts.numpy())
