"""What calls do with their connections: used again, cut when given up, and never led elsewhere by a provider."""

from urllib.parse import quote

import pytest

from gateway.api import errors
from providers import chat as provider_chat
from routing.chat import NobodyAnswered
from tests.unit.routing.use_case import STOPS_SOON
from tests.upstream import process
from tests.upstream.log import Ending

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Another provider, which no test asks for anything."""
    with process.running(log=tmp_path_factory.mktemp("elsewhere") / "log.jsonl") as running:
        yield running


def connections(gateway):
    """Those on which the provider saw this test's requests."""
    return {request.connection for request in gateway.seen()}


class TestUsedAgain:
    async def test_answers_one_after_the_other_come_over_one_connection(self, gateway):
        for _ in range(5):
            await gateway.ask("ok")
        assert (len(gateway.seen()), len(connections(gateway))) == (5, 1)

    async def test_streams_do_too(self, gateway, monkeypatch):
        monkeypatch.setattr(provider_chat, "END_WAIT_S", 5.0)
        for _ in range(5):
            await gateway.relay("chunks=3")
        assert (len(gateway.seen()), len(connections(gateway))) == (5, 1)

    @pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
    @pytest.mark.parametrize("script", ["status=500", "status=429", "status=302", "html", "status=500;html"])
    async def test_after_what_is_no_answer_the_next_is_asked_over_the_same(self, gateway, script, stream):
        completed = await gateway.ask(script, "ok", stream=stream)
        assert completed.candidate.model.name == "ok"
        assert len(gateway.seen()) > 1
        assert len(connections(gateway)) == 1
        if stream:
            completed.close()


class TestCut:
    @pytest.mark.parametrize("script", ["stall=mid", "status=500;stall=mid", "html;stall=mid"])
    async def test_an_answer_given_up_midway_is_cut_while_its_failure_is_still_being_told(self, gateway, script):
        """The failure's traceback holds on to the response: only closing it ends the provider's work."""
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask(script, timeouts=STOPS_SOON)
        assert await gateway.end() is Ending.CLIENT_LEFT
        assert caught.value.error.kind == "timeout"


class TestRedirects:
    @pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_one_to_another_host_is_a_bad_answer_and_not_followed(self, gateway, elsewhere, status, stream):
        location = quote(f"{elsewhere.url}/chat/completions", safe="")
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask(f"status={status};location={location}", stream=stream, credential="sk-of-acme")
        assert elsewhere.requests() == []
        assert [request.has_authorization for request in gateway.seen()] == [True, True]
        row = gateway.row
        assert (row.outcome, row.status, row.error_kind, row.attempts) == ("error", 502, "bad_answer", 2)
        assert errors.handle(caught.value, {}).status_code == 502

    @pytest.mark.parametrize("status", [302, 307])
    async def test_nor_is_one_to_another_path_of_the_same(self, gateway, vendor, status):
        seen_before = len(vendor.requests())
        with pytest.raises(NobodyAnswered):
            await gateway.ask(f"status={status};location=%2Fv1%2Felsewhere", credential="sk-of-acme")
        assert {(request.method, request.path) for request in vendor.requests()[seen_before:]} == {("POST", CHAT)}
        assert gateway.row.error_kind == "bad_answer"

    async def test_the_next_model_answers_instead(self, gateway, elsewhere):
        location = quote(f"{elsewhere.url}/chat/completions", safe="")
        completed = await gateway.ask(f"status=307;location={location}", "ok")
        assert (completed.candidate.model.name, gateway.row.fell_back) == ("ok", True)
        assert elsewhere.requests() == []
