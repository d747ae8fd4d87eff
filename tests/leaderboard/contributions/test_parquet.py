"""A Parquet file of a stranger is held to its limits before anything of it is unpacked."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.leaderboard.conftest import EXAMPLE
from xglue_harness.errors import DataError, LeaderboardError
from xglue_harness.leaderboard.contributions import parquet
from xglue_harness.leaderboard.contributions.parquet import check_sizes
from xglue_harness.leaderboard.validation import rescoring
from xglue_harness.leaderboard.validation.validate import validate
from xglue_harness.records import predictions

FOLDER = EXAMPLE / "results/tiny-lm/toy/1"


def written(table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **{"compression": "zstd", **options})
    return sink.getvalue().to_pybytes()


def table_of(name="pawsx.de"):
    return pq.read_table(FOLDER / f"{name}.parquet")


def headed(header: bytes):
    return table_of().replace_schema_metadata({b"xglue_harness": header})


@pytest.fixture
def contributed(tmp_path):
    """A function that puts bytes into the place of predictions, with the hash to match, and checks the tree."""
    folder = tmp_path / "leaderboard"
    shutil.copytree(EXAMPLE / "backbones", folder / "backbones")
    for task in ("pawsx", "ner"):
        for path in FOLDER.glob(f"{task}.*"):
            place = folder / path.relative_to(EXAMPLE)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)

    def judge(data: bytes, name: str = "pawsx.de"):
        path = folder / "results/tiny-lm/toy/1" / f"{name}.parquet"
        path.write_bytes(data)
        task, language = name.split(".")
        file = path.with_name(f"{task}.json")
        value = json.loads(file.read_text())
        value["languages"][language]["record"]["predictions"]["sha256"] = hashlib.sha256(data).hexdigest()
        file.write_text(json.dumps(value))
        return validate(folder, example=True)

    return judge


def long_texts(rows=190_000, length=20_000):
    """The smallest bomb: one text, and references to it."""
    texts = pa.array(["x" * length]).dictionary_encode().take(pa.array([0] * rows))
    zeros = pa.array([0]).take(pa.array([0] * rows)).cast(pa.int32())
    table = pa.table([zeros, zeros, texts, texts, pa.nulls(rows, pa.list_(pa.float32()))], table_of().schema.names)
    return table.replace_schema_metadata(table_of().schema.metadata)


def test_the_files_of_the_example_are_within_the_limits():
    for path in EXAMPLE.glob("results/*/*/1/*.parquet"):
        check_sizes(path.read_bytes())


def test_a_text_that_many_rows_refer_to_stays_one_text(contributed):
    """3 kB that would take 2 × 3.8 GB; that it takes little is measured by `benchmarks.contribution_fuzz`."""
    data = written(long_texts(), store_schema=False)
    assert len(data) < 4000
    with pytest.raises(LeaderboardError, match=r"pawsx\.de\.parquet: no predictions of xglue-harness"):
        contributed(data)
    plain = table_of()
    few = long_texts(1000)
    arrays = [few.column(name).cast(plain.schema.field(name).type) for name in plain.schema.names]
    data = written(pa.table(arrays, schema=plain.schema))
    before = pa.total_allocated_bytes()
    with pytest.raises(LeaderboardError, match=r"no column, or no class of PAWS-X: 'x{80}'") as refused:
        contributed(data)
    assert len(str(refused.value)) < 1000
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize(
    ("table", "options", "reason"),
    [
        (lambda: long_texts(300_000, 1), {}, "unpacks to 300,000 values; at most 200,000"),
        (lambda: long_texts(10, 3_000_000), {}, r"unpacks to 3,000,\d+ bytes; at most 2,000,000"),
        (lambda: table_of(), {"row_group_size": 7}, "9 row groups; expected one"),
        (lambda: table_of().slice(0, 0), {"row_group_size": 1}, "23 bytes at 0: not in the file"),
        (
            lambda: table_of(),
            {"use_dictionary": False, "column_encoding": dict.fromkeys(("label", "prediction"), "DELTA_BYTE_ARRAY")},
            "a page of 60 values, encoding 7; expected one of",
        ),
        (lambda: table_of().drop_columns(["row"]), {}, 'Field "row" does not exist'),
        (lambda: table_of().append_column("more", [[1] * 60]), {}, "6 columns; expected document, row"),
        (lambda: table_of().set_column(0, "document", [["0"] * 60]), {}, "document is string; expected int32"),
        (lambda: table_of().set_column(0, "document", [pa.nulls(60, pa.int32())]), {}, "document: a row has none"),
        (lambda: table_of().set_column(2, "label", [pa.nulls(60, pa.string())]), {}, "label: a row has none"),
        (lambda: table_of().set_column(2, "label", [pa.array([b"\xff"] * 60)]), {}, "label is .*binary"),
        (lambda: headed(b'{"version": 1, "version": 1}'), {}, "key version stands there twice"),
        (lambda: headed(b"9" * 5000), {}, "a number of 5,000 digits"),
        (lambda: headed(b"[" * 50_000), {}, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_predictions_is_refused(contributed, table, options, reason):
    with pytest.raises(LeaderboardError, match=rf"pawsx\.de\.parquet: .*{reason}") as refused:
        contributed(written(table(), **options))
    assert "malformed" not in str(refused.value)


@pytest.mark.parametrize("name", ["pawsx.de", "ner.de"])
def test_flat_and_nested_classes_are_not_mixed_up(contributed, name):
    flat = name == "ner.de"
    table = table_of(name)
    for number in (2, 3):
        values = table.column(number).to_pylist()
        swapped = [own[0] if flat else [own] for own in values]
        table = table.set_column(number, table.schema.names[number], [swapped])
    with pytest.raises(LeaderboardError, match=rf"{name}\.parquet: no column, or no class of .*: label is"):
        contributed(written(table), name)


def test_sizes_that_lie_are_found_before_a_page_is_unpacked(monkeypatch):
    """A page that grows to 100 MB though the footer says otherwise, and pages beyond those that the footer counts."""
    monkeypatch.setattr(rescoring, "decoded", lambda *_: pytest.fail("was unpacked"))
    data = written(long_texts(100, 50_000_000))
    assert len(data) < 30_000
    with pytest.raises(ValueError, match=r"unpacks to 50,\d+,\d+ bytes"):
        check_sizes(data)
    good = (FOLDER / "pawsx.de.parquet").read_bytes()
    for other in (b"", b"PAR1", good[:-1], good[:-8] + b"\xff\xff\xff\x7fPAR1", b"PARE" + good[4:], good[4:]):
        with pytest.raises(ValueError, match=r"PAR1|footer"):
            check_sizes(other)


def test_any_bytes_are_taken_or_refused(tmp_path):
    """No byte of a file makes another error than ours, or ends the process, as statistics once did."""
    rng = random.Random(5)
    for name in ("pawsx.de", "ner.de", "wpr.de"):
        good = (FOLDER / f"{name}.parquet").read_bytes()
        for _ in range(800):
            data = bytearray(good)
            for _ in range(rng.choice((1, 1, 4))):
                at = rng.choice((rng.randrange(len(data)), rng.randrange(len(data) - 1400, len(data))))  # the footer
                data[at] = rng.randrange(256)
            try:
                check_sizes(bytes(data))
                unpacked = predictions.decoded(bytes(data), Path("x"))
            except (ValueError, DataError):
                continue
            assert len(unpacked.rows) <= parquet.VALUES_LIMIT


def test_every_byte_of_a_pages_header_may_be_another():
    good = (FOLDER / "pawsx.de.parquet").read_bytes()
    refused = 0
    for at in range(4, 24):
        for other in range(256):
            try:
                check_sizes(bytes([*good[:at], other, *good[at + 1 :]]))
            except ValueError:
                refused += 1
    assert refused > 1000


def test_statistics_that_end_the_process_of_pyarrow_are_an_error():
    """Its `FileMetaData.row_group(0).column(0)` aborts where a histogram has another size than the schema says."""
    good = (FOLDER / "wpr.de.parquet").read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    told = []
    for at in range(footer, len(good) - 8):
        data = bytes([*good[:at], good[at] ^ 1, *good[at + 1 :]])
        try:
            check_sizes(data)
            predictions.decoded(data, Path("x"))
        except (ValueError, DataError) as error:
            told.append(str(error))
    assert len(told) > 100
