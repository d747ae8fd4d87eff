"""A checkpoint of fairseq as a folder that ``AutoModel`` and ``AutoTokenizer`` load."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xglue_harness.atomic import new_folder
from xglue_harness.conversion.fairseq_file import read_dictionary, read_model
from xglue_harness.conversion.fairseq_stacks import convert_stacks
from xglue_harness.conversion.fairseq_subwords import write_tokenizer
from xglue_harness.encoders.backbone import weights_sha256
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError
from xglue_harness.files import file_sha256
from xglue_harness.records.parts import ConvertedFrom

NOTE = "conversion.json"
"""File of a converted checkpoint that says what it was made from."""

VERSION = 1
"""Of the converter. Raise it where the same files would become other weights: the leaderboard goes by it."""


@dataclass(frozen=True)
class Conversion:
    """What was made from what; kept in `NOTE`.

    Attributes:
        converted_from: version of the converter, files and weights; the configuration says the same.
        task: of fairseq that the model was trained with.
        architecture: ``model_type`` of transformers.
        layers: that hidden states pass through; an encoder's where there is a decoder, too.
        parameters: of the converted model.
        languages: that it is told as the language of a text.
        unknown_pieces: of the sentencepiece model, which the dictionary lacks: each has a copy of the row of ``<unk>``.
        left_out: names in fairseq of weights that it does not have.
    """

    converted_from: ConvertedFrom
    task: str
    architecture: str
    layers: int
    parameters: int
    languages: tuple[str, ...]
    unknown_pieces: int
    left_out: tuple[str, ...]


def convert(model: Path, dictionary: Path, sentencepiece: Path, out: Path) -> Conversion:
    """Convert a Transformer of fairseq: encoder and decoder, masked language model, or language model.

    Hidden states of the result equal those of fairseq's forward pass; nothing of the files is executed. The same files
    become the same weights, on any machine. The configuration says what it was made from (`ConvertedFrom`), and
    records of runs repeat it.

    Args:
        model: checkpoint, as ``checkpoint_best.pt``.
        dictionary: its ``dict.txt``.
        sentencepiece: model that cut its text into the dictionary's symbols.
        out: folder that is to appear; it appears whole or not at all.

    Raises:
        EncoderError: where a file can't be read, the model is of a kind that no class of transformers has, the files
            don't belong together, or there is something at ``out``.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EncoderError(f"{out} is there already: name a folder that is not")
    read = read_model(model)
    symbols = read_dictionary(dictionary)
    converted = convert_stacks(read)
    config, weights = converted.config, converted.weights
    table = "shared.weight" if "shared.weight" in weights else "embed_tokens.weight"
    try:
        with new_folder(out) as folder:
            vocabulary = write_tokenizer(
                folder, read.options, symbols, len(weights[table]), sentencepiece, config.max_position_embeddings
            )
            weights[table] = weights[table][list(vocabulary.rows)]
            config.vocab_size = len(vocabulary.rows)
            _save(folder, config, weights)
            origin = _origin(folder, model, dictionary, sentencepiece)
            config.xglue_converted_from = origin.model_dump()
            config.save_pretrained(folder)  # again: what is loaded, and hashed, must have a configuration already
            conversion = Conversion(
                converted_from=origin,
                task=str(read.options.get("task")),
                architecture=config.model_type,
                layers=config.num_hidden_layers,
                parameters=sum(tensor.numel() for tensor in weights.values()),
                languages=vocabulary.languages,
                unknown_pieces=len(vocabulary.unknown),
                left_out=converted.left_out,
            )
            note = {**asdict(conversion), "converted_from": origin.model_dump()}
            (folder / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise EncoderError(f"{out}: can't be written ({error.strerror or error})") from None
    return conversion


def _save(folder: Path, config: Any, weights: dict[str, Any]) -> None:
    from safetensors.torch import save_file
    from transformers import MODEL_MAPPING

    config.architectures = [MODEL_MAPPING[type(config)].__name__]
    config.dtype = "float32"
    config.save_pretrained(folder)
    whole = {name: tensor.clone().contiguous() for name, tensor in weights.items()}  # none shares memory with another
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def _origin(folder: Path, checkpoint: Path, dictionary: Path, sentencepiece: Path) -> ConvertedFrom:
    """What a folder was made from; its encoder is hashed as it is loaded, as a run will do it."""
    import torch

    return ConvertedFrom(
        converter="fairseq",
        version=VERSION,
        checkpoint_sha256=file_sha256(checkpoint),
        dictionary_sha256=file_sha256(dictionary),
        sentencepiece_sha256=file_sha256(sentencepiece),
        encoder_sha256=weights_sha256(load_backbone(str(folder), torch.device("cpu")).encoder),
    )
