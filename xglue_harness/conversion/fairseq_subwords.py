"""The tokenizer of a fairseq model: pieces of a sentencepiece model, numbered by the model's dictionary.

fairseq reads text that was cut into pieces before, and gives a piece that its dictionary lacks the id of ``<unk>``.
Such pieces get ids of their own here, behind all others, and rows that are copies of that of ``<unk>``: they change
how a text is cut, as they did for fairseq, and mean as little as they did.

| task of fairseq | what a text begins and ends with |
| --- | --- |
| ``denoising``, ``masked_lm`` | ``<s> text </s>`` |
| ``language_modeling`` | ``</s> text </s>``: what follows another sentence (``<s>`` with ``--add-bos-token``) |
| ``translation_multi_simple_epoch``, ``--encoder-langtok src`` | ``__en__ text </s>`` |
| other translation | ``text </s>`` |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xglue_harness.benchmark import SOURCE_LANGUAGE
from xglue_harness.conversion.fairseq_file import SPECIAL
from xglue_harness.errors import EncoderError
from xglue_harness.files import read_regular

BOS, PAD, EOS, UNK = SPECIAL

_BLANK = "\u2581"  # what sentencepiece writes for a blank
_UNIGRAM, _BPE = 1, 2  # its kinds of models
_NORMAL = 1  # its kind of a piece that is learnt from text


@dataclass(frozen=True)
class Vocabulary:
    """What the rows of the table of subwords stand for.

    Attributes:
        rows: for each id of the converted model, the row of the fairseq model that it gets.
        languages: that the model was told as the language of a text; empty where it is told none.
        unknown: pieces of the sentencepiece model that the dictionary lacks.
    """

    rows: tuple[int, ...]
    languages: tuple[str, ...]
    unknown: tuple[str, ...]


def write_tokenizer(
    folder: Path, options: Mapping[str, Any], symbols: Sequence[str], rows: int, sentencepiece: Path, length: int
) -> Vocabulary:
    """Write the tokenizer's files.

    Args:
        folder: where they go.
        options: of the model.
        symbols: of the dictionary, by id.
        rows: of the model's table of subwords.
        sentencepiece: the model that cut the text.
        length: most subwords that the model reads.

    Raises:
        EncoderError: where the sentencepiece model can't be read, or the table has other rows than dictionary and task
            say.
    """
    proto = _read_pieces(sentencepiece)
    added = _added(options, len(symbols), rows)
    known = set(symbols)
    unknown = tuple(piece.piece for piece in proto.pieces if piece.type == _NORMAL and piece.piece not in known)
    if languages := tuple(name.strip("_") for name in added if name != "<mask>"):
        places = _write_m2m100(folder, symbols, languages, sentencepiece, length)
        return Vocabulary(places, languages, unknown)
    entries = [*symbols, *added, *unknown]
    _write_fast(folder, options, proto, entries, length)
    plain = range(len(symbols) + len(added))
    return Vocabulary((*plain, *(SPECIAL.index(UNK) for _ in unknown)), (), unknown)


def _read_pieces(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(read_regular(path))
    except OSError as error:
        raise EncoderError(f"{path}: {error.strerror or error}") from None
    except DecodeError as error:
        raise EncoderError(f"{path}: is no sentencepiece model ({error})") from None
    if not proto.pieces or proto.trainer_spec.model_type not in (_UNIGRAM, _BPE):
        raise EncoderError(f"{path}: is no sentencepiece model of the kind unigram or BPE")
    return proto


def _added(options: Mapping[str, Any], symbols: int, rows: int) -> tuple[str, ...]:
    """Symbols that the task of a model adds to its dictionary."""
    task = options.get("task")
    added: tuple[str, ...] = ()
    if task in ("denoising", "multilingual_denoising", "masked_lm", "multilingual_masked_lm"):
        added = ("<mask>",)
    elif task == "translation_multi_simple_epoch":
        if options.get("lang_tok_style", "multilingual") != "multilingual" or options.get("lang_dict"):
            raise EncoderError(
                "options lang_tok_style, lang_dict: only __en__, from the pairs themselves, is known here"
            )
        added = tuple(f"__{language}__" for language in _languages(options))
    if symbols + len(added) != rows:
        raise EncoderError(
            f"the table of subwords has {rows:,} rows; the dictionary has {symbols:,} symbols with fairseq's own four, "
            f"and the task {task} adds {len(added)}: is it the dict.txt of this model?"
        )
    wanted = options.get("encoder_langtok")
    if wanted not in (None, "src"):
        raise EncoderError(f"option encoder_langtok: is {wanted!r}: a text would be read by what it is to become")
    return added if wanted or "<mask>" in added else ()


def _languages(options: Mapping[str, Any]) -> list[str]:
    given = options.get("langs")
    if given:
        return list(given.split(",") if isinstance(given, str) else given)
    pairs = options.get("lang_pairs") or ()
    pairs = pairs.split(",") if isinstance(pairs, str) else pairs
    return sorted({language for pair in pairs for language in pair.split("-")})


def _write_fast(folder: Path, options: Mapping[str, Any], proto: Any, entries: Sequence[str], length: int) -> None:
    """A tokenizer of the library ``tokenizers``, which cuts as sentencepiece does."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    ids = {entry: index for index, entry in enumerate(entries)}
    tokenizer = _cutter(proto, ids)
    start = BOS if options.get("task") != "language_modeling" or options.get("add_bos_token") else EOS
    if str(options.get("task")).startswith("translation"):
        start = ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {EOS}".strip(),
        pair=f"{start} $A {EOS} $B {EOS}".strip(),
        special_tokens=[(token, ids[token]) for token in {start, EOS} - {""}],
    )
    mask = {"mask_token": "<mask>"} if "<mask>" in ids else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        model_max_length=length,
        **mask,
    ).save_pretrained(folder)


def _cutter(proto: Any, ids: Mapping[str, int]) -> Any:
    """What cuts a text as sentencepiece does, by the model's own settings: Kudo & Richardson 2018, section 3.

    transformers has such a thing, too (``SpmConverter``), but up to 5.20 that cuts otherwise than sentencepiece.

    Args:
        proto: the sentencepiece model.
        ids: of all entries, in the order of their ids.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    scores = {piece.piece: piece.score for piece in proto.pieces}
    normal = {piece.piece: piece.score for piece in proto.pieces if piece.type == _NORMAL}
    model: Any
    if proto.trainer_spec.model_type == _UNIGRAM:
        worst = min(scores.values()) - 1e4  # what sentencepiece never cuts out: special tokens, filling of a dictionary
        model = models.Unigram([(entry, normal.get(entry, worst)) for entry in ids], unk_id=SPECIAL.index(UNK))
    else:
        model = models.BPE(dict(ids), _merges(normal), unk_token=UNK, fuse_unk=True)
    tokenizer: Any = Tokenizer(model)
    spec = proto.normalizer_spec
    steps: list[Any] = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.escape_whitespaces:
        steps.append(normalizers.Replace(" ", _BLANK))
    unwritten: list[Any] = [decoders.Replace(_BLANK, " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Replace(Regex(rf"\A{_BLANK}"), 2 * _BLANK))  # Metaspace puts none before one
        before = pre_tokenizers.Metaspace(replacement=_BLANK, prepend_scheme="always", split=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([before])
        unwritten += [decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(unwritten)
    return tokenizer


def _merges(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Pairs that BPE joins, in their order: sentencepiece joins what gives the piece of the highest score."""
    return [
        (piece[:place], piece[place:])
        for piece in sorted(scores, key=lambda piece: -scores[piece])
        for place in range(1, len(piece))
        if piece[:place] in scores and piece[place:] in scores
    ]


def _write_m2m100(
    folder: Path, symbols: Sequence[str], languages: Sequence[str], sentencepiece: Path, length: int
) -> tuple[int, ...]:
    """M2M100's tokenizer, which is fairseq's way: pieces, looked up in a dictionary, behind the code of their language.

    It has codes of a hundred languages. Those that the model was not trained with get the row of English: they are read
    as English is.

    Returns:
        Rows, as `Vocabulary` has them.
    """
    from transformers import M2M100Tokenizer

    written = folder / "vocab.json"
    written.write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}), encoding="utf-8")
    tokenizer = M2M100Tokenizer(
        str(written), str(sentencepiece), src_lang=SOURCE_LANGUAGE, num_madeup_words=0, model_max_length=length
    )
    codes = list(tokenizer.lang_code_to_token)
    if foreign := [language for language in (SOURCE_LANGUAGE, *languages) if language not in codes]:
        raise EncoderError(f"M2M100's tokenizer has no code for {', '.join(foreign)}")
    if SOURCE_LANGUAGE not in languages:
        raise EncoderError(f"the model was not told of {SOURCE_LANGUAGE}, which it would be fine-tuned in")
    tokenizer.save_pretrained(folder)
    row = {language: len(symbols) + place for place, language in enumerate(languages)}
    return (*range(len(symbols)), *(row.get(code, row[SOURCE_LANGUAGE]) for code in codes))
