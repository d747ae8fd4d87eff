"""The same text is tokenised once, and no file is ever taken for another's."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import normalizers
from transformers import AutoTokenizer

from tests.helpers import tokenizers
from tests.helpers.training import WORDS, pairs, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.fingerprint import subwords_sha256, tokenizer_sha256
from xglue_harness.encoders.inputs import Inputs
from xglue_harness.encoders.loading import Checkpoint, load_tokenizer
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import DataError
from xglue_harness.seal import DamagedFileError
from xglue_harness.store import token_cache
from xglue_harness.store.token_cache import cached, checked_tensors, tokens_key

XNLI, POS, NC = TASKS["xnli"], TASKS["pos"], TASKS["nc"]
ROWS = {
    "xnli": pairs(7),
    "pos": [*sentences(5), {"words": ["catdog"] * 30, "pos": [3] * 30}, {"words": [], "pos": []}],
    "nc": [{"news_title": "the", "news_body": "dog " * n, "news_category": n} for n in range(5)],
}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


def _same(one, other):
    assert one.tensors().keys() == other.tensors().keys()
    for name, column in one.tensors().items():
        assert column.dtype == other.tensors()[name].dtype, name
        assert torch.equal(column, other.tensors()[name]), name


@pytest.mark.parametrize("make", [tokenizers.bert, tokenizers.xlmr])
@pytest.mark.parametrize("count", [0, 5])
@pytest.mark.parametrize("task", ROWS)
def test_a_second_call_tokenises_nothing(task, count, make, root, monkeypatch, caplog):
    tokenizer, rows = make(), ROWS[task][-count:] if count else []
    first = cached(TASKS[task], rows, tokenizer, "en", 16)
    _same(first, tokenised(TASKS[task], rows, tokenizer, "en", 16))
    [file] = root.iterdir()

    class Deaf(type(tokenizer)):
        """Reads what the frame is read off, and no row."""

        def __call__(self, text, *others, **options):
            assert text == "a" or text == ["a"] or text == ["a", "b"], text
            return super().__call__(text, *others, **options)

    tokenizer.__class__ = Deaf
    with pytest.raises(AssertionError):
        tokenizer(["the"])
    with caplog.at_level(logging.INFO):
        again = cached(TASKS[task], rows, tokenizer, "en", 16)
    _same(first, again)
    assert f"{TASKS[task].title} en: the tokens of {len(rows)} rows come from the cache" in caplog.text
    assert list(root.iterdir()) == [file]


def test_rows_of_a_data_set_and_of_a_list_are_the_same_and_lie_in_the_file(root):
    rows = [{"premise": f"the cat {n}", "hypothesis": "x" * n, "label": n % 3} for n in range(25)]
    tokenizer = tokenizers.bert()
    keys = {
        tokens_key(XNLI, form, tokenizer, "en", 16)
        for form in (rows, Dataset.from_list(rows), Dataset.from_list([*rows, rows[0]]).select(range(25)))
    }
    assert len(keys) == 1
    first = cached(XNLI, Dataset.from_list(rows), tokenizer, "en", 16)
    _same(first, tokenised(XNLI, rows, tokenizer, "en", 16))
    second = cached(XNLI, rows, tokenizer, "en", 16)
    if sys.platform == "linux":
        [file] = root.iterdir()
        maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
        spans = [tuple(int(end, 16) for end in line[0].split("-")) for line in maps]
        for column in second.tensors().values():
            assert any(start <= column.data_ptr() < stop for start, stop in spans), "read into memory"


def _key(spec=XNLI, rows=None, tokenizer=None, language="en", length=16):
    return tokens_key(spec, ROWS[spec.name] if rows is None else rows, tokenizer or tokenizers.bert(), language, length)


def _changed(rows, column, change):
    return [{**rows[0], column: change(rows[0][column])}, *rows[1:]]


def test_keys_follow_all_that_decides_the_tokens(monkeypatch):
    rows, words = ROWS["xnli"], ROWS["pos"][1:]
    lower = tokenizers.bert()
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    more, special = tokenizers.bert(), tokenizers.bert()
    more.add_tokens(["xylophone"])
    special.add_tokens(["xylophone"], special_tokens=True)
    keys = {
        "itself": _key(),
        "text": _key(rows=_changed(rows, "hypothesis", lambda text: text + " cat")),
        "label": _key(rows=_changed(rows, "label", lambda label: label + 1)),
        "order": _key(rows=rows[::-1]),
        "fewer rows": _key(rows=rows[:-1]),
        "no rows": _key(rows=[]),
        "length": _key(length=17),
        "columns": _key(replace(XNLI, text_a=XNLI.text_b, text_b=XNLI.text_a)),
        "words": _key(POS, words),
        "word": _key(POS, rows=_changed(words, "words", lambda own: [*own[:-1], "cat"])),
        "cut of words": _key(POS, rows=_changed(words, "words", lambda own: [own[0] + own[1][0], own[1][1:]])),
        "label of a word": _key(POS, rows=_changed(words, "pos", lambda own: [*own[:-1], 16])),
        "vocabulary": _key(tokenizer=tokenizers.bert([*WORDS, "other"])),
        "another family": _key(tokenizer=tokenizers.xlmr()),
        "normalizer": _key(tokenizer=lower),
        "added word": _key(tokenizer=more),
        "added special": _key(tokenizer=special),
        "German": _key(tokenizer=tokenizers.mbart50(), language="de"),
        "English": _key(tokenizer=tokenizers.mbart50(), language="en"),
    }
    monkeypatch.setattr(token_cache, "TOKENS_VERSION", token_cache.TOKENS_VERSION + 1)
    keys["code"] = _key()
    monkeypatch.setattr(token_cache, "_libraries", lambda: ["another library"])
    keys["library"] = _key()
    assert len(set(keys.values())) == len(keys), keys
    monkeypatch.undo()
    assert _key() == keys["itself"]
    assert _key(language="de") == keys["itself"], "BERT reads no language code"
    assert _key(tokenizer=tokenizers.mbart50(), language="bg") == keys["English"], "it is read as English"


def test_a_tokenizer_that_learns_a_word_is_another():
    tokenizer = tokenizers.bert()
    before = _key(tokenizer=tokenizer)
    tokenizer.add_tokens(["xylophone"])
    assert _key(tokenizer=tokenizer) != before


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_different_rows_have_different_keys(data):
    texts = st.text(alphabet="ab \x00é\ud800", max_size=3)
    row = st.fixed_dictionaries({"premise": texts, "hypothesis": texts, "label": st.integers(0, 2)})
    one, other = data.draw(st.lists(row, max_size=3)), data.draw(st.lists(row, max_size=3))
    assert (token_cache._rows_sha256(XNLI, one) == token_cache._rows_sha256(XNLI, other)) == (one == other)
    words = st.lists(texts, max_size=3).flatmap(
        lambda own: st.fixed_dictionaries({"words": st.just(own), "pos": st.just([0] * len(own))})
    )
    one, other = data.draw(st.lists(words, max_size=3)), data.draw(st.lists(words, max_size=3))
    assert (token_cache._rows_sha256(POS, one) == token_cache._rows_sha256(POS, other)) == (one == other)


def test_the_hash_of_many_rows_is_put_together(monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK", 2)
    rows = [{"premise": "a" * (n % 3), "hypothesis": "b", "label": n % 2} for n in range(7)]
    keys = {token_cache._rows_sha256(XNLI, rows[:count]) for count in range(8)}
    assert len(keys) == 8


@pytest.mark.parametrize("family", ["mbart50", "nllb"])
def test_tokenizers_that_differ_in_names_and_default_language_share(family, tmp_path, root):
    """As mBART-large-50 and its m2m, m2o and o2m models do."""
    original = getattr(tokenizers, family)()
    folders = [tmp_path / name for name in ("large-50", "many-to-one")]
    for folder in folders:
        original.save_pretrained(folder)
    settings = folders[1] / "tokenizer_config.json"
    codes = {"src_lang": "de_DE", "tgt_lang": "fr_XX"} if family == "mbart50" else {"src_lang": "deu_Latn"}
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "name_or_path": "elsewhere", **codes}))
    one, other = (load_tokenizer(Checkpoint(str(folder))) for folder in folders)
    assert one.src_lang != other.src_lang
    assert one("the cat")["input_ids"] != other("the cat")["input_ids"]
    assert tokenizer_sha256(one) == tokenizer_sha256(other)
    for language in ("en", "de", "bg"):
        first = cached(XNLI, ROWS["xnli"], one, language, 16)
        _same(first, cached(XNLI, ROWS["xnli"], other, language, 16))
    files = 2 if family == "mbart50" else 3  # mBART-50 reads Bulgarian as English
    assert len(list(root.iterdir())) == files


def test_a_tokenizer_that_is_not_written_in_rust_is_known_by_its_vocabulary_and_what_it_does(tmp_path):
    one, again = tokenizers.m2m100(tmp_path / "one"), tokenizers.m2m100(tmp_path / "again")
    other = tokenizers.m2m100(tmp_path / "other", [*WORDS, "other"])
    assert not one.is_fast
    assert _key(tokenizer=one) == _key(tokenizer=again)
    assert _key(tokenizer=one, language="de") != _key(tokenizer=one)
    assert _key(tokenizer=other) != _key(tokenizer=one)


def test_the_hash_of_a_tokenizer_survives_saving_and_use(tmp_path):
    tokenizer = tokenizers.bert()
    before = subwords_sha256(tokenizer)
    tokenizer(["the cat"], truncation=True, padding="max_length", max_length=5)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert subwords_sha256(tokenizer) == subwords_sha256(loaded) == before


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "a flipped bit", "other columns", "no checksum"])
def test_a_damaged_file_is_built_anew_with_a_warning(damage, root, caplog):
    tokenizer = tokenizers.bert()
    good = cached(XNLI, ROWS["xnli"], tokenizer, "en", 16)
    [path] = root.iterdir()
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-3] ^= 4
    columns = {name: tensor.clone() for name, tensor in load_file(path).items()}
    path.unlink()  # the file may be mapped
    if damage == "other columns":
        columns["labels"] += 1
        save_file(columns, path, {"sha256": "0" * 64})
    elif damage == "no checksum":
        save_file(columns, path)
    else:
        bad = {"empty": b"", "cut": content[:-20], "garbage": b"\x07" * 500, "a flipped bit": bytes(flipped)}
        path.write_bytes(bad[damage])
    with caplog.at_level(logging.WARNING):
        again = cached(XNLI, ROWS["xnli"], tokenizer, "en", 16)
    assert f"the cached file {path} is damaged (it" in caplog.text
    _same(good, again)
    assert path.read_bytes() == content
    assert list(root.iterdir()) == [path]
    caplog.clear()
    _same(good, cached(XNLI, ROWS["xnli"], tokenizer, "en", 16))
    assert caplog.text == ""


def test_tokens_of_another_key_are_not_taken(root, caplog):
    """German tokens must never be read for French ones."""
    tokenizer = tokenizers.bert()
    cached(XNLI, ROWS["xnli"], tokenizer, "en", 16)
    [other] = root.iterdir()
    content = other.read_bytes()
    other.unlink()
    good = cached(XNLI, ROWS["xnli"][:3], tokenizer, "en", 16)
    [path] = root.iterdir()
    path.unlink()
    path.write_bytes(content)
    _same(cached(XNLI, ROWS["xnli"][:3], tokenizer, "en", 16), good)
    assert f"the cached file {path} is damaged (its checksum is not its own); it is built anew" in caplog.text


def test_any_bit_is_missed(root):
    cached(XNLI, ROWS["xnli"][:2], tokenizers.bert(), "en", 16)
    [path] = root.iterdir()
    content = path.read_bytes()
    checked_tensors(path)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.unlink()  # the file may be mapped
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError):
            checked_tensors(path)


KILLED = """
import os, signal
from tests.helpers import tokenizers
from tests.helpers.training import pairs
from xglue_harness.benchmark import TASKS
from xglue_harness.store import token_cache

def killing(path, tensors, metadata):
    path.write_bytes(b"half of a file")
    os.kill(os.getpid(), signal.SIGKILL)

token_cache.save_tensors = killing
token_cache.cached(TASKS["xnli"], pairs(7), tokenizers.bert(), "en", 16)
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_that_is_killed_while_it_writes_leaves_no_wrong_file(root):
    """Not in a fork: the threads of ``tokenizers`` are not there in one, and it waits for them for ever."""
    tests = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tests, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.suffix for path in root.iterdir()] == [".tmp"]
    tokenizer = tokenizers.bert()
    _same(cached(XNLI, pairs(7), tokenizer, "en", 16), tokenised(XNLI, pairs(7), tokenizer, "en", 16))


def test_an_interrupt_while_writing_leaves_nothing(root, monkeypatch):
    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(token_cache, "save_tensors", broken)
    with pytest.raises(KeyboardInterrupt):
        cached(XNLI, ROWS["xnli"], tokenizers.bert(), "en", 16)
    assert list(root.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError) as caught:
        cached(XNLI, ROWS["xnli"], tokenizers.bert(), "en", 16)
    message = str(caught.value)
    assert message.startswith(f"cannot write the cache folder {tmp_path}/file/tokens (Not a directory)")
    assert "set the environment variable XGLUE_CACHE to a folder that can be written" in message


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077])
def test_a_file_can_be_read_by_whom_the_umask_lets(umask, root):
    """safetensors 0.8 writes files that only their owner can read; a cache may be a group's."""
    before = os.umask(umask)
    try:
        cached(XNLI, ROWS["xnli"], tokenizers.bert(), "en", 16)
    finally:
        os.umask(before)
    [file] = root.iterdir()
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_a_cache_that_can_only_be_read_serves(root):
    tokenizer = tokenizers.bert()
    first = cached(XNLI, ROWS["xnli"], tokenizer, "en", 16)
    root.chmod(0o555)
    try:
        _same(first, cached(XNLI, ROWS["xnli"], tokenizer, "en", 16))
    finally:
        root.chmod(0o755)


def test_all_columns_are_kept():
    assert set(Inputs.__dataclass_fields__) == {
        "languages",  # which are the encoder's, and not of the tokens
        *cached(POS, ROWS["pos"], tokenizers.bert(), "en", 16).tensors(),
    }
