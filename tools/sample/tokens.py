"""Tagged text: ``word/TAG word/TAG``, the notation of the lexicons.

A ``+`` between word and tag (``l'+/DET``) glues the word to the next one in running text. A word without a tag is
allowed where no tagging file is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

CLOSING = frozenset(".,;:!?،؟۔।。，？！：")
OPENING = frozenset("¿¡")
FRENCH_SPACED = frozenset(";:!?")
UNSPACED_LANGUAGES = frozenset({"th", "zh"})


@dataclass(frozen=True)
class Token:
    """One word, its tag (empty if the lexicon gives none) and whether no blank follows it."""

    word: str
    tag: str
    glued: bool


def parse(tagged: str) -> list[Token]:
    """Split tagged text into tokens."""
    tokens = []
    for piece in tagged.split():
        word, _, tag = piece.partition("/")
        glued = word.endswith("+")
        tokens.append(Token(word[:-1] if glued else word, tag, glued))
    return tokens


def fill(template: str, **slots: str) -> str:
    """Put ``slots`` into the ``$name`` places of a template; runs of blanks left by empty slots become one.

    Raises:
        KeyError: if the template names a slot that is not given.
    """
    return " ".join(Template(template).substitute(slots).split())


def upper_first(text: str, language: str) -> str:
    """Capitalise the first letter (Turkish ``i`` becomes ``İ``)."""
    if language == "tr" and text.startswith("i"):
        return "İ" + text[1:]
    return text[:1].upper() + text[1:]


def capitalised(tokens: list[Token], language: str) -> list[Token]:
    """Capitalise the first word of a sentence; opening marks before it are passed over."""
    result = list(tokens)
    for i, token in enumerate(result):
        if token.word not in OPENING:
            result[i] = Token(upper_first(token.word, language), token.tag, token.glued)
            break
    return result


def plain(tokens: list[Token], language: str) -> str:
    """Running text: the language's spacing of words and punctuation."""
    if language in UNSPACED_LANGUAGES:
        return "".join(token.word for token in tokens)
    text = ""
    blank = ""
    for token in tokens:
        closing = token.word in CLOSING and not (language == "fr" and token.word in FRENCH_SPACED)
        text += ("" if closing else blank) + token.word
        blank = "" if token.glued or token.word in OPENING else " "
    return text
