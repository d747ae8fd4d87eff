"""Mutations of a tree of contributions, for `benchmarks.contribution_fuzz`: each changes one thing at random."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 10**4000, 0.5, -0.0, 1e15, 1e16, 1e308, float("inf"),
    float("nan"),
    "", " ", "x", "de", "paper", "con", "../x", "x" * 5000, "\ud800", "\u200b", "\u202e", "\U000e0041", "\ufe0f",
    "\x00", "\r", "\n- x", "<b>x</b>", "&amp;", "=cmd()", "１２", "1:30", "0x10", "nan", "null",
    {}, [], [None], [[]], {"": None}, {"de": 0.5}, {"columns": [], "rows": []}, {"columns": "layer", "rows": [[1, 2]]},
)  # fmt: skip

TEXTS = (
    "1:30", "0x" + "f" * 5000, "012", "1_000", "9" * 5000, ".inf", ".nan", "-1", "1e999", "2020-13-45", "!!binary aGk=",
    "!!python/name:os.system", "&a [*a]", "*b", "{<<: {name: x}}", "[" * 1200 + "]" * 1200, '"\\ud800"', '"\\u200b"',
    '"\\u202ex"', '"\\U000E0041"', '"\\0"', '"a\\rb"', "~", "yes", "{}", "[]", "[en, en]", "con", "aux.x",
    "|\n  x\n  y",
    '"<script>"', "[en, [de]]", "{en: de}", "? x", "- x", "'", "x: y: z", "x" * 500, "\ufeff", "é" * 100,
)  # fmt: skip

NAMES = (
    "evil.sh", "a\rb", "a\nb", "a\x1bb", "\u202ex", "con.yaml", "NUL", "x ", "x.", "é.yaml", "-rf", ".git",
    ".gitattributes",
    "a" * 200, "x:y", "x\\y", "pos.json", "pos.de.parquet", "README.md", "xnli.json", "changes.yaml",
    ".gitkeep", "UP.yaml",
)  # fmt: skip


def mutate(tree: Path, rng: Random) -> str:
    """Change one thing.

    Args:
        tree: the tree.
        rng: chooses what.

    Returns:
        The kind of the mutation, and where.
    """
    kinds: tuple[tuple[int, str, Callable[[Path, Random], str]], ...] = (
        (20, "bytes", _bytes),
        (25, "json", _json),
        (15, "yaml", _yaml),
        (20, "parquet", _parquet),
        (8, "honest", _honest),
        (12, "tree", _tree),
    )
    _, kind, change = rng.choices(kinds, [weight for weight, *_ in kinds])[0]
    return f"{kind}: {change(tree, rng)}"


def _files(tree: Path, *endings: str) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file() and (not endings or path.suffix in endings))


def _chosen(tree: Path, rng: Random, *endings: str) -> Path:
    """A file; each kind of them equally often."""
    sorts: dict[str, list[Path]] = {}
    for path in _files(tree, *endings):
        sorts.setdefault(f"{path.relative_to(tree).parts[0]}{path.suffix}", []).append(path)
    return rng.choice(sorts[rng.choice(sorted(sorts))])


def _bytes(tree: Path, rng: Random) -> str:
    path = _chosen(tree, rng)
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data) + 1)
    length = rng.choice((1, 1, 2, 8, 100, 5000))
    what = rng.choice(("flip", "cut", "double", "put in", "truncate", "zero"))
    if what == "flip" and data:
        for _ in range(rng.choice((1, 1, 1, 4))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif what == "cut":
        del data[at : at + length]
    elif what == "double":
        data[at:at] = data[at : at + length] * rng.choice((1, 3, 500))
    elif what == "put in":
        data[at:at] = rng.choice((rng.randbytes(length), b"{" * 2000, b"[" * 2000, b"\xff\xfe", b"\xef\xbb\xbf", b"\0"))
    elif what == "truncate":
        del data[at:]
    elif what == "zero":
        data[at : at + length] = bytes(len(data[at : at + length]))
    path.write_bytes(data)
    if path.suffix == ".parquet":
        _rehash(path)
    return f"{path.relative_to(tree)} {what}"


def _rehash(path: Path) -> None:
    """Let the record tell of the predictions as they are now."""
    task, language, _ = path.name.split(".")
    file = path.with_name(f"{task}.json")
    value = json.loads(file.read_text())
    value["languages"][language]["record"]["predictions"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    file.write_text(json.dumps(value))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each of its keys."""
    for key in [*value] if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _json(tree: Path, rng: Random) -> str:
    path = _chosen(tree, rng, ".json")
    value = json.loads(path.read_text())
    places = [*_places(value)]
    top = [(value, key) for key in value]
    container, key = rng.choice(rng.choice((places, top)))
    what = rng.choice(("replace", "replace", "replace", "delete", "add", "nest", "swap", "twice"))
    if what == "replace":
        container[key] = rng.choice(VALUES)
    elif what == "delete":
        del container[key]
    elif what == "add" and isinstance(container, dict):
        container[str(rng.choice(VALUES))[:6000]] = rng.choice(VALUES)
    elif what == "nest":
        for _ in range(rng.choice((1, 20, 900))):
            container[key] = rng.choice(([container[key]], {"x": container[key]}))
    elif what == "swap":
        other, its_key = rng.choice(places)
        container[key], other[its_key] = json.loads(json.dumps([other[its_key], container[key]]))
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, or too deep
        text = rng.choice(("[" * 100_000, f'{{"seed": {"9" * 5000}}}'))
    if what == "twice" and isinstance(container, dict):
        name = f"{json.dumps(key)}: "
        text = text.replace(name, f"{name}{json.dumps(rng.choice(VALUES[:8]))}, {name}", 1)
    path.write_text(text)
    return f"{path.relative_to(tree)} {what} {str(key)[:40]}"


def _yaml(tree: Path, rng: Random) -> str:
    path = _chosen(tree, rng, ".yaml")
    lines = path.read_text().splitlines()
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(": ")
    what = rng.choice(("value", "value", "value", "delete", "double", "insert", "indent"))
    if what == "value":
        lines[at] = f"{key}{colon}{rng.choice(TEXTS)}"
    elif what == "delete":
        del lines[at]
    elif what == "double":
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif what == "insert":
        lines.insert(at, rng.choice((*TEXTS, "---", "%YAML 1.1", "x: y")))
    elif what == "indent":
        lines[at] = f"  {lines[at]}"
    path.write_text("\n".join(lines) + "\n")
    return f"{path.relative_to(tree)} {what} {key[:40]}"


def _parquet(tree: Path, rng: Random) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _chosen(tree, rng, ".parquet")
    table = pq.read_table(path)
    number = rng.randrange(table.num_columns)
    name, rows = table.schema.names[number], table.num_rows
    metadata = dict(table.schema.metadata)
    size = rng.choice((rows, rows, 190_000, 3_000_000))
    columns = {
        "flat": lambda: pa.array(["same"] * rows),
        "lists": lambda: pa.array([["O"]] * rows),
        "empty lists": lambda: pa.array([[]] * rows, pa.list_(pa.string())),
        "nulls": lambda: pa.nulls(rows, table.schema.field(number).type),
        "one null": lambda: pa.array([None, *table.column(number).to_pylist()[1:]], table.schema.field(number).type),
        "numbers": lambda: pa.array(range(rows)),
        "deep": lambda: pa.array([[[["x"]]]] * rows),
        "bytes": lambda: pa.array([b"\xff"] * rows),
        "long": lambda: pa.array(["x" * 20_000] * rows).dictionary_encode(),
        "struct": lambda: pa.array([{"a": 1}] * rows),
    }
    what = rng.choice(
        (*columns, "large", "bomb", "drop", "double", "header", "shuffle", "groups", "encoding", "rename")
    )
    options: dict[str, Any] = {"compression": rng.choice(("zstd", "snappy", "gzip", "brotli", "none"))}
    if what in columns:
        table = table.set_column(number, name, columns[what]())
    elif what == "large":
        table = table.take([0] * size)
    elif what == "bomb":
        text = pa.array(["x" * rng.choice((100, 20_000, 1_500_000))]).dictionary_encode().take(pa.array([0] * size))
        zeros = pa.array([0]).take(pa.array([0] * size)).cast(pa.int32())
        lists = pa.ListArray.from_arrays(pa.array([0] * size + [size], pa.int32()), text)
        text = rng.choice((text, lists))
        table = pa.table([zeros, zeros, text, text, pa.nulls(size, pa.list_(pa.float32()))], table.schema.names)
    elif what == "drop":
        table = table.drop_columns([name])
    elif what == "double":
        table = pa.table([*table.columns, table.column(number)], [*table.schema.names, name])
    elif what == "rename":
        table = table.rename_columns([rng.choice((name, name.upper(), "x")) for name in table.schema.names])
    elif what == "header":
        header = json.loads(metadata[b"xglue_harness"])
        header[rng.choice([*header, "x"])] = rng.choice(VALUES)
        metadata[b"xglue_harness"] = rng.choice((_dumped(header), b"", b"{}", b"[" * 100_000, b"\xff", b"1" * 5000))
    elif what == "shuffle":
        table = table.take(rng.sample(range(rows), rows))
    elif what == "groups":
        options["row_group_size"] = rng.choice((1, 7))
    elif what == "encoding":
        options |= {"use_dictionary": False, "data_page_version": rng.choice(("1.0", "2.0"))}
        if "ner" not in path.name:
            encoding = rng.choice(("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"))
            options["column_encoding"] = dict.fromkeys(("label", "prediction"), encoding)
    table = table.replace_schema_metadata(metadata)
    if rng.random() < 0.2:
        options["store_schema"] = False
    pq.write_table(table, path, **options)
    if rng.random() < 0.2:  # headers of pages that lie
        data = bytearray(path.read_bytes())
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        path.write_bytes(data)
    _rehash(path)
    return f"{path.relative_to(tree)} {what} {name}"


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except ValueError:
        return b"9" * 5000


def _honest(tree: Path, rng: Random) -> str:
    """Other predictions, or diagnostics that are odd, with scores that are right: most of it is to be taken."""
    from xglue_harness.leaderboard.contributions.results import rescored
    from xglue_harness.records.predictions import encoded, read

    path = rng.choice([path for path in _files(tree, ".json") if "results" in path.parts])
    value = json.loads(path.read_text())
    what = rng.choice(("random", "right", "wrong", "constant", "reasons"))
    for language, item in value["languages"].items():
        file = path.with_name(f"{path.stem}.{language}.parquet")
        rows = read(file)
        classes = range(len(rows.spec.labels))

        def drawn(label: Any, classes: range = classes) -> Any:
            if isinstance(label, list):
                return [drawn(word) for word in label]
            return {
                "right": label, "wrong": (label + 1) % len(classes), "constant": 0, "reasons": label
            }.get(what, rng.choice(classes))  # fmt: skip

        rows = replace(rows, predictions=[drawn(label) for label in rows.labels])
        file.write_bytes(encoded(rows))
        scores = rescored(rows)
        item |= {"score": scores.score, "stderr": scores.stderr, "official": scores.official.official}
        item["record"] |= asdict(scores.official)
        selection = item["record"].setdefault("selection", json.loads(json.dumps(value["record"].get("selection"))))
        selection["scores"]["last"]["score"] = scores.score
        flags = {"collapsed": True, "reasons": ["x" * rng.choice((1, 300))] * rng.choice((1, 50))}
        item["record"]["flags"] = flags
    if what == "reasons":
        language = rng.choice([*value["languages"]])
        value["changes"] = [{"reason": "a reason", "previous": {language: rng.random()}}] * rng.choice((1, 40))
    path.write_text(json.dumps(value))
    for language in value["languages"]:
        _rehash(path.with_name(f"{path.stem}.{language}.parquet"))
    return f"{path.relative_to(tree)} {what}"


def deepen(folder: Path) -> None:
    """Put a folder into a folder, and so on, deeper than Python's recursion and any path may go."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _tree(tree: Path, rng: Random) -> str:
    folders = [tree, *sorted(path for path in tree.rglob("*") if path.is_dir())]
    folder, path = rng.choice(folders), _chosen(tree, rng)
    name = rng.choice(NAMES)
    what = rng.choice(
        ("add", "add", "large", "remove", "move", "copy", "link", "folder link", "pipe", "deep", "executable", "empty",
         "folder for file", "file for folder", "seed", "many", "root")
    )  # fmt: skip
    if what == "add":
        (folder / name).write_bytes(rng.choice((b"", b"{}", b"[]", b"x", path.read_bytes())))
    elif what == "large":
        (folder / ".gitkeep").write_bytes(b"x" * 5_000_000)
    elif what == "remove":
        path.unlink()
    elif what in ("move", "copy"):
        {"move": shutil.move, "copy": shutil.copyfile}[what](path, folder / f"other{path.suffix}")
    elif what == "link":
        path.unlink()
        path.symlink_to(rng.choice(("/etc/passwd", "/dev/zero", "nowhere", str(path))))
    elif what == "folder link":
        (folder / "seen").symlink_to(rng.choice((tree, Path("/"))))
    elif what == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif what == "deep":
        deepen(folder)
    elif what == "executable":
        path.chmod(0o755)
    elif what == "empty":
        (folder / "hollow").mkdir()
    elif what == "folder for file":
        path.unlink()
        path.mkdir()
    elif what == "file for folder" and folder != tree:
        shutil.rmtree(folder)
        folder.write_text("{}")
    elif what == "seed":
        source = rng.choice([folder for folder in folders if folder.name == "1"])
        shutil.copytree(source, source.with_name(rng.choice(("7", "01", "-1", "x", "1e3", "4294967296"))))
    elif what == "many":
        for number in range(2500):
            (folder / f"f{number}.yaml").write_text("{}")
    elif what == "root":
        other = tree.with_name("elsewhere")
        tree.rename(other)
        tree.symlink_to(other)
    return f"{what} {name!a} {path.relative_to(tree) if tree in path.parents else path.name}"
