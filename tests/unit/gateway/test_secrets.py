"""The installation's three secrets: made once, kept private, never half there."""

import stat
import threading

import pytest
from cryptography.fernet import Fernet

from gateway import secrets

GIVEN = "given-to-the-tests-and-to-nobody-else"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "secrets.toml"


def test_they_are_made_on_first_use_and_kept(path):
    made = secrets.load(path, given={}, create=True)
    assert secrets.load(path, given={}, create=True) == made
    assert made.missing == []
    Fernet(made.credential_key)
    assert len({made.secret_key, made.credential_key, made.key_hash_key}) == 3


def test_only_their_owner_can_read_them(path):
    secrets.load(path, given={}, create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_environment_wins(path):
    made = secrets.load(path, given={}, create=True)
    found = secrets.load(path, given={"SECRET_KEY": GIVEN}, create=True)
    assert (found.secret_key, found.key_hash_key) == (GIVEN, made.key_hash_key)


def test_with_a_database_of_its_own_nothing_is_made(path):
    assert secrets.load(path, given={"SECRET_KEY": GIVEN}, create=False).missing == ["CREDENTIAL_KEY", "KEY_HASH_KEY"]
    assert not path.exists()


def test_two_first_starts_at_once_agree(path):
    found = []
    starts = [
        threading.Thread(target=lambda: found.append(secrets.load(path, given={}, create=True))) for _ in range(8)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(found) == 8
    assert all(one == found[0] for one in found)
    assert [file.name for file in path.parent.iterdir()] == ["secrets.toml"]


def test_a_broken_file_is_said_in_a_sentence(path):
    path.parent.mkdir()
    path.write_text("SECRET_KEY = ")
    with pytest.raises(secrets.SecretsError, match=r"secrets\.toml is not valid TOML.*Restore it"):
        secrets.load(path, given={}, create=True)


@pytest.mark.parametrize("inside", ["/proc/nowhere", "file/var"])
def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(secrets.SecretsError, match=r"VAR_DIR \(.*\) cannot be made: .*\. Set VAR_DIR to a folder"):
        secrets.load(tmp_path / inside / "secrets.toml", given={}, create=True)


@pytest.mark.parametrize("create", [True, False])
def test_a_file_in_place_of_the_folder_is_said_in_a_sentence(tmp_path, create):
    (tmp_path / "file").write_text("")
    with pytest.raises(secrets.SecretsError, match=r"VAR_DIR \(.*/file\) is not a directory: remove that file"):
        secrets.load(tmp_path / "file" / "secrets.toml", given={}, create=create)


def test_they_do_not_show_in_a_repr(path):
    made = secrets.load(path, given={}, create=True)
    assert made.secret_key not in repr(made)


@pytest.mark.parametrize("name", secrets.NAMES)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('python -c "import secrets; print(secrets.token_urlsafe(48))"', "holds white space"),
        ("the same; changing it makes every API key unknown", "holds white space"),
        (f"{GIVEN}\t", "holds white space"),
        (GIVEN[:31], "has 31 characters and needs 32"),
    ],
)
def test_what_is_no_secret_is_refused_by_name_and_not_shown(path, name, value, says):
    if name == "CREDENTIAL_KEY":
        value = f"{Fernet.generate_key().decode()}, a {value}" if "white" in says else f"{GIVEN}, {value}"
    with pytest.raises(secrets.SecretsError, match=f"^{name} {says}") as refused:
        secrets.load(path, given={name: value}, create=True)
    assert value not in str(refused.value)


def test_a_stored_secret_is_held_to_the_same(path):
    path.parent.mkdir()
    path.write_text('KEY_HASH_KEY = "short"')
    with pytest.raises(secrets.SecretsError, match=r"^KEY_HASH_KEY has 5 characters"):
        secrets.load(path, given={}, create=True)


def test_several_credential_keys_may_stand_apart(path):
    keys = f"{Fernet.generate_key().decode()}, {Fernet.generate_key().decode()}"
    assert secrets.load(path, given={"CREDENTIAL_KEY": keys}, create=True).credential_key == keys
