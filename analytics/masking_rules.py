"""What is masked in texts that are kept, and by which signs it is known: a table, and checks that spare look-alikes.

Every pattern takes time in proportion to its text, whatever that is: what may repeat is bounded or gives nothing back
(possessive), and nothing begins amid what it could also have begun with. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

Match = re.Match[str]


class Rule(msgspec.Struct, frozen=True):
    """`pattern` is looked for where one of `hints` stands in the text, in lower case, or a run of so many characters
    without a space; always where neither is asked for. Patterns begin with a set of characters where they can, which
    Python finds ten times as fast as what looks behind itself first."""

    pattern: re.Pattern[str]
    label: str | Callable[[Match], str]
    """What takes its place; a callable may as well leave it as it is."""
    hints: tuple[str, ...] = ()
    least_run: int = 0

    def may_be_in(self, text: str, *, lowered: str) -> bool:
        if self.hints:
            return any(hint in lowered for hint in self.hints)
        return not self.least_run or max(map(len, text.split()), default=0) >= self.least_run


SECRET = "[secret]"  # noqa: S105 - it takes a secret's place

_TOKENS = {
    "sk-": r"[\w-]{20,}+",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    "gsk_": r"\w{20,}+",  # Groq
    "csk-": r"\w{20,}+",  # Cerebras
    "xai-": r"\w{20,}+",
    "pplx-": r"\w{20,}+",  # Perplexity
    "nvapi-": r"[\w-]{20,}+",
    "hf_": r"[A-Za-z0-9]{20,}+",  # Hugging Face
    "r8_": r"\w{20,}+",  # Replicate
    "fw_": r"[A-Za-z0-9]{20,}+",  # Fireworks
    "tgp_v1_": r"[\w-]{20,}+",  # Together
    "agw_": r"[\w-]{20,}+",  # our own
    "akia": r"[A-Z0-9]{16}+",  # AWS, as the next
    "asia": r"[A-Z0-9]{16}+",
    "ghp_": r"\w{20,}+",
    "gho_": r"\w{20,}+",
    "ghu_": r"\w{20,}+",
    "ghs_": r"\w{20,}+",
    "ghr_": r"\w{20,}+",
    "github_pat_": r"\w{20,}+",
    "glpat-": r"[\w-]{20,}+",  # GitLab
    "xoxa-": r"[\w-]{10,}+",  # Slack
    "xoxb-": r"[\w-]{10,}+",
    "xoxe-": r"[\w-]{10,}+",
    "xoxp-": r"[\w-]{10,}+",
    "xoxr-": r"[\w-]{10,}+",
    "xoxs-": r"[\w-]{10,}+",
    "xapp-": r"[\w-]{10,}+",
    "hooks.slack.com/services/": r"[\w/]{20,}+",
    "aiza": r"[\w-]{30,}+",  # Google, as the next two
    "ya29.": r"[\w-]{20,}+",
    "gocspx-": r"[\w-]{20,}+",
    "sk_live_": r"\w{16,}+",  # Stripe
    "sk_test_": r"\w{16,}+",
    "rk_live_": r"\w{16,}+",
    "rk_test_": r"\w{16,}+",
    "whsec_": r"[\w+/=]{16,}+",
    "npm_": r"[A-Za-z0-9]{30,}+",
    "pypi-": r"[\w-]{50,}+",
    "sg.": r"[\w-]{20,}+\.[\w-]{20,}+",  # SendGrid
}
"""By the beginning, which stands here in lower case: what follows it."""

_STEMS = (
    *("password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "mot de passe", "contraseña", "pwd"),
    *("secret", "credential", "token", "pass", "key"),
)
_OF_KEYS = ("api", "access", "private", "auth", "signing", "encryption", "secret")
"""Keys are secrets when they are called so; others open nothing."""
_KEY = "(?:" + "|".join(f"(?<={kind})|(?<={kind}[_-])" for kind in _OF_KEYS) + ")key"
_ALONE = "(?:(?<=[_-])pass|(?<![a-z])pass(?=[\"']?[ \\t]{0,3}=))"
"""Alone it is a word of many languages, people's and Python's."""
_IS_CALLED = "|".join([*_STEMS[:-2], _ALONE, _KEY])
SECRET_NAME = re.compile(rf"(?i)(?:{_IS_CALLED}|^pass|authorization|cookie)(?:[_-][a-z]{{1,12}}){{0,3}}$")
_PAIR = re.compile(
    rf"(?i)(?P<name>{_IS_CALLED})(?P<rest>[\w-]{{0,24}}+\\{{0,3}}[\"'`]?)"
    r"(?P<between>[ \t]{0,3}+(?::=|=>|=(?!=)|:)[ \t]{0,3}+|[ \t]{1,3}+(?:is|are|lautet)[ \t]{0,2}:?[ \t]{1,3})"
    r"(?:(?P<quote>\\{0,3}[\"'`])(?P<quoted>(?:[^\"'`\n\\]|\\(?![\"'`\\])){1,300}+)"
    r"|(?P<bare>[^\s\"'`,;&<>(){}\[\]]{4,300}+)(?![(\[]))"
)
_NO_VALUES = re.compile(
    r"(?i)(?:none|null|nil|true|false|undefined|str|string|text|int|integer|bool|boolean|bytes|object|any|number"
    r"|optional\w*|required|secret|redacted|\*+|\.\.\.+|x+|\$\w+|%\w+)[.:!?]*"
)
_HAS_DIGIT = re.compile(r"\d")


_SURELY = ("pass", "pwd", "kennwort", "mot de", "contra")
"""Names beside which anything is a secret."""


def _kept(value: str, *, pair: Match) -> bool:
    """Whether a value beside a name for secrets is none: a type, a placeholder, a number of tokens, a mere word."""
    name = pair["name"].lower()
    if _NO_VALUES.fullmatch(value) or value.lower().startswith(name) or value == SECRET:
        return True
    if pair["between"].strip().isalpha():  # "the password is ...": words follow more often than passwords
        return not _HAS_DIGIT.search(value)
    if name.startswith(_SURELY):
        return False
    if pair["quoted"] is not None:
        return " " in value or len(value) < 6
    return len(value) < 8 or value.isdecimal() or not _HAS_DIGIT.search(value)


def without_pairs(text: str, *, lowered: str) -> str:
    """A name for secrets and what stands beside it. Names are few: they are found first, which is fast."""
    if len(lowered) != len(text):  # some letters have a longer small form: places would not be the same
        return _PAIR.sub(_pair, text)
    parts, done = [], 0
    for start in sorted(_places(lowered)):
        if start >= done and (found := _PAIR.match(text, start)):
            parts += [text[done:start], _pair(found)]
            done = found.end()
    return "".join([*parts, text[done:]])


def _places(lowered: str) -> Iterator[int]:
    for stem in _STEMS:
        place = lowered.find(stem)
        while place >= 0:
            yield place
            place = lowered.find(stem, place + len(stem))


def _pair(pair: Match) -> str:
    value = pair["bare"] or pair["quoted"]
    if _kept(value, pair=pair):
        return pair[0]
    return f"{pair['name']}{pair['rest']}{pair['between']}{pair['quote'] or ''}{SECRET}"


def is_value(value: str) -> bool:
    """Whether what stands under a name for secrets is worth hiding."""
    return bool(value) and not _NO_VALUES.fullmatch(value)


def _with_digit(label: str) -> Callable[[Match], str]:
    """For what words could be, too."""
    return lambda found: label if _HAS_DIGIT.search(found[0]) else found[0]


def size(encoded: int) -> str:
    """Of so many characters of base64, as it is told."""
    size_bytes = encoded * 3 // 4
    return f"{size_bytes / 1000:,.0f} KB" if size_bytes >= 1000 else f"{size_bytes} bytes"


_KINDS = {"image": "image", "audio": "audio", "video": "video"}


def _data_url(found: Match) -> str:
    return f"[{_KINDS.get(found['kind'].lower(), 'file')}, {size(len(found['data']))}]"


MANY_CHARACTERS = 16
"""Different ones that base64 has within a few hundred: rulers and zeros have fewer."""


def _base64(found: Match) -> str:
    return f"[base64, {size(len(found[0]))}]" if len(set(found[0][:1024])) >= MANY_CHARACTERS else found[0]


def _card(found: Match) -> str:
    digits = [int(one) for one in found[0] if one.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return "[card number]" if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else found[0]


_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
    "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
    "LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 "
    "SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
"""ISO 13616's registry: how long they are, by country."""
_IBAN_LENGTHS = {one[:2]: int(one[2:]) for one in _IBANS.split()}


def _iban(found: Match) -> str:
    """What follows the country. Words may follow that look like more of it."""
    country = found.string[found.start() - 2 : found.start()].upper()
    wanted = max(_IBAN_LENGTHS.get(country, 0) - 2, 0)
    places = [place for place, one in enumerate(found[0]) if one.isalnum()][:wanted]
    number = "".join(found[0][place] for place in places)
    if not wanted or len(number) < wanted:
        return found[0]
    rest = int("".join(str(int(one, 36)) for one in number[2:] + country + number[:2])) % 97
    return f"[IBAN]{found[0][places[-1] + 1 :]}" if rest == 1 else found[0]


_BASE64_LINE = r"[A-Za-z0-9+/]{60,76}+\r?\n"

OVER_LINES = (
    Rule(
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----"
            r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
        "[private key]",
        ("private key",),
    ),
    Rule(
        re.compile(
            r"(?i)data:(?P<kind>[a-z]{1,20}+)/[\w.+-]{1,80}+(?:;(?!base64)[\w.=+-]{1,60}+){0,4}+;base64,"
            r"(?P<data>[\w+/=%-]*+)"
        ),
        _data_url,
        (";base64,",),
    ),
    Rule(
        re.compile(rf"\n(?:{_BASE64_LINE}){{4,}}+(?:[A-Za-z0-9+/]{{0,75}}+={{1,2}}+)?"),
        lambda found: "\n" + _base64(found),
        least_run=60,
    ),
)
"""First, over a whole text."""

SECRETS = (
    Rule(re.compile(r"(?<!\w)eyJ[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]*+)?"), SECRET, ("eyj",)),  # JWT
    Rule(re.compile(r"(?<![\w+/-])[\w+/-]{256,}+={0,2}+"), _base64, least_run=256),
    *(
        Rule(
            re.compile(rf"(?<![A-Za-z0-9])(?i:{re.escape(begins)}){follows}"),
            _with_digit(SECRET) if begins[-1] == "-" else SECRET,
            (begins,),
        )
        for begins, follows in _TOKENS.items()
    ),
    Rule(
        re.compile(r"(?P<kind>[Bb](?<!\w.)(?:[Ee][Aa][Rr][Ee][Rr]|[Aa][Ss][Ii][Cc]))[ \t]{1,4}+[\w.~+/=-]{16,}+"),
        lambda found: f"{found['kind']} {SECRET}" if _HAS_DIGIT.search(found[0]) else found[0],
        ("bearer", "basic"),
    ),
    Rule(
        re.compile(
            r"(?i)(?P<name>authorization\\{0,3}[\"']?[ \t]{0,3}+[:=][ \t]{0,3}+\\{0,3}[\"']?"
            r"(?:[A-Za-z]{3,20}+[ \t]{1,3}+)?)[^\s\"',;\\]{4,}+"
        ),
        rf"\g<name>{SECRET}",
        ("authorization",),
    ),
    Rule(
        re.compile(r"(?P<name>[Cc]ookie[\"']?:[ \t]{0,3}+[\"']?)[\w.-]{1,64}+=[^\n\"']{1,4096}+"),
        rf"\g<name>{SECRET}",
        ("cookie",),
    ),
    Rule(
        re.compile(r"://(?P<who>[^\s/:@\"'<>]{0,128}+):[^\s/@\"'<>]{1,256}+@"),
        rf"://\g<who>:{SECRET}@",
        ("://",),
    ),
)
"""Then, line by line; behind them what stands beside names for secrets, and then:"""

NUMBERS = (
    Rule(
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[\w-]{1,63}+\.){1,8}[^\W\d_]{2,24}+(?![\w-])"),
        "[e-mail]",
        ("@",),
    ),
    Rule(
        re.compile(
            r"[2-6](?<![\w.].)(?:\d{12,18}+|\d{3}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{1,7}+"
            r"|\d{3}[ -]\d{6}[ -]\d{5})(?!\w)"
        ),
        _card,
    ),
    Rule(  # begins behind the country, whose letters stay
        re.compile(r"[0-9](?<=(?<!\w)[A-Za-z]{2}.)\d(?:[ -]?[A-Za-z0-9]{4}){2,7}+(?:[ -]?[A-Za-z0-9]{1,3}+)?"),
        _iban,
    ),
    Rule(
        re.compile(r"[+0](?<![\w+.,].)(?:(?<=\+) ?|(?<=0)0)[1-9](?:[ ()./-]{0,2}\d){7,14}+(?!\w)"),
        "[telephone number]",
        ("+", "00"),
    ),
)
