"""What masking takes out, what it leaves, and that no text keeps it busy."""

import random
import string
import time

import pytest

from analytics import masking
from analytics.masking import mask, mask_value

DRAWN = random.Random(7)  # noqa: S311 - examples


def drawn(number, among=string.ascii_letters + string.digits):
    return "".join(DRAWN.choice(among) for _ in range(number - 1)) + "7"


KEYS = [
    f"sk-proj-{drawn(60)}", f"sk-ant-api03-{drawn(90)}", f"sk-or-v1-{drawn(64)}", f"gsk_{drawn(52)}",
    f"agw_{drawn(43)}", "AKIA" + drawn(16, string.ascii_uppercase),
    f"ghp_{drawn(36)}", f"github_pat_{drawn(22)}_{drawn(59)}",
    f"xoxb-1234567890-{drawn(24)}", f"AIza{drawn(35)}", f"sk_live_{drawn(24)}", f"hf_{drawn(34)}", f"npm_{drawn(36)}",
    f"glpat-{drawn(20)}", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{drawn(43)}", f"SG.{drawn(22)}.{drawn(43)}",
    f"https://hooks.slack.com/services/T0/B0/{drawn(24)}",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:8])
@pytest.mark.parametrize("around", ["use {} please", '{{"k": "{}"}}', "({})", "K={}\n"])
def test_keys_of_known_forms_are_secrets(key, around):
    told = mask(around.format(key))
    assert "[secret]" in told
    assert key[-12:] not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Authorization: Bearer abcdefghijklmnop123", "Authorization: Bearer [secret]"),
        ("Authorization: Basic dTpw", "Authorization: Basic [secret]"),
        ('"authorization": "tiny"', '"authorization": "[secret]"'),
        ("Cookie: sid=abc; b=c\nHost: x", "Cookie: [secret]\nHost: x"),
        ("DB_PASS=correct", "DB_PASS=[secret]"),
        ("Mein Passwort: geheim", "Mein Passwort: [secret]"),
        ("müller@bäcker.de", "[e-mail]"),
        ("password = hunter2!", "password = [secret]"),
        ("password: correcthorse", "password: [secret]"),
        ('{"db_password": "two words"}', '{"db_password": "[secret]"}'),
        (r"{\"password\": \"hunter\"}", r"{\"password\": \"[secret]\"}"),
        ("export API_KEY=abcd1234efgh", "export API_KEY=[secret]"),
        ("aws_secret_access_key = wJalrXUtn/bPxRfiCY9", "aws_secret_access_key = [secret]"),
        ("my password is hunter2.", "my password is [secret]"),
        ("postgres://bob:tr0ub@db/x", "postgres://bob:[secret]@db/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[private key]\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE, cut off", "[private key]"),
        ("mail anna.schmidt@example.co.uk.", "mail [e-mail]."),
        ("card 4111 1111 1111 1111, exp", "card [card number], exp"),
        ("5500-0000-0000-0004", "[card number]"),
        ("amex 378282246310005", "amex [card number]"),
        ("IBAN DE89 3704 0044 0532 0130 00 OVER", "IBAN DE[IBAN] OVER"),
        ("GB29NWBK60161331926819.", "GB[IBAN]."),
        ("call +49 30 123456 now", "call [telephone number] now"),
        ("tel. +1 (415) 555-2671", "tel. [telephone number]"),
        ("0049 30 1234567", "[telephone number]"),
        ("see data:image/png;base64,iVBORw0K there", "see [image, 6 bytes] there"),
        ("data:application/pdf;name=a.pdf;base64," + "QUJD" * 1000, "[file, 3 KB]"),
    ],
)
def test_it_puts_a_label_in_its_place(text, told):
    assert mask(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b", "0e4a5a0e-3c4f-4f5e-8a3f-5b2f6f6d7c8e",
        "password_reset(user); password=password", "password = get(request)", "def f(token: str) -> None",
        "password ==", "order 1234567890123456 of 2026-11-22 08:15:30.123", "3.14159265358979323846",
        "max_tokens=4096, tokens: 12345",
        "the secret of good tea: patience", "the password is required", "a+b=12345678 and 10+12345678",
        "user@localhost @media (max-width: 6px)", "https://example.com/a?x=1", "task-sk-something", "1.2.3.4.5.6.7.8",
        "FR is France, DE12 3456 7890 1234 5678 90 is none", "isbn 978-3-16-148410-0", "1 2 3 4 5 6 7 8 9 10 11 12 13",
        "-" * 400,
        "basic responsibilities", "if x: pass", "the pass: 12 km", "cookie: chocolate", "authorization is due",
        "4111 1111 1111 1112", "primary key: id", "Schlüssel: 4711, İstanbul",
    ],
)  # fmt: skip
def test_look_alikes_stay(text):
    assert mask(text) == text


def test_long_base64_becomes_its_size():
    assert mask("sent " + drawn(4000)) == "sent [base64, 3 KB]"
    lines = "\n".join(drawn(76) for _ in range(50))
    assert mask(f"cert:\n{lines}\nQUJD==\nend") == "cert:\n[base64, 3 KB]\nend"


def test_a_text_that_is_nothing_else_is_known_by_its_beginning():
    assert masking.blob("iVBORw0KGgo" * 100_000) == "[base64, 825 KB]"
    assert masking.blob("word " * 1000) is masking.blob("short") is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("password", "abc", "[secret]"), ("api_key", "x y", "[secret]"), ("refresh_token", "abc", "[secret]"),
        ("password", "", ""), ("max_tokens", "12", "12"), ("key", "abc", "abc"), ("type", "string", "string"),
        ("token", "string", "string"), ("note", "a@b.org", "[e-mail]"),
    ],
)  # fmt: skip
def test_names_say_what_their_values_are(name, value, told):
    assert mask_value(name, value) == told


def test_pieces_end_with_lines_and_others_may_go_between():
    paused, line = [], "x" * 4000 + " a@example.org\n"
    assert mask("word " * 4000 + "password is hunter2 " * 1000, between=lambda: paused.append(1)).count("hunter") == 0
    assert len(paused) > 1
    told = mask(line * 20, between=lambda: paused.append(1))
    assert told == line.replace("a@example.org", "[e-mail]") * 20
    assert len(paused) > 2


HOSTILE = [
    "a", "1", "1 ", "4111 ", "+1", "+1 2", "@", "a@", "a.", "a@a.", "eyJ", "://a:", "://a:b@", "password", "password=",
    'password = "', "secret_", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "Bearer ", "sk-", "AB12", "AB12 ",
    "data:image/", "data:a/b;c;", ";base64,", "A" * 70 + "\n", "\\", "key key_", "İ", "aB3/", "password \t",
]  # fmt: skip


def busy_s(text):
    begun = time.process_time()
    mask(text)
    return time.process_time() - begun


@pytest.mark.parametrize("begins", HOSTILE, ids=lambda text: repr(text[:12]))
def test_a_hostile_text_takes_as_long_as_its_length_says(begins):
    """Four times the text, about four times the time; what grows with the square would take sixteen."""
    short, whole = (begins * (size // len(begins)) for size in (100_000, 400_000))
    assert busy_s(whole) < 10 * max(busy_s(short), 0.02)
