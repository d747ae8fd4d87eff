"""On a GPU: whether numbers stay the same there, and how fast it is, beside a plain transformers `Trainer`.

python -m benchmarks.gpu --encoder intfloat/multilingual-e5-small --data xglue_full_dataset.tar.gz --minutes 8
python -m benchmarks.gpu --encoder DIR --data DIR --minutes 4 --only facts,checks --json gpu.json
python -m benchmarks.gpu --show gpu.json more.json --markdown docs/performance.md

Parts run in order of worth, each in processes of its own; what no longer fits into the minutes is left out with a line.
Where there is no CUDA it rehearses: a small shape, a handful of steps, and figures that are a CPU's.

A check says "ok" or "FAILED"; "error" means that the check itself broke. Speeds are of steps of 32 rows, after two
epochs in which all shapes were met and graphs captured or code compiled; all work of the card is waited for. "shapes"
is XLM-R base with random weights and the given encoder's tokenizer, "real" is the given encoder. Rows are XNLI's,
POS's, and XNLI's texts joined to the length of NC's (256 subwords). Real tokens are subwords without padding; TFLOP/s
are real tokens/s x 6 x parameters without embeddings. "Trainer" has the defaults of transformers; "Trainer at its best"
groups rows by length, pads to multiples of 8, loads data in workers, with pinned memory and copies that do not block,
and does not look for NaN in each step; "compiled" adds torch_compile, or our option compile. The attention of all is
torch's own, which keeps to a rate of dropout; "with cuDNN" is the Trainer at its best with cuDNN's, which torch 2.11
takes by default on an H100, and which plans anew for every new shape of a batch. Start-up is what the first epoch takes
more than the last, building the model included, tokenising not. The share of a step in which the device works is the
time of its kernels, from a trace, by the time that a step takes without the trace.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import ON_A_CARD, REHEARSED, all_parts
from benchmarks.gpu.results import Result
from benchmarks.gpu.runner import Budget, Journal, read, run_parts, run_together
from benchmarks.gpu.table import by_key, markdown, text
from benchmarks.rounds import parser_of
from xglue_harness.atomic import replacing

PATIENCE = 40.0
"""Seconds that the card waits for the CPU's side of the seeds."""

REHEARSED_PATIENCE = 4
"""A CPU may take that many times longer than is thought of a card."""

GROUPS = ("facts", "checks", "seeds", "memory", "speed", "profile", "compiled", "together", "e5", "fp32", "more")
UNTIMED = ("checks", "seeds")
"""Groups whose parts run all at once."""
NEED_MATERIAL = set(GROUPS) - {"facts", "memory", *UNTIMED}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--encoder", help="Hub id or folder of the real encoder")
    parser.add_argument("--data", default="sample", help="as in --metadata; XNLI and POS are read (default: sample)")
    parser.add_argument("--minutes", type=float, default=8, help="that all of it may take (default: 8)")
    parser.add_argument(
        "--only", type=_groups, default=GROUPS, help=f"groups of parts, with commas: {','.join(GROUPS)}"
    )
    parser.add_argument("--json", type=Path, help="file for all results; written anew after every part")
    parser.add_argument("--markdown", type=Path, help="file for the tables as a page")
    parser.add_argument("--show", type=Path, nargs="+", help="measure nothing: show files that --json wrote, as one")
    parser.add_argument("--operations", action="store_true", help="count the operations of a step under bf16 autocast")
    given = parser.parse_args(arguments)
    if given.encoder is None and given.show is None and not given.operations:
        parser.error("--encoder is wanted (or --show, or --operations)")
    return given


def _groups(text: str) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := set(chosen) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return chosen


def measure(given: argparse.Namespace) -> Journal:
    """Run all parts that fit into the time."""
    began = time.monotonic()
    import torch  # which takes a while, too

    rehearsal = not torch.cuda.is_available()
    scale = REHEARSED if rehearsal else ON_A_CARD
    if rehearsal:
        print("REHEARSAL: there is no CUDA here. Shapes are small, steps few, and all figures are this CPU's.\n")
    budget = Budget(60 * given.minutes - (time.monotonic() - began), patience=REHEARSED_PATIENCE if rehearsal else 1)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    facts = {"benchmark": "gpu", "rehearsal": rehearsal, "date": date, "minutes": given.minutes, "only": given.only}
    journal = Journal(given.json, facts)
    with tempfile.TemporaryDirectory(prefix="xglue-gpu-") as temporary:
        folder = Path(temporary)
        parts = all_parts(given.encoder, given.data, folder, scale)
        wanted = {"facts", *given.only, *(["material"] if NEED_MATERIAL & set(given.only) else [])}
        chosen = {group: members for group, members in parts.items() if group in wanted}
        run_parts(chosen.pop("facts"), budget, journal)
        untimed = [part for group in UNTIMED for part in chosen.pop(group, [])]
        run_together(untimed, budget, journal, patience=PATIENCE * (REHEARSED_PATIENCE if rehearsal else 1))
        for members in chosen.values():
            run_parts(members, budget, journal)
    return journal


def together(files: Sequence[tuple[dict[str, Any], list[Result]]]) -> tuple[dict[str, Any], dict[str, Result]]:
    """Several runs as one; of what was measured twice the later one counts.

    Raises:
        SystemExit: where they are of different cards or versions.
    """
    every = [by_key(results) for _, results in files]
    about = [{name: results["facts/card"].figures.get(name) for name in ("card", "versions")} for results in every]
    if any(one != about[0] for one in about):
        raise SystemExit(f"these files are of different machines: {'; '.join(map(str, about))}")
    return files[-1][0], by_key([result for _, results in files for result in results])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or show what was measured."""
    given = parse(arguments)
    if given.operations:
        from benchmarks.gpu.operations import main as count

        count()
        return
    if given.show is None:
        journal = measure(given)
        document, results = journal.facts, by_key(journal.results)
    else:
        document, results = together([read(path) for path in given.show])
    print(f"\n{text(results)}")
    if document["rehearsal"]:
        print("\nREHEARSAL: these figures are a CPU's and say nothing of a card.")
    if given.markdown and document["rehearsal"]:
        raise SystemExit(f"{given.markdown} is not written: it waits for the figures of a card")
    if given.markdown:
        with replacing(given.markdown.absolute()) as temporary:
            temporary.write_text(markdown(document, results), encoding="utf-8")


if __name__ == "__main__":
    main()
