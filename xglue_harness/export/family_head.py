"""Whether a family's own classifier computes what ours does: it is built, given our weights, and asked.

No list of families is kept: BERT, RoBERTa, XLM-R and DeBERTa turn out to have our head for sentences, and for words
most encoders; DistilBERT (ReLU), ELECTRA (GELU) and ModernBERT (another layer) do not.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xglue_harness.encoders.backbone import has_decoder
from xglue_harness.encoders.calling import language_argument
from xglue_harness.export.probe import batches_of, largest_difference, logits_of, probe_inputs

if TYPE_CHECKING:
    from xglue_harness.benchmark import TaskSpec
    from xglue_harness.encoders.heads import TransferModel
    from xglue_harness.export.trained import Trained

TOLERANCE = 1e-5
"""Between two scores of a class, as a share of the largest one."""


@dataclass(frozen=True)
class Places:
    """Where parts of our model lie in a family's own.

    Attributes:
        encoder: name of the module that is the encoder.
        dense: name of the head's first layer; ``None`` for words, where there is none.
        classifier: name of the layer that scores classes.
    """

    encoder: str
    dense: str | None
    classifier: str


def auto_class(spec_is_tagging: bool) -> Any:
    """The Auto class that loads a classifier of texts, or of words."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    return AutoModelForTokenClassification if spec_is_tagging else AutoModelForSequenceClassification


def labelled_config(config: Any, spec: TaskSpec) -> Any:
    """A copy of a configuration that names a task's classes."""
    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(spec.labels))
    config.label2id = {label: number for number, label in enumerate(spec.labels)}
    config.dtype = torch.float32
    config.use_cache = False
    config.problem_type = "single_label_classification"
    if hasattr(config, "pooler_hidden_act"):  # DeBERTa's pooler is our dense layer, but for GELU
        config.pooler_hidden_act = "tanh"
    return config


def in_family_class(trained: Trained) -> tuple[Any, Places] | None:
    """The trained model as its family's own classifier.

    Returns:
        The model and where our parts lie in it; ``None`` where the family has no such class, or it computes something
        else: another pooling, activation or layer.
    """
    ours = trained.model
    config = labelled_config(trained.backbone.config, trained.spec)
    if has_decoder(config) or language_argument(ours.encoder) is not None:
        return None  # whose classifiers read the decoder's states; no pipeline tells a language
    family = auto_class(ours.tagging)
    if type(config) not in family._model_mapping:
        return None
    with torch.random.fork_rng(devices=[]):  # weights that are replaced
        model = family.from_config(config).float().eval()
    places = _places(model, ours)
    if places is None:
        return None
    _fill(model, places, ours)
    inputs = probe_inputs(trained.spec, trained.backbone, trained.recipe.max_length)
    pad = trained.backbone.tokenizer.pad_token_id
    wanted = logits_of(ours, inputs, pad)
    with torch.inference_mode():
        batches = batches_of(inputs, pad)
        found = [model(**_read_by(ours, batch)).logits for batch in batches]
    return (model, places) if largest_difference(wanted, found) <= TOLERANCE else None


def _read_by(ours: TransferModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in batch.items() if name != "token_type_ids" or ours.reads_segments}


def _places(model: nn.Module, ours: TransferModel) -> Places | None:
    """Where our parts would lie in a model; ``None`` where it has not exactly them."""
    shapes = _shapes(ours.encoder)
    fitting = (name for name, module in model.named_modules() if shapes.items() <= _shapes(module).items())
    place = next(fitting, None)
    if place is None:
        return None
    start = f"{place}." if place else ""
    inside = {f"{start}{name}" for name in shapes}
    layers = [
        name
        for name, module in model.named_modules()
        if (own := [f"{name}.{key}" for key, _ in module.named_parameters(recurse=False)]) and not inside & {*own}
    ]
    heads = [layer for layer in (ours.dense, ours.classifier) if layer is not None]
    if [_sizes(model.get_submodule(name)) for name in layers] != [_sizes(head) for head in heads]:
        return None
    return Places(place, layers[0] if ours.dense is not None else None, layers[-1])


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _sizes(layer: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in layer.named_parameters()}


def _fill(model: nn.Module, places: Places, ours: TransferModel) -> None:
    model.get_submodule(places.encoder).load_state_dict(ours.encoder.state_dict(), strict=False)
    if ours.dense is not None and places.dense is not None:
        model.get_submodule(places.dense).load_state_dict(ours.dense.state_dict())
    model.get_submodule(places.classifier).load_state_dict(ours.classifier.state_dict())
