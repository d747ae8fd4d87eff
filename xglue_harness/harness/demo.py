"""The demonstration: a tiny encoder on the embedded sample, through lm_eval."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xglue_harness.benchmark import ALL_GROUP, TASKS
from xglue_harness.data import open_source
from xglue_harness.errors import DataError
from xglue_harness.harness.groups import SCORE
from xglue_harness.kinds import kind_of
from xglue_harness.store.files import VARIABLE
from xglue_harness.threads import line

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = 6000
SEED = 1234
RECIPE = {"data": "sample", "dev": "none", "epochs": 12, "learning_rate": 1e-3, "batch_size": 16, "max_length": 128}


def sample_words() -> Counter[str]:
    """Words of all texts of the sample, cut at blanks and punctuation; CJK characters stand alone."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    split = BertPreTokenizer().pre_tokenize_str
    words: Counter[str] = Counter()
    for text in _texts():
        words.update(word for word, _ in split(unicodedata.normalize("NFC", text)))
    return words


def _texts() -> Iterator[str]:
    source = open_source("sample")
    for spec in TASKS.values():
        for split, language, _ in spec.files():
            yield from map(kind_of(spec).row_text, source.load(spec, split, language).dataset)


def build_encoder(folder: Path, *, seed: int = SEED, width: int = 96, layers: int = 2) -> None:
    """Write a tiny BERT with its own small vocabulary into ``folder``; the same bytes every time.

    The vocabulary holds every character of the sample and its most frequent words; the weights are random, so what it
    scores after fine-tuning is learnt from 240 sentences and means nothing.

    Args:
        folder: where to.
        seed: of the weights.
        width: of the hidden states, a multiple of 4.
        layers: how many.
    """
    import torch
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sample_words()
    characters = sorted({character for word in words for character in word})
    frequent = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])) if len(word) > 1][
        :WORDS
    ]
    entries = [*SPECIAL, *characters, *(f"##{character}" for character in characters), *frequent]
    vocabulary = {entry: index for index, entry in enumerate(dict.fromkeys(entries))}

    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=200))  # noqa: S106
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=256,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)

    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=256,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)


def evaluate_sample(
    encoder: Path,
    *,
    tasks: Sequence[str] = ("xglue_zs",),
    seed: int = SEED,
    output: Path | None = None,
    recipe: Mapping[str, Any] = MappingProxyType(RECIPE),
    **options: Any,
) -> dict[str, Any]:
    """lm_eval's results on the sample.

    Args:
        encoder: its folder.
        tasks: lm-eval's names; by default all eight tasks.
        seed: of the training.
        output: where lm_eval writes what it writes: ``<name of the encoder>/results_<date>.json``, with the predictions
            beside it; by default nowhere.
        recipe: options, as in ``--metadata``.
        options: beside those.

    Raises:
        DataError: where ``output`` can't be written.
    """
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from xglue_harness.harness.plugin import register
    from xglue_harness.resources import tasks_folder

    register()  # also where no .pth is read
    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={**recipe, **options})
    tracker = EvaluationTracker(output_path=None if output is None else str(output))
    results: dict[str, Any] = simple_evaluate(
        model="hf-encoder",
        model_args={"pretrained": str(encoder)},
        tasks=[*tasks],
        task_manager=manager,
        log_samples=False,
        torch_random_seed=seed,
        evaluation_tracker=tracker,
    )
    if output is not None:
        name = encoder.resolve().name  # lm_eval names its folder after the whole path, which may be a temporary one
        tracker.general_config_tracker.model_name_sanitized = name
        tracker.save_results_aggregated(results)
        path = output / name / f"results_{tracker.date_id}.json"
        if not path.is_file():  # lm_eval only logs what it could not write
            raise DataError(f"{path}: can't be written: choose another folder, or make room")
    return results


@contextmanager
def _store(folder: Path) -> Iterator[None]:
    """Another store for a while: a demonstration trains each time, and leaves nothing behind."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def run_demo(keep: Path | None = None, output: Path | None = None) -> dict[str, Any]:
    """Build the encoder, run the tasks, print lm_eval's tables.

    Args:
        keep: where to leave the encoder; a temporary folder otherwise.
        output: folder for lm_eval's results JSON and the predictions.

    Returns:
        lm_eval's results.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    began = time.perf_counter()
    loud = logging.getLogger("lm_eval")
    level = loud.level
    loud.setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="xglue-demo-") as temporary:
        folder = keep or Path(temporary) / "demo"
        print(f"{line(torch.get_num_threads())}.", flush=True)  # noqa: T201
        print("Building a tiny encoder from the sample ...", flush=True)  # noqa: T201
        build_encoder(folder)
        print("Fine-tuning it on English and scoring every language, task by task ...", flush=True)  # noqa: T201
        with _store(Path(temporary) / "store"):
            results = evaluate_sample(folder, output=output)
    loud.setLevel(level)
    from lm_eval.utils import make_table  # patched by now

    print(make_table(results))  # noqa: T201
    print(make_table(results, "groups"))  # noqa: T201
    print(  # noqa: T201
        f"SAMPLE data and an encoder without pretraining: the scores mean nothing. {time.perf_counter() - began:.0f} s."
    )
    return results


def sample_scores(results: Mapping[str, Any]) -> dict[str, Any]:
    """The scores, from 0 to 1, by task and language, for programs; marked as those of the sample.

    Args:
        results: lm_eval's, of all eight tasks.
    """
    rows = results["results"]
    return {
        "SAMPLE": True,
        "mean": rows[ALL_GROUP][SCORE],
        "tasks": {
            spec.name: {
                "metric": spec.metric,
                "mean": rows[spec.group][SCORE],
                "languages": {language: rows[spec.leaf(language)][SCORE] for language in spec.languages},
            }
            for spec in TASKS.values()
        },
    }
