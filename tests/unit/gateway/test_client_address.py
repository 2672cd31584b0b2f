"""The client's address: whom it is believed from, and whom not."""

import pytest

from gateway import client_address
from gateway.env import EnvError

PROXIES = ["127.0.0.1", "10.0.0.0/8", "2001:db8:aaaa::/48"]


@pytest.fixture
def address_of(settings):
    settings.TRUSTED_PROXIES = client_address.trusted(PROXIES)

    def address_of(remote, forwarded=None):
        meta = ({"REMOTE_ADDR": remote} if remote is not None else {}) | (
            {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded is not None else {}
        )
        found = client_address.of(meta)
        return None if found is None else str(found)

    return address_of


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        ("198.51.100.1", "192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.0.0.2,10.0.0.3", "192.0.2.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:aaaa::1", "2001:DB8::7", "2001:db8::7"),
        ("10.0.0.1", "192.0.2.7:4711", "192.0.2.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "192.0.2.7, unknown", None),
        ("10.0.0.1", "192.0.2.7,", None),
        ("10.0.0.1", "unknown, 192.0.2.7", "192.0.2.7"),
        (None, None, None),
        (None, "192.0.2.7", None),
        ("", "192.0.2.7", None),
        ("not an address", None, None),
    ],
)
def test_it_is_the_right_most_that_no_trusted_proxy_has(address_of, remote, forwarded, address):
    assert address_of(remote, forwarded) == address


def test_nobody_is_believed_unless_the_settings_say_so(address_of, settings):
    settings.TRUSTED_PROXIES = ()
    assert address_of("127.0.0.1", "192.0.2.7") == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8 for the network, or 10.0.0.1 for the address"),
        ("proxy.example.org", "'proxy.example.org' is not an address or network"),
        ("", "'' is not an address or network"),
        ("0.0.0.0/0", "would trust everybody"),
        ("::/0", "would trust everybody"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(text, says):
    with pytest.raises(EnvError, match='"TRUSTED_PROXIES" invalid') as refused:
        client_address.trusted(["127.0.0.1", text])
    assert says in str(refused.value)


def test_space_around_an_entry_does_not_matter():
    assert [str(network) for network in client_address.trusted([" 10.0.0.0/8", "::1 "])] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", client_address.NOWHERE),
    ],
)
def test_what_is_counted_for_is_an_address_or_a_network_of_ipv6(rf, remote, counted):
    assert client_address.counted(rf.get("/", REMOTE_ADDR=remote)) == counted
