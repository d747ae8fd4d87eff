"""What a stranger's Parquet file would unpack to, told by its headers, before anything of it is unpacked.

A file of 3 kB can hold one text of 20,000 characters and 200,000 references to it, or a page that grows to gigabytes.
Its footer tells sizes, and may lie; what a reader obeys are the headers of the pages. So both are read here, with a
parser of a page, Thrift's compact protocol, and the sizes in them are held to limits, and to each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

VALUES_LIMIT = 200_000
"""Most values that a column of predictions may unpack to; the most words of a language, NER's in Dutch, are 69,000."""

BYTES_LIMIT = 2_000_000
"""Most bytes that a column may unpack to; the largest legitimate one has about 60,000."""

DICTIONARY_LIMIT = 1000
"""Most entries of a dictionary; no task has more than 17 classes."""

_PLAIN, _PLAIN_DICTIONARY, _RLE, _DELTA_BINARY_PACKED, _RLE_DICTIONARY = 0, 2, 3, 5, 8
_ENCODINGS = (_PLAIN, _PLAIN_DICTIONARY, _RLE, _DELTA_BINARY_PACKED, _RLE_DICTIONARY)
"""Those in which the bytes of a page bound those of its values; front-coded texts are not among them."""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_DETAILS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""Number of the field of a page's header that tells of each type of page."""


def check_sizes(data: bytes, metadata: Any) -> None:
    """Hold a file to its limits.

    Args:
        data: the file.
        metadata: its footer, as ``pyarrow.parquet.ParquetFile`` gives it.

    Raises:
        ValueError: where it is larger than allowed, or its sizes contradict each other.
    """
    columns = [
        metadata.row_group(i).column(j) for i in range(metadata.num_row_groups) for j in range(metadata.num_columns)
    ]
    values = max([metadata.num_rows, *(column.num_values for column in columns)])
    if values > VALUES_LIMIT:
        raise ValueError(f"unpacks to {values:,} values; at most {VALUES_LIMIT:,} are allowed")
    if metadata.num_row_groups != 1:
        raise ValueError(f"{metadata.num_row_groups} row groups; expected one")
    for column in columns:
        try:
            _check_column(data, column)
        except (IndexError, struct.error, RecursionError) as error:
            raise ValueError(f"{column.path_in_schema}: no headers of pages: {error!r}") from None
        except ValueError as error:
            raise ValueError(f"{column.path_in_schema}: {error}") from None


def _check_column(data: bytes, column: Any) -> None:
    starts = [at for at in (column.dictionary_page_offset, column.data_page_offset) if at is not None]
    start, length = min(starts), column.total_compressed_size
    if not 4 <= start <= start + length <= len(data):
        raise ValueError(f"{length} bytes at {start}: not in the file")
    values = unpacked = 0
    for header in _headers(data, start, start + length):
        unpacked += header[2]
        if not 0 <= header[2] <= BYTES_LIMIT or unpacked > BYTES_LIMIT:
            raise ValueError(f"unpacks to {max(unpacked, header[2]):,} bytes; at most {BYTES_LIMIT:,} are allowed")
        details = header[_DETAILS[header[1]]]
        if header[1] == _DICTIONARY:
            if not 0 <= details[1] <= DICTIONARY_LIMIT:
                raise ValueError(f"a dictionary of {details[1]:,} entries; at most {DICTIONARY_LIMIT:,} are allowed")
            continue
        encoding = details[2 if header[1] == _DATA else 4]
        if encoding not in _ENCODINGS:
            raise ValueError(f"encoding {encoding}; expected one of {_ENCODINGS}")
        if details[1] < 0:
            raise ValueError(f"a page of {details[1]:,} values")
        values += details[1]
    if values != column.num_values:
        raise ValueError(f"{values:,} values in its pages; expected {column.num_values:,}, as the footer says")


def _headers(data: bytes, at: int, end: int) -> Iterator[dict[int, Any]]:
    """The headers of the pages between two places."""
    while at < end:
        reader = _Compact(data, at)
        header = reader.struct()
        if header.get(1) not in _DETAILS or not all(isinstance(header.get(key), int) for key in (2, 3)):
            raise ValueError(f"a page of the unknown type {header.get(1)}")
        details = header.get(_DETAILS[header[1]])
        wanted = (1, 2 if header[1] != _DATA_V2 else 4)
        if not isinstance(details, dict) or not all(isinstance(details.get(key), int) for key in wanted):
            raise ValueError("a page without the number of its values")
        at = reader.at + header[3]
        if header[3] < 0 or at > end:
            raise ValueError(f"a page of {header[3]:,} bytes, which leaves its column")
        yield header


class _Compact:
    """Values in Thrift's compact protocol."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        found = shift = 0
        while True:
            byte = self.byte()
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
            if (shift := shift + 7) > 63:
                raise ValueError("a number of more than 64 bits")

    def integer(self) -> int:
        found = self.varint()
        return (found >> 1) ^ -(found & 1)

    def struct(self) -> dict[int, Any]:
        """Fields by number; of those that don't matter here, no more than that they are skipped."""
        found: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            found[number] = self.value(head & 0x0F)
        return found

    def value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 12:
            return self.struct()
        if kind not in (7, 8):  # the headers of pages have no lists or maps
            raise ValueError(f"a value of the type {kind}")
        length = 8 if kind == 7 else self.varint()
        self.at += length
        return None
