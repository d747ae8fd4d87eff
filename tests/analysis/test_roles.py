"""Which parameters are the six matrices: by the families' own checkpoints, and by names that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.helpers import families
from xglue_analysis.errors import AnalysisError
from xglue_analysis.roles import ROLES, Place, locate
from xglue_analysis.weights import MemoryWeights, open_weights
from xglue_harness.encoders.backbone import encoder_of

HIDDEN, WIDE = 16, 32
SEQ2SEQ = ("mbart50", "nllb", "m2m100", "t5", "mt5", "umt5")
BERT = (
    *("attention.self.key", "attention.self.query", "attention.self.value"),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)
BART = (*(f"self_attn.{name}_proj" for name in ("k", "q", "v", "out")), "fc1", "fc2")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


def shape_of(place: Place, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    rows, columns = shapes[place.name]
    return (place.rows[1] - place.rows[0] if place.rows else rows, columns)


def named(stack: str, names: tuple[str, ...], layers: int = 2) -> dict[str, tuple[int, ...]]:
    return {f"{stack}.{layer}.{name}.weight": (4, 4) for layer in range(layers) for name in names}


@pytest.mark.parametrize("family", families.FAMILIES)
def test_whole_checkpoint_and_encoder_alone_give_the_same_matrices(
    family: str, checkpoint: Callable[[str], Path]
) -> None:
    folder = checkpoint(family)
    encoder = encoder_of(families.whole(folder))
    alone = MemoryWeights(encoder.state_dict())
    layers = 4 if family == "modernbert" else 2
    with open_weights(folder) as saved:
        places = locate(saved.shapes())
        assert [(place.layer, place.role) for place in places] == [
            (layer, role) for layer in range(layers) for role in ROLES
        ]
        wanted = {"FC up": (WIDE, HIDDEN), "FC down": (HIDDEN, WIDE)}
        for place in places:
            assert shape_of(place, saved.shapes()) == wanted.get(place.role, (HIDDEN, HIDDEN)), place
        others = locate(alone.shapes())
        assert len(others) == len(places)
        for place, other in zip(places, others, strict=True):
            assert torch.equal(saved.read(place), alone.read(other)), (place, other)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_each_matrix_is_read_once(family: str, checkpoint: Callable[[str], Path]) -> None:
    with open_weights(checkpoint(family)) as saved:
        places = locate(saved.shapes())
        read = [saved.read(place) for place in places]
    distinct = {tensor.double().numpy().tobytes() for tensor in read}
    assert len(distinct) == len(places)


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_nothing_of_the_decoder_is_read(family: str, checkpoint: Callable[[str], Path]) -> None:
    with open_weights(checkpoint(family)) as saved:
        shapes = saved.shapes()
    assert any("decoder." in name for name in shapes)
    assert not any("decoder" in place.name for place in locate(shapes))
    decoder = {name: shape for name, shape in shapes.items() if "decoder." in name}
    with pytest.raises(AnalysisError, match="not named as those of an encoder"):
        locate(decoder)


@pytest.mark.parametrize("family", ["mbart50", "t5"])
def test_the_decoder_of_another_depth_does_not_matter(family: str, checkpoint: Callable[[str], Path]) -> None:
    with open_weights(checkpoint(family)) as saved:
        shapes = saved.shapes()
    deeper = {name.replace("decoder.block.1", "decoder.block.7").replace("decoder.layers.1", "decoder.layers.7"): shape
              for name, shape in shapes.items()}  # fmt: skip
    assert locate(deeper) == locate(shapes)


def test_modernbert_is_read_as_its_forward_pass_reads_it(checkpoint: Callable[[str], Path]) -> None:
    """The blocks of its fused matrices, told by what each does: without it, hooks see what is expected."""
    model = families.whole(checkpoint("modernbert")).model
    layer = model.layers[1]
    weights = MemoryWeights(model.state_dict())
    by_role = {place.role: weights.read(place) for place in locate(weights.shapes()) if place.layer == 1}

    # the last words of ModernBertMLP.forward: Wo(act(input) * gate), both halves of Wi; FC up is not activated
    x = torch.randn(3, HIDDEN)
    activated = layer.mlp.Wi.weight[:WIDE]
    expected = layer.mlp.Wo(layer.mlp.act(x @ activated.T) * (x @ by_role["FC up"].T))
    torch.testing.assert_close(layer.mlp(x), expected)

    # values reach the output, keys and queries only shift the attention: with V = 0, nothing comes out
    assert torch.equal(torch.cat([by_role["Q"], by_role["K"], by_role["V"]]), layer.attn.Wqkv.weight)
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    seen: list[torch.Tensor] = []
    layer.attn.Wo.register_forward_hook(lambda _module, args, _output: seen.append(args[0]))
    with torch.no_grad():
        layer.attn.Wqkv.weight[2 * HIDDEN :] = 0
        model(**inputs)
    assert not seen[0].any()
    # alone a word attends to itself only: its value comes out, whatever Q and K are. With Q = 0 all words are alike
    seen.clear()
    with torch.no_grad():
        layer.attn.Wqkv.weight[2 * HIDDEN :] = by_role["V"]
        layer.attn.Wqkv.weight[:HIDDEN] = 0
        model(**inputs)
    torch.testing.assert_close(seen[0][0, 0], seen[0][0, 3])


@pytest.mark.parametrize(
    ("config", "model", "sizes"),
    [
        ("T5Config", "T5ForConditionalGeneration", families.T5 | {"feed_forward_proj": "relu"}),
        ("MarianConfig", "MarianMTModel", families.SEQ2SEQ | {"decoder_start_token_id": 0, "pad_token_id": 0}),
        ("BartConfig", "BartForSequenceClassification", families.SEQ2SEQ),
        ("ElectraConfig", "ElectraForPreTraining", families.SIZES | {"embedding_size": 8}),
        ("RobertaConfig", "RobertaForTokenClassification", families.SIZES),
    ],
)
def test_other_models(config: str, model: str, sizes: dict[str, Any]) -> None:
    built = getattr(transformers, model)(getattr(transformers, config)(**{"vocab_size": 40, **sizes}))
    weights = MemoryWeights(built.state_dict())
    places = locate(weights.shapes())
    assert len(places) == 12
    up = next(place for place in places if place.role == "FC up")
    assert weights.read(up).shape == (WIDE, HIDDEN)


def test_fewer_heads_for_keys_and_values() -> None:
    sizes = families.SIZES | {"num_key_value_heads": 1, "vocab_size": 40}
    built = transformers.LlamaModel(transformers.LlamaConfig(**sizes))
    weights = MemoryWeights(built.state_dict())
    shapes = {place.role: tuple(weights.read(place).shape) for place in locate(weights.shapes())}
    attention = {"K": (8, 16), "Q": (16, 16), "V": (8, 16), "Out": (16, 16)}
    assert shapes == attention | {"FC up": (32, 16), "FC down": (16, 32)}


def test_output_of_attention_is_not_fc_down() -> None:
    places = locate(named("bert.encoder.layer", BERT, layers=1))
    assert [place.name.removeprefix("bert.encoder.layer.0.") for place in places] == [f"{name}.weight" for name in BERT]


def test_layers_are_sorted_by_number() -> None:
    assert [place.layer for place in locate(named("layers", BART, layers=11))[::6]] == list(range(11))


def test_cross_attention_and_biases_are_passed_over() -> None:
    shapes = named("layers", BART)
    noise = {"layers.0.encoder_attn.k_proj.weight": (4, 4), "layers.0.self_attn.k_proj.bias": (4,)}
    assert locate(shapes | noise) == locate(shapes)


def test_unknown_names() -> None:
    with pytest.raises(AnalysisError, match=r"not named as those of an encoder.*CONVENTIONS"):
        locate({"transformer.h.0.attn.c_attn.weight": (4, 12)})
    with pytest.raises(AnalysisError, match="not named"):
        locate({})


def test_a_missing_matrix_is_named() -> None:
    shapes = named("encoder.layer", BERT, layers=3)
    del shapes["encoder.layer.1.attention.self.value.weight"]
    with pytest.raises(AnalysisError, match=r"layer 1 of encoder\.layer\.\*.* lacks V:"):
        locate(shapes)


def test_a_missing_layer_is_named() -> None:
    shapes = {name: shape for name, shape in named("encoder.layer", BERT, layers=3).items() if ".1." not in name}
    with pytest.raises(AnalysisError, match=r"layer 1 .* lacks K, Q, V, Out, FC up, FC down"):
        locate(shapes)


def test_an_adapter_is_named_as_a_cause() -> None:
    shapes = named("base_model.model.encoder.layer", BERT)
    adapted = {name.replace("query.weight", "query.base_layer.weight"): shape for name, shape in shapes.items()}
    with pytest.raises(AnalysisError, match=r"lacks Q: .*adapter"):
        locate(adapted)


@pytest.mark.parametrize(
    "second", [named("discriminator.encoder.layer", BERT), named("text.encoder.layers", BART)], ids=["prefix", "names"]
)
def test_two_encoders(second: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(AnalysisError, match="2 encoders to choose from"):
        locate(named("generator.encoder.layer", BERT) | second)


def test_two_matrices_of_one_role() -> None:
    names = ("SelfAttention.k", "SelfAttention.q", "SelfAttention.v", "SelfAttention.o")
    shapes = {f"block.0.layer.0.{name}.weight": (4, 4) for name in names}
    shapes |= {f"block.0.layer.1.DenseReluDense.{name}.weight": (4, 4) for name in ("wi", "wi_1", "wo")}
    with pytest.raises(AnalysisError, match="layer 0 has two matrices FC up"):
        locate(shapes)


def test_what_is_no_matrix() -> None:
    shapes = named("layers", BART) | {"layers.1.fc1.weight": (16,)}
    with pytest.raises(AnalysisError, match=r"layers\.1\.fc1\.weight should be a matrix"):
        locate(shapes)


def test_fused_rows_that_cannot_be_divided() -> None:
    shapes = named("layers", ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"))
    with pytest.raises(AnalysisError, match=r"Wqkv\.weight has 4 rows"):
        locate(shapes)
