"""NER: sentences with names in their places; IOB1 labels in English and German, IOB2 in the others, as officially."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.plan import distinct, split_up, total
from tools.sample.tokens import fill, parse, upper_first

SENTENCES = {
    "works": "per1 org1 loc1",
    "office": "org1 loc1",
    "meets": "per1 per2 loc1",
    "buys": "org1 org2",
    "flies": "per1 loc1 loc2",
    "talks": "per1 misc1 loc1",
    "supports": "org1 misc1",
    "book": "per1 misc1",
    "plans": "loc1 per1 org1",
    "score": "per1 per2",
    "train": "loc1 loc2",
    "leaves": "per1 org1 org2",
    "weather": "loc1",
    "children": "per1 loc1",
    "reports": "org1 misc1 loc1",
}
"""Each sentence of the lexicons and its slots."""

MISC = ("nobel", "cup", "olympics", "lion", "spring", "eurovision")
IOB1_LANGUAGES = frozenset({"de", "en"})


@dataclass(frozen=True)
class Row:
    """A sentence's key and what fills its slots: names, or keys of cities and events."""

    sentence: str
    slots: tuple[tuple[str, str], ...]


def draw_person(rng: Random) -> str:
    """A first and a last name."""
    return f"{rng.choice(world.FIRST_NAMES)} {rng.choice(world.LAST_NAMES)}"


def _draw(rng: Random) -> Row:
    sentence = rng.choice(list(SENTENCES))
    first, last = rng.sample(world.FIRST_NAMES, 2), rng.sample(world.LAST_NAMES, 2)
    organisations, cities = rng.sample(world.ORGANISATIONS, 2), rng.sample(world.CITIES, 2)
    values = {
        "per1": f"{first[0]} {last[0]}",
        "per2": f"{first[1]} {last[1]}",
        "org1": organisations[0],
        "org2": organisations[1],
        "loc1": cities[0],
        "loc2": cities[1],
        "misc1": rng.choice(MISC),
    }
    return Row(sentence, tuple((slot, values[slot]) for slot in SENTENCES[sentence].split()))


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the sentences; none occurs twice."""
    return split_up(distinct(total(), lambda: _draw(rng)))


def _phrase(slot: str, value: str, lexicon: Lexicon) -> str:
    """The slot's words; the first word of an entity is marked ``!``."""
    kind = slot[:-1].upper()
    if kind == "MISC":
        words = [(token.word, token.tag) for token in parse(lexicon.data["ner"]["misc"][value])]
    else:
        text = lexicon.plain(lexicon.city(value)) if kind == "LOC" else value
        words = [(word, kind) for word in text.split()]
    start = next(i for i, (_, tag) in enumerate(words) if tag)
    return " ".join(f"{word}/{tag}{'!' if i == start else ''}" for i, (word, tag) in enumerate(words))


def render(row: Row, lexicon: Lexicon) -> list[tuple[str, str]]:
    """The sentence as (word, label) pairs."""
    phrases = {slot: _phrase(slot, value, lexicon) for slot, value in row.slots}
    tokens = parse(fill(lexicon.data["ner"]["sentences"][row.sentence], **phrases))
    pairs = []
    previous = ""
    for token in tokens:
        kind, begins = token.tag.rstrip("!"), token.tag.endswith("!")
        # IOB1 writes B- only where two entities of one type touch.
        b = begins and (lexicon.language not in IOB1_LANGUAGES or kind == previous)
        pairs.append((token.word, f"{'B' if b else 'I'}-{kind}" if kind else "O"))
        previous = kind
    return [(upper_first(pairs[0][0], lexicon.language), pairs[0][1]), *pairs[1:]]
