"""What a stranger's Parquet file would unpack to: its headers say so before anything is unpacked.

A file of 3 kB can hold one text of 20,000 characters and 200,000 references to it, or a page that grows to gigabytes.
Its footer tells sizes, and may lie; what a reader obeys are the headers of the pages. So both are read here, with a
small parser of Thrift's compact protocol, and the sizes in them are held to limits, and to each other. (``pyarrow``
reads a footer as well, but malformed statistics end the process.)
"""

from __future__ import annotations

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

_I32, _I64 = 5, 6
"""Thrift's types of whole numbers."""


def check_sizes(data: bytes) -> None:
    """Hold a file to its limits.

    Args:
        data: the file.

    Raises:
        ValueError: where it is no such file, is larger than allowed, or its sizes contradict each other.
    """
    try:
        groups, rows = _footer(data)
        columns = [column for group in groups for column in group[1]]
        counts = [rows, *(_number(group, 3, _I64) for group in groups), *(_number(c[3], 5, _I64) for c in columns)]
        if not 0 <= min(counts) <= max(counts) <= VALUES_LIMIT:
            raise ValueError(f"unpacks to {max(counts):,} values; at most {VALUES_LIMIT:,} are allowed")
        if len(groups) != 1:
            raise ValueError(f"{len(groups)} row groups; expected one")
        for column in columns:
            _check_column(data, column[3])
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its headers are none of Parquet: {error!r}") from None


def _footer(data: bytes) -> tuple[list[dict[int, Any]], int]:
    """Row groups and number of rows, as the footer has them: structures by the numbers of their fields."""
    if len(data) < 12 or data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        raise ValueError("begins or ends with something else than PAR1")
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if at < 4:
        raise ValueError("a footer that is longer than the file")
    reader = _Compact(data, at)
    footer = reader.struct()
    if reader.at > len(data) - 8 or not {2, 3, 4} <= footer.keys() <= {*range(-7, 8)}:
        raise ValueError("a footer with other fields than an open file has")
    for column in (column for group in footer[4] for column in group[1]):
        if 3 not in column or column.keys() & {1, 8, 9}:  # encrypted, or in another file
            raise ValueError("a column that is not in this file")
    return footer[4], _number(footer, 3, _I64)


def _check_column(data: bytes, column: dict[int, Any]) -> None:
    start, length, expected = (_number(column, number, _I64) for number in (9, 7, 5))
    if 11 in column:  # the place of its dictionary
        start = min(start, _number(column, 11, _I64))
    if not 4 <= start <= start + length <= len(data):
        raise ValueError(f"{length} bytes at {start}: not in the file")
    values = unpacked = 0
    for page, size, details in _pages(data, start, start + length):
        unpacked += size
        if not 0 <= size <= unpacked <= BYTES_LIMIT:
            raise ValueError(f"unpacks to {max(unpacked, size):,} bytes; at most {BYTES_LIMIT:,} are allowed")
        count = _number(details, 1, _I32)
        if page == _DICTIONARY:
            if not 0 <= count <= DICTIONARY_LIMIT:
                raise ValueError(f"a dictionary of {count:,} entries; at most {DICTIONARY_LIMIT:,} are allowed")
            continue
        encoding = _number(details, 2 if page == _DATA else 4, _I32)
        if encoding not in _ENCODINGS or count < 0:
            raise ValueError(f"a page of {count:,} values, encoding {encoding}; expected one of {_ENCODINGS}")
        values += count
    if values != expected:
        raise ValueError(f"{values:,} values in the pages of a column; expected {expected:,}, as the footer says")


def _pages(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, dict[int, Any]]]:
    """Type, size when unpacked, and details of each page between two places."""
    while at < end:
        reader = _Compact(data, at)
        header = reader.struct()
        page, size, packed = (_number(header, number, _I32) for number in (1, 2, 3))
        at = reader.at + packed
        if page not in _DETAILS or packed < 0 or at > end:
            raise ValueError(f"a page of the type {page} and {packed:,} bytes; expected one that its column holds")
        yield page, size, header[_DETAILS[page]]


def _number(fields: dict[int, Any], number: int, kind: int) -> int:
    """A whole number of the type that the format wants; a reader skips any other."""
    if fields.get(-number) != kind:
        raise ValueError(f"field {number} is of the type {fields.get(-number)}; expected {kind}")
    return int(fields[number])


class _Compact:
    """Values in Thrift's compact protocol."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            if (shift := shift + 7) > 63:
                raise ValueError("a number of more than 64 bits")

    def integer(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def struct(self) -> dict[int, Any]:
        """Fields by number, and their types by its negative; texts are skipped."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            if number in fields or number < 1:
                raise ValueError(f"field {number} twice, or below 1")
            fields[-number] = head & 0x0F
            fields[number] = self.value(head & 0x0F)
        return fields

    def value(self, kind: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.integer()
        if kind == 12:
            return self.struct()
        if kind == 9:
            head = self.byte()
            count = head >> 4 if head >> 4 < 15 else self.varint()
            return [self.value(head & 0x0F) for _ in range(min(count, len(self.data)))]
        if kind not in (7, 8):  # no header has sets or maps
            raise ValueError(f"a value of the type {kind}")
        length = 8 if kind == 7 else self.varint()
        self.at += length
        return None
