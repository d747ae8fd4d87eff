"""Small tokenizers of the families, built from words given: no download, the family's own class and special tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertTokenizer,
    DebertaV2Tokenizer,
    M2M100Tokenizer,
    MBart50Tokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("the", "cat", "sees", "dog", "der", "hund", "sieht", "haus")


def _letters(words: Sequence[str]) -> list[str]:
    return sorted({*LETTERS, *(letter for word in words for letter in word)})


def _pieces(words: Sequence[str]) -> list[tuple[str, float]]:
    start = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    letters = [(letter, -8.0) for letter in _letters(words)]
    return [*start, ("▁", -4.0), *letters, *((f"▁{word}", -2.0) for word in words)]


def mbart50(words: Sequence[str] = WORDS) -> MBart50Tokenizer:
    """mBART-50's: ``[language] text </s>``, nothing between the texts of a pair."""
    return MBart50Tokenizer(vocab=_pieces(words))


def nllb(words: Sequence[str] = WORDS) -> NllbTokenizer:
    """NLLB-200's: ``[language] text </s>``, nothing between the texts of a pair."""
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    for word in ["▁", *(f"▁{word}" for word in words), *_letters(words)]:
        vocabulary.setdefault(word, len(vocabulary))
    return NllbTokenizer(vocab=vocabulary, merges=[])


def m2m100(folder: Path, words: Sequence[str] = WORDS) -> M2M100Tokenizer:
    """M2M100's, which transformers has in Python only; its sentencepiece model is written into ``folder``."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words),
        model_writer=written,
        vocab_size=len(_letters(words)) + 60,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    model = folder / "trained.model"
    model.write_bytes(written.getvalue())
    loaded = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    for index in range(loaded.get_piece_size()):
        vocabulary.setdefault(loaded.id_to_piece(index), len(vocabulary))
    (folder / "trained.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return M2M100Tokenizer(vocab_file=str(folder / "trained.json"), spm_file=str(model))


def xlmr(words: Sequence[str] = WORDS) -> XLMRobertaTokenizer:
    """XLM-R's: ``<s> text </s></s> text </s>``, no segments."""
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return XLMRobertaTokenizer(vocab=[*specials, *_pieces(words)[3:], ("<mask>", 0.0)])


def t5(words: Sequence[str] = WORDS) -> T5Tokenizer:
    """T5's and mT5's: ``text </s> text </s>``, no segments and nothing in front."""
    return T5Tokenizer(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_pieces(words)[3:]], extra_ids=0)


def deberta(words: Sequence[str] = WORDS) -> DebertaV2Tokenizer:
    """DeBERTa-v3's: ``[CLS] text [SEP] text [SEP]`` over sentencepiece."""
    specials = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    return DebertaV2Tokenizer(vocab=[*specials, *_pieces(words)[3:], ("[MASK]", 0.0)], unk_id=3)


def bytes_bpe(words: Sequence[str] = ("cat", "dog")) -> PreTrainedTokenizerFast:
    """ModernBERT's and RoBERTa's kind: bytes, a blank belongs to the word after it, and the first word has none."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    merges = []
    for symbol in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[symbol] = len(vocabulary)
    for word in words:
        for start in (f"\u0120{word}", word):
            for end in range(2, len(start) + 1):
                merges.append((start[: end - 1], start[end - 1]))
                vocabulary.setdefault(start[:end], len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges)), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def bert(words: Sequence[str] = WORDS) -> BertTokenizer:
    """BERT's: ``[CLS] text [SEP] text [SEP]`` with segments 0 and 1."""
    letters = _letters(words)
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    return BertTokenizer(
        vocab={entry: index for index, entry in enumerate(dict.fromkeys(entries))}, do_lower_case=False
    )
