import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from providers.types import Capability
from routing.complexity import score
from routing.complexity_rules import ASKED_TASKS, DEMANDS, GIVEN_TASKS, TEXT_TASKS
from routing.types import Need, Reason, Score

EVERYDAY = [
    # Small talk and look-ups: the smallest model does.
    ("hi", "L0"),
    ("Hello there, how are you today?", "L0"),
    ("thanks, that's all", "L0"),
    ("ok, great, thank you so much!", "L0"),
    ("good morning", "L0"),
    ("ping", "L0"),
    ("Guten Morgen!", "L0"),
    ("hola, ¿qué tal?", "L0"),
    ("Bonjour, ça va ?", "L0"),
    ("xin chào", "L0"),
    ("你好", "L0"),
    ("what's the capital of France?", "L0"),
    ("Who wrote Pride and Prejudice?", "L0"),
    ("When did the Berlin Wall fall?", "L0"),
    ("how many legs does a spider have", "L0"),
    ("What time is it in Tokyo?", "L0"),
    ("Where is Mount Etna?", "L0"),
    ("translate 'good night' to German", "L0"),
    # Everyday writing, rewriting, plain explanations: a cheap model does.
    ("write a polite email declining a meeting invitation", "L1"),
    ("Summarise this article in three sentences: The council met on Monday to talk about parking.", "L1"),
    ("Write a haiku about autumn rain", "L1"),
    ("Give me five names for a coffee shop near a harbour", "L1"),
    ("Rewrite this so that it sounds friendlier: we cannot ship your order before Friday.", "L1"),
    ("Explain photosynthesis to a ten-year-old", "L1"),
    ("What should I cook tonight with leeks and eggs?", "L1"),
    ("Fix the spelling in this sentence: I has went to the libary yesterday.", "L1"),
    ("Extract the names and dates from this note: Ana comes on 4 May, Luis on 9 May.", "L1"),
    ("Is this review positive or negative? The room was clean but the staff ignored us.", "L1"),
    ("what's the difference between a latte and a flat white?", "L1"),
    ("Recommend some important works of classical music for a beginner", "L1"),
    ("Plan a three-day trip to Lisbon with two children", "L1"),
    ("What is Docker?", "L1"),
    ("how do I undo the last git commit?", "L1"),
    ("yes, go ahead", "L1"),
    ("The proof of the pudding is in the eating - what does it mean?", "L1"),
    ("Write a story about a robot who learns to code", "L1"),
    ("Explain the difference between optimistic and pessimistic locking in Postgres", "L1"),
    ("Schreibe eine kurze Einladung zum Sommerfest", "L1"),
    ("¿Qué me recomiendas para cenar esta noche?", "L1"),
    ("请给我推荐几本关于历史的书", "L1"),
    ("Расскажи мне сказку о лисе и зайце", "L1"),
    # Code, sums, analysis: a good model is worth it.
    ("Fix this function so that it handles an empty list:\n\ndef mean(xs):\n    return sum(xs) / len(xs)", "L2"),
    ("Write a Python function that merges two sorted lists", "L2"),
    ("write a SQL query for the ten customers who spent most last month", "L2"),
    ("Create a React component with a search field and a list of results", "L2"),
    ("Explain what this regex does: ^(?:\\d{3}-)?\\d{4}$", "L2"),
    (
        "A train leaves at 9:40 at 80 km/h, another at 10:10 at 110 km/h. How many minutes until the second catches up,"
        " and how far have they gone in total?",
        "L2",
    ),
    ("Solve the equation x^2 - 5x + 6 = 0 and sketch the parabola", "L2"),
    (
        "Compare a fixed and a variable mortgage for someone with an unstable income, with the advantages and risks of"
        " each and the implications if rates rise.",
        "L2",
    ),
    (
        "Our tenant has sued us because the contract was terminated without notice. Analyse our liability and the"
        " arguments her attorney is likely to make.",
        "L2",
    ),
    ("Schreibe eine Python Funktion, die Primzahlen bis n zurückgibt", "L2"),
    ("Escribe una función en JavaScript que valide un correo", "L2"),
    ("Viết hàm Python đảo ngược một chuỗi", "L2"),
    ("用Python写一个快速排序", "L2"),
    ("What is the probability of rolling at least one six in four rolls of two dice?", "L2"),
    # Proofs, systems, hard bugs: the best there is.
    ("Prove that sqrt(2) is irrational", "L3"),
    ("Beweise, dass es unendlich viele Primzahlen gibt", "L3"),
    ("Show that every finite integral domain is a field", "L3"),
    ("证明根号二是无理数", "L3"),
    ("design a multi-region database migration with zero downtime for a payments service", "L3"),
    (
        "debug this race condition: two workers take the same job from the queue although each one locks it first, and"
        " only under load",
        "L3",
    ),
    ("Implement a lock-free concurrent hash map in Rust and justify every memory ordering", "L3"),
    (
        "Propose an architecture for a distributed event system that handles a million messages a second, with"
        " exactly-once delivery; discuss the trade-offs and failover.",
        "L3",
    ),
    ("Derive the Euler-Lagrange equation from the principle of least action, step by step", "L3"),
    ("Find and fix the memory leak in this C++ service; it grows only when links fail over; think carefully", "L3"),
]


def layer(judged: Score) -> str:
    assert judged.value is not None
    return f"L{min(3, int(judged.value * 4))}"


def names(prompt: str) -> set[str]:
    return {reason.name for reason in score(Need(prompt=prompt)).reasons}


@pytest.mark.parametrize(("prompt", "expected"), EVERYDAY)
def test_everyday_requests_enter_where_people_expect(prompt: str, expected: str) -> None:
    judged = score(Need(prompt=prompt))
    assert layer(judged) == expected, judged


@pytest.mark.parametrize("prompt", ["", "   ", "\n\n\t", "..."])
def test_nothing_is_said_of_a_request_without_words(prompt: str) -> None:
    assert score(Need(prompt=prompt)) == Score(None, (Reason("no text", 0.0),))


def test_a_picture_without_words_is_still_a_request() -> None:
    assert layer(score(Need(prompt="", files=1))) == "L1"


def test_instructions_stand_in_for_an_empty_message() -> None:
    assert layer(score(Need(prompt="", system="Prove that there are infinitely many primes."))) == "L3"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Write about the classical orchestras of Vienna", "code to write"),
        ("Write down what is important about functional families", "code to write"),
        ("Explain the scripture reading of last Sunday", "code to mend or explain"),
        ("Improve my approval rating", "asks for a proof"),
        ("Our team is the proverbial underdog", "asks for a proof"),
        ("The proof of the pudding is in the eating - what does it mean?", "asks for a proof"),
        ("Write a tweet about our new API", "code to write"),
        ("Plan my birthday party, the service should be at seven", "system to design"),
    ],
)
def test_words_count_as_whole_words_and_in_their_company(prompt: str, name: str) -> None:
    assert name not in names(prompt)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("hello", "greeting"),
        ("Prove that the square root of five is irrational", "asks for a proof"),
        ("Write a Python script that renames files", "code to write"),
        ("Answer in JSON: which of these cities lie on a river? Paris, Rome, Oslo", "strict output format"),
        ("Think it through step by step: which of the two bags is heavier?", "multi-step reasoning"),
        ("Translate this sentence to Polish: the tram is late", "translation"),
        ("Tell me what you make of this. " + "The rain fell on the harbour all day. " * 40, "long input"),
    ],
)
def test_every_rule_that_speaks_is_named(prompt: str, name: str) -> None:
    assert name in names(prompt)


@pytest.mark.parametrize(("prompt", "expected"), EVERYDAY)
def test_the_reasons_add_up_to_the_score(prompt: str, expected: str) -> None:
    judged = score(Need(prompt=prompt))
    total = sum(reason.points for reason in judged.reasons)
    assert judged.value == pytest.approx(min(1.0, max(0.0, total)), abs=1e-4)


def test_what_comes_with_a_prompt_raises_its_score() -> None:
    plain = Need(prompt="Book a table for Friday evening")
    richer = [
        replace(plain, tools=3),
        replace(plain, files=1),
        replace(plain, turns=20),
        replace(plain, system="Be brief. " * 400),
        replace(plain, capabilities=frozenset({Capability.JSON_SCHEMA})),
        replace(plain, capabilities=frozenset({Capability.REASONING})),
    ]
    base = score(plain).value
    assert base is not None
    assert all((score(need).value or 0.0) > base for need in richer)


def test_a_greeting_stays_one_whatever_an_agent_sends_along() -> None:
    assert layer(score(Need(prompt="hi", tools=40, turns=30, system="You are an agent. " * 1_000))) == "L0"


def test_a_summary_stays_one_when_its_text_speaks_of_code_and_proofs() -> None:
    text = (
        "Summarise this newspaper article in one paragraph: A Python function can now prove theorems. "
        + "Its authors create an app for it. " * 9
    )
    assert layer(score(Need(prompt=text))) == "L1"


def test_an_order_after_a_long_text_is_heard() -> None:
    text = "The council met to talk about parking in the old town. " * 400
    assert "code to write" in names(text + "Write a Python function that counts the words of this text.")


BOUND_S = 0.1
"""About 0.0005 s when the machine is idle; reading all of it would take longer than this."""


@pytest.mark.parametrize("unit", ["a", "(", " ", "\n", "1", "Prove that ", "```", "é", "证明", "a_b "])
def test_megabytes_take_no_longer_than_a_page(unit: str) -> None:
    need = Need(prompt=unit * (20_000_000 // len(unit)))
    started = time.perf_counter()
    score(need)
    assert time.perf_counter() - started < BOUND_S


NEEDS = st.builds(
    Need,
    prompt=st.text(),
    system=st.text(max_size=50),
    turns=st.integers(0, 10_000),
    tools=st.integers(0, 1_000),
    files=st.integers(0, 100),
    capabilities=st.frozensets(st.sampled_from(list(Capability))),
)


@given(need=NEEDS)
def test_any_request_has_a_score_from_0_to_1_and_always_the_same(need: Need) -> None:
    judged = score(need)
    assert judged.value is None or 0.0 <= judged.value <= 1.0
    assert judged.reasons
    assert score(need) == judged


KNOWN_WORDS = sorted(set().union(*(rule.terms for rule in (*ASKED_TASKS, *GIVEN_TASKS, *TEXT_TASKS, *DEMANDS))))


@given(words=st.lists(st.sampled_from(KNOWN_WORDS), max_size=60))
def test_any_heap_of_known_words_has_a_score_from_0_to_1(words: list[str]) -> None:
    judged = score(Need(prompt=" ".join(words).replace("_", " ")))
    assert judged.value is None or 0.0 <= judged.value <= 1.0
