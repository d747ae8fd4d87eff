"""The official archive from the Hub: the real client, a small hub on the loopback, an archive of the full shape."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import command
from tests.helpers.hub import COMMIT, FakeHub, as_official, serving, use
from tests.helpers.layout import pack, write_layout
from xglue_harness.benchmark import TASKS, task
from xglue_harness.data import fingerprint, open_source
from xglue_harness.data.hub_archive import LICENCES, fetch_folder, get, official_folder
from xglue_harness.data.unpacked import MANIFEST
from xglue_harness.errors import DataError

FILE = "xglue_full_dataset.tar.gz"
NER = task("ner")
OFFICIAL = sorted(path for spec in TASKS.values() for _, _, path in spec.files())


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("archive")
    others = {f"xglue_full_dataset/{name}/en.train": os.urandom(20_000) for name in ("MLQA", "QG", "NTG")}
    return pack(folder / FILE, write_layout(folder / "data"), others).read_bytes()


@pytest.fixture
def hub(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has the archive; the caches are new, and nothing waits between two tries."""
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serving(FakeHub(archive)) as found:
        found.gate.set()
        as_official(monkeypatch, found.sha256, len(archive))
        use(monkeypatch, found.url, str(tmp_path / "hub"))
        yield found


def files_of(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST
    )


def refused() -> str:
    with pytest.raises(DataError) as caught:
        fetch_folder()
    assert official_folder() is None
    return str(caught.value)


def run(*args: object) -> tuple[int, str, str]:
    return command("data", *args)


def test_downloaded_checked_and_unpacked_once(hub: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder = fetch_folder()
        assert fetch_folder() == folder == official_folder()
    assert folder == tmp_path / "cache/archives" / hub.sha256
    assert files_of(folder) == OFFICIAL
    assert (hub.heads, hub.ranges) == ([(COMMIT, FILE)], [""])
    before, after = caplog.messages
    assert before.startswith(f"{FILE}: downloading 0 MB from microsoft/xglue on the Hugging Face Hub; unpacked, the ")
    assert LICENCES in before
    place = f"{tmp_path}/hub/datasets--microsoft--xglue"
    assert after.endswith(f"The archive in the Hub's cache is not needed any more; to remove it: rm -r {place}")
    shutil.rmtree(place)
    assert fetch_folder() == folder


def test_every_task_of_data_hub_comes_from_it(hub: FakeHub) -> None:
    source = open_source(None)
    assert source.available(NER) == NER.languages
    assert source.available(task("pos"), "train") == ("en",)
    for spec in TASKS.values():
        assert len(source.load(spec, "test", "en").dataset) == 4
    assert source.name == "hub"
    assert source.description == f"microsoft/xglue@{COMMIT}, {FILE} (sha256 {hub.sha256})"
    assert hub.ranges == [""]


def test_the_pull_request_by_name_where_the_commit_is_unknown(hub: FakeHub) -> None:
    hub.revisions = ("refs/pr/7",)
    assert files_of(fetch_folder()) == OFFICIAL
    assert hub.heads == [(COMMIT, FILE), ("refs/pr/7", FILE)]


def test_a_connection_that_breaks_goes_on_where_it_was(hub: FakeHub) -> None:
    hub.cut = 2
    assert files_of(fetch_folder()) == OFFICIAL
    first, second, third = (int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in hub.ranges)
    assert first == 0 < second < third < len(hub.content)


def test_a_connection_that_always_breaks_is_an_error_and_the_next_run_works(hub: FakeHub) -> None:
    hub.cut = 1000
    assert "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT, and run the same command again" in refused()
    hub.cut = 0
    assert files_of(fetch_folder()) == OFFICIAL


def test_another_sha256_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.sent = hub.content[:-1] + b"?"
    other = hashlib.sha256(hub.sent).hexdigest()
    message = refused()
    place = tmp_path / "hub/datasets--microsoft--xglue"
    assert message.startswith(
        f"{place}/snapshots/{COMMIT}/{FILE}: sha256 {other} ({len(hub.content)} bytes); expected "
    )
    assert f"or {hub.url} serves another one. Remove {place} and run the same command again" in message
    shutil.rmtree(place)
    hub.sent = b""
    assert files_of(fetch_folder()) == OFFICIAL


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        ("RepoNotFound", """hgissbkh/xglue: --metadata '{"data": "hgissbkh/xglue"}\'"""),
        ("EntryNotFound", "is hgissbkh/xglue: "),
        ("RevisionNotFound", "is hgissbkh/xglue: "),
        ("GatedRepo", "check HF_TOKEN, `hf auth login`"),
        ("", "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT"),
    ],
)
def test_what_the_hub_refuses(error: str, way_out: str, hub: FakeHub) -> None:
    hub.error = error
    message = refused()
    assert message.startswith(f"cannot download {FILE} from microsoft/xglue at {hub.url}: ")
    assert way_out in message
    assert f"XGLUE_DATA=/path/{FILE}" in message
    assert len(message.splitlines()) == 1


def test_no_network(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "hub"))
    message = refused()
    assert "check the network, the proxy (HTTPS_PROXY)" in message
    assert "Connection refused" in message


def test_a_proxy_that_does_not_answer(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import close_session

    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    close_session()  # the client reads the environment when it is made
    try:
        assert "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT" in refused()
    finally:
        close_session()
    assert hub.heads == []


def test_offline(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, hub.url, str(tmp_path / "hub"), offline=True)
    message = refused()
    assert "HF_HUB_OFFLINE is set" in message
    assert "run `xglue-harness data get DIR` where there is a network and set XGLUE_DATA=DIR here" in message
    assert hub.heads == []


def test_offline_with_what_is_there(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetch_folder()
    use(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "hub"), offline=True)
    assert fetch_folder() == first
    shutil.rmtree(first)  # the archive is still in the Hub's cache
    assert files_of(fetch_folder()) == OFFICIAL


def test_what_is_damaged_is_unpacked_anew_or_refused(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fetch_folder()
    path = folder / "NER/de.test"
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"B-PER", b"I-PER"))
    use(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "hub"), offline=True)
    with caplog.at_level(logging.WARNING):
        assert len(open_source("hub").load(NER, "test", "de").dataset) == 4
    assert f"the unpacked archive is damaged ({path}: sha256" in caplog.text
    assert path.read_bytes() == sound
    path.write_bytes(sound + b"x O\n")
    get(tmp_path / "mine")
    assert (tmp_path / "mine/NER/de.test").read_bytes() == sound
    path.unlink()
    shutil.rmtree(tmp_path / "hub")
    with pytest.raises(DataError) as caught:
        open_source("hub").load(NER, "test", "de")
    assert str(caught.value).startswith(f"{path}: is missing; and the archive can't be unpacked anew: cannot download")
    assert "run `xglue-harness data get DIR` where there is a network and set XGLUE_DATA=DIR here" in str(caught.value)
    assert run("check")[1].splitlines()[-1].endswith("problems")
    with pytest.raises(DataError, match="is missing; and the archive can't be unpacked anew"):
        get(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_no_room_is_known_before_the_download(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 10_000_000

    monkeypatch.setattr("xglue_harness.data.hub_archive.shutil.disk_usage", lambda _: Usage)
    message = refused()
    assert message.startswith(f"the XGLUE archive needs 903 MB in {tmp_path}/hub and {tmp_path}/cache/archives/")
    assert "where 10 MB are free: make room, or set HF_HOME" in message
    assert (hub.heads, (tmp_path / "hub").exists()) == ([], False)


def test_a_disk_that_fills_up(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", full)
        assert "No space left on device; make room, or set HF_HOME to a disk that has" in refused()
    with monkeypatch.context() as patch:
        patch.setattr("xglue_harness.data.tar._write", full)
        assert "No space left on device); set the environment variable XGLUE_CACHE" in refused()
    assert list((tmp_path / "cache/archives").iterdir()) == []
    assert files_of(fetch_folder()) == OFFICIAL


def test_the_rows_of_a_port_have_the_fingerprint_of_the_archive(hub: FakeHub, tmp_path: Path) -> None:
    import datasets

    xnli = task("xnli")
    official = open_source("hub").load(xnli, "test", "de")
    (tmp_path / "port/de").mkdir(parents=True)
    official.dataset.to_json(tmp_path / "port/de/test.jsonl")
    source = open_source({"xnli": str(tmp_path / "port")})
    assert source.load(xnli, "test", "de").files == official.files == {"XNLI/de.test": official.files["XNLI/de.test"]}
    assert source.description == f"xnli: {tmp_path}/port; other tasks: {open_source('hub').description}"
    assert source.load(NER, "test", "de").files == open_source("hub").load(NER, "test", "de").files
    rows = official.dataset.to_list()
    rows[3]["premise"] += "!"
    datasets.Dataset.from_list(rows).to_json(tmp_path / "port/de/test.jsonl")
    assert fingerprint(source.load(xnli, "test", "de").files) != fingerprint(official.files)


def test_get(hub: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code, out, _ = run("get")
    assert (code, out) == (0, f'{official_folder()}: ready; data "hub", the default, finds it, offline too\n')
    assert len(caplog.messages) == 2, "what comes, and what is left to do"
    code, out, _ = run("check", "--json")
    assert f'"path": "{official_folder()}"' in out
    code, out, err = run("get", tmp_path / "mine")
    assert (code, err) == (0, "")
    assert f"{tmp_path}/mine: ready; now: export XGLUE_DATA={tmp_path}/mine" in out
    assert files_of(tmp_path / "mine") == OFFICIAL
    assert hub.ranges == [""]
    code, _, err = run("get", tmp_path / "mine")
    assert (code, err) == (
        2,
        f"xglue-harness: {tmp_path}/mine: the folder is not empty; expected a new or an empty one\n",
    )


def test_get_into_a_folder_of_ones_own(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    code, out, _ = run("get", tmp_path / "mine")
    assert (code, files_of(tmp_path / "mine")) == (0, OFFICIAL)
    assert f"export XGLUE_DATA={tmp_path}/mine" in out
    assert official_folder() is None, "it is kept once"
    hub.error = "RepoNotFound"
    shutil.rmtree(tmp_path / "hub")
    code, _, err = run("get", tmp_path / "other")
    assert (code, (tmp_path / "other").exists()) == (2, False)
    assert err.startswith(f"xglue-harness: cannot download {FILE}")


def test_check_of_what_is_there(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("check")
    assert (code, hub.heads) == (2, [])
    assert err.startswith("xglue-harness: no data on this machine yet: `xglue-harness data get` fetches them")
    monkeypatch.setenv("XGLUE_DATA", str(tmp_path / "nowhere"))
    assert run("check")[2].startswith(f"xglue-harness: {tmp_path}/nowhere: no such file or folder")
    monkeypatch.setenv("XGLUE_DATA", "sample")
    code, out, _ = run("check", "--allow-partial")
    assert (code, out.splitlines()[-1].endswith("sample: all is well")) == (0, True)


@pytest.mark.processes
def test_two_processes_at_once_and_one_that_is_killed(hub: FakeHub, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    environment |= {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "tests.helpers.command", hub.sha256, str(len(hub.content)), "data", "get"]

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    hub.gate.clear()
    killed = start()
    assert hub.halfway.wait(300)
    killed.kill()
    killed.communicate()
    assert official_folder() is None
    hub.halfway.clear()
    both = [start(), start()]
    assert hub.halfway.wait(300)
    hub.gate.set()
    outcomes = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outcomes
    assert len(hub.ranges) == 2, "the killed one's transfer and one more"
    folder = official_folder()
    assert folder is not None
    assert files_of(folder) == OFFICIAL
    assert list(folder.parent.iterdir()) == [folder]
