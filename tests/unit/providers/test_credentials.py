"""Credentials: sealed on the way in, opened on the way into the snapshot, never seen in between."""

import logging

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from providers import credentials, rows
from providers.credentials import CredentialProblem
from providers.models import Credential, Model, Provider
from routing.models import Layer

SECRET = "sk-proj-0123456789-abcdef"


def sealed(value=SECRET):
    credential = Credential(provider=Provider(slug="acme"), name="default")
    credentials.set_value(credential, value)
    return credential


@pytest.fixture
def acme(db):
    provider = Provider.objects.create(slug="acme", name="Acme", dialect="openai", base_url="https://acme.test/v1/")
    Model.objects.create(provider=provider, name="large")
    return provider


def loaded():
    (model,) = rows.models_by_id().values()
    return model.provider


class TestSealing:
    @pytest.mark.parametrize("value", [SECRET, "short", "schlüssel-😀", "x" * 5000, "inner space"])
    def test_what_was_sealed_opens_again(self, value):
        assert credentials.opened(sealed(value)) == value

    @pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}\r\n", f"\t{SECRET} "])
    def test_white_space_around_a_value_is_not_part_of_it(self, value):
        credential = sealed(value)
        assert (credentials.opened(credential), credential.last_four) == (SECRET, "cdef")

    def test_a_value_sealed_with_its_newline_opens_without(self):
        credential = sealed()
        credential.encrypted_value = credentials.seal(f"{SECRET}\n")
        assert credentials.opened(credential) == SECRET

    @pytest.mark.parametrize("inner", ["\n", "\r\n", "\x00", "\x7f", "\x85"])
    def test_a_control_character_inside_is_a_problem_that_does_not_show_the_secret(self, inner):
        with pytest.raises(CredentialProblem, match="'default' of acme holds a line break") as caught:
            credentials.opened(sealed(f"{SECRET}{inner}{SECRET}"))
        assert SECRET not in str(caught.value)

    def test_the_row_does_not_hold_the_secret_in_clear(self):
        assert SECRET not in repr(vars(sealed()))

    def test_the_same_secret_looks_different_each_time(self):
        assert credentials.seal(SECRET) != credentials.seal(SECRET)

    @pytest.mark.parametrize(
        ("value", "last_four"), [(SECRET, "cdef"), ("0123456789abcdef", "cdef"), ("0123456789abcde", ""), ("abcd", "")]
    )
    def test_only_a_long_secret_shows_its_last_four_characters(self, value, last_four):
        assert sealed(value).last_four == last_four

    def test_a_value_takes_the_place_of_an_environment_variable(self):
        credential = Credential(provider=Provider(slug="acme"), env_var="ACME_KEY")
        credentials.set_value(credential, SECRET)
        assert (credential.env_var, credentials.opened(credential)) == ("", SECRET)


class TestKeyRotation:
    def test_a_new_key_in_front_still_opens_what_the_old_one_sealed(self, settings):
        old = settings.CREDENTIAL_KEY
        credential = sealed()
        settings.CREDENTIAL_KEY = f"{Fernet.generate_key().decode()}, {old}"
        assert credentials.opened(credential) == SECRET

    def test_the_first_key_seals(self, settings):
        new = Fernet.generate_key().decode()
        settings.CREDENTIAL_KEY = f"{new},{settings.CREDENTIAL_KEY}"
        credential = sealed()
        settings.CREDENTIAL_KEY = new
        assert credentials.opened(credential) == SECRET

    def test_without_the_old_key_it_is_a_problem_that_says_which_credential(self, settings):
        credential = sealed()
        settings.CREDENTIAL_KEY = Fernet.generate_key().decode()
        with pytest.raises(CredentialProblem, match="'default' of acme") as caught:
            credentials.opened(credential)
        assert credential.encrypted_value not in str(caught.value)

    def test_a_value_that_was_tampered_with_is_a_problem(self):
        credential = sealed()
        credential.encrypted_value = credential.encrypted_value[:-6] + "AAAAA="
        with pytest.raises(CredentialProblem):
            credentials.opened(credential)


class TestEnvironmentVariable:
    CREDENTIAL = Credential(env_var="ACME_TESTS_API_KEY")

    def test_its_value_is_the_secret(self, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", SECRET)
        assert credentials.opened(self.CREDENTIAL) == SECRET

    def test_unset_is_none(self, monkeypatch):
        monkeypatch.delenv("ACME_TESTS_API_KEY", raising=False)
        assert credentials.opened(self.CREDENTIAL) is None

    def test_empty_is_none(self, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", "")
        assert credentials.opened(self.CREDENTIAL) is None

    @pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}\r\n"])
    def test_white_space_around_it_is_dropped(self, monkeypatch, value):
        monkeypatch.setenv("ACME_TESTS_API_KEY", value)
        assert credentials.opened(self.CREDENTIAL) == SECRET

    def test_nothing_but_white_space_is_none(self, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", " \n")
        assert credentials.opened(self.CREDENTIAL) is None

    def test_a_control_character_inside_is_a_problem(self, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", f"{SECRET}\nX-Header: x")
        with pytest.raises(CredentialProblem, match="of acme holds a line break"):
            credentials.opened(Credential(provider=Provider(slug="acme"), env_var="ACME_TESTS_API_KEY"))


ALLOWED = ["OPENROUTER_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SET_KEY", "A_KEY", "HF_TOKEN", "X2_API_TOKEN"]
REFUSED = [
    "SECRET_KEY",
    "CREDENTIAL_KEY",
    "KEY_HASH_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "HOME",
    "SECRET_KEY_FILE",
    "KEY",
    "_KEY",
    "openai_api_key",
    "A_KEY\n",
    "A B_KEY",
    "É_KEY",
    "sk-proj-1234",
]


class TestNameOfTheVariable:
    def credential(self, env_var):
        return Credential(provider=Provider(slug="acme"), env_var=env_var)

    @pytest.mark.parametrize("env_var", ALLOWED)
    def test_a_name_of_a_vendors_key_is_read(self, monkeypatch, env_var):
        monkeypatch.setenv(env_var, SECRET)
        self.credential(env_var).clean_fields(exclude=["provider"])
        assert credentials.opened(self.credential(env_var)) == SECRET

    @pytest.mark.parametrize("env_var", REFUSED)
    def test_any_other_is_refused_with_a_message_that_does_not_repeat_it(self, env_var):
        with pytest.raises(ValidationError) as caught:
            self.credential(env_var).clean_fields(exclude=["provider"])
        (message,) = caught.value.message_dict["env_var"]
        assert message.startswith("Use the name of a variable, not its value")
        assert "sk-proj" not in message

    @pytest.mark.parametrize("env_var", REFUSED)
    def test_a_row_written_past_the_validator_is_not_read(self, monkeypatch, caplog, env_var):
        monkeypatch.setenv(env_var, SECRET)
        with caplog.at_level(logging.ERROR, logger="providers.credentials"):
            assert credentials.opened(self.credential(env_var)) is None
        assert "'default' of acme names an environment variable that it may not read" in caplog.text
        assert SECRET not in caplog.text


class TestProvider:
    @pytest.mark.parametrize(
        "url",
        [
            "https://api.openai.com/v1",
            "http://vllm:8000/v1",
            "http://my_model-server:8000",
            "http://127.0.0.1:1234/v1/",
            "http://[::1]:11434/v1",
            "HTTPS://example.org:65535",
            "https://bücher.example/v1",
            f"https://{'a' * 63}.example/v1",
        ],
    )
    def test_a_base_url_may_be(self, url):
        Provider(slug="acme", name="Acme", base_url=url).clean_fields()

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("ftp://example.org/v1", "http or https"),
            ("example.org/v1", "http or https"),
            ("javascript:alert(1)", "http or https"),
            ("https://", "The host"),
            ("https:///v1", "The host"),
            ("https://:80/v1", "The host"),
            ("https://a..example/v1", "The host"),
            ("https://.example/v1", "The host"),
            ("https://example.org./v1", "The host"),
            ("http://2130706433/v1", "The host"),
            ("http://127.1/v1", "The host"),
            ("http://127.0.0.256/v1", "The host"),
            (f"https://{'a' * 64}.example/v1", "The host"),
            (f"https://{'ü' * 63}.example/v1", "The host"),
            ("https://exa%6dple.org/v1", "The host"),
            ("https://example.org\\v1", "The host"),
            ("http://[::1/v1", "not an address"),
            ("http://[zz]/v1", "is not a"),
            ("http://[::1]x/v1", "is not a"),
            ("https://example.org:0/v1", "port"),
            ("https://example.org:/v1", "port"),
            ("https://example.org:65536/v1", "port"),
            ("https://example.org:http/v1", "port"),
            ("https://me:secret@example.org/v1", "user name"),
            ("https://@example.org/v1", "user name"),
            ("https://example.org/v1?key=1", "query"),
            ("https://example.org/v1?", "query"),
            ("https://example.org/v1#top", "fragment"),
            ("https://example.org/v 1", "spaces"),
            ("https://exa mple.org/v1", "spaces"),
            ("https://example.org/v1\n", "spaces"),
            ("https://example.org/\x00", "spaces"),
        ],
    )
    def test_a_base_url_may_not_be(self, url, says):
        with pytest.raises(ValidationError) as caught:
            Provider(slug="acme", name="Acme", base_url=url).clean_fields()
        assert says in " ".join(caught.value.message_dict["base_url"])

    def full_clean(self, **fields):
        row = Provider(**{"slug": "acme", "name": "Acme", "base_url": "https://acme.test/v1"} | fields)
        row.full_clean(validate_unique=False, validate_constraints=False)
        return row

    @pytest.mark.parametrize("value", [{}, {"top_k": 40}, {"provider": {"order": []}}])
    def test_extra_body_may_be_an_object(self, value):
        assert self.full_clean(extra_body=value).extra_body == value

    def test_no_extra_body_is_an_empty_one(self):
        assert self.full_clean(extra_body=None).extra_body == {}

    @pytest.mark.parametrize("value", [[], [1], "", "text", 0, 1, True, False])
    def test_extra_body_may_not_be_anything_else(self, value):
        with pytest.raises(ValidationError, match="Use a JSON object"):
            self.full_clean(extra_body=value)

    def test_a_slug_ends_where_it_seems_to(self):
        with pytest.raises(ValidationError, match="lower-case"):
            self.full_clean(slug="acme\n")

    def test_a_layers_name_does_too(self):
        with pytest.raises(ValidationError, match="starting with a letter"):
            Layer(name="L0\n", position=0, from_score=0).clean_fields()


class TestRows:
    @pytest.mark.parametrize(
        ("env_var", "encrypted_value"), [("", ""), ("ACME_KEY", "gAAAA")], ids=["no source", "two sources"]
    )
    def test_the_database_wants_exactly_one_source(self, acme, env_var, encrypted_value):
        with pytest.raises(IntegrityError, match="credential_one_source"), transaction.atomic():
            Credential.objects.create(provider=acme, env_var=env_var, encrypted_value=encrypted_value)

    def test_a_stored_credential_reaches_the_provider_value(self, acme):
        credential = Credential(provider=acme)
        credentials.set_value(credential, SECRET)
        credential.save()
        assert loaded().credential == SECRET

    def test_it_shows_in_no_repr(self, acme):
        credential = Credential(provider=acme)
        credentials.set_value(credential, SECRET)
        credential.save()
        (model,) = rows.models_by_id().values()
        assert SECRET not in repr(model)
        assert SECRET not in repr(credential) + str(credential)

    def test_a_disabled_credential_is_not_used(self, acme, monkeypatch):
        monkeypatch.setenv("ACME_TESTS_API_KEY", SECRET)
        Credential.objects.create(provider=acme, env_var="ACME_TESTS_API_KEY", enabled=False)
        assert loaded().credential is None

    def test_the_first_by_name_that_is_there_is_used(self, acme, monkeypatch):
        monkeypatch.setenv("ACME_B_KEY", "of b")
        monkeypatch.setenv("ACME_C_KEY", "of c")
        for name in "cab":
            Credential.objects.create(provider=acme, name=name, env_var=f"ACME_{name.upper()}_KEY")
        assert loaded().credential == "of b"

    def test_one_that_cannot_be_opened_is_logged_and_keeps_nobody_else_out(self, acme, monkeypatch, caplog):
        Credential.objects.create(
            provider=acme, name="a", encrypted_value=Fernet(Fernet.generate_key()).encrypt(b"x").decode()
        )
        monkeypatch.setenv("ACME_B_KEY", "of b")
        Credential.objects.create(provider=acme, name="b", env_var="ACME_B_KEY")
        with caplog.at_level(logging.ERROR, logger="providers.rows"):
            assert loaded().credential == "of b"
        assert "'a' of acme" in caplog.text

    def test_a_base_url_may_end_with_a_slash(self, acme):
        assert loaded().base_url == "https://acme.test/v1"
