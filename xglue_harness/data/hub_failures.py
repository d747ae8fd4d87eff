"""What stopped a download from the Hub, and the way out, in one message."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from xglue_harness.data.hub_datasets import COPY
from xglue_harness.data.manifest import official_archive
from xglue_harness.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ASKS_WHO = (401, 403)


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` keeps the Hub's client from the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def endpoint() -> str:
    """The Hub, or the mirror that ``HF_ENDPOINT`` names."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def refusal(error: Exception, repository: str) -> DataError:
    """The one error for whatever the Hub's client, its HTTP library, the server or the disk raised.

    Args:
        error: what was raised.
        repository: what was to be downloaded from.
    """
    official = official_archive()
    causes = _chain(error)
    if is_offline():
        reason = "HF_HUB_OFFLINE is set, and the archive is neither in the Hub's cache nor unpacked in ours"
        way_out = "unset it, or run `xglue-harness data get DIR` where there is a network and set XGLUE_DATA=DIR here"
    else:
        reason, way_out = _reason(causes), _way_out(causes)
    return DataError(
        f"cannot download {official.file} from {repository} at {endpoint()}: {reason}; {way_out}. An archive of your "
        f"own (sha256 {official.sha256}) serves as well: XGLUE_DATA=/path/{official.file}"
    )


def _way_out(causes: Sequence[BaseException]) -> str:
    from huggingface_hub import errors

    if any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes):
        return f"make room, or set HF_HOME to a disk that has {official_archive().bytes / 1e6:.0f} MB"
    asks = any(isinstance(cause, errors.GatedRepoError) for cause in causes)
    gone = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError)
    if any(isinstance(cause, gone) for cause in causes) and not asks:
        return (
            "it is not there any more (or HF_TOKEN has expired: the Hub says the same then). A copy of the rows, held "
            f'to the official counts and classes, is {COPY}: --metadata \'{{"data": "{COPY}"}}\''
        )
    if asks or any(_status(cause) in _ASKS_WHO for cause in causes):
        return "the server asks who you are: check HF_TOKEN, `hf auth login`, or remove a token that has expired"
    return "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT, and run the same command again"


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error is about."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what it was raised from, the innermost last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _reason(causes: Sequence[BaseException]) -> str:
    """The first line of the innermost error that says something."""
    said = (line for cause in reversed(causes) if (line := first_line(cause)))
    return next(said, type(causes[0]).__name__).rstrip(".;:")


def first_line(error: BaseException) -> str:
    """The first line of what an error says; may be empty."""
    return next(iter(str(error).strip().splitlines()), "")
