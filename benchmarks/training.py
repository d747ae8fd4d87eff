"""Fine-tuning for POS: ours against a plain transformers ``Trainer`` script, in turn, each in a process of its own.

python -m benchmarks.training --encoder FacebookAI/xlm-roberta-base --data xglue_full_dataset.tar.gz
python -m benchmarks.training --encoder DIR --data sample --rows 240 --rounds 3

Both sides read the same rows and use the same batch size, steps, learning rate and fp32. Printed are medians over the
rounds and their range: real (not padding) subwords a second, peak memory of the process, padded per real subword, and
the loss of the last step.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.ratios import print_ratios

BATCH, LEARNING_RATE, MAX_LENGTH, SEED = 32, 5e-5, 256, 1


def rows_of(data: str, count: int) -> list[dict[str, Any]]:
    """The first English POS training rows."""
    from xglue_harness.benchmark import TASKS
    from xglue_harness.data import open_source

    dataset = open_source(data).load(TASKS["pos"], "train", "en").dataset
    return list(dataset.select(range(min(count, len(dataset)))))


def ours(encoder: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Fine-tune as the harness does."""
    import torch

    from xglue_harness.benchmark import TASKS
    from xglue_harness.encoders.identity import identify
    from xglue_harness.harness.encoder_lm import EncoderLM
    from xglue_harness.harness.requests import backbone_of
    from xglue_harness.transfer.batching import epoch_batches, examples
    from xglue_harness.transfer.determinism import seeded
    from xglue_harness.transfer.finetune import finetune
    from xglue_harness.transfer.recipe import Options, resolve
    from xglue_harness.transfer.run import Material
    from xglue_harness.transfer.store import Store

    spec, backbone = TASKS["pos"], backbone_of(EncoderLM(encoder, device="cpu"))
    options = Options(epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH, max_length=MAX_LENGTH, dev="none")
    recipe = resolve(options, spec, seed=SEED, precision="fp32", pooling="first")
    lengths = [len(item.encoded.ids) for item in examples(spec, rows, backbone.tokenizer, "en", MAX_LENGTH)]
    order = [index for batch in epoch_batches(lengths, BATCH, SEED, 0) for index in batch]
    identity, material = identify(backbone), Material(rows, "0" * 64)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, seeded(SEED, torch.device("cpu")):
        tuned = finetune(backbone, identity, spec, recipe, material, store=Store(Path(folder)), progress=False)
    return _figures(lengths, order, time.perf_counter() - began, tuned.training.final_loss or float("nan"))


def plain(encoder: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Fine-tune as the token-classification tutorials do."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from xglue_harness.benchmark import TASKS

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    torch.manual_seed(SEED)
    model = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(TASKS["pos"].labels))
    encoded = []
    for row in rows:
        item = tokenizer(row["words"], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
        before, labels = None, []
        for word in item.word_ids():
            labels.append(-100 if word is None or word == before else row["pos"][word])
            before = word
        encoded.append({**item, "labels": labels})
    lengths = [len(item["input_ids"]) for item in encoded]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            seed=SEED,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_steps=1,
        )
        collator = DataCollatorForTokenClassification(tokenizer)
        trainer = Trainer(model=model, args=arguments, train_dataset=encoded, data_collator=collator)
        trainer.train()
    order = list(trainer._get_train_sampler())
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return _figures(lengths, order, time.perf_counter() - began, losses[-1])


def _figures(lengths: list[int], order: list[int], seconds: float, loss: float) -> dict[str, float]:
    batches = [[lengths[i] for i in order[at : at + BATCH]] for at in range(0, len(order), BATCH)]
    padded = sum(max(batch) * len(batch) for batch in batches)
    return {
        "subwords/s": sum(lengths) / seconds,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "padded/real": padded / sum(lengths),
        "last loss": loss,
    }


def main() -> None:
    """Run both sides in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="Hub id or folder")
    parser.add_argument("--data", default="sample", help="as in --metadata")
    parser.add_argument("--rows", type=int, default=640, help="training rows; one epoch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "plain"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        run = ours if given.side == "ours" else plain
        print(json.dumps(run(given.encoder, rows_of(given.data, given.rows))))
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
    for _ in range(given.rounds):
        for side, results in found.items():
            command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--side", side]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    print_ratios(found, 12)


if __name__ == "__main__":
    main()
