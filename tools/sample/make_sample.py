"""Write the embedded sample, or check that it is up to date.

``python -m tools.sample.make_sample`` writes to ``xglue_harness/data/sample``; ``--check`` writes nothing and exits
with 1 if a file there is missing, different or superfluous.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tools.sample import nc, ner, pawsx, pos, qadsm, qam, wpr, xnli
from tools.sample.lexicon import Lexicon, load
from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.kinds import kind_of

SEED = "xglue sample 1"
ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "xglue_harness" / "data" / "sample"

PLANS: dict[str, Callable[[Random], dict[str, list[Any]]]] = {
    "nc": nc.plan,
    "xnli": xnli.plan,
    "pawsx": pawsx.plan,
    "qam": qam.plan,
    "qadsm": qadsm.plan,
    "wpr": wpr.plan,
    "ner": ner.plan,
    "pos": pos.plan,
}
FIELDS: dict[str, Callable[[Any, Lexicon], list[str]]] = {
    "nc": nc.render,
    "xnli": xnli.render,
    "pawsx": pawsx.render,
    "qam": qam.render,
    "qadsm": qadsm.render,
    "wpr": wpr.render,
}
WORDS: dict[str, Callable[[Any, Lexicon], list[tuple[str, str]]]] = {"ner": ner.render, "pos": pos.render}
HEADERS = {"xnli": "premise\thypo\tlabel", "pawsx": "id\tsentence1\tsentence2\tlabel"}

README = """\
# Sample

A miniature of the eight XGLUE understanding tasks in all their languages, in the layout of the official archive. It is
a toy for trying out the software: scores on it mean nothing, and its facts, people and companies are invented.

The text is our own, written for this repository and under its licence (Apache-2.0); nothing comes from XGLUE or its
sources. `python -m tools.sample.make_sample` generates every file here, this one included, from `tools/sample/lexicon`.
Change the lexicons, not these files. Row i of a dev or test file means the same in every language of its task.
"""


def _table(spec: TaskSpec, split: str, rows: list[Any], lexicon: Lexicon) -> str:
    lines = [HEADERS[spec.name]] if split in spec.header else []
    for number, row in enumerate(rows, 1):
        fields = FIELDS[spec.name](row, lexicon)
        if spec.name == "xnli" and split == "train":
            fields[-1] = fields[-1].replace("contradiction", "contradictory")
        if spec.skipped_columns:
            fields.insert(0, str(number))
        if any("\t" in field or "\n" in field or not field for field in fields):
            raise ValueError(f"{spec.name} {lexicon.language}: bad field in {fields}")
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def _tagged(spec: TaskSpec, rows: list[Any], lexicon: Lexicon) -> str:
    text = ""
    for row in rows:
        for word, label in WORDS[spec.name](row, lexicon):
            if label not in spec.labels:
                raise ValueError(f"{spec.name} {lexicon.language}: no label {label!r} (word {word!r})")
            text += f"{word} {label}\n"
        text += "\n"
    return text


def generate() -> dict[str, str]:
    """Every file of the sample: path relative to the folder, and text."""
    files = {"README.md": README}
    for spec in TASKS.values():
        rows = PLANS[spec.name](Random(f"{SEED} {spec.name}"))
        for split, language, path in spec.files():
            lexicon = load(language)
            if kind_of(spec).per_word:
                files[path] = _tagged(spec, rows[split], lexicon)
            else:
                files[path] = _table(spec, split, rows[split], lexicon)
    return files


def differences(folder: Path) -> list[str]:
    """What in ``folder`` is not as it would be generated, one line a file."""
    files = generate()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    lines = [f"superfluous: {name}" for name in sorted(there - set(files))]
    lines += [f"missing: {name}" for name in sorted(set(files) - there)]
    for name in sorted(there & set(files)):
        if (folder / name).read_bytes() != files[name].encode("utf-8"):
            lines.append(f"different: {name}")
    return lines


def write(folder: Path) -> None:
    """Write every file of the sample below ``folder``."""
    for name, text in generate().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the embedded sample, or check it.")
    parser.add_argument("out_dir", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if OUT_DIR is not up to date")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.out_dir)
        return 0
    lines = differences(options.out_dir)
    if lines:
        print("\n".join([*lines, "run: python -m tools.sample.make_sample"]), file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
