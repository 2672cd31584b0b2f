"""Where a provider may be called, however its address is spelt."""

import pytest

from providers import addresses
from providers.addresses import Refusal

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "64:ff9b::808:808",  # how a network without IPv4 reaches 8.8.8.8
    "::ffff:8.8.8.8",
]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:a00:1::1",
    "2002:7f00:1::",
    "2001::1",  # Teredo
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
METADATA = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "169.254.170.2",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address):
    assert addresses.mistake(address, is_local=False) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_one_may_be_called_only_for_a_provider_marked_local(address):
    assert addresses.mistake(address, is_local=False) == Refusal.PRIVATE
    assert addresses.mistake(address, is_local=True) is None


@pytest.mark.parametrize("address", METADATA)
def test_nobody_may_call_the_metadata_service(address):
    for is_local in (True, False):
        assert addresses.mistake(address, is_local=is_local) == Refusal.METADATA


@pytest.mark.parametrize("address", ["", "example.org", "127.1", "2130706433", "010.0.0.1", "[::1]"])
def test_what_is_no_address_may_not_be_called(address):
    assert addresses.mistake(address, is_local=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "printer.localhost",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "10.1",
        "[::1]",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "127.0.0.1.",
        "169.254.169.254.",
        "0x7f.1.",
        "[::1].",
    ],
)
def test_a_host_that_spells_a_private_address_is_known_without_a_look_up(host):
    assert addresses.mistake_of_host(host)


@pytest.mark.parametrize(
    "host", ["api.example.org", "localhost.example.org", "8.8.8.8", "8.8.8.8.", ".", "134744072", "2606:4700::1"]
)
def test_any_other_host_is_left_to_whoever_resolves_it(host):
    assert addresses.mistake_of_host(host) is None


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "[::1]:11434", "１２７.0.0.1"])  # noqa: RUF001
def test_a_base_url_that_names_a_private_address_is_for_a_provider_marked_local(host):
    assert addresses.mistake_of_url(f"http://{host}/v1", is_local=False) is Refusal.PRIVATE
    assert addresses.mistake_of_url(f"http://{host}/v1", is_local=True) is None


@pytest.mark.parametrize("is_local", [True, False])
def test_a_base_url_that_names_the_metadata_service_is_for_nobody(is_local):
    assert addresses.mistake_of_url("http://169.254.169.254/v1", is_local=is_local) is Refusal.METADATA


@pytest.mark.parametrize("url", ["https://api.example.org/v1", "http://vllm:8000/v1", "http://[::1/v1", "", "/v1"])
def test_a_base_url_that_names_a_host_or_none_is_left_to_others(url):
    assert addresses.mistake_of_url(url, is_local=False) is None
