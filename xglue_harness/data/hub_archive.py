"""The official archive from the Hugging Face Hub: downloaded and checked once, and kept unpacked in the cache.

Its homepage offers a download that has long been refused; the same file, byte for byte, lies in a pull request of the
benchmark's own dataset repository. The transfer itself is ``huggingface_hub``'s: its cache, progress bar, retries,
tokens, mirrors (``HF_ENDPOINT``) and offline mode work as they always do.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path

from xglue_harness.atomic import new_folder
from xglue_harness.data.archive import archive_sha256, unpack_once, unpacked_folder, use_unpacked
from xglue_harness.data.hub_failures import endpoint, is_offline, refusal
from xglue_harness.data.manifest import official_archive
from xglue_harness.data.prepare import check_new, prepare
from xglue_harness.data.unpacked import copy_unpacked
from xglue_harness.errors import DataError
from xglue_harness.files import nearest_existing, no_room

REPOSITORY = "microsoft/xglue"
REVISIONS = ("3a24c825e7d5e4f7ffc040bdb3bc81d3d811e897", "refs/pr/7")
"""The commit that added the archive, and the pull request that holds it, for a mirror that only knows that name."""

UNPACKED_BYTES = 903_000_000
"""About what the eight tasks' files take: the sum of the dataset sizes that the old ``xglue`` loader stated."""

LICENCES = (
    "XGLUE is for research only, by its own terms; NER's text is Reuters' (CoNLL), POS is Universal Dependencies' "
    "(CC BY-SA and others)"
)

logger = logging.getLogger(__name__)


def describe() -> str:
    """Where the archive comes from, for a record."""
    official = official_archive()
    return f"{REPOSITORY}@{REVISIONS[0]}, {official.file} (sha256 {official.sha256})"


def official_folder() -> Path | None:
    """The folder in the cache that holds the eight tasks; ``None`` where the archive was not unpacked yet."""
    folder = unpacked_folder(official_archive().sha256)
    return folder if folder.is_dir() else None


def fetch_folder() -> Path:
    """The folder in the cache that holds the eight tasks; downloaded and unpacked if it is not there yet.

    Any number of processes may ask at once: one does the work, the others wait for it.

    Raises:
        DataError: if the archive can't be had, is another one, or the disk is full; nothing half-done stays.
    """
    folder = unpacked_folder(official_archive().sha256)
    if unpack_once(folder, fetch_archive):
        _tell_of_the_rest(folder)
    return folder


def get(folder: Path) -> None:
    """Put the eight tasks into a folder of the user's: from the cache where they are there, else from the Hub.

    Args:
        folder: a new or an empty folder.

    Raises:
        DataError: as `fetch_folder`, or if ``folder`` is not empty or can't be written; then it stays as it was.
    """
    check_new(folder)
    if (there := official_folder()) is None:
        prepare(fetch_archive(folder), folder)
        _tell_of_the_rest(folder)
        return
    try:
        with new_folder(folder) as inner:
            use_unpacked(there, fetch_archive, lambda there: copy_unpacked(there, inner))
    except OSError as error:
        raise DataError(
            f"cannot copy {there} to {folder}: {error.strerror or error}; nothing was left behind"
        ) from error


def fetch_archive(folder: Path | None = None) -> Path:
    """The archive in the Hub's cache, downloaded if it is not there yet, its sha256 checked.

    Args:
        folder: where it will be unpacked; by default the cache.

    Raises:
        DataError: if it can't be had or is another one.
    """
    archive = _cached() or _download(folder or unpacked_folder(official_archive().sha256))
    official, sha256 = official_archive(), archive_sha256(archive)
    if sha256 != official.sha256:
        unset = ", with HF_ENDPOINT unset" if "HF_ENDPOINT" in os.environ else ""
        raise DataError(
            f"{archive}: sha256 {sha256} ({archive.stat().st_size} bytes); expected {official.sha256} "
            f"({official.bytes} bytes): the file is damaged, or {endpoint()} serves another one. Remove {_place()} "
            f"and run the same command again{unset}"
        )
    return archive


def _cached() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for revision in REVISIONS:
        path = try_to_load_from_cache(REPOSITORY, official_archive().file, revision=revision, repo_type="dataset")
        if isinstance(path, str):  # else it is not there, or known not to exist
            return Path(path)
    return None


def _download(folder: Path) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RevisionNotFoundError

    official = official_archive()
    if not is_offline():
        _check_room(folder)
        logger.warning(
            "%s: downloading %.0f MB from %s on the Hugging Face Hub; unpacked, the eight tasks take about %.1f GB in "
            "%s. %s",
            *(official.file, official.bytes / 1e6, REPOSITORY, UNPACKED_BYTES / 1e9, folder, LICENCES),
        )
    load = partial(hf_hub_download, REPOSITORY, official.file, repo_type="dataset", library_name="xglue-harness")
    commit, pull_request = REVISIONS
    try:
        try:
            return Path(load(revision=commit))
        except RevisionNotFoundError:
            return Path(load(revision=pull_request))
    except Exception as error:  # the client lets errors of its HTTP library through, and which library that is changes
        raise refusal(error, REPOSITORY) from error


def _check_room(folder: Path) -> None:
    """Refuse to begin a download that the disk has no room for.

    Raises:
        DataError: naming the folders, what they need and what is free.
    """
    from huggingface_hub import constants

    needs: dict[int, int] = defaultdict(int)
    places: dict[int, list[Path]] = defaultdict(list)
    for place, wanted in ((Path(constants.HF_HUB_CACHE), official_archive().bytes), (folder, UNPACKED_BYTES)):
        device = nearest_existing(place).stat().st_dev
        needs[device] += wanted
        places[device].append(place)
    for device, wanted in needs.items():
        free = shutil.disk_usage(nearest_existing(places[device][0])).free
        if free < wanted:
            raise DataError(
                f"the XGLUE archive needs {wanted / 1e6:.0f} MB in {' and '.join(map(str, places[device]))}, where "
                f"{free / 1e6:.0f} MB are free: make room, or set HF_HOME (for the download) and XGLUE_CACHE (for the "
                "files) to a disk that has it; nothing was downloaded"
            ) from no_room()


def _tell_of_the_rest(folder: Path) -> None:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    logger.warning(
        "%s: the eight tasks are there (%.0f MB). The archive in the Hub's cache is not needed any more; to remove it: "
        "rm -r %s",
        *(folder, size / 1e6, _place()),
    )


def _place() -> Path:
    """The repository's folder in the Hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{REPOSITORY.replace('/', '--')}"
