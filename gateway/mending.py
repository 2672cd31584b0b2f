"""What is wrong with a provider, in one sentence, and how to mend it, in another: for people, by kind for programs.

Pure: values in, values out. `gateway.checking` and `gateway.trying` find out what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from providers.addresses import Refusal
from providers.types import FailureCause, FailureKind, ProviderError


class Trouble(StrEnum):
    NO_KEY = "no key"
    KEY_UNREADABLE = "key unreadable"
    KEY_REFUSED = "key refused"
    WRONG_ADDRESS = "wrong address"
    UNREACHABLE = "unreachable"
    TIMEOUT = "no answer in time"
    NO_LIST = "no list of models"
    WRONG_MODEL = "wrong model"
    SLOW = "slow"
    LIMITED = "limited"
    VENDOR = "trouble at the provider"
    REFUSED = "request refused"
    NOT_READY = "not set up"
    HELD_BACK = "held back"


@dataclass(frozen=True, slots=True)
class Problem:
    trouble: Trouble
    says: str
    mend: str


def as_json(problem: Problem) -> dict[str, str]:
    return {"kind": problem.trouble.value, "says": problem.says, "mend": problem.mend}


@dataclass(frozen=True, slots=True)
class Place:
    """A provider as the sentences name it."""

    slug: str
    base_url: str
    is_local: bool
    env_var: str
    """The variable its key comes from; '' when it is stored, or there is none."""
    admin_path: str
    credentials_path: str
    models_path: str


START = {
    "ollama": "Start it (`ollama serve`)",
    "lmstudio": "Start it (`lms server start`)",
    "embedded": "Start the gateway (`manage.py serve`), which runs it",
}
_BY_KIND: Mapping[FailureKind, Trouble] = {
    FailureKind.UNREACHABLE: Trouble.UNREACHABLE,
    FailureKind.TIMEOUT: Trouble.TIMEOUT,
    FailureKind.SERVER_ERROR: Trouble.VENDOR,
    FailureKind.BAD_ANSWER: Trouble.VENDOR,
    FailureKind.BROKEN_STREAM: Trouble.VENDOR,
    FailureKind.RATE_LIMITED: Trouble.LIMITED,
    FailureKind.OVERLOADED: Trouble.LIMITED,
    FailureKind.CREDENTIALS: Trouble.KEY_REFUSED,
    FailureKind.NOT_FOUND: Trouble.WRONG_MODEL,
    FailureKind.CONTEXT_TOO_LONG: Trouble.REFUSED,
    FailureKind.UNSUPPORTED: Trouble.REFUSED,
    FailureKind.REJECTED: Trouble.REFUSED,
}
_BY_CAUSE: Mapping[FailureCause, Trouble] = {
    FailureCause.PRIVATE_ADDRESS: Trouble.WRONG_ADDRESS,
    FailureCause.METADATA_ADDRESS: Trouble.WRONG_ADDRESS,
    FailureCause.UNUSABLE_ADDRESS: Trouble.WRONG_ADDRESS,
    FailureCause.UNUSABLE_CREDENTIAL: Trouble.KEY_REFUSED,
    FailureCause.NO_TLS: Trouble.WRONG_ADDRESS,
}
"""Where the cause says more than the kind."""


def no_key(place: Place) -> Problem:
    says = f"{place.env_var} is not set" if place.env_var else "it needs a key and has none"
    return Problem(Trouble.NO_KEY, says, f"{_give_key(place)}, or switch the provider off at {place.admin_path}")


def unreadable_key(place: Place, *, why: str) -> Problem:
    mend = f"Enter the key again at {place.credentials_path}"
    if place.env_var:
        mend = f"Set it to the key alone, on one line: {_give_key(place)}"
    return Problem(Trouble.KEY_UNREADABLE, why.rstrip("."), mend)


def impossible_key(place: Place) -> Problem:
    says = "its key holds characters that no key has"
    return Problem(Trouble.KEY_REFUSED, says, f"Copy it again from the provider's own site: {_give_key(place)}")


def wrong_address(place: Place, *, why: str) -> Problem:
    return Problem(Trouble.WRONG_ADDRESS, why.rstrip("."), f"Correct the base URL at {place.admin_path}")


def refused_address(place: Place, *, refusal: Refusal) -> Problem:
    """An address that is called for no provider, or only for one that is marked local."""
    is_private = refusal is Refusal.PRIVATE
    cause = FailureCause.PRIVATE_ADDRESS if is_private else FailureCause.METADATA_ADDRESS
    says = "its address is private, and it is not marked as local" if is_private else refusal.value
    return Problem(_BY_CAUSE[cause], says, _mend_of(place, cause=cause))


def timed_out(place: Place, *, within_s: float) -> Problem:
    return Problem(Trouble.TIMEOUT, f"no answer within {within_s:g} s", _reach(place))


def slow(place: Place, *, took_s: float) -> Problem:
    mend = "Try again; if it stays slow, raise the priority numbers of its models, so that others are tried first"
    return Problem(Trouble.SLOW, f"its list of models took {took_s:.1f} s", mend)


def no_list(place: Place, *, why: str) -> Problem:
    """A 200 that is none of the lists known."""
    mend = f"Check the base URL at {place.admin_path}: another program or a web page may answer there; {_VERSION}"
    return Problem(Trouble.NO_LIST, f"{why} ({place.base_url}/models)", mend)


def wrong_model(place: Place, *, model: str, close: Sequence[str]) -> Problem:
    hint = f"; close to it: {', '.join(close)}" if close else ""
    mend = f"Correct its name or switch it off at {place.models_path}; `manage.py catalog diff` shows newer names"
    if place.is_local:
        load = f"`ollama pull {model}`" if place.slug == "ollama" else "Load the model in the server"
        mend = f"{load}, or switch it off at {place.models_path}"
    return Problem(Trouble.WRONG_MODEL, f"{model} is not in its list{hint}", mend)


def more_wrong_models(place: Place, *, count: int) -> Problem:
    says = f"{count} more of ours {'is' if count == 1 else 'are'} not in its list"
    return Problem(Trouble.WRONG_MODEL, says, f"See them at {place.models_path}")


def list_failed(place: Place, *, error: ProviderError) -> Problem:
    """What the failure of a look at the list means; there a 404 speaks of the address, not of a model."""
    if error.kind is FailureKind.NOT_FOUND or error.status in range(300, 400):
        says = f"HTTP {error.status} at {place.base_url}/models"
        return Problem(Trouble.WRONG_ADDRESS, says, f"Correct the base URL at {place.admin_path}: {_VERSION}")
    return failed(place, error=error)


def failed(place: Place, *, error: ProviderError, model: str = "") -> Problem:
    status = f"HTTP {error.status}: " if error.status not in (None, 200) else ""
    mends = {
        Trouble.UNREACHABLE: _reach(place),
        Trouble.TIMEOUT: f"{_reach(place)}; a model that thinks for long needs longer time-outs there",
        Trouble.VENDOR: _wait(place),
        Trouble.LIMITED: f"Wait{_wait_s(error)}, or raise the limit or the balance at the provider's own site",
        Trouble.KEY_REFUSED: f"Make a new key at the provider's own site, or give it credit or rights: "
        f"{_give_key(place)}",
        Trouble.WRONG_MODEL: f"`manage.py providers check {place.slug}` names models that are close; correct "
        f"{model or 'it'} at {place.models_path}",
        Trouble.REFUSED: f"Try another model with --model; a field that the provider does not take is declared at "
        f"{place.admin_path}",
    }
    trouble = _BY_KIND[error.kind]
    if error.cause is None:
        return Problem(trouble, f"{status}{error.message}", mends[trouble])
    return Problem(_BY_CAUSE.get(error.cause, trouble), error.message, _mend_of(place, cause=error.cause))


def no_price(place: Place, *, model: str) -> Problem:
    mend = f"Enter prices at {place.models_path}, or `manage.py models sync {place.slug} --prices` where it lists them"
    return Problem(Trouble.NOT_READY, f"{model} has no price", mend)


def not_ready(place: Place, *, why: str) -> Problem:
    return Problem(Trouble.NOT_READY, why.rstrip("."), f"Look at {place.models_path} and `manage.py models`")


def held_back(*, why: str) -> Problem:
    """By our own budgets or limits; the provider was not asked."""
    return Problem(Trouble.HELD_BACK, why.rstrip("."), "Look at `manage.py budgets list` and `manage.py projects list`")


def not_enabled(place: Place) -> Problem:
    return Problem(Trouble.NOT_READY, "it is switched off", f"Switch it on at {place.admin_path}")


_VERSION = "it ends in the version, as in https://api.openai.com/v1"


def _give_key(place: Place) -> str:
    if place.env_var:
        return f"`export {place.env_var}=...` (or .env) and start the server again"
    return f"enter it at {place.credentials_path}"


def _mend_of(place: Place, *, cause: FailureCause) -> str:
    base_url = f"the base URL at {place.admin_path}"
    mends = {
        FailureCause.PRIVATE_ADDRESS: f"Mark it as local at {place.admin_path}, or use its public address there",
        FailureCause.METADATA_ADDRESS: f"Correct {base_url}",
        FailureCause.UNUSABLE_ADDRESS: f"Correct {base_url}: {_VERSION}",
        FailureCause.UNUSABLE_CREDENTIAL: f"Copy the key again, on one line: {_give_key(place)}",
        FailureCause.NO_TLS: f"Correct {base_url}: http:// where the server speaks no TLS",
        FailureCause.UNKNOWN_AUTHORITY: "Set SSL_CERT_FILE to a PEM file with the authority that signed it (with the "
        "system's own behind it, if others are called too), and start again",
        FailureCause.BAD_CERTIFICATE: f"Have its certificate renewed, or name in {base_url} the host it is for; and "
        "look at this machine's clock",
        FailureCause.PROXY: "Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the provider's host in NO_PROXY to "
        "call it directly, and start again",
    }
    return mends[cause]


def _reach(place: Place) -> str:
    if place.is_local:
        start = START.get(place.slug, "Start the server")
        return f"{start}, or correct the base URL at {place.admin_path}"
    return f"Check this machine's network and the base URL at {place.admin_path}"


def _wait(place: Place) -> str:
    if place.is_local:
        return "Look into the server's own log"
    return "Try again in a while, and look at the provider's status page"


def _wait_s(error: ProviderError) -> str:
    return f" {error.retry_after_s:g} s" if error.retry_after_s else ""
