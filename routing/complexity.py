"""Judges how hard a request is by what it asks for, from words and marks alone.

Owns the reading of a prompt and the sum of the rules that spoke. Pure, no I/O, never raises; the words and their points
stand in `complexity_rules`, the thresholds with the layers. Does not choose a layer, and does not look at what a model
must be able to do: `plan` drops the models that cannot.

On the path of every request: a prompt is cut into words once and a rule is an intersection of small sets, so its cost
does not grow with the vocabulary. A word matches as a whole word: `class` is not found in `classical`.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

import msgspec

from providers.types import Capability
from routing import complexity_rules as table
from routing.complexity_rules import Rule
from routing.types import Need, Reason, Score

_HEAD_CHARS = 1_800
_TAIL_CHARS = 900
"""What is asked stands at the beginning or the end, what lies between is material. Bounds the work on megabytes."""

_BREAKS = str.maketrans(dict.fromkeys(string.punctuation.replace("_", "") + "¿¡«»„“”‘’…–—。，、？！：；（）「」", " "))
"""Splitting after a translation takes a quarter of the time of a regular expression for words."""

_MARKS = (*table.CODE_MARKS, *table.FORMULA_MARKS)
_SYMBOLS = {next(sign for sign in mark if not sign.isalnum() and not sign.isspace()) for mark in _MARKS}
"""One out of every mark."""
_RULES = (*table.ASKED_TASKS, *table.GIVEN_TASKS, *table.TEXT_TASKS, *table.LIGHT_TASKS, *table.DEMANDS, table.FACTS)
_KNOWN = frozenset[str]().union(
    *(rule.terms | rule.beside | rule.unless for rule in _RULES),
    table.NUMBER_WORDS,
    table.QUESTION_PAIRS,
    table.OPEN_ENDED,
    table.AMOUNTS_ASKED,
)
_FIRST_OF_PAIR = frozenset(term.partition("_")[0] for term in _KNOWN if "_" in term)


class _Group:
    """Rules that are looked at together. Most prompts hold no term of most groups, and one look tells."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.terms = frozenset[str]().union(*(rule.terms for rule in rules))


_ASKED, _GIVEN = _Group(*table.ASKED_TASKS), _Group(*table.GIVEN_TASKS)
_TEXT, _LIGHT = _Group(*table.TEXT_TASKS), _Group(*table.LIGHT_TASKS)
_DEMANDED, _FACTS = _Group(*table.DEMANDS), _Group(table.FACTS)

_FIRST_WORDS, _LAST_WORDS = 60, 40
"""Of a longer prompt, where instructions stand."""
_OPENING_WORDS = 8
"""Room for "could you please", then the verb."""
_SMALL_TALK_WORDS = 8
_QUICK_QUESTION_WORDS = 14
_FACT_WORDS = 40
"""A look-up is asked in a line; quizzes wrap theirs in a sentence or two."""
_LONG_SENTENCE_WORDS = 22
"""On average; plain prose has about 15."""
_SUM_NUMBERS, _SUM_SIGNS = 2, 4
_MANY_TURNS = 8
_LONG_SYSTEM_CHARS = 2_000


class _Reading(msgspec.Struct, frozen=True):
    """A prompt, read once."""

    chars: int
    """Of the whole prompt; everything else is of its excerpt."""
    words: list[str]
    found: frozenset[str]
    """Every term of the table that occurs: words, pairs of words, marks."""
    asked: frozenset[str]
    """Those of them in the first and last words."""
    numbers: int
    """In figures or spelled out."""
    sentences: int

    @property
    def is_blank(self) -> bool:
        return not self.words and not self.found


def score(need: Need) -> Score:
    """Adds up what the rules say of a request: 0 a greeting, 1 a proof.

    The reasons sum to the value, but for its limits of 0 and 1. The value is None when there is nothing to judge by.
    """
    reading = _read(need.prompt)
    if reading.is_blank:
        reading = _read(need.system)
    if reading.is_blank and not need.files:
        return Score(None, (Reason("no text", 0.0),))
    if _is_small_talk(reading) and not need.files:
        return Score(0.0, (Reason("any request", table.START), Reason("greeting", -table.START)))
    reasons = (
        Reason("any request", table.START),
        *_task(reading),
        *_demands(reading),
        *_surroundings(need),
    )
    total = sum(reason.points for reason in reasons)
    return Score(round(min(1.0, max(0.0, total)), 4), reasons)


def _read(prompt: str) -> _Reading:
    text = prompt
    if len(prompt) > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{prompt[:_HEAD_CHARS]}\n{prompt[-_TAIL_CHARS:]}"
    words = text.lower().translate(_BREAKS).split()
    marks = _marks(text)
    found = _terms(words, marks)
    return _Reading(
        chars=len(prompt),
        words=words,
        found=found,
        asked=found if len(words) <= _FIRST_WORDS + _LAST_WORDS else _terms(_ends(words), marks),
        numbers=sum(map(str.isdigit, words)) + len(table.NUMBER_WORDS & found),
        sentences=text.count(". ") + text.count("? ") + text.count(".\n") + 1,
    )


def _ends(words: list[str]) -> list[str]:
    return words[:_FIRST_WORDS] + words[-_LAST_WORDS:]


def _terms(words: list[str], marks: list[str]) -> frozenset[str]:
    pairs = [f"{a}_{b}" for a, b in zip(words, words[1:], strict=False) if a in _FIRST_OF_PAIR]
    return _KNOWN.intersection(words).union(_KNOWN.intersection(pairs), marks)


def _marks(text: str) -> list[str]:
    """Most prompts hold no symbol at all, so that is asked first."""
    marks = [mark for mark in _MARKS if mark in text] if any(sign in text for sign in _SYMBOLS) else []
    return marks if text.isascii() else marks + [word for word in table.UNSPACED if word in text]


def _is_small_talk(reading: _Reading) -> bool:
    words = reading.words
    return (
        0 < len(words) <= _SMALL_TALK_WORDS
        and not table.SALUTATIONS.isdisjoint(words)
        and table.SMALL_TALK.issuperset(words)
    )


def _points(rule: Rule, found: frozenset[str]) -> float:
    hits = len(rule.terms & found)
    lacking = rule.beside and rule.beside.isdisjoint(found)
    if hits < rule.least or lacking or not rule.unless.isdisjoint(found):
        return 0.0
    points = rule.points + rule.more * (hits - rule.least)
    return round(max(-rule.most, min(points, rule.most)), 4)


def _spoken(group: _Group, found: frozenset[str]) -> list[Reason]:
    if group.terms.isdisjoint(found):
        return []
    points = [(rule.name, _points(rule, found)) for rule in group.rules if not rule.terms.isdisjoint(found)]
    return [Reason(name, value) for name, value in points if value]


def _task(reading: _Reading) -> list[Reason]:
    """The hardest task named decides; an easy one counts when it opens the prompt or no hard one is named."""
    text_tasks = _spoken(_TEXT, reading.found)
    if text_tasks and _opens_with_text_task(reading.words):
        return text_tasks[:1]
    hard = [
        *_spoken(_ASKED, reading.asked),
        *_spoken(_GIVEN, reading.found),
        *_sum_in_words(reading),
    ]
    if hard:
        return [max(hard, key=lambda reason: reason.points)]
    easy = text_tasks or _spoken(_LIGHT, reading.found)
    return easy[:1] or list(_look_up(reading))


def _opens_with_text_task(words: list[str]) -> bool:
    """To translate a function is work on code, to summarise an article on functions is not."""
    opening = words[:_OPENING_WORDS]
    return table.CODE_WORDS.isdisjoint(opening) and not _TEXT.terms.isdisjoint(opening)


def _sum_in_words(reading: _Reading) -> Iterator[Reason]:
    """Two numbers and an amount asked for, and one more of either: a lone year or a lone count is no sum."""
    asked = len(table.AMOUNTS_ASKED & reading.found)
    signs = asked + reading.numbers
    if asked and reading.numbers >= _SUM_NUMBERS and signs >= _SUM_SIGNS:
        yield Reason("sum in words", round(table.SUM_IN_WORDS + 0.01 * min(signs, 8), 4))


def _look_up(reading: _Reading) -> Iterator[Reason]:
    words = reading.words
    if not table.OPEN_ENDED.isdisjoint(reading.found):
        return
    if len(words) <= _FACT_WORDS:
        yield from _spoken(_FACTS, reading.found)
    asks = bool(words) and (words[0] in table.QUESTION_WORDS or not table.QUESTION_PAIRS.isdisjoint(reading.found))
    if asks and len(words) <= _QUICK_QUESTION_WORDS:
        yield Reason("quick question", table.QUICK_QUESTION)


def _demands(reading: _Reading) -> Iterator[Reason]:
    yield from _spoken(_DEMANDED, reading.found)
    if len(reading.words) > _LONG_SENTENCE_WORDS * reading.sentences:
        yield Reason("long sentences", table.LONG_SENTENCES)
    points = next((points for chars, points in table.LONG_INPUT if reading.chars >= chars), 0.0)
    if points:
        yield Reason("long input", points)


def _surroundings(need: Need) -> Iterator[Reason]:
    """What comes with the prompt counts for little: agents send tools and long instructions with every message."""
    if need.tools:
        yield Reason("tools offered", table.TOOLS)
    if need.files:
        yield Reason("images or files", table.FILES)
    if need.turns > _MANY_TURNS:
        yield Reason("long conversation", table.LONG_CONVERSATION)
    if len(need.system) > _LONG_SYSTEM_CHARS:
        yield Reason("long instructions", table.LONG_INSTRUCTIONS)
    if Capability.JSON_SCHEMA in need.capabilities:
        yield Reason("structured output required", table.STRUCTURED_OUTPUT)
    if Capability.REASONING in need.capabilities:
        yield Reason("reasoning requested", table.REASONING)
