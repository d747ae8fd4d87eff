"""What is trained, or tokenised, changes only together with `TRAINING_VERSION`, or `TOKENS_VERSION`.

``golden.json`` says what tiny trainings of each kind of task come to, and holds hashes of the sample's tokens. Tokens
are the same everywhere. Weights are rounded differently by other processors (AVX2, AVX-512, AMX) and numbers of
threads, which moves them by less than 1e-6 of a tensor's norm, and one step more in the schedule, another order of
batches or another ``eps`` of AdamW by more than 1e-4: `TOLERANCE` lies between.

Where a test fails and the change is meant, raise the version and run ``python -m tests.training.test_golden``.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import tokenizers
from tests.helpers.families import words
from tests.helpers.training import CPU, WORDS, backbone, pairs, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.data import open_source
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.recipe import Options, resolve
from xglue_harness.store.files import tensors_sha256
from xglue_harness.store.token_cache import TOKENS_VERSION
from xglue_harness.store.trainings import Store
from xglue_harness.training.determinism import seeded
from xglue_harness.training.finetune import TRAINING_VERSION, finetune
from xglue_harness.training.trainer import TrainingData

GOLDEN = Path(__file__).with_name("golden.json")
TOLERANCE = 2e-5

LONG = [{"words": ["catdog", *WORDS[: 1 + n], "dog" * 3 * n] * 5, "pos": [n, *range(1 + n), n] * 5} for n in range(4)]
NEWS = [
    {"news_title": WORDS[n % 8], "news_body": f"{WORDS[n % 5]} catdog " * (n % 6), "news_category": n % 10}
    for n in range(40)
]
PAGES = [
    {"query": WORDS[n % 3], "web_page_title": WORDS[n % 8], "web_page_snippet": "sees " * n, "relavance_label": n % 5}
    for n in range(24)
]
QUERIES = [
    {"query": text, "web_page_title": [*WORDS[:4]], "web_page_snippet": ["cat"] * 4, "relavance_label": [4, 0, 1, 2]}
    for text in WORDS[:3]
]
OPTIONS = {"epochs": 3, "learning_rate": 1e-2, "batch_size": 8, "max_length": 16, "dropout": 0.2}
TRAININGS: dict[str, tuple[list[Any], dict[str, list[Any]], dict[str, Any]]] = {
    "pos": ([*sentences(40), *LONG], {"en": sentences(20, 7), "de": sentences(20, 31)}, {}),
    "xnli": (pairs(40), {"en": pairs(9)}, {"max_length": 10, "weight_decay": 0.1}),
    "nc": (NEWS, {"en": NEWS[:9]}, {"pooling": "mean", "max_grad_norm": 0.5, "dropout": None}),
    "wpr": (PAGES, {"en": QUERIES}, {"pooling": "eos", "epochs": 1.5}),
}
TOKENIZERS = ("bert", "xlmr", "mbart50", "nllb", "t5", "deberta", "bytes_bpe")


def named_weights() -> Backbone:
    """A BERT whose weights follow from their names alone, in whatever order transformers fills them in."""
    body = backbone(0.1)
    with torch.no_grad():
        for name, weight in body.encoder.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1 + ("LayerNorm.weight" in name))
    return body


def trained(task: str, folder: Path) -> dict[str, Any]:
    """What a tiny training comes to: of each tensor, its product with a fixed vector, and its norm."""
    rows, dev, changes = TRAININGS[task]
    options = {**OPTIONS, **changes}
    pooling = options.pop("pooling", "first")
    recipe = resolve(Options(**options), TASKS[task], seed=1, precision="fp32", pooling=pooling)
    body, data = named_weights(), TrainingData(rows, "f" * 64, dev)
    with seeded(1, CPU):
        tuned = finetune(body, identify(body), TASKS[task], recipe, data, store=Store(folder), progress=False)
    training = tuned.training
    tensors = tuned.entry.read(training.epochs[-1].epoch)
    return {
        "inputs and steps": [training.train_inputs, training.truncated, training.embedding_rows, training.steps],
        "tokens": [training.real_tokens, training.padded_tokens],
        "loss": training.final_loss,
        "dev": [score for epoch in training.epochs for score in epoch.dev.values()],
        # The bias of attention's keys shifts all scores alike: its gradient is 0, and what it learns is rounding.
        "weights": {name: _numbers(tensor) for name, tensor in sorted(tensors.items()) if "key.bias" not in name},
    }


def _numbers(tensor: torch.Tensor) -> list[float]:
    flat = tensor.double().flatten()
    product = flat @ torch.cos(torch.arange(len(flat)).double())
    return [float(f"{product:.8g}"), float(f"{flat.norm():.8g}")]


def differences(found: dict[str, Any], golden: dict[str, Any]) -> Iterator[str]:
    """Where two trainings differ by more than rounding."""
    for name in ("inputs and steps", "tokens"):
        if found[name] != golden[name]:
            yield f"{name}: {found[name]} for {golden[name]}"
    if found["weights"].keys() != golden["weights"].keys():
        yield f"tensors: {sorted(found['weights'].keys() ^ golden['weights'].keys())}"
    if found["dev"] != pytest.approx(golden["dev"], abs=1e-6):
        yield f"dev scores: {found['dev']} for {golden['dev']}"
    if not math.isclose(found["loss"], golden["loss"], rel_tol=TOLERANCE):
        yield f"loss: {found['loss']} for {golden['loss']}"
    for name in found["weights"].keys() & golden["weights"].keys():
        (product, _), (expected, norm) = found["weights"][name], golden["weights"][name]
        if not abs(product - expected) <= TOLERANCE * norm:
            yield f"{name}: off by {abs(product - expected) / norm:.1e} of its norm"


def tokens(name: str) -> dict[str, str]:
    """Hash of a tokenizer's tokens of the sample, by task: English training rows, test rows of another language."""
    source, known = open_source("sample"), words()
    if name == "bytes_bpe":
        known = tuple(word for word in known if word.isascii())
    tokenizer = getattr(tokenizers, name)(known)
    hashes = {}
    for task, spec in TASKS.items():
        parts = {}
        for split, language in (("train", "en"), ("test", spec.languages[-1])):
            rows = source.load(spec, split, language).dataset
            columns = tokenised(spec, rows, tokenizer, language, 24).tensors()
            parts |= {f"{split} {column}": tensor for column, tensor in columns.items()}
        hashes[task] = tensors_sha256(parts)[:16]
    return hashes


@pytest.mark.parametrize("task", TRAININGS)
def test_trainings_end_as_noted_or_their_version_is_raised(task, tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    golden = json.loads(GOLDEN.read_text())["trainings"]
    assert golden["version"] == TRAINING_VERSION, "it was raised: run python -m tests.training.test_golden"
    assert list(differences(trained(task, tmp_path), golden[task])) == [], "other weights: raise TRAINING_VERSION"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_are_as_noted_or_their_version_is_raised(name):
    golden = json.loads(GOLDEN.read_text())["tokens"]
    assert golden["version"] == TOKENS_VERSION, "it was raised: run python -m tests.training.test_golden"
    assert tokens(name) == golden[name], "other tokens: raise TOKENS_VERSION, and TRAINING_VERSION with it"


def remake() -> None:
    """Write ``golden.json`` anew; what changed under the same version is refused."""
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"trainings": {}, "tokens": {}}
    trainings: dict[str, Any] = {"version": TRAINING_VERSION}
    for task in TRAININGS:
        with tempfile.TemporaryDirectory() as folder:
            trainings[task] = trained(task, Path(folder))
        if golden["trainings"].get("version") == TRAINING_VERSION:
            if changes := list(differences(trainings[task], golden["trainings"][task])):
                sys.exit(f"{task} ends with other weights: raise TRAINING_VERSION first\n" + "\n".join(changes))
            trainings[task] = golden["trainings"][task]
    hashes = {"version": TOKENS_VERSION, **{name: tokens(name) for name in TOKENIZERS}}
    if golden["tokens"].get("version") == TOKENS_VERSION and hashes != golden["tokens"]:
        sys.exit("the tokens are others: raise TOKENS_VERSION first, and TRAINING_VERSION with it")
    text = json.dumps({"trainings": trainings, "tokens": hashes}, indent=1)
    GOLDEN.write_text(re.sub(r"\[[^]]*\]", lambda found: " ".join(found[0].split()), text) + "\n")  # a list a line


if __name__ == "__main__":
    remake()
