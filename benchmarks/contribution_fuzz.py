"""Spoil contributions to the leaderboard at random, and look for crashes, memory, and what validates but doesn't build.

python -m benchmarks.contribution_fuzz --mutations 500 --seed 0

A tree of the example's results, with the published reference, gets one mutation at a time: bytes (flipped, cut,
doubled, put in) of every kind of file; values and keys of JSON and YAML; columns, rows, texts and metadata of Parquet
with the hash to match; predictions that are others and scored honestly; files and folders that are strange, moved or
gone. Then `validate`, `validate --base`, `show` and `build` run on it, the site as after the merge. Counted are

- crashes: anything but success or an error of ours,
- what validates and doesn't build or show,
- changed files that `validate --base` does not name,
- the peak memory of the process that did it all, in 10^6 bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.contribution_mutations import mutate
from benchmarks.rounds import parser_of

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "leaderboard" / "example"


def plant(folder: Path) -> None:
    """A tree with every kind of file, small enough to be checked in a second."""
    shutil.copytree(EXAMPLE / "backbones", folder / "backbones")
    shutil.copytree(ROOT / "leaderboard" / "reference", folder / "reference")
    shutil.copyfile(ROOT / "leaderboard" / "README.md", folder / "README.md")
    reason = {"file": "README.md", "before": None, "after": "0" * 64, "reason": "a reason of long ago"}
    (folder / "changes.yaml").write_text(f"[{json.dumps(reason)}]\n")
    chosen = (
        "tiny-*/toy/1/pawsx",
        "tiny-lm/toy/2/pawsx",
        "tiny-lm/toy/1/ner",
        "tiny-lm/toy/1/wpr",
        "tiny-mt/toy/1/xnli",
    )
    for path in (path for pattern in chosen for path in EXAMPLE.glob(f"results/{pattern}.*")):
        place = folder / path.relative_to(EXAMPLE)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    (folder / "backbones" / ".gitkeep").touch()


def ran(*arguments: str) -> tuple[str, str]:
    """What became of a command (``ok``, ``refused``, or the crash), and what it said."""
    from xglue_harness.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(["leaderboard", *arguments])
        except SystemExit as end:
            status = {0: "ok", None: "ok", 2: "refused"}.get(end.code, f"exit {end.code}")  # type: ignore[call-overload]
        except BaseException as error:
            status = f"{type(error).__name__}: {str(error)[:200]}"
        else:
            status = "ok"
    text = said.getvalue()
    with contextlib.suppress(UnicodeEncodeError):
        text.encode()
        return status, text
    return f"said what can't be encoded: {ascii(text)[:200]}", text


def published_at(tree: Path) -> None:
    """Read published numbers from a tree, as after its merge."""
    from xglue_harness.published import paper, reference

    paper.published_tree = lambda: tree
    paper.tables.cache_clear()
    reference.references.cache_clear()


def changed(tree: Path, base: Path) -> set[str]:
    """Names of the regular files that differ between two trees."""

    def contents(folder: Path) -> dict[str, bytes]:
        contents = {}
        below = [folder]
        while below:
            for path in below.pop().iterdir():
                name = os.fsencode(path.relative_to(folder)).decode(errors="surrogateescape")
                if path.is_dir() and not path.is_symlink() and name.count("/") < 6:  # a file is never so deep
                    below.append(path)
                elif path.is_file() and not path.is_symlink():
                    contents[name] = path.read_bytes()
        return contents

    if tree.is_symlink():
        return set()
    ours, theirs = contents(tree), contents(base)
    return {name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}


def problems(tree: Path, base: Path, site: Path) -> Iterator[tuple[str, str]]:
    """What is wrong with the commands on a mutated tree: the sort, and more words. First comes what validate said."""
    options = ("--tree", str(tree), "--example")
    published_at(tree)
    outcome, said = ran("validate", *options)
    yield "validated" if outcome == "ok" else "refused", ""
    results = {"validate": outcome}
    results["validate --base"], guarded = ran("validate", *options, "--base", str(base))
    results["show"], _ = ran("show", *options, "--format", "markdown", "--base", str(base))
    results["build"], _ = ran("build", str(site), *options)
    for command, result in results.items():
        if result not in ("ok", "refused"):
            yield "crash", f"{command}: {result}"
        elif outcome == "ok" and result != "ok" and command != "validate --base":
            yield "validates, but", f"{command} is {result}"
    if any(ord(c) < 32 and c != "\n" for c in said + guarded):
        yield "crash", "a control character in the report"
    if "are taken at once" in guarded:  # too many to be looked at, let alone listed
        return
    for name in changed(tree, base):
        if name.endswith(".parquet"):  # they may share a line with their result
            continue
        if name not in guarded and ascii(name)[1:-1] not in guarded:
            yield "unlisted", ascii(name)


def peak_memory() -> float:
    """Most memory of this process so far, in MB. What ``getrusage`` says counts that of whoever started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def serve(folder: Path) -> None:
    """Check the tree in the folder each time that a line comes in, and answer with a line of JSON."""
    for _ in sys.stdin:
        faults = [*problems(folder / "tree" / "leaderboard", folder / "base" / "leaderboard", folder / "site")]
        peak = peak_memory()
        sys.stdout.write(json.dumps({"faults": faults, "peak": peak}) + "\n")
        sys.stdout.flush()


def campaign(mutations: int, seed: int) -> dict[str, Any]:
    """All mutations, made here and checked in a process of its own, so that its memory is that of the checks.

    Returns:
        Counts by sort and by kind of mutation, what was bad in words, and the peak memory in MB.
    """
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    bad: list[str] = []
    peak = 0.0
    with tempfile.TemporaryDirectory(prefix="xglue-fuzz-") as temporary:
        folder = Path(temporary)
        tree = folder / "tree" / "leaderboard"
        plant(folder / "base" / "leaderboard")
        command = [sys.executable, "-m", "benchmarks.contribution_fuzz", "--serve", temporary]
        server = None
        for number in range(mutations):
            shutil.copytree(folder / "base" / "leaderboard", tree)
            what = mutate(tree, Random(f"{seed}-{number}"))
            kinds[what.split(":")[0]] += 1
            if server is None:
                server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write("\n")
            server.stdin.flush()
            if answer := server.stdout.readline():
                record = json.loads(answer)
            else:
                record = {"faults": [["crash", f"the process died with {server.wait()}"]], "peak": 0.0}
                server = None
            peak = max(peak, record["peak"])
            for sort, words in record["faults"]:
                counts[sort] += 1
                if sort not in ("validated", "refused"):
                    bad.append(f"{number}, {what}: {sort} {words}")
            for place in (tree.parent, folder / "site"):
                subprocess.run(["rm", "-rf", str(place)], check=True)  # deeper than rmtree goes
        if server is not None and server.stdin is not None:
            server.stdin.close()
            server.wait()
    return {"counts": counts, "kinds": kinds, "bad": bad, "peak": peak}


def main() -> None:
    """Run the campaign, and print what it found."""
    parser = parser_of(__doc__)
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    began = time.perf_counter()
    outcome = campaign(given.mutations, given.seed)
    counts = outcome["counts"]
    print("mutations:", ", ".join(f"{count} {kind}" for kind, count in sorted(outcome["kinds"].items())))
    print(*outcome["bad"], sep="\n", end="\n" * bool(outcome["bad"]))
    print(
        f"{given.mutations} mutations, seed {given.seed}: {counts['refused']} refused, {counts['validated']} taken; "
        f"{counts['crash']} crashes, {counts['validates, but']} that validate and don't build or show, "
        f"{counts['unlisted']} changed files that are not listed; peak memory {outcome['peak']:.0f} MB; "
        f"{time.perf_counter() - began:.0f} s"
    )
    sys.exit(bool(outcome["bad"]) or outcome["peak"] > 500)


if __name__ == "__main__":
    main()
