"""States on disk: what they are, that they are computed once, and that no wrong one is ever read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers import families
from xglue_analysis import layer_states
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import pool
from xglue_harness.errors import DataError, EncoderError
from xglue_harness.probing import state_files
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.states import keep_states

TEXTS = ["the dog", "the cat and the dog", "a", "the dog", "the dog and the cat and the dog and a cat"]
WORDS = [
    {"words": ["the", "dog"], "pos": [0, 1]},
    {"words": ["a", "cat", "and", "a", "dog"] * 9, "pos": [1] * 45},
    {"words": ["the", "dog"], "pos": [2, 1]},
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mbert")
    families.mbert(folder)
    return load_backbone(str(folder), torch.device("cpu"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))


def frozen(backbone, pooling="mean", max_length=32):
    return FrozenEncoder(backbone, pooling=pooling, max_length=max_length)


def only_path(part, layer=2):
    """Where the states of a part of one block lie."""
    (block,) = part.blocks
    return part.path(block, layer)


def computed(encoder, part, layers):
    encoder.compute(encoder.missing([part], layers))
    return [part.states(layer) for layer in layers]


def test_texts_have_the_states_that_the_analysis_finds(bert):
    encoder = frozen(bert)
    assert (encoder.last, encoder.width) == (2, 16)
    found = np.stack(computed(encoder, encoder.texts(TEXTS, "en"), [0, 1, 2]))
    expected = layer_states(bert.encoder, bert.tokenizer, TEXTS, max_length=32).numpy()
    assert np.abs(found - expected).max() <= 2**-11 * np.abs(expected).max()


@pytest.mark.parametrize("pooling", ["mean", "first", "max", "eos"])
def test_the_last_layer_alone_is_the_last_of_all(bert, pooling):
    encoder = frozen(bert, pooling)
    part = encoder.texts(TEXTS, "en")
    every = computed(encoder, part, [0, 1, 2])
    for path in only_path(part).parent.iterdir():
        path.unlink()
    assert (computed(encoder, part, [2])[0] == every[2]).all()
    encoded = bert.tokenizer(TEXTS[1], return_tensors="pt")
    with torch.no_grad():
        alone = pool(bert.encoder(**encoded).last_hidden_state, encoded["attention_mask"], pooling)
    assert np.allclose(every[2][1], alone.numpy()[0], atol=1e-2)


def test_equal_texts_are_computed_once(bert):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")
    (block,) = part.blocks
    assert len(block.inputs) == block.rows == 4
    assert part.index[0] == part.index[3]
    (last,) = computed(encoder, part, [2])
    assert last.shape == (5, 16)
    assert (last[0] == last[3]).all()
    assert np.load(only_path(part), mmap_mode="r").shape == (4, 17)


def test_the_first_rows_are_the_same_files_whoever_asks_for_how_many(bert, monkeypatch):
    monkeypatch.setattr("xglue_harness.probing.states._BLOCK", 2)
    encoder = frozen(bert)
    whole, beginning = encoder.texts(TEXTS, "en"), encoder.texts(TEXTS[:2], "en")
    assert [len(block.inputs) for block in whole.blocks] == [2, 2]  # the fourth text is the first once more
    assert beginning.blocks[0].key == whole.blocks[0].key
    first = computed(encoder, beginning, [0, 1, 2])
    assert [one.block for one in encoder.missing([whole], [0, 1, 2])] == [whole.blocks[1]]
    every = computed(encoder, whole, [0, 1, 2])
    assert all((some == all_[:2]).all() for some, all_ in zip(first, every, strict=True))
    expected = layer_states(bert.encoder, bert.tokenizer, TEXTS, max_length=32).numpy()
    assert np.abs(np.stack(every) - expected).max() <= 2**-11 * np.abs(expected).max()


def test_words_in_several_blocks_are_those_of_one(bert, monkeypatch):
    encoder = frozen(bert, max_length=24)
    (whole,) = computed(encoder, encoder.words(TASKS["pos"], WORDS, "en"), [2])
    monkeypatch.setattr("xglue_harness.probing.states._BLOCK", 1)
    part = encoder.words(TASKS["pos"], WORDS, "en")
    assert len(part.blocks) > 2
    assert np.allclose(computed(encoder, part, [2])[0], whole, atol=2e-3)


def test_no_text_at_all_has_no_states(bert):
    encoder = frozen(bert)
    (found,) = computed(encoder, encoder.texts([], "en"), [2])
    assert found.shape == (0, 16)


def test_a_killed_pass_goes_on_with_the_block_that_it_was_at(bert, monkeypatch):
    monkeypatch.setattr("xglue_harness.probing.states._BLOCK", 2)
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")
    batches = encoder._batches

    def broken(given, block, layers):
        if block is part.blocks[1]:
            raise KeyboardInterrupt
        return batches(given, block, layers)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "_batches", broken)
        with pytest.raises(KeyboardInterrupt):
            encoder.compute(encoder.missing([part], [2]))
    assert [one.block for one in encoder.missing([part], [2])] == [part.blocks[1]]


def test_equal_encoders_of_two_names_are_computed_once(bert, monkeypatch, capsys):
    one, other = frozen(bert), frozen(replace(bert, name="another"))
    other.progress = True
    blocks = []
    for encoder in (one, other):
        compute = encoder.compute
        monkeypatch.setattr(encoder, "compute", lambda found, go=compute: blocks.extend(found) or go(found))
    wanted = [(encoder, [encoder.texts(TEXTS, "en")], [1, 2]) for encoder in (one, other)]
    with pytest.raises(DataError, match="more than --max-disk allows"):
        keep_states(wanted, max_disk=1e-9)
    assert not blocks
    keep_states(wanted)
    assert len(blocks) == 1
    assert "states: 0.00 GB to be computed" in capsys.readouterr().err


def test_words_have_the_states_of_their_first_subwords(bert):
    encoder = frozen(bert, max_length=24)  # the second sentence is read in windows
    part = encoder.words(TASKS["pos"], WORDS, "en")
    assert len(part.inputs) > 3
    (found,) = computed(encoder, part, [2])
    assert found.shape == (49, 16)
    assert (found[:2] == found[-2:]).all()
    assert part.blocks[0].rows < 47, "the windows of the second sentence are not equal: choose a more repetitive one"
    expected = []
    for index in range(len(part.inputs)):
        ids = part.inputs.subwords_of(index).long()[None]
        with torch.no_grad():
            states = bert.encoder(input_ids=ids).last_hidden_state[0]
        expected.append(states[part.inputs.positions[part.inputs.words_of(index)].long()])
    assert np.allclose(found, torch.cat(expected).numpy(), atol=1e-2)
    encoded = bert.tokenizer([["the", "dog"]], is_split_into_words=True, return_tensors="pt")
    firsts = [encoded.word_ids(0).index(word) for word in range(2)]
    with torch.no_grad():
        alone = bert.encoder(**encoded).last_hidden_state[0, firsts].numpy()
    assert np.allclose(found[:2], alone, atol=1e-2)


def test_what_is_on_disk_is_not_computed_again(bert, monkeypatch):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")
    first = computed(encoder, part, [1, 2])
    assert encoder.missing([part, part], [0, 1, 2]) == [(part, part.blocks[0], [0])]
    monkeypatch.setattr(encoder, "_batches", lambda *_: pytest.fail("computed again"))
    assert all((a == b).all() for a, b in zip(computed(encoder, part, [1, 2]), first, strict=True))


def test_states_are_kept_by_all_that_decides_them(bert):
    parts = [
        frozen(bert).texts(TEXTS, "en"),
        frozen(bert, "first").texts(TEXTS, "en"),
        frozen(bert).texts(TEXTS[:2], "en"),
        frozen(bert, max_length=8).texts(TEXTS, "en"),
    ]
    assert len({part.blocks[0].key for part in parts}) == 4
    german = frozen(bert).texts(TEXTS, "de", "another title")  # BERT reads no language
    assert german.blocks[0].key == parts[0].blocks[0].key


def test_a_damaged_file_is_built_anew(bert, caplog):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")
    (before,) = computed(encoder, part, [2])
    path = only_path(part)
    data = bytearray(path.read_bytes())
    data[-3] ^= 64
    path.write_bytes(data)
    (after,) = computed(encoder, part, [2])
    assert (before == after).all()
    assert "is damaged" in caplog.text
    path.with_suffix(".json").unlink()
    assert encoder.missing([part], [2])


def test_nothing_is_left_of_a_pass_that_failed(bert, monkeypatch):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")

    def broken(*_):
        yield 1, {2: np.ones((1, 16), np.float32)}
        raise KeyboardInterrupt

    monkeypatch.setattr(encoder, "_batches", broken)
    with pytest.raises(KeyboardInterrupt):
        encoder.compute(encoder.missing([part], [2]))
    assert not [*only_path(part).parent.iterdir()]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(bert, monkeypatch):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_files._Summing, "write", full)
    with pytest.raises(DataError, match="No space left on device"):
        encoder.compute(encoder.missing([part], [1, 2]))
    assert not [*only_path(part).parent.iterdir()]


def test_float16_holds_states_of_any_size():
    values = np.array([[1e30, -3e29, 5e26], [1e-30, 0, 2e-31], [0, 0, 0], [1, -2, 3]], dtype=np.float32)
    found = state_files.unpacked(state_files.packed(values))
    assert np.abs(found - values).max(axis=1).tolist() <= (2**-11 * np.abs(values).max(axis=1)).tolist()
    assert found[3].tolist() == [1, -2, 3]


def test_states_that_are_not_finite_are_refused(bert, monkeypatch):
    encoder = frozen(bert)
    monkeypatch.setattr(encoder, "pooling", "max")
    part = encoder.texts(TEXTS, "en")
    monkeypatch.setattr("xglue_harness.probing.frozen_encoder.pool", lambda hidden, *_: hidden[:, 0] * float("inf"))
    with pytest.raises(EncoderError, match="NaN or infinite"):
        encoder.compute(encoder.missing([part], [2]))


@pytest.mark.parametrize("layers", [[3], [-1], []])
def test_a_layer_that_there_is_not_is_refused(bert, layers):
    with pytest.raises(EncoderError, match="has the layers 0 to 2"):
        frozen(bert).layers(layers)


def test_the_size_is_known_before_and_may_be_limited(bert):
    encoder = frozen(bert)
    part = encoder.texts(TEXTS, "en")
    missing = encoder.missing([part, part], [0, 1, 2])
    assert encoder.bytes_of(missing) == 4 * 17 * 2 * 3
    state_files.check_room(encoder.bytes_of(missing), 408)
    with pytest.raises(DataError, match="more than --max-disk allows"):
        state_files.check_room(encoder.bytes_of(missing), 407)
    with pytest.raises(DataError, match="has room for"):
        state_files.check_room(1 << 60, None)
    encoder.compute(missing)
    on_disk = sum(path.stat().st_size for path in only_path(part).parent.glob("*.npy"))
    assert on_disk == 408 + 3 * 128
