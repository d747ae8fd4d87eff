"""How a cached file vouches for its content: a checksum over the content and over the file's own key.

Every file that a run takes numbers from bears one, and it is checked against the very bytes that are used. So a file
that was damaged, or put in another's place, is noticed when it is read; the reader names it and rebuilds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer


class DamagedFileError(ValueError):
    """A file is not as it was written, or stands in another's place."""


def seal(key: str, content: Iterable[Buffer]) -> str:
    """sha256 (hex) over a key and a content; how the content is cut into parts does not matter.

    Args:
        key: what the file is of; part of its name.
        content: its bytes.
    """
    digest = hashlib.sha256(f"{len(key)} {key}\n".encode())
    for part in content:
        digest.update(part)
    return digest.hexdigest()


def sealed_json(key: str, value: Mapping[str, Any]) -> bytes:
    """JSON of a mapping, with its key and its seal.

    Args:
        key: what the file is of.
        value: JSON's own types only, no ``key`` and no ``sha256`` among its names.
    """
    return _json({**value, "key": key, "sha256": seal(key, [_json(value)])})


def unsealed_json(key: str, data: bytes) -> dict[str, Any]:
    """What `sealed_json` was given.

    Args:
        key: what the file should be of.
        data: the file's bytes.

    Raises:
        DamagedFileError: where a byte is another, or the file is of another key.
    """
    try:
        value = json.loads(data)
        whole = _json(value)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"it is no JSON as it was written ({error})") from None
    if not isinstance(value, dict) or whole != data:
        raise DamagedFileError("it is no JSON as it was written")
    written_for, sha256 = value.pop("key", None), value.pop("sha256", None)
    if written_for is None or sha256 is None:
        raise DamagedFileError("it bears no checksum of its own; an older version may have written it")
    if written_for != key:
        raise DamagedFileError(f"it belongs to {str(written_for)[:80]}, not to {key}")
    if sha256 != seal(key, [_json(value)]):
        raise DamagedFileError("its checksum is not its own")
    return value


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
