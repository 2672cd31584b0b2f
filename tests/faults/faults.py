"""All that a provider can do wrong, each with the row of the failure table that it belongs to."""

from __future__ import annotations

from tests.faults.table import STREAM, WHOLE, Fault, Patience, Row, Where


def _broken(name: str, words: str, kind: str, script: str = "", **more: object) -> Fault:
    code = f"provider_{kind}"
    return Fault(name=name, words=words, row=Row.BROKEN, kind=kind, code=code, script=script, **more)  # type: ignore[arg-type]


def _late(name: str, words: str, script: str = "", **more: object) -> Fault:
    given = {"patience": Patience.SHORT} | more
    return Fault(name=name, words=words, row=Row.LATE, kind="timeout", script=script, **given)  # type: ignore[arg-type]


def _refuses_us(status: int) -> Fault:
    kind = "not_found" if status == 404 else "credentials"
    row = Row.REFUSES_US if status == 401 else Row.DENIES
    return Fault(name=f"{status}", words=f"{status}", row=row, kind=kind, script=f"status={status}")


def _refuses(status: int, *, code: str = "") -> Fault:
    words = f"{status}" + (f" with the code `{code}`" if code else "")
    script = f"status={status}" + (f";code={code}" if code else "")
    return Fault(
        name=f"{status}{'-' if code else ''}{code}",
        words=words,
        row=Row.REFUSES_REQUEST,
        kind="rejected",
        code=code or None,
        script=script,
        status=status,
    )


def _breaks_off(name: str, words: str, kind: str, script: str, **more: object) -> Fault:
    given: dict[str, object] = {"told_chunks": 3, "code": f"provider_{kind}"} | more
    return Fault(
        name=name,
        words=words,
        row=Row.BREAKS_OFF,
        kind=kind,
        script=f"chunks=6;{script}",
        modes=STREAM,
        **given,  # type: ignore[arg-type]
    )


def _fine(name: str, words: str, script: str, **more: object) -> Fault:
    return Fault(name=name, words=words, row=Row.FINE, script=f"chunks=6;{script}", **more)  # type: ignore[arg-type]


_TOO_LONG = {"kind": "context_too_long", "code": "context_length_exceeded", "status": 400}
_OVERLOADED = "status=529;error_first"
_TOO_LONG_SCRIPT = "status=400;code=context_length_exceeded"

FAULTS = (
    # -- before an answer begins
    _broken("refused", "refuses the connection", "unreachable", where=Where.REFUSED),
    _broken("dns", "has a name that does not resolve", "unreachable", where=Where.NOWHERE),
    _broken("tls", "does not speak TLS at an https address", "unreachable", where=Where.NO_TLS),
    _late("connect-stall", "takes no connection", where=Where.FULL),
    _late("header-stall", "sends no headers", "stall=headers"),
    _late("half-headers-stall", "sends half of its headers, and then nothing", "stall=head"),
    _broken("cut", "closes the connection before its answer", "unreachable", "cut=headers", where=Where.CUTTING),
    _broken("reset", "resets the connection before its answer", "unreachable", "reset=headers", where=Where.CUTTING),
    _broken("headers-cut", "closes the connection amid its headers", "unreachable", "cut=head", where=Where.CUTTING),
    # -- a status that says what is wrong
    *(_refuses_us(status) for status in (401, 402, 403, 404)),
    *(_broken(f"{status}", f"{status}", "server_error", f"status={status}") for status in (408, 500, 503, 504, 529)),
    _broken("502-html", "502 with a page of HTML", "server_error", "html;status=502"),
    _broken("redirect", "a redirect", "bad_answer", "status=307;location=%2Felsewhere"),
    Fault(
        name="429",
        words="429 without Retry-After",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="status=429",
    ),
    Fault(
        name="429-soon",
        words="429 with Retry-After: 1",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="status=429;retry_after=1",
        waits_s=1,
    ),
    Fault(
        name="429-later",
        words="429 with a Retry-After beyond the deadline",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="status=429;retry_after=60",
        waits_s=60,
    ),
    Fault(
        name="429-cut",
        words="429 with Retry-After: 60, its body cut",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="status=429;retry_after=60;cut=mid",
        waits_s=60,
    ),
    *(_refuses(status) for status in (400, 413, 422)),
    _refuses(400, code="content_filter"),
    # -- a 200 that is no answer
    _broken("200-html", "200 with a page of HTML", "bad_answer", "html"),
    _broken("200-empty", "200 with nothing in it", "bad_answer", "nothing", sse_script="nothing;whole"),
    _broken("truncated-json", "JSON that breaks off with the connection", "unreachable", "whole;cut=mid"),
    _broken("bad-json", "JSON that cannot be read", "bad_answer", "whole;bad_json"),
    _broken("no-choices", "an answer without choices", "bad_answer", "no_choices"),
    _broken("empty-answer", "a finish reason, but no content and no tokens", "bad_answer", "empty"),
    _broken("error-in-200", "an error object in a 200", "bad_answer", "error_first"),
    _broken("503-in-200", "the same with the code 503", "server_error", "status=503;error_first"),
    Fault(
        name="429-in-200",
        words="the same with the code 429",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="status=429;error_first",
    ),
    Fault(
        name="rate-limit-in-200",
        words="the same with the code `rate_limit_exceeded`",
        row=Row.RATE_LIMITED,
        kind="rate_limited",
        script="error_first;code=rate_limit_exceeded",
    ),
    Fault(
        name="401-in-200",
        words="the same with the code 401",
        row=Row.REFUSES_US,
        kind="credentials",
        script="status=401;error_first",
    ),
    Fault(
        name="400-in-200",
        words="the same with the code 400",
        row=Row.REFUSES_REQUEST,
        kind="rejected",
        code="400",
        script="status=400;error_first",
        status=400,
    ),
    _late("body-stall", "sends half of its JSON, and then nothing", "stall=mid", modes=WHOLE),
    # -- streams, before their content
    _broken("cut-before-content", "cuts a stream before its content", "unreachable", "cut=first", modes=STREAM),
    _broken("reset-before-content", "resets it there", "unreachable", "reset=first", modes=STREAM),
    _broken("empty-stream", "a stream without a single event", "bad_answer", "nothing", modes=STREAM),
    _broken("only-done", "a stream of `[DONE]` alone", "bad_answer", "only_done", modes=STREAM),
    _late("stall-before-content", "falls silent before the content", "stall=first", modes=STREAM),
    _broken("flood-before-content", "an event of over 16 MiB before it", "bad_answer", "flood=first", modes=STREAM),
    # -- streams, after their first content
    _breaks_off("cut-mid", "cuts a stream amid its content", "unreachable", "cut=mid"),
    _breaks_off("reset-mid", "resets it there", "unreachable", "reset=mid"),
    _breaks_off("stall-mid", "falls silent there", "timeout", "stall=mid", patience=Patience.BETWEEN_FRAMES),
    _breaks_off("error-mid", "an error event there", "bad_answer", "error_mid"),
    _breaks_off("503-mid", "an error event with the code 503 there", "server_error", "status=503;error_mid"),
    _breaks_off("flood-mid", "an event of over 16 MiB there", "broken_stream", "flood=mid"),
    _breaks_off("no-finish", "ends a stream without a finish reason", "broken_stream", "no_finish", told_chunks=6),
    # -- odd, but an answer
    _fine("slow-headers", "sends its headers line by line, within the limits", "head_ms=30"),
    _fine("slow-body", "sends its body slowly, within the limits", "drip=200;drip_ms=10"),
    _fine("byte-by-byte", "sends it byte by byte", "drip=1", modes=STREAM),
    _fine("crlf", "ends its lines with CR LF", "crlf", modes=STREAM),
    _fine("bad-line-first", "a line that cannot be read before the content", "bad_json", modes=STREAM, malformed=1),
    _fine("bad-line-mid", "a line that cannot be read amid it", "bad_line", modes=STREAM, malformed=1),
    _fine("no-done", "a finish reason, but no `[DONE]`", "no_done", modes=STREAM),
    _fine("json-for-sse", "a whole answer where a stream was asked for", "whole", modes=STREAM),
    # -- in Anthropic's dialect, whose errors and ends are others
    _broken("529-a", "Anthropic: 529", "server_error", "status=529", dialect="anthropic"),
    _broken("overloaded-a", "Anthropic: `overloaded_error` in a 200", "server_error", _OVERLOADED, dialect="anthropic"),
    _broken("empty-a", "Anthropic: a message without content and tokens", "bad_answer", "empty", dialect="anthropic"),
    _broken(
        "only-stop-a", "Anthropic: `message_stop` alone", "bad_answer", "only_done", modes=STREAM, dialect="anthropic"
    ),
    _breaks_off(
        "cut-mid-a", "Anthropic: cuts a stream amid its content", "unreachable", "cut=mid", dialect="anthropic"
    ),
    _breaks_off(
        "overloaded-mid-a",
        "Anthropic: `overloaded_error` there",
        "server_error",
        "status=529;error_mid",
        dialect="anthropic",
    ),
    _breaks_off(
        "no-finish-a",
        "Anthropic: ends a stream without a stop reason",
        "broken_stream",
        "no_finish",
        told_chunks=6,
        dialect="anthropic",
    ),
    _fine(
        "bad-line-a",
        "Anthropic: an event that cannot be read",
        "bad_line",
        modes=STREAM,
        malformed=1,
        dialect="anthropic",
    ),
    _fine("no-stop-a", "Anthropic: a stop reason, but no `message_stop`", "no_done", modes=STREAM, dialect="anthropic"),
    # -- last: whoever stands in a layer above might take these
    Fault(
        name="too-long",
        words="400, as the request is too long for it, and the next model takes more",
        row=Row.TOO_LONG,
        script=_TOO_LONG_SCRIPT,
        **_TOO_LONG,  # type: ignore[arg-type]
    ),
    Fault(
        name="too-long-for-all",
        words="400, as the request is too long for it, and the next model takes no more",
        row=Row.TOO_LONG,
        script=_TOO_LONG_SCRIPT,
        has_larger_behind=False,
        **_TOO_LONG,  # type: ignore[arg-type]
    ),
)
