"""Simple clauses: subject, verb, object, place, time and an addition, in the word order of each language."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.tokens import Token, capitalised, fill, parse, plain


@dataclass(frozen=True)
class Clause:
    """A clause in keys of the lexicon; an empty key leaves the part out.

    ``subject`` is a key of ``subjects`` or ``pronouns``. ``goods`` replaces the verb's own object.
    """

    subject: str
    verb: str
    place: str = ""
    time: str = ""
    extra: str = ""
    goods: str = ""
    negative: bool = False


def draw_clause(rng: Random) -> Clause:
    """A random affirmative clause with place and time."""
    while True:
        verb, place = rng.choice(world.VERBS), rng.choice(world.PLACES)
        if (verb, place) not in world.UNLIKELY:
            return Clause(rng.choice(world.SUBJECTS), verb, place, rng.choice(world.TIMES))


def verb_parts(lexicon: Lexicon, verb: str, *, negative: bool = False) -> tuple[str, str, str]:
    """Tagged verb group, object and bare verb.

    A lexicon entry is ``verb | object [| object when negated [| verb when negated]]``; the patterns ``affirmation`` and
    ``negation`` build the verb group where the entry does not give it.
    """
    parts = [part.strip() for part in lexicon.data["verbs"][verb].split("|")]
    bare = parts[0]
    if not negative:
        return fill(lexicon.data.get("affirmation", "$v"), v=bare), parts[1], bare
    group = parts[3] if len(parts) > 3 else fill(lexicon.data["negation"], v=bare)
    return group, parts[2] if len(parts) > 2 else parts[1], bare


def subject(lexicon: Lexicon, key: str) -> str:
    """Tagged subject, a noun or a pronoun."""
    data = lexicon.data
    return str(data["subjects"][key] if key in data["subjects"] else data["pronouns"][key])


def tagged_clause(lexicon: Lexicon, clause: Clause) -> str:
    """The clause as tagged text, without its final mark."""
    data = lexicon.data
    group, thing, _ = verb_parts(lexicon, clause.verb, negative=clause.negative)
    return fill(
        data["clause"],
        s=subject(lexicon, clause.subject),
        v=group,
        o=data["goods"][clause.goods] if clause.goods else thing,
        p=data["places"][clause.place] if clause.place else data.get("no_place", ""),
        t=data["times"][clause.time] if clause.time else "",
        e=data["extras"][clause.extra] if clause.extra else "",
        n=data.get("negator", "") if clause.negative else "",
    )


def finish(lexicon: Lexicon, tagged: str, mark: str = "stop") -> list[Token]:
    """Add the final (and opening) mark and capitalise: a sentence as tokens."""
    return capitalised(parse(fill(lexicon.data["marks"][mark], x=tagged)), lexicon.language)


def sentence(lexicon: Lexicon, clause: Clause) -> str:
    """The clause as a sentence of running text."""
    return plain(finish(lexicon, tagged_clause(lexicon, clause)), lexicon.language)
