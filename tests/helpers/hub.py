"""A small Hugging Face Hub on the loopback: answers the real client as the Hub does, and breaks on request."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from xglue_harness.data import manifest
from xglue_harness.data.hub_archive import REPOSITORY, REVISIONS

COMMIT = REVISIONS[0]
ERRORS = {"RepoNotFound": 401, "RevisionNotFound": 404, "EntryNotFound": 404, "GatedRepo": 403, "": 500}
"""Status that goes with each of the Hub's error codes."""


@dataclass
class FakeHub:
    """What the server has and what it was asked.

    Attributes:
        content: the file's bytes.
        sent: the bytes that are served in their place, where a mirror serves something else.
        revisions: those that are known, as the client spells them.
        error: code that every request is answered with, of `ERRORS`.
        cut: how many transfers end halfway.
        gate: transfers stop halfway until it is set.
        heads: what was asked with HEAD: revision and file.
        ranges: the ``Range`` of each GET, ``""`` for a whole file.
        url: of the server.
    """

    content: bytes
    sent: bytes = b""
    revisions: tuple[str, ...] = (COMMIT, "refs/pr/7")
    error: str | None = None
    cut: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    halfway: threading.Event = field(default_factory=threading.Event)
    heads: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def sha256(self) -> str:
        """Of the file that it says it has."""
        return hashlib.sha256(self.content).hexdigest()


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Let the hub answer at ``hub.url``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            revision, file = _asked(self.path)
            hub.heads.append((revision, file))
            error = "RevisionNotFound" if revision not in hub.revisions else hub.error
            if error is not None:
                self._answer(ERRORS[error], {"X-Error-Code": error, "X-Error-Message": f"the hub says {error}"})
                return
            elsewhere = hub.url.replace("127.0.0.1", "localhost")  # another host, as the Hub's large files have one
            self._answer(
                302,
                {
                    "Location": f"{elsewhere}/lfs/{hub.sha256}",
                    "X-Repo-Commit": COMMIT,
                    "X-Linked-Etag": f'"{hub.sha256}"',
                    "X-Linked-Size": str(len(hub.content)),
                    "ETag": '"of-the-pointer"',
                },
            )

        def do_GET(self) -> None:
            if not self.path.startswith("/lfs/"):  # the client has questions of its own
                self._answer(404, {})
                return
            asked = self.headers.get("Range", "")
            hub.ranges.append(asked)
            body = hub.sent or hub.content
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if asked else {}
            self.send_response(206 if asked else 200)
            for name, value in {"Content-Length": str(len(body) - start), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            middle = start + (len(body) - start) // 2
            self.wfile.write(body[start:middle])
            self.wfile.flush()
            hub.halfway.set()
            hub.gate.wait(300)
            if hub.cut:
                hub.cut -= 1
                self.close_connection = True
                return
            with suppress(OSError):  # whoever asked was killed
                self.wfile.write(body[middle:])

        def _answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _asked(path: str) -> tuple[str, str]:
    repository, _, rest = path.partition("/resolve/")
    assert repository == f"/datasets/{REPOSITORY}", path
    revision, _, file = rest.rpartition("/")
    return unquote(revision), unquote(file)


def as_official(patch: pytest.MonkeyPatch, sha256: str, size: int) -> None:
    """Let the manifest's archive be the one of that hash (hex) and size in bytes."""
    facts = {"file": "xglue_full_dataset.tar.gz", "bytes": size, "sha256": sha256}
    patch.setitem(manifest._facts(), "archive", facts)


def use(patch: pytest.MonkeyPatch, url: str, cache: str, *, offline: bool = False) -> None:
    """Point the Hub's client of this process, which reads its environment only once, to a server and a cache."""
    patch.setenv("NO_PROXY", "127.0.0.1,localhost")
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", cache)
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    patch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)
