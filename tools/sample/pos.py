"""POS: sentences of several patterns, the tags straight from the lexicons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from tools.sample import world
from tools.sample.clauses import Clause, draw_clause, finish, subject, tagged_clause, verb_parts
from tools.sample.lexicon import Lexicon
from tools.sample.plan import distinct, split_up, total
from tools.sample.tokens import fill

PATTERNS = {
    "plain": 5,
    "not": 4,
    "who": 2,
    "he": 2,
    "oh": 2,
    "goods": 4,
    "and": 3,
    "says": 3,
    "lives": 1,
    "live": 1,
}
"""The patterns and how often each is drawn."""


@dataclass(frozen=True)
class Row:
    """A pattern and what fills it: two clauses (the second for ``and`` and ``says``), or two names and a city."""

    pattern: str
    first: Clause
    second: Clause
    names: tuple[str, ...] = ()
    city: str = ""


_NOTHING = Clause("", "")


def _draw(rng: Random) -> Row:
    pattern = rng.choices(list(PATTERNS), list(PATTERNS.values()))[0]
    if pattern in {"lives", "live"}:
        names = rng.sample(world.NAMES, 2 if pattern == "live" else 1)
        return Row(pattern, _NOTHING, _NOTHING, tuple(names), rng.choice(world.CITIES))
    first = draw_clause(rng)
    if pattern in {"and", "says"}:
        bare = replace(first, place="", time="")
        second = replace(draw_clause(rng), place="", time="")
        if second.subject == bare.subject or second.verb == bare.verb:
            return _draw(rng)
        if pattern == "and":
            return Row(pattern, bare, replace(second, subject=""))
        return Row(pattern, replace(bare, verb=""), second)
    first = rng.choice((first, replace(first, time=""), first))
    if pattern == "goods":
        place = rng.choice(("park", "village", "market", "station", "house"))
        first = replace(first, verb="buy", place=place, goods=rng.choice(world.GOODS))
    elif pattern == "not":
        first = replace(first, negative=True)
    elif pattern in {"who", "he"}:
        first = replace(first, subject=pattern)
    return Row(pattern, first, _NOTHING)


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the sentences; none occurs twice."""
    return split_up(distinct(total(), lambda: _draw(rng)))


def render(row: Row, lexicon: Lexicon) -> list[tuple[str, str]]:
    """The sentence as (word, tag) pairs."""
    mark = {"who": "question", "oh": "exclamation"}.get(row.pattern, "stop")
    return [(token.word, token.tag) for token in finish(lexicon, _tagged(row, lexicon), mark)]


def _tagged(row: Row, lexicon: Lexicon) -> str:
    data = lexicon.data
    if row.pattern in {"lives", "live"}:
        names = [data["names"][name] for name in row.names]
        slots = {"name": names[0], "name2": names[-1], "city": lexicon.city(row.city)}
        return fill(data["patterns"][row.pattern], in_city=lexicon.in_city(row.city), **slots)
    if row.pattern == "and":
        group, thing, _ = verb_parts(lexicon, row.first.verb)
        group2, thing2, bare2 = verb_parts(lexicon, row.second.verb)
        who = subject(lexicon, row.first.subject)
        return fill(data["patterns"]["and"], s=who, v=group, o=thing, v2=group2, o2=thing2, w2=bare2)
    if row.pattern == "says":
        group, thing, _ = verb_parts(lexicon, row.second.verb)
        who, other = subject(lexicon, row.first.subject), subject(lexicon, row.second.subject)
        return fill(data["patterns"]["says"], s=who, s2=other, v2=group, o2=thing)
    clause = tagged_clause(lexicon, row.first)
    return f"{data['patterns']['oh']} {clause}" if row.pattern == "oh" else clause
