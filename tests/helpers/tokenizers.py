"""Small tokenizers of the families, built from words given: no download, the family's own class and special tokens."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertTokenizer,
    MBart50Tokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    XLMRobertaTokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("the", "cat", "sees", "dog", "der", "hund", "sieht", "haus")


def _pieces() -> list[tuple[str, float]]:
    start = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    letters = [(letter, -8.0) for letter in LETTERS]
    return [*start, ("▁", -4.0), *letters, *((f"▁{word}", -2.0) for word in WORDS)]


def mbart50() -> MBart50Tokenizer:
    """mBART-50's: ``[language] text </s>``, nothing between the texts of a pair."""
    return MBart50Tokenizer(vocab=_pieces())


def nllb() -> NllbTokenizer:
    """NLLB-200's: ``[language] text </s>``, nothing between the texts of a pair."""
    words = ["▁", *(f"▁{word}" for word in WORDS), *LETTERS]
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    return NllbTokenizer(vocab=vocabulary, merges=[])


def xlmr() -> XLMRobertaTokenizer:
    """XLM-R's: ``<s> text </s></s> text </s>``, no segments."""
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return XLMRobertaTokenizer(vocab=[*specials, *_pieces()[3:], ("<mask>", 0.0)])


def bytes_bpe() -> PreTrainedTokenizerFast:
    """ModernBERT's and RoBERTa's kind: bytes, a blank belongs to the word after it, and the first word has none."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    merges = []
    for symbol in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[symbol] = len(vocabulary)
    for word in ("cat", "dog"):
        for start in (f"\u0120{word}", word):
            for end in range(2, len(start) + 1):
                merges.append((start[: end - 1], start[end - 1]))
                vocabulary.setdefault(start[:end], len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges)), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def bert() -> BertTokenizer:
    """BERT's: ``[CLS] text [SEP] text [SEP]`` with segments 0 and 1."""
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    return BertTokenizer(vocab={entry: index for index, entry in enumerate(entries)})
