"""Settings that cannot work are said before anything starts, each with an id and a hint."""

import os
import resource

import pytest
import trustme

from gateway import checks, client_address, env


def test_missing_secrets_stop_the_start(settings):
    settings.MISSING_SECRETS = ["KEY_HASH_KEY"]
    (found,) = checks.check_secrets(None)
    assert (found.id, found.is_serious()) == ("gateway.E001", True)
    assert "KEY_HASH_KEY" in found.msg


@pytest.mark.parametrize("key", ["short", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=,short"])
def test_a_credential_key_that_cannot_encrypt_stops_the_start(settings, key):
    settings.CREDENTIAL_KEY = key
    (found,) = checks.check_secrets(None)
    assert (found.id, found.is_serious()) == ("gateway.E003", True)


def test_a_misspelt_name_in_dotenv_stops_the_start_and_names_its_neighbour(settings):
    settings.DOTENV_NAMES = frozenset({"SNAPSHOT_MAX_AGES", "LOG_LEVEL", "OPENROUTER_API_KEY"})
    (found,) = checks.check_unknown_settings(None)
    assert (found.id, found.hint) == ("gateway.E002", "Did you mean SNAPSHOT_MAX_AGE_S?")


def test_persistent_connections_to_postgresql_stop_the_start(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60})
    (found,) = checks.check_persistent_connections(None)
    assert (found.id, found.is_serious()) == ("gateway.E004", True)


def test_too_few_descriptors_are_a_warning(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    (found,) = checks.check_descriptors(None)
    assert (found.id, found.is_serious()) == ("gateway.W001", False)


def test_a_proxy_that_is_spoken_of_and_not_named_is_a_warning(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    (found,) = checks.check_proxies_are_named(None)
    assert (found.id, found.is_serious()) == ("gateway.W002", False)
    settings.TRUSTED_PROXIES = client_address.trusted(["127.0.0.1"])
    assert checks.check_proxies_are_named(None) == []


@pytest.fixture
def network(monkeypatch):
    for name in checks.NETWORK_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def test_a_proxy_that_cannot_be_used_stops_the_start_and_its_password_is_not_told(network):
    network.setenv("HTTPS_PROXY", "socks5://me:hunter2@127.0.0.1:1080")
    (found,) = checks.check_way_out(None)
    assert (found.id, found.is_serious()) == ("gateway.E005", True)
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_that_are_not_there_stop_the_start(network, tmp_path, name):
    network.setenv(name, str(tmp_path / "nothing"))
    (found,) = checks.check_way_out(None)
    assert (found.id, found.is_serious()) == ("gateway.E006", True)
    assert name in found.msg


@pytest.mark.parametrize(
    "held", [b"", b"no certificate\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_of_authorities_without_a_certificate_stops_the_start(network, tmp_path, held):
    file = tmp_path / "ca.pem"
    file.write_bytes(held)
    network.setenv("SSL_CERT_FILE", str(file))
    (found,) = checks.check_way_out(None)
    assert (found.id, found.is_serious()) == ("gateway.E006", True)
    assert "holds no certificate in PEM" in found.msg


def test_a_file_where_a_folder_belongs_stops_the_start_and_the_other_way_round(network, tmp_path):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    network.setenv("SSL_CERT_FILE", str(tmp_path))
    network.setenv("SSL_CERT_DIR", str(file))
    told = [found.msg for found in checks.check_way_out(None)]
    assert told == [
        f"SSL_CERT_FILE names a folder, which is for SSL_CERT_DIR: {tmp_path}.",
        f"SSL_CERT_DIR names no folder: {file}.",
    ]


def test_a_way_out_as_it_should_be_is_fine(network, tmp_path):
    assert checks.check_way_out(None) == []
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    network.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    network.setenv("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:3128")
    network.setenv("no_proxy", "localhost")
    network.setenv("SSL_CERT_DIR", str(tmp_path))
    assert checks.check_way_out(None) == []


def test_the_names_of_proxies_and_authorities_may_stand_in_dotenv(settings):
    settings.DOTENV_NAMES = frozenset({"HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"})
    assert checks.check_unknown_settings(None) == []


def test_what_the_tests_run_with_has_nothing_to_complain_about():
    assert checks.check_secrets(None) == checks.check_persistent_connections(None) == []


def test_dotenv_is_read_where_the_environment_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GIVEN_FOR_THE_TEST", "by the environment")
    monkeypatch.delenv("MISSING_FOR_THE_TEST", raising=False)
    file = tmp_path / ".env"
    file.write_text("GIVEN_FOR_THE_TEST=by the file\nMISSING_FOR_THE_TEST=by the file\n")
    assert env.read_dotenv(file) == {"GIVEN_FOR_THE_TEST", "MISSING_FOR_THE_TEST"}
    assert env.env.str("GIVEN_FOR_THE_TEST") == "by the environment"
    assert env.env.str("MISSING_FOR_THE_TEST") == os.environ["MISSING_FOR_THE_TEST"] == "by the file"
    monkeypatch.delenv("MISSING_FOR_THE_TEST")


def test_a_value_may_stand_in_a_file(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("from the file\n")
    monkeypatch.setenv("IN_A_FILE_FOR_THE_TEST_FILE", str(secret))
    assert env.env.str("IN_A_FILE_FOR_THE_TEST", "") == "from the file"


@pytest.mark.parametrize("value", ["many", "1.5", ""])
def test_a_wrong_value_names_its_variable(monkeypatch, value):
    monkeypatch.setenv("A_NUMBER_FOR_THE_TEST", value)
    with pytest.raises(env.EnvError, match="A_NUMBER_FOR_THE_TEST"):
        env.env.int("A_NUMBER_FOR_THE_TEST")


def test_an_empty_value_counts_as_none(monkeypatch):
    monkeypatch.setenv("EMPTY_FOR_THE_TEST", "")
    assert env.env.bool("EMPTY_FOR_THE_TEST", True) is True
    assert env.env.list("EMPTY_FOR_THE_TEST", ["default"]) == ["default"]


@pytest.mark.parametrize(
    ("kind", "value"), [("int", "many"), ("float", "0,5"), ("bool", "perhaps"), ("log_level", "LOUD")]
)
def test_a_wrong_value_is_shown(monkeypatch, kind, value):
    monkeypatch.setenv("WRONG_FOR_THE_TEST", value)
    with pytest.raises(env.EnvError, match=rf'"WRONG_FOR_THE_TEST" invalid: .* It is {value!r}\.$'):
        getattr(env.env, kind)("WRONG_FOR_THE_TEST", None)


@pytest.mark.parametrize("end", env.NOT_SHOWN)
def test_a_wrong_value_that_may_be_secret_is_not_shown(monkeypatch, end):
    monkeypatch.setenv(f"WRONG_{end}", "hunter2")
    with pytest.raises(env.EnvError, match=f"WRONG_{end}") as refused:
        env.env.int(f"WRONG_{end}")
    assert "hunter2" not in str(refused.value)
