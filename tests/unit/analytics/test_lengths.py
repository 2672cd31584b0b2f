"""Learned lengths of answers: what most of them do with, and how that follows what is asked."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import OperationalError, connection
from hypothesis import given
from hypothesis import strategies as st

from analytics import ledger, lengths
from analytics.lengths import ANY_MODEL, DEFAULT, EDGES, FEWEST, HALVED_AT, Lengths
from tests.unit.analytics.test_ledger import usage_row


def learned(*tokens, key_id=1, model_id=3, was_capped=False, into=None):
    into = into or Lengths()
    for answer in tokens:
        into.learn(key_id=key_id, model_id=model_id, tokens=answer, was_capped=was_capped)
    return into


def usual(known, *, key_id=1, model_id=3):
    return known.usual(key_id=key_id, model_id=model_id)


def test_buckets_go_from_one_token_to_a_million_in_steps_of_at_most_half():
    assert (EDGES[0], EDGES[-1]) == (1, 2**20)
    assert all(after <= before * 1.5 + 0.5 for before, after in pairwise(EDGES[1:]))
    assert all(after <= before * 1.22 for before, after in pairwise(EDGES) if 16 <= before < 65_536)


class TestUsual:
    def test_with_nothing_known_it_is_the_default(self):
        assert usual(Lengths()) == DEFAULT

    def test_it_is_the_edge_above_nineteen_of_twenty(self):
        assert usual(learned(*[64] * 18, 5000, 5000)) == 5793
        assert usual(learned(*[64] * 19, 5000)) == 64

    @given(st.lists(st.integers(1, 2**20), min_size=FEWEST, max_size=HALVED_AT - 1))
    def test_at_most_one_in_twenty_is_longer(self, answers):
        found = usual(learned(*answers))
        assert sum(answer > found for answer in answers) * 20 <= len(answers)

    @given(st.lists(st.integers(1, 2**20), min_size=FEWEST, max_size=HALVED_AT - 1))
    def test_no_shorter_bucket_would_do(self, answers):
        found = usual(learned(*answers))
        shorter = max((edge for edge in EDGES if edge < found), default=0)
        assert sum(answer > shorter for answer in answers) * 20 > len(answers)

    def test_of_too_few_nothing_is_known(self):
        known = learned(*[3000] * (FEWEST - 1), key_id=1)
        assert usual(known, key_id=1) == DEFAULT
        learned(3000, key_id=1, into=known)
        assert usual(known, key_id=1) == 3444

    def test_what_others_ask_says_nothing(self):
        assert usual(learned(*[1] * FEWEST, key_id=2), key_id=1) == DEFAULT

    def test_keys_and_models_have_their_own(self):
        known = learned(*[16] * FEWEST, key_id=1)
        learned(*[1024] * FEWEST, key_id=2, into=known)
        assert (usual(known, key_id=1), usual(known, key_id=2)) == (16, 1024)
        assert usual(known, model_id=4) == DEFAULT

    def test_the_owner_at_the_command_line_has_no_key(self):
        assert usual(learned(*[16] * FEWEST, key_id=None), key_id=None) == 16

    def test_an_answer_beyond_the_last_edge_counts_in_it(self):
        assert usual(learned(*[10**9] * FEWEST)) == 2**20
        assert usual(learned(*[10**9] * FEWEST, was_capped=True)) == 2**20

    def test_an_answer_of_no_tokens_teaches_nothing(self):
        assert usual(learned(*[0] * FEWEST)) == DEFAULT

    def test_of_several_choices_the_mean_counts(self):
        known = Lengths()
        for _ in range(FEWEST):
            known.learn(key_id=1, model_id=3, tokens=4 * 64 - 3, was_capped=False, choices=4)
        assert usual(known) == 64


class TestUnstated:
    """An answer whose request does not say how long it may get."""

    @pytest.mark.parametrize(("tokens", "counts"), [(2, DEFAULT), (2048, 2048)])
    def test_counts_as_usual_and_as_the_default_at_least(self, tokens, counts):
        known = learned(*[tokens] * FEWEST, model_id=ANY_MODEL)
        assert known.unstated(key_id=1) == counts


class TestFollowing:
    def test_answers_that_end_at_the_cap_raise_it(self):
        known = learned(*[100] * FEWEST)
        caps = [usual(known)]
        while caps[-1] < 1000:
            learned(*[caps[-1]] * HALVED_AT, was_capped=True, into=known)
            caps.append(usual(known))
            assert caps[-1] > caps[-2]

    def test_what_was_learned_long_ago_is_forgotten(self):
        known = learned(*[10_000] * (HALVED_AT - 1))
        learned(*[50] * 5 * HALVED_AT, into=known)
        assert usual(known) == 54

    def test_the_least_recently_used_go(self, monkeypatch):
        monkeypatch.setattr(lengths, "MOST_HISTOGRAMS", 2)
        known = learned(*[16] * FEWEST, key_id=1)
        learned(*[64] * FEWEST, key_id=2, into=known)
        assert usual(known, key_id=1) == 16
        learned(1, key_id=3, into=known)
        assert usual(known, key_id=1) == 16
        assert {key_id for key_id, _ in known._histograms} == {1, 3}

    def test_threads_lose_no_answer(self):
        known = Lengths()
        threads = [threading.Thread(target=learned, args=[64] * 200, kwargs={"into": known}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert known._histograms[1, 3].total == 800


@pytest.mark.django_db
class TestSeed:
    def test_the_ledgers_answers_are_learned(self):
        ledger.insert([usage_row(model_id=3, output_tokens=300) for _ in range(FEWEST)])
        known = Lengths()
        assert known.seed()
        assert usual(known) == 304

    def test_capped_ones_count_higher(self):
        ledger.insert([usage_row(model_id=3, output_tokens=304, is_capped=True) for _ in range(FEWEST)])
        known = Lengths()
        known.seed()
        assert usual(known) == 362

    def test_failures_and_empty_answers_teach_nothing(self):
        bad = ({"outcome": "error"}, {"output_tokens": 0}, {"model_id": None}, {"kind": "embeddings"})
        usually = {"model_id": 3, "output_tokens": 5000}
        ledger.insert([usage_row(**(usually | odd)) for odd in bad for _ in range(FEWEST)])
        known = Lengths()
        known.seed()
        assert usual(known) == DEFAULT

    def test_only_the_latest_are_read(self, monkeypatch):
        monkeypatch.setattr(lengths, "SEEDED_ROWS", FEWEST)
        now = datetime.now(UTC)
        long_ago = [usage_row(now - timedelta(hours=1), model_id=3, output_tokens=5000) for _ in range(FEWEST)]
        of_late = [usage_row(now, model_id=3, output_tokens=16) for _ in range(FEWEST)]
        ledger.insert([*of_late, *long_ago])
        known = Lengths()
        known.seed()
        assert usual(known) == 16

    def test_without_a_database_nothing_happens(self):
        def refuse(execute, sql, params, many, context):
            raise OperationalError("gone")

        known = Lengths()
        with connection.execute_wrapper(refuse):
            assert not known.seed()
        assert usual(known) == DEFAULT
