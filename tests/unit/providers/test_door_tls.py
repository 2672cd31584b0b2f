"""TLS with a real server: whom the environment trusts is trusted, and nobody else."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import trustme
from django.conf import settings

from providers import door
from providers.types import FailureCause, FailureKind, ProviderError
from tests.unit.providers.peer import TIMEOUTS
from tests.unit.providers.tls_peer import server

COMMAND = """
import asyncio, sys
from providers import door
from providers.types import ProviderError, Timeouts

async def main():
    async with door.opened():
        try:
            print((await door.get(sys.argv[1], headers={}, timeouts=Timeouts(5, 5, 5, 5), is_local=True)).status)
        except ProviderError as error:
            print(error)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


async def asked_by_a_process(url, **given):
    """What a process with this environment says: OpenSSL reads it once."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")} | given
    command = [sys.executable, "-c", COMMAND, url]
    run = await asyncio.to_thread(
        subprocess.run, command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


async def test_the_authority_in_ssl_cert_file_is_trusted(authority, tmp_path):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with server(authority) as url:
        assert await asked_by_a_process(url, SSL_CERT_FILE=str(file)) == "200"


@pytest.fixture
def folder(authority, tmp_path):
    """Its authorities under the names OpenSSL looks for."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True, capture_output=True)
    return tmp_path


async def test_those_in_ssl_cert_dir_are_too(authority, folder):
    with server(authority) as url:
        assert await asked_by_a_process(url, SSL_CERT_DIR=str(folder)) == "200"


@pytest.mark.usefixtures("open_door")
class TestACertificateThatIsNotTrusted:
    async def refused(self, url):
        with pytest.raises(ProviderError, match=r"^its certificate is not trusted") as refused:
            await door.post(url, body=b"", headers={"Authorization": "Bearer sk"}, timeouts=TIMEOUTS, is_local=True)
        assert refused.value.kind is FailureKind.UNREACHABLE
        return refused.value

    async def test_from_an_authority_nobody_knows_here(self, authority):
        with server(authority) as url:
            refused = await self.refused(url)
        assert str(refused).endswith(": SSL_CERT_FILE may name its authority")
        assert refused.cause is FailureCause.UNKNOWN_AUTHORITY

    async def test_for_another_name(self, authority, trusted):
        with server(authority, "api.vendor.test") as url:
            refused = await self.refused(url)
        assert "not valid for '127.0.0.1'" in str(refused)
        assert "SSL_CERT_FILE" not in str(refused)
        assert refused.cause is FailureCause.BAD_CERTIFICATE

    async def test_that_has_expired(self, authority, trusted):
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        with server(authority, not_after=long_ago) as url:
            assert "expired" in str(await self.refused(url))

    @pytest.fixture
    def trusted(self, authority, monkeypatch):
        made = ssl.create_default_context()
        authority.configure_trust(made)
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", made)


@pytest.mark.usefixtures("open_door")
async def test_a_server_without_tls_is_not_called_one_that_refuses():
    ended = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as plain:
        url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(ProviderError, match="does not speak TLS there") as refused:
            await door.post(url, body=b"", headers={}, timeouts=TIMEOUTS, is_local=True)
        assert refused.value.cause is FailureCause.NO_TLS
        await ended.wait()
