"""Credentials: sealed on the way in, opened on the way into the snapshot, never seen in between."""

import logging

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, transaction

from providers import credentials, rows
from providers.credentials import CredentialProblem
from providers.models import Credential, Model, Provider

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
    @pytest.mark.parametrize("value", [SECRET, "short", "schlüssel-😀", "x" * 5000, " spaces "])
    def test_what_was_sealed_opens_again(self, value):
        assert credentials.opened(sealed(value)) == value

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
    CREDENTIAL = Credential(env_var="ACME_KEY_OF_TESTS")

    def test_its_value_is_the_secret(self, monkeypatch):
        monkeypatch.setenv("ACME_KEY_OF_TESTS", SECRET)
        assert credentials.opened(self.CREDENTIAL) == SECRET

    def test_unset_is_none(self, monkeypatch):
        monkeypatch.delenv("ACME_KEY_OF_TESTS", raising=False)
        assert credentials.opened(self.CREDENTIAL) is None

    def test_empty_is_none(self, monkeypatch):
        monkeypatch.setenv("ACME_KEY_OF_TESTS", "")
        assert credentials.opened(self.CREDENTIAL) is None


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
        monkeypatch.setenv("ACME_KEY_OF_TESTS", SECRET)
        Credential.objects.create(provider=acme, env_var="ACME_KEY_OF_TESTS", enabled=False)
        assert loaded().credential is None

    def test_the_first_by_name_that_is_there_is_used(self, acme, monkeypatch):
        monkeypatch.setenv("ACME_KEY_B", "of b")
        monkeypatch.setenv("ACME_KEY_C", "of c")
        for name in "cab":
            Credential.objects.create(provider=acme, name=name, env_var=f"ACME_KEY_{name.upper()}")
        assert loaded().credential == "of b"

    def test_one_that_cannot_be_opened_is_logged_and_keeps_nobody_else_out(self, acme, monkeypatch, caplog):
        Credential.objects.create(
            provider=acme, name="a", encrypted_value=Fernet(Fernet.generate_key()).encrypt(b"x").decode()
        )
        monkeypatch.setenv("ACME_KEY_B", "of b")
        Credential.objects.create(provider=acme, name="b", env_var="ACME_KEY_B")
        with caplog.at_level(logging.ERROR, logger="providers.rows"):
            assert loaded().credential == "of b"
        assert "'a' of acme" in caplog.text

    def test_a_base_url_may_end_with_a_slash(self, acme):
        assert loaded().base_url == "https://acme.test/v1"
