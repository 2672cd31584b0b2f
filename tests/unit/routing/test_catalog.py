from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from providers.models import Dialect, Kind, MaxTokensField
from providers.types import Capability, Unit
from routing import catalog
from routing.catalog import Catalog, CatalogError, Model

TEXT = """\
version = 1

[policy]
default_layer = "L1"

[[layers]]
name = "L0"
from_score = 0.0

[[layers]]
name = "L1"
title = "Cheap"
from_score = 0.25

[[providers]]
slug = "openai"
name = "OpenAI"
dialect = "openai"
base_url = "https://api.openai.com/v1"
credential_env = "OPENAI_API_KEY"
extra_body = { temperature = 0.7 }

  [[providers.models]]
  name = "gpt-x"
  layer = "L1"
  priority = 2
  context_tokens = 1000
  capabilities = ["tools", "vision"]
  prices = { input = "0.15", output = 0.60, web_search = "0.01" }

    [[providers.models.price_tiers]]
    from_tokens = 200001
    prices = { input = "0.30" }

    [[providers.models.price_tiers]]
    valid_from = 2027-01-01
    prices = { input = "0.20" }
"""
"""Line 21 is extra_body, 24 the model's name, 29 its prices, 33 the first tier's."""


def parse(text: str) -> Catalog:
    return catalog.parse(text, source="catalog.toml")


def model(text: str = TEXT) -> Model:
    return parse(text).providers[0].models[0]


def refusal(old: str, new: str) -> CatalogError:
    assert old in TEXT
    with pytest.raises(CatalogError) as caught:
        parse(TEXT.replace(old, new, 1))
    return caught.value


class TestReading:
    def test_prices_are_exact_usd_per_unit(self):
        listed = {
            (price.unit, price.from_tokens, price.valid_from): price.usd_per_unit for price in model().price_list()
        }
        assert listed == {
            (Unit.INPUT, 0, None): Decimal("0.00000015"),
            (Unit.OUTPUT, 0, None): Decimal("0.0000006"),
            (Unit.WEB_SEARCH, 0, None): Decimal("0.01"),
            (Unit.INPUT, 200_001, None): Decimal("0.0000003"),
            (Unit.INPUT, 0, datetime(2027, 1, 1, tzinfo=UTC)): Decimal("0.0000002"),
        }

    def test_a_price_written_as_a_number_is_as_exact_as_one_written_as_text(self):
        assert model(TEXT.replace('"0.15"', "0.1")).prices[Unit.INPUT] == Decimal("0.1")
        assert model(TEXT.replace('"0.15"', "3")).prices[Unit.INPUT] == Decimal(3)

    def test_what_the_file_leaves_out_is_none(self):
        provider = parse(TEXT).providers[0]
        assert (provider.enabled, provider.usage_in_streams, model().title, model().enabled) == (None,) * 4

    def test_capabilities_and_the_place_in_a_layer_are_read(self):
        assert model().capabilities == {Capability.TOOLS, Capability.VISION}
        assert [(place.layer, place.priority) for place in model().places()] == [("L1", 2)]

    def test_a_model_without_a_layer_has_no_place(self):
        assert model(TEXT.replace('  layer = "L1"\n  priority = 2\n', "")).places() == ()

    def test_a_model_may_stand_in_several_layers(self):
        places = 'candidates = [{ layer = "L0" }, { layer = "L1", weight = 2.0 }]'
        text = TEXT.replace('  layer = "L1"\n  priority = 2\n', f"  {places}\n")
        assert [(place.layer, place.weight) for place in model(text).places()] == [("L0", None), ("L1", 2.0)]

    def test_the_free_form_body_is_plain_json(self):
        assert parse(TEXT).providers[0].extra_body == {"temperature": 0.7}
        assert isinstance(parse(TEXT).providers[0].extra_body["temperature"], float)

    def test_a_file_with_another_encoding_is_refused_in_one_sentence(self, tmp_path):
        (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(CatalogError, match="mine.toml: not a UTF-8 text file"):
            catalog.read(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("version = 1", "version = 2", 1, "version 2 is not known here, only 1"),
        ('default_layer = "L1"', 'default_layer = "L7"', 4, 'unknown layer "L7"'),
        ('default_layer = "L1"', "max_attempts = 2", 3, "missing required field `default_layer`"),
        ('layer = "L1"\n', 'layer = "L1"\nwhen_client_leaves = "wait"\n', 5, 'unknown when_client_leaves "wait"'),
        ('name = "L1"', 'name = "auto"', 11, "name: Expected `str` matching regex"),
        ('name = "L1"', 'name = "L0"', 10, 'layer "L0" is there twice'),
        ("from_score = 0.0", "from_score = 0.5", 13, 'is below 0.5 of the cheaper layer "L0"'),
        ("from_score = 0.25", "from_score = 0.25\nmax_attempts = 0", 14, "max_attempts: Expected `int` >= 1"),
        ("from_score = 0.25", "from_score = 0.25\ndeadline_s = 0.01", 14, "deadline_s: Expected `float` >= 0.1"),
        ('layer = "L1"\n', 'layer = "L1"\nbalancing = "random"\n', 5, 'unknown balancing "random"'),
        ("from_score = 0.25", "from_score = 1.5", 13, "from_score: Expected `float` <= 1.0"),
        ('slug = "openai"', 'slug = "Open AI"', 16, "slug: Expected `str` matching regex"),
        ('slug = "openai"', 'slug = "new"', 16, "slug: 'new' is an address of its own at /admin/providers/new/"),
        ('name = "OpenAI"\n', "", 15, 'provider "openai": missing required field `name`'),
        ('dialect = "openai"', 'dialect = "opnai"', 18, 'unknown dialect "opnai"; did you mean "openai"?'),
        ('dialect = "openai"', 'dialect = "cobol"', 18, 'unknown dialect "cobol"; known: openai, anthropic'),
        ('"https://api.openai.com/v1"', '"api.openai.com"', 19, "base_url: Use an http or https address"),
        ('"https://api.openai.com/v1"', '"ftp://api.openai.com/v1"', 19, "base_url: Use an http or https address"),
        ('"https://api.openai.com/v1"', '"http://10.0.0.7/v1"', 19, "mark the provider as local to allow it (is_local"),
        ('"https://api.openai.com/v1"', '"http://localhost:8000/v1"', 19, "base_url: its address is private"),
        (
            '"https://api.openai.com/v1"',
            '"http://169.254.169.254/v1"',
            19,
            "base_url: its address is a cloud's metadata",
        ),
        (
            '"https://api.openai.com/v1"',
            '"http://2130706433/v1"',
            19,
            "base_url: The host is not a name or an IP address",
        ),
        ('"https://api.openai.com/v1"', '"https:///v1"', 19, "base_url: The host is not a name or an IP address"),
        ('"https://api.openai.com/v1"', '"https://me:pw@api.openai.com/v1"', 19, "no user name or password"),
        ('"https://api.openai.com/v1"', '"https://api.openai.com/v 1"', 19, "no spaces or control characters"),
        ('"https://api.openai.com/v1"', '"https://api.openai.com:0/v1"', 19, "a number from 1 to 65535"),
        ('"https://api.openai.com/v1"', '"https://api.openai.com/v1?key=1"', 19, "no query and no fragment"),
        ("credential_env", "credential_name", 20, 'unknown key "credential_name"; did you mean "credential_env"?'),
        ('"OPENAI_API_KEY"', '"sk-proj-1234"', 20, "credential_env: Use the name of a variable, not its value"),
        ('"OPENAI_API_KEY"', '"PATH"', 20, "credential_env: Use the name of a variable"),
        ('"OPENAI_API_KEY"', '"CREDENTIAL_KEY"', 20, "The gateway's own secrets"),
        ('"OPENAI_API_KEY"', f'"{"A" * 200}_KEY"', 20, "credential_env: Expected `str` of length <= 200"),
        (
            "temperature = 0.7",
            "stream = true",
            21,
            'extra_body: "stream" cannot be added to requests: each request says',
        ),
        ("extra_body", "connect_timeout_s = 1e9\nextra_body", 21, "connect_timeout_s: Expected `float` <= 86400"),
        ("extra_body", "enabled = 1\nextra_body", 21, "enabled: Expected `bool | null`, got `int`"),
        ("[[providers.models]]", "[[providers.model]]", 23, 'unknown key "model"; did you mean "models"?'),
        ('layer = "L1"\n  p', 'layer = "L2"\n  p', 25, 'provider "openai", model "gpt-x": unknown layer "L2"'),
        ('  layer = "L1"\n', "", 23, "priority, weight and relative_cost need a layer"),
        ("priority = 2", 'candidates = [{ layer = "L0" }]', 26, "says both layer and candidates"),
        ("priority = 2", 'relative_cost = "-1"', 26, "relative_cost -1 is negative"),
        ("context_tokens = 1000", "context_tokens = 0", 27, "context_tokens: Expected `int` >= 1"),
        ('"vision"]', '"vison"]', 28, 'model "gpt-x": unknown capability "vison"; did you mean "vision"?'),
        ("web_search =", "web_serch =", 29, 'unknown price "web_serch"; did you mean "web_search"?'),
        ('"0.15"', '"-0.15"', 29, "the input price is -0.15"),
        ('"0.15"', '"nan"', 29, "the input price is NaN"),
        ('"0.15"', '"cheap"', 29, "prices: Invalid decimal string"),
        ('"0.15"', '"0.123456789"', 29, "more digits than can be kept exactly"),
        ('"0.01"', '"1234567"', 29, "more digits than can be kept exactly"),
        ("from_tokens = 200001", "from_tokens = 0", 33, "the input price from 0 tokens on is given twice"),
        ('prices = { input = "0.20" }', "", 35, "missing required field `prices`"),
        ("priority = 2", "priority = ", 26, "not TOML: Invalid value"),
        ('"0.20" }', '"0.20"', 37, "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, says: str):
    error = refusal(old, new)
    assert says in str(error)
    assert (error.line, str(error).startswith(f"catalog.toml, line {line}: ")) == (line, True)


@pytest.mark.parametrize("twice", ["providers", "models"])
def test_a_second_row_of_the_same_name_is_refused_at_its_own_line(twice: str):
    start = {"providers": "[[providers]]", "models": "  [[providers.models]]"}[twice]
    again = TEXT[TEXT.index(start) :]
    with pytest.raises(CatalogError, match="is there twice") as caught:
        parse(TEXT + again)
    assert caught.value.line == TEXT.count("\n") + 1


def test_a_secret_in_the_wrong_place_is_not_repeated():
    assert "sk-proj-1234" not in str(refusal('"OPENAI_API_KEY"', '"sk-proj-1234"'))
    assert "hunter2" not in str(refusal("https://api", "https://me:hunter2@api"))


def test_a_row_without_its_name_is_named_by_its_number():
    error = refusal('  name = "gpt-x"\n', "")
    assert str(error) == 'catalog.toml, line 23: provider "openai", models[0]: missing required field `name`'


def test_a_missing_version_is_named():
    with pytest.raises(CatalogError, match="missing required field `version`"):
        parse(TEXT.replace("version = 1\n", ""))


def test_a_private_address_is_fine_for_a_local_provider():
    text = TEXT.replace('"https://api.openai.com/v1"', '"http://10.0.0.7/v1"\nis_local = true')
    assert parse(text).providers[0].base_url == "http://10.0.0.7/v1"


def test_a_rendered_catalog_reads_the_same():
    assert parse(catalog.render(parse(TEXT))) == parse(TEXT)


@pytest.mark.parametrize("dialect", Dialect.values)
@pytest.mark.parametrize("max_tokens_field", MaxTokensField.values)
@pytest.mark.parametrize("kind", Kind.values)
def test_every_word_that_the_tables_know_can_be_written(dialect: str, max_tokens_field: str, kind: str):
    text = TEXT.replace('dialect = "openai"', f'dialect = "{dialect}"\nmax_tokens_field = "{max_tokens_field}"')
    provider = parse(text.replace("  priority = 2", f'  kind = "{kind}"')).providers[0]
    assert (provider.dialect, provider.max_tokens_field, provider.models[0].kind) == (dialect, max_tokens_field, kind)


@pytest.fixture
def shipped() -> Catalog:
    return catalog.read(catalog.SHIPPED)


class TestShipped:
    def test_every_layer_has_a_model_that_is_on_and_priced(self, shipped: Catalog):
        usable = {
            place.layer
            for provider in shipped.providers
            if provider.enabled
            for model in provider.models
            if model.enabled is not False and model.prices
            for place in model.places()
        }
        assert usable == {layer.name for layer in shipped.layers} == {"L0", "L1", "L2", "L3"}

    def test_every_chat_model_has_a_price_for_input_and_output(self, shipped: Catalog):
        unpriced = [
            model.name
            for provider in shipped.providers
            for model in provider.models
            if model.kind != "embeddings" and not {Unit.INPUT, Unit.OUTPUT} <= model.prices.keys()
        ]
        assert unpriced == []

    def test_every_chat_model_says_how_much_it_reads_and_writes(self, shipped: Catalog):
        models = [model for provider in shipped.providers for model in provider.models if model.kind != "embeddings"]
        assert all(model.context_tokens and model.max_output_tokens for model in models)

    def test_scores_rise_with_the_layers_from_zero(self, shipped: Catalog):
        scores = [layer.from_score for layer in shipped.layers]
        assert scores == sorted(set(scores))
        assert scores[0] == 0

    def test_free_means_free_and_dearer_layers_cost_something(self, shipped: Catalog):
        for provider in shipped.providers:
            for model in provider.models:
                for place in model.places():
                    assert any(model.prices.values()) == (place.layer != "L0"), model.name

    def test_longer_prompts_never_cost_less(self, shipped: Catalog):
        for provider in shipped.providers:
            for model in provider.models:
                for tier in model.price_tiers:
                    assert all(usd > model.prices[unit] for unit, usd in tier.prices.items()), model.name

    def test_local_servers_wait_for_quickstart_and_vendors_need_a_key(self, shipped: Catalog):
        for provider in shipped.providers:
            assert provider.enabled is not provider.is_local
            assert provider.needs_credential is not provider.is_local
            assert bool(provider.credential_env) is provider.needs_credential

    def test_vendors_beside_the_first_three_come_after_them_in_every_layer(self, shipped: Catalog):
        ranks: dict[str, dict[bool, list[int]]] = {}
        for provider in shipped.providers:
            is_first = provider.slug in ("openrouter", "openai", "anthropic")
            for model in provider.models:
                for place in model.places():
                    ranks.setdefault(place.layer, {}).setdefault(is_first, []).append(place.priority or 0)
        for layer in ("L1", "L2"):
            assert min(ranks[layer][False]) > min(ranks[layer][True])
        assert False not in ranks["L3"]

    @pytest.mark.parametrize(
        ("slug", "max_tokens_field", "reasoning_field", "usage_in_streams"),
        [
            ("groq", None, "reasoning", None),
            ("mistral", "max_tokens", None, False),
            ("deepseek", "max_tokens", "reasoning_content", None),
            ("cerebras", None, "reasoning", None),
            ("ollama", "max_tokens", None, None),
            ("lmstudio", "max_tokens", None, None),
            ("openai", "max_completion_tokens", None, None),
        ],
    )
    def test_each_vendors_quirks_are_declared(
        self, shipped: Catalog, slug, max_tokens_field, reasoning_field, usage_in_streams
    ):
        (found,) = [provider for provider in shipped.providers if provider.slug == slug]
        declared = (found.max_tokens_field, found.reasoning_field, found.usage_in_streams)
        assert declared == (max_tokens_field, reasoning_field, usage_in_streams)

    def test_vendors_that_go_on_with_a_stream_that_is_left_are_declared(self, shipped: Catalog):
        found = [provider.slug for provider in shipped.providers if provider.stops_when_left is False]
        assert found == ["openrouter", "groq", "mistral"]
