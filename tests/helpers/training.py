"""A tiny encoder in memory, rows to train it on, and its training, whole or killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from tests.helpers import tokenizers
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.recipe import Options, resolve
from xglue_harness.store.trainings import Store
from xglue_harness.training.determinism import seeded
from xglue_harness.training.finetune import FineTuned, finetune
from xglue_harness.training.train_step import TrainStep
from xglue_harness.training.trainer import TrainingData

CPU = torch.device("cpu")
WORDS = tokenizers.WORDS


def backbone(dropout: float = 0.0, tokenizer: Any = None) -> Backbone:
    """A BERT of two layers, with BERT's tokenizer or another; the same weights every time."""
    tokenizer = tokenizer or tokenizers.bert()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = BertModel(config, add_pooling_layer=False).eval()
    return Backbone(encoder, tokenizer, config, CPU, "tiny")


def sentences(count: int, start: int = 0) -> list[dict]:
    """POS rows of one to six words."""
    rows = []
    for number in range(start, start + count):
        words = [WORDS[(number * 3 + place) % len(WORDS)] for place in range(1 + number % 6)]
        rows.append({"words": words, "pos": [WORDS.index(word) for word in words]})
    return rows


def pairs(count: int) -> list[dict]:
    """XNLI rows."""
    return [
        {"premise": " ".join(WORDS[: 1 + number % 5]), "hypothesis": WORDS[number % 7], "label": number % 3}
        for number in range(count)
    ]


def recipe(task: str = "pos", **options):
    """A recipe of some options, dropout 0 where not given."""
    chosen = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 8, "max_length": 32, "dropout": 0.0, **options}
    return resolve(Options(**chosen), TASKS[task], seed=1, precision=chosen.get("precision", "fp32"), pooling="first")


def trained_on_pos(store: Store, body: Backbone, chosen: Any, data: TrainingData, **options: Any) -> FineTuned:
    """What a fine-tuning on POS rows from seed 1 comes to."""
    ways = {"checkpoint_seconds": 1000.0, "progress": False, **options}
    with seeded(1, CPU):
        return finetune(body, identify(body), TASKS["pos"], chosen, data, store=store, **ways)


class Killed(BaseException):
    """What ends a training as a kill would: nobody catches it."""


@contextmanager
def killed_in(owner: type, method: str, when: Callable[..., bool]) -> Iterator[None]:
    """What runs within is killed as it calls a method; where it never is, the test fails.

    Args:
        owner: class of the method.
        method: its name.
        when: gets what the method gets, itself first; true: instead of this call it is killed.
    """
    call = getattr(owner, method)

    def killing(self, *given, **named):
        if when(self, *given, **named):
            raise Killed
        return call(self, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, killing)
        with pytest.raises(Killed):
            yield


def killed_before(step: int) -> AbstractContextManager[None]:
    """A training within is killed when it has taken so many steps."""
    return killed_in(TrainStep, "step", lambda steps, _: steps.counters.step == step)
