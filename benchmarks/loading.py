"""Time and memory of loading an encoder: ``--model hf-encoder`` against lm_eval's ``hf``, on the CPU.

python -m benchmarks.loading
python -m benchmarks.loading --rounds 9 --dtype bfloat16 --max-shard-size 500MB

Builds a checkpoint with the shapes of mBART-large-50 (random weights, float32 safetensors, 2.4 GB) in a temporary
folder and loads it with both in turn, each in a process of its own, all imports done and the files in the page cache.
Linux only.

transformers maps safetensors files that need no conversion: their pages come into memory when they are first used, not
when they are loaded. So memory is given twice: for the loading itself, and when each weight has been read once, as
training does. "rise" is the peak over what the process held before; "anonymous" is what is no page of a file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.rounds import in_turn, parser_of, print_ratios

MBART_LARGE_50 = {
    "vocab_size": 250054,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "scale_embedding": True,
}
TINY = {**dict.fromkeys(MBART_LARGE_50, 16), "vocab_size": 300, "max_position_embeddings": 64, "scale_embedding": True}


def build(folder: Path, shapes: dict[str, int], max_shard_size: str) -> None:
    """Write a random checkpoint with a small tokenizer."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    from tests.helpers.tokenizers import mbart50

    with torch.device("meta"):
        model = MBartForConditionalGeneration(MBartConfig(**shapes))
    model = model.to_empty(device="cpu")
    model.tie_weights()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.normal_(0, 0.02)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    mbart50().save_pretrained(folder)


def load(side: str, folder: str, dtype: str) -> Any:
    """The model of lm_eval, made as its command line makes it."""
    from lm_eval.api.registry import get_model

    from xglue_harness.harness.plugin import register

    register()
    return get_model(side)(pretrained=folder, dtype=dtype, device="cpu")


def memory() -> dict[str, float]:
    """Megabytes: resident now, its peak, and what of it is anonymous."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    held = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("VmRSS:", "VmHWM:", "RssAnon:")}
    return {"now": held["VmRSS:"], "peak": held["VmHWM:"], "anonymous": held["RssAnon:"]}


def measure(side: str, folder: str, dtype: str) -> dict[str, float]:
    """Load once and read every weight once."""
    load(side, f"{folder}/tiny", dtype)  # all imports, and what is made once in a process
    before = memory()
    began = time.perf_counter()
    model = load(side, f"{folder}/large", dtype).model
    loaded, seconds = memory(), time.perf_counter() - began
    began = time.perf_counter()
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.view(-1)[:: 4096 // tensor.element_size()].sum()  # one number of each page
    read, reading = memory(), time.perf_counter() - began
    return {
        "loading, s": seconds,
        "loading, rise of peak MB": loaded["peak"] - before["now"],
        "weights read, s": seconds + reading,
        "weights read, rise of peak MB": read["peak"] - before["now"],
        "weights read, anonymous MB": read["anonymous"] - before["anonymous"],
        "weights read, peak of process MB": read["peak"],
        "parameters, millions": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
    }


def main() -> None:
    """Run both sides in turn and print a table."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--dtype", default="auto", help="as in --model_args; auto: as stored, which is float32")
    parser.add_argument("--max-shard-size", default="50GB", help="e.g. 500MB")
    parser.add_argument("--side", choices=["hf", "hf-encoder"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side, given.folder, given.dtype)))
        return
    figures: dict[str, list[dict[str, float]]] = {"hf-encoder": [], "hf": []}
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "tiny", TINY, given.max_shard_size)
        build(Path(folder) / "large", MBART_LARGE_50, given.max_shard_size)  # which leaves it in the page cache
        for number in range(given.rounds):
            for side in in_turn(figures, number):
                command = [sys.executable, "-m", "benchmarks.loading", "--side", side, "--folder", folder]
                command += ["--dtype", given.dtype]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                figures[side].append(json.loads(done.stdout.splitlines()[-1]))
    print_ratios(figures, 34)


if __name__ == "__main__":
    main()
