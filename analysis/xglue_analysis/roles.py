"""Which parameters are the six matrices of an encoder layer.

Checkpoints name them by one of a few conventions, each shared by many model types. They are told apart by the names
alone, so that a checkpoint of an unknown type that follows one is read, too, and no model is ever built. Layers count
from 0, as in Table 5 of Ji et al. 2024 (0 to 10); the 12th layer of their Table 2 is layer 11 here.

A gated feed-forward net has two matrices that widen: one goes through the activation, the other, linear, is multiplied
with the result. ``FC up`` is the linear one everywhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from xglue_analysis.errors import AnalysisError

ROLES = ("K", "Q", "V", "Out", "FC up", "FC down")
"""The matrices of an encoder layer, in the order of the paper's tables."""


@dataclass(frozen=True)
class Place:
    """Where one matrix is.

    Attributes:
        layer: from 0.
        role: one of :data:`ROLES`.
        name: of the parameter.
        rows: first row and the row after the last; ``None`` where the parameter is this matrix alone.
    """

    layer: int
    role: str
    name: str
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Part:
    """A role's share of a parameter: block ``index`` of ``of`` blocks of rows of one height."""

    role: str
    index: int = 0
    of: int = 1


@dataclass(frozen=True)
class Convention:
    """A way to name parameters.

    Attributes:
        families: who uses it.
        stack: what comes before the number of the layer.
        parts: what comes after it (without ``.weight``), and the roles that the parameter has.
    """

    families: str
    stack: str
    parts: Mapping[str, tuple[Part, ...]] = field(hash=False)


def _parts(**names: str) -> dict[str, tuple[Part, ...]]:
    """Parameters of one role each; alternatives are set apart by a blank."""
    roles = dict(zip(("k", "q", "v", "out", "up", "down"), ROLES, strict=True))
    return {name: (Part(roles[key]),) for key, value in names.items() for name in value.split()}


_FEED_FORWARD = {"up": "intermediate.dense", "down": "output.dense"}
_ATTENTION = "attention.self."

CONVENTIONS = (
    Convention(
        "BERT, RoBERTa, XLM-R, ELECTRA",
        "layer",
        _parts(
            k=_ATTENTION + "key",
            q=_ATTENTION + "query",
            v=_ATTENTION + "value",
            out="attention.output.dense",
            **_FEED_FORWARD,
        ),
    ),
    Convention(
        "DeBERTa-v2, DeBERTa-v3",
        "layer",
        _parts(
            k=_ATTENTION + "key_proj",
            q=_ATTENTION + "query_proj",
            v=_ATTENTION + "value_proj",
            out="attention.output.dense",
            **_FEED_FORWARD,
        ),
    ),
    Convention(
        "BART, mBART, M2M100, NLLB, Marian",
        "layers",
        _parts(
            k="self_attn.k_proj",
            q="self_attn.q_proj",
            v="self_attn.v_proj",
            out="self_attn.out_proj",
            up="fc1",
            down="fc2",
        ),
    ),
    Convention(
        "T5, mT5, umT5",
        "block",
        _parts(
            k="layer.0.SelfAttention.k",
            q="layer.0.SelfAttention.q",
            v="layer.0.SelfAttention.v",
            out="layer.0.SelfAttention.o",
            up="layer.1.DenseReluDense.wi layer.1.DenseReluDense.wi_1",  # wi_0 goes through the activation
            down="layer.1.DenseReluDense.wo",
        ),
    ),
    Convention(
        "ModernBERT",
        "layers",
        {
            "attn.Wqkv": (Part("Q", 0, 3), Part("K", 1, 3), Part("V", 2, 3)),
            "attn.Wo": (Part("Out"),),
            "mlp.Wi": (Part("FC up", 1, 2),),  # the first half, "input" in transformers, goes through the activation
            "mlp.Wo": (Part("FC down"),),
        },
    ),
    Convention(
        "DistilBERT",
        "layer",
        _parts(
            k="attention.k_lin",
            q="attention.q_lin",
            v="attention.v_lin",
            out="attention.out_lin",
            up="ffn.lin1",
            down="ffn.lin2",
        ),
    ),
    Convention(
        "EuroBERT and other Llamas that read both ways",
        "layers",
        _parts(
            k="self_attn.k_proj",
            q="self_attn.q_proj",
            v="self_attn.v_proj",
            out="self_attn.o_proj",
            up="mlp.up_proj",
            down="mlp.down_proj",
        ),
    ),
)
"""All conventions; a new one is an entry here."""


@dataclass(frozen=True)
class _Stack:
    """Layers that follow one convention under one prefix."""

    convention: Convention
    prefix: str

    def __str__(self) -> str:
        return f"{self.prefix}{self.convention.stack}.* ({self.convention.families})"


def locate(shapes: Mapping[str, tuple[int, ...]]) -> list[Place]:
    """Find the six matrices of every encoder layer.

    Names may be those of a whole model or of its encoder alone: what comes before the layers does not matter, unless it
    says ``decoder``. Cross-attention, embeddings and heads have other names and are passed over. A decoder-only model
    that names its matrices as EuroBERT does can't be told from it: don't give one.

    Args:
        shapes: of all parameters, by name.

    Returns:
        The places, by layer and then in the order of :data:`ROLES`.

    Raises:
        AnalysisError: no convention fits, two stacks of layers fit equally well, a layer lacks a matrix or has one
            twice, a parameter is not a matrix, or its rows can't be divided among its roles.
    """
    stacks: defaultdict[_Stack, list[tuple[int, Part, str]]] = defaultdict(list)
    for convention in CONVENTIONS:
        pattern = re.compile(rf"((?:\w+\.)*?){convention.stack}\.(\d+)\.(.+)\.weight")
        for name in shapes:
            match = pattern.fullmatch(name)
            if match is None or any(word.endswith("decoder") for word in match[1].split(".")):
                continue
            for part in convention.parts.get(match[3], ()):
                stacks[_Stack(convention, match[1])].append((int(match[2]), part, name))

    stack = _fullest(stacks)
    places: dict[tuple[int, str], Place] = {}
    for layer, part, name in stacks[stack]:
        if (layer, part.role) in places:
            raise AnalysisError(
                f"layer {layer} has two matrices {part.role}: {places[layer, part.role].name} and {name}. Save the "
                "checkpoint anew with save_pretrained"
            )
        places[layer, part.role] = Place(layer, part.role, name, _rows(name, shapes[name], part))
    layers = range(max(layer for layer, _ in places) + 1)
    for layer in layers:
        if missing := [role for role in ROLES if (layer, role) not in places]:
            raise AnalysisError(
                f"layer {layer} of {stack} lacks {', '.join(missing)}: the checkpoint is not whole, or holds an "
                "adapter (merge it first)"
            )
    return [places[layer, role] for layer in layers for role in ROLES]


def _fullest(stacks: Mapping[_Stack, list[tuple[int, Part, str]]]) -> _Stack:
    """The stack with most roles: conventions share some names, as BART's and EuroBERT's keys."""
    counts = {stack: len({part.role for _, part, _ in entries}) for stack, entries in stacks.items()}
    best = [stack for stack, count in counts.items() if count == max(counts.values())]
    if not best:
        known = "; ".join(convention.families for convention in CONVENTIONS)
        raise AnalysisError(
            f"the parameters are not named as those of an encoder that is known here ({known}): give another "
            "checkpoint, or add its names to CONVENTIONS in xglue_analysis/roles.py"
        )
    if len(best) > 1:
        raise AnalysisError(
            f"there are {len(best)} encoders to choose from, {' and '.join(map(str, best))}: save the one to "
            "analyse as a checkpoint of its own"
        )
    return best[0]


def _rows(name: str, shape: tuple[int, ...], part: Part) -> tuple[int, int] | None:
    """The rows of a part."""
    if len(shape) != 2:
        raise AnalysisError(
            f"{name} should be a matrix and has the shape {list(shape)}: give a checkpoint that is not quantised"
        )
    if part.of == 1:
        return None
    height, rest = divmod(shape[0], part.of)
    if rest:
        raise AnalysisError(
            f"{name} has {shape[0]} rows, which are not {part.of} blocks of one height: name its matrices in "
            "CONVENTIONS in xglue_analysis/roles.py"
        )
    return part.index * height, (part.index + 1) * height
