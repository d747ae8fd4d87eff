"""Vectors of sentences: pooling against loops, and encoders called by hand on one sentence at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tests.helpers import families
from xglue_analysis import representations
from xglue_analysis.errors import AnalysisError
from xglue_analysis.representations import Pooling, layer_states, layers_of, pooled, states_of

POOLINGS: tuple[Pooling, ...] = ("mean", "first", "last")
TEXTS = ["a", *families.texts()["en"][:6], "cat " * 40, *families.texts()["de"][:3]]
"""Of very different lengths, and not in their order."""
LAYERS = dict.fromkeys(families.FAMILIES, 2) | {"modernbert": 4}
NORM_AT_THE_END = {"mbart50": "layer_norm", "nllb": "layer_norm", "t5": "final_layer_norm", "modernbert": "final_norm"}
CODES = {"mbart50": ("de_DE", "en_XX"), "nllb": ("deu_Latn", "eng_Latn"), "m2m100": ("de", "en")}
"""German's code, and what the tokenizer is set to by itself."""

Loaded = Callable[[str], tuple[Any, Any]]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """``loaded("mbart50")`` is an encoder and its tokenizer, each anew."""
    checkpoints = families.Checkpoints(tmp_path_factory.mktemp("families"))

    def load(family: str) -> tuple[Any, Any]:
        folder = checkpoints(family)
        model = families.whole(folder)
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        return encoder, transformers.AutoTokenizer.from_pretrained(folder)

    return load


def by_hand(encoder: Any, tokenizer: Any, text: str, **options: Any) -> list[torch.Tensor]:
    """Hidden states ``[length, d]`` of one sentence that nothing is padded to."""
    encoded = tokenizer([text], return_tensors="pt", truncation=True, max_length=256, **options)
    with torch.no_grad():
        output = encoder(**encoded, output_hidden_states=True)
    return [layer[0] for layer in (*output.hidden_states[:-1], output.last_hidden_state)]


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 2e-6) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def pool(layer: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Of one sentence ``[length, d]``."""
    return {"mean": layer.mean(0), "first": layer[0], "last": layer[-1]}[pooling]


# Pooling


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_that_of_loops(pooling: Pooling, dtype: torch.dtype) -> None:
    lengths, d = [5, 1, 3, 2], 4
    draw = torch.Generator().manual_seed(1)
    states = [torch.randn(4, 5, d, generator=draw).to(dtype) for _ in range(3)]
    mask = torch.tensor([[1] * length + [0] * (5 - length) for length in lengths])
    actual = pooled(states, mask, pooling)
    assert actual.dtype == torch.float32
    assert actual.shape == (3, 4, d)
    for layer, state in enumerate(states):
        for row, length in enumerate(lengths):
            real = [[float(value) for value in state[row, place]] for place in range(length)]
            columns = list(zip(*real, strict=True))
            expected = {"mean": [sum(column) / length for column in columns], "first": real[0], "last": real[-1]}
            close(actual[layer, row], torch.tensor(expected[pooling]), 1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_has_no_part_in_a_vector(pooling: Pooling) -> None:
    state, mask = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2)), torch.ones(2, 6, dtype=torch.long)
    mask[:, 4:] = 0
    other = state.clone()
    other[:, 4:] = 1e6
    assert torch.equal(pooled([state], mask, pooling), pooled([other], mask, pooling))


# Encoders


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_gives_its_layers_whatever_stands_beside_a_sentence(family: str, loaded: Loaded) -> None:
    encoder, tokenizer = loaded(family)
    encoder.train()
    alone = [by_hand(encoder.eval(), tokenizer, text) for text in TEXTS]
    encoder.train()
    actual = layer_states(encoder, tokenizer, TEXTS)
    assert not encoder.training
    assert actual.dtype == torch.float32
    assert actual.shape == (LAYERS[family] + 1, len(TEXTS), encoder.config.hidden_size)
    for place, layers in enumerate(alone):
        close(actual[:, place], torch.stack([layer.mean(0) for layer in layers]), 1e-5)
    assert (actual[0] - actual[-1]).abs().max() > 1e-2
    assert (actual[-1, 0] - actual[-1, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["mbert", "mbart50", "m2m100"])
def test_batches_and_poolings(family: str, pooling: Pooling, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, tokenizer = loaded(family)
    expected = torch.stack(
        [torch.stack([pool(layer, pooling) for layer in by_hand(encoder, tokenizer, text)]) for text in TEXTS], 1
    )
    calls: list[tuple[int, ...]] = []
    encoder.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    for budget in (1, 150, 100_000):
        monkeypatch.setattr(representations, "_SUBWORDS_A_BATCH", {"cpu": budget})
        calls.clear()
        close(layer_states(encoder, tokenizer, TEXTS, pooling=pooling), expected, 1e-5)
        assert sum(rows for rows, _ in calls) == len(TEXTS)
        assert all(rows == 1 or rows * length <= budget for rows, length in calls)
        assert len(calls) == {1: len(TEXTS), 100_000: 1}.get(budget, len(calls))
        assert budget != 150 or 1 < len(calls) < len(TEXTS)


def test_a_bar_changes_nothing(loaded: Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    encoder, tokenizer = loaded("mbert")
    quiet = layer_states(encoder, tokenizer, TEXTS)
    capfd.readouterr()
    assert torch.equal(layer_states(encoder, tokenizer, TEXTS, progress=True, note="states of x"), quiet)
    assert "states of x" in capfd.readouterr().err


def test_layer_0_is_what_the_embeddings_give(loaded: Loaded) -> None:
    encoder, tokenizer = loaded("mbert")
    actual = layer_states(encoder, tokenizer, TEXTS)
    for place, text in enumerate(TEXTS):
        encoded = tokenizer([text], return_tensors="pt")
        with torch.no_grad():
            close(actual[0, place], encoder.embeddings(encoded["input_ids"]).mean((0, 1)))
    encoder, tokenizer = loaded("m2m100")
    actual = layer_states(encoder, tokenizer, TEXTS)
    for place, text in enumerate(TEXTS):
        ids = tokenizer([text], return_tensors="pt")["input_ids"]
        with torch.no_grad():
            embedded = encoder.embed_tokens(ids)
            close(actual[0, place], (embedded + encoder.embed_positions(ids, embedded)).mean((0, 1)))


@pytest.mark.parametrize("family", NORM_AT_THE_END)
def test_the_last_layer_is_after_the_norm_at_the_end(family: str, loaded: Loaded) -> None:
    encoder, tokenizer = loaded(family)
    norm = encoder.get_submodule(NORM_AT_THE_END[family])
    with torch.no_grad():
        norm.weight.mul_(torch.linspace(-3, 3, len(norm.weight)))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    norm.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    actual = layer_states(encoder, tokenizer, TEXTS[:1])
    ((before, after),) = seen
    close(actual[-1, 0], after[0].mean(0))
    assert (actual[-1, 0] - before[0].mean(0)).abs().max() > 0.1


def test_the_last_of_the_states_is_replaced_by_the_encoders_output() -> None:
    """Some encoders give the state before the norm as the last one."""
    layers = [torch.full((1, 2, 3), float(value)) for value in range(4)]
    output = SimpleNamespace(hidden_states=tuple(layers[:3]), last_hidden_state=layers[3])
    assert [float(layer[0, 0, 0]) for layer in layers_of(output)] == [0, 1, 3]


def test_segments_are_the_tokenizers(loaded: Loaded) -> None:
    encoder, tokenizer = loaded("mbert")
    encoded = tokenizer(["the cat", "dog dog dog"], ["a", "sees the dog and more"])
    assert any(1 in row for row in encoded["token_type_ids"])
    actual = states_of(encoder, encoded, pad=tokenizer.pad_token_id)
    for place in range(2):
        one = {name: torch.tensor([encoded[name][place]]) for name in ("input_ids", "token_type_ids")}
        with torch.no_grad():
            close(actual[-1, place], encoder(**one).last_hidden_state.mean((0, 1)))
    without = states_of(encoder, {"input_ids": encoded["input_ids"]}, pad=tokenizer.pad_token_id)
    assert (actual - without).abs().max() > 1e-3


def test_longer_texts_are_cut(loaded: Loaded) -> None:
    encoder, tokenizer = loaded("mbert")
    actual = layer_states(encoder, tokenizer, TEXTS, max_length=6)
    ids = [tokenizer(text, truncation=True, max_length=6)["input_ids"] for text in TEXTS]
    assert max(map(len, ids)) == 6
    assert torch.equal(actual, states_of(encoder, {"input_ids": ids}, pad=tokenizer.pad_token_id))
    assert (actual - layer_states(encoder, tokenizer, TEXTS)).abs().max() > 1e-3


# Languages


@pytest.mark.parametrize("family", CODES)
def test_the_language_is_set_and_set_back(family: str, loaded: Loaded) -> None:
    encoder, tokenizer = loaded(family)
    code, language = CODES[family]
    assert tokenizer.src_lang == language
    plain = layer_states(encoder, tokenizer, TEXTS, pooling="first")
    german = layer_states(encoder, tokenizer, TEXTS, pooling="first", language_code=code)
    assert tokenizer.src_lang == language
    assert torch.equal(layer_states(encoder, tokenizer, TEXTS, pooling="first"), plain)
    assert (german[0] - plain[0]).abs().max() > 1e-3
    tokenizer.src_lang = code
    for place, text in enumerate(TEXTS):
        assert tokenizer(text)["input_ids"][0] == tokenizer.convert_tokens_to_ids(
            f"__{code}__" if family == "m2m100" else code
        )
        close(german[:, place], torch.stack([layer[0] for layer in by_hand(encoder, tokenizer, text)]), 1e-5)


def test_the_language_is_set_back_after_an_error() -> None:
    class Breaks:
        src_lang = "en_XX"
        seen = ""

        def __call__(self, *_: Any, **__: Any) -> None:
            self.seen = self.src_lang
            raise ValueError("no such language")

    tokenizer = Breaks()
    with pytest.raises(ValueError, match="no such language"):
        layer_states(nn.Linear(1, 1), tokenizer, ["a"], language_code="xx")
    assert (tokenizer.seen, tokenizer.src_lang) == ("xx", "en_XX")


# Errors


def test_no_texts(loaded: Loaded) -> None:
    with pytest.raises(AnalysisError, match="no texts"):
        layer_states(*loaded("mbert"), [])


@pytest.mark.parametrize("states", [None, ()])
def test_an_encoder_without_hidden_states(states: tuple[()] | None, loaded: Loaded) -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
            return SimpleNamespace(hidden_states=states, last_hidden_state=input_ids[..., None].float())

    with pytest.raises(AnalysisError, match=r"does not give its hidden states \(output_hidden_states\)"):
        layer_states(Silent(), loaded("mbert")[1], ["a"])


def test_what_is_given_is_an_ordinary_tensor(loaded: Loaded) -> None:
    actual = layer_states(*loaded("mbert"), ["a", "dog"])
    assert not actual.is_inference()
    actual -= actual.mean(1, keepdim=True)
