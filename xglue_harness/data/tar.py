"""The official tar, read through once by a reader that no member can lead astray.

Members are other people's data: they may claim any size, have headers without end, come twice, or be links. What is
written is bounded, per file and in total, and so is what is read: text never unpacks to that many times its size.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import posixpath
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from xglue_harness.data.manifest import official_archive
from xglue_harness.errors import DataError
from xglue_harness.files import open_regular

BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
"""What a reader of tar and gzip raises for bytes that are neither."""

MOST_FILE_BYTES = 1_000_000_000
"""Of one unpacked file: as much as all official ones have together, and so no bound for a real one."""

MOST_WRITTEN_BYTES = 3_000_000_000
MOST_MEMBERS = 10_000
MOST_HEADER_BYTES = 1 << 20
"""Of what comes before a member (long names, PAX headers); of all members together, ten times as much."""

_MOST_ALL_HEADERS = 10 * MOST_HEADER_BYTES
_MOST_CHAIN = 8
_FREE_BYTES = 64_000_000
_MOST_GROWTH = 100
"""Text shrinks to a third or a tenth; gzip's zeros to a thousandth."""

_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_BLOCK = 1 << 20


class HostileArchiveError(DataError):
    """An archive asks for what no archive of text needs; the message names archive and member."""


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


class _Bounded:
    """A stream that raises once too much has been read from it."""

    def __init__(self, file: Any, most: int, what: str) -> None:
        self._file, self._left, self._most, self._what = file, most, most, what

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(_BLOCK if size < 0 else min(size, _BLOCK))
        self._left -= len(data)
        if self._left < 0:
            raise HostileArchiveError(
                f"{self._what}: unpacks to more than {self._most / 1e6:.0f} MB, {_MOST_GROWTH} times its own size and "
                "more: no text does; nothing was kept"
            )
        return data


def unpack_members(archive: Path, folder: Path, wanted: Mapping[str, str]) -> tuple[str, dict[str, tuple[str, int]]]:
    """Write the wanted members of an archive, in one read that also gives its sha256.

    Args:
        archive: a gzip tar.
        folder: an empty folder, which the caller removes where this raises.
        wanted: path below ``folder`` by member's name.

    Returns:
        sha256 (hex) of the archive's bytes, as they were read; and of each file written, with its size.

    Raises:
        HostileArchiveError: for a wanted member that is no regular file, comes twice or is too large, and for too much
            of anything.
        DataError: where the archive can't be read.
        OSError: where something can't be written.
        Exception: one of `BROKEN` for what is no complete gzip tar.
    """
    from tqdm.auto import tqdm

    written: dict[str, tuple[str, int]] = {}
    try:
        raw = open_regular(archive)
    except OSError as error:
        raise DataError(f"{archive}: cannot be read: {error.strerror}") from error
    with raw:
        size = os.fstat(raw.fileno()).st_size
        hashing = _Hashing(raw)
        with tqdm.wrapattr(
            hashing, "read", total=size, desc=f"reading {archive.name}", unit="B", unit_scale=True, disable=None
        ) as counted:
            with gzip.GzipFile(fileobj=counted) as gzipped:
                plain: Any = _Bounded(gzipped, _FREE_BYTES + _MOST_GROWTH * size, str(archive))
                with tarfile.open(fileobj=plain, mode="r|", tarinfo=_guarded(archive)) as tar:
                    for number, member in enumerate(tar):
                        if number >= MOST_MEMBERS:
                            raise HostileArchiveError(f"{archive}: more than {MOST_MEMBERS:,} members")
                        if (relative := _official_path(archive, member, wanted)) is not None:
                            if relative in written:
                                raise HostileArchiveError(f"{archive}: {member.name}: stands there twice")
                            written[relative] = _write(archive, tar, member, folder / relative)
                            if sum(length for _, length in written.values()) > MOST_WRITTEN_BYTES:
                                raise HostileArchiveError(f"{archive}: the eight tasks take more than 3 GB in it")
                # The tar ends before the gzip stream does, and the checksum is at the end of the stream.
                while plain.read():
                    pass
            while counted.read(_BLOCK):
                pass
    return hashing.digest.hexdigest(), written


def _guarded(archive: Path) -> type[tarfile.TarInfo]:
    """Headers that are refused as soon as they state their size: tarfile reads all that precedes a member at once."""
    total = chain = 0

    class Member(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
            nonlocal chain, total
            member = super().frombuf(buf, encoding, errors)
            if member.size < 0:
                raise HostileArchiveError(f"{archive}: {member.name}: {member.size} bytes")
            chain = chain + 1 if member.type in _HEADERS else 0
            if chain:
                total += 512 + member.size
                if member.size > MOST_HEADER_BYTES or total > _MOST_ALL_HEADERS or chain > _MOST_CHAIN:
                    raise HostileArchiveError(
                        f"{archive}: {chain} headers before a member, of {total:,} bytes and more"
                    )
            if member.type == tarfile.GNUTYPE_SPARSE:
                raise _sparse(archive, member)
            return member

        def _proc_gnusparse_10(self, *_: Any) -> Any:
            raise _sparse(archive, self)  # before its map is read, which has no bounds

    return Member


def _official_path(archive: Path, member: tarfile.TarInfo, wanted: Mapping[str, str]) -> str | None:
    """Where a member goes; ``None`` for one that is not unpacked, whatever it is."""
    if member.issparse():
        raise _sparse(archive, member)
    plain = posixpath.normpath(member.name)
    meant = posixpath.normpath(f"/{member.name}").lstrip("/")
    if meant not in wanted:
        return None
    if plain != meant or ".." in member.name.split("/"):
        raise HostileArchiveError(f"{archive}: {member.name}: leads out of the archive's folder")
    if not member.isreg():
        kinds = ((member.isdir(), "a folder"), (member.islnk() or member.issym(), "a link"))
        what = next((name for holds, name in kinds if holds), "a device or a pipe")
        raise HostileArchiveError(f"{archive}: {member.name}: is {what}; expected a regular file")
    if member.size > MOST_FILE_BYTES:
        raise HostileArchiveError(f"{archive}: {member.name}: {member.size:,} bytes; at most {MOST_FILE_BYTES:,} do")
    return wanted[meant]


def _sparse(archive: Path, member: tarfile.TarInfo) -> HostileArchiveError:
    return HostileArchiveError(
        f"{archive}: {member.name}: is a sparse file; expected plain ones, as tar makes without --sparse"
    )


def _write(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> tuple[str, int]:
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, length = hashlib.sha256(), 0
    with target.open("xb") as file:
        while block := source.read(_BLOCK):
            file.write(block)
            digest.update(block)
            length += len(block)
    if length != member.size:
        raise EOFError(f"{member.name} ends after {length} of {member.size} bytes")
    return digest.hexdigest(), length


def not_an_archive(archive: Path, error: BaseException) -> DataError:
    """The error for what is no complete gzip tar."""
    return DataError(
        f"{archive}: not a complete gzip tar archive ({error}); expected the official {official_archive().file}: was "
        "the download cut short?"
    )
