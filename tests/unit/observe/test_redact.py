import json

import pytest

from keeper.observe.redact import Secrets, redact, shorten_url

KEY = "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://rpc.example.org", "https://rpc.example.org"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545"),
        ("https://rpc.example.org/0badf00d", "https://rpc.example.org/0badf00d"),
    ],
)
def test_a_bare_host_stays_readable(url: str, shown: str) -> None:
    assert shorten_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://rpc.example.org/v3/s3cr3tkey",
        "https://rpc.example.org/?apikey=s3cr3tkey",
        "https://user:s3cr3tkey@rpc.example.org",
        "wss://rpc.example.org/ws/s3cr3tkey#x",
        "https://rpc.example.org:99999/s3cr3tkey",
    ],
)
def test_nothing_to_use_an_endpoint_with_is_left(url: str) -> None:
    line = redact(f"connect to {url}, failed", Secrets())
    assert "s3cr3tkey" not in line
    assert line.endswith(", failed")
    assert shorten_url(url) == shorten_url(url)


def test_two_keys_on_one_host_can_be_told_apart() -> None:
    assert shorten_url("https://h.example/a1") != shorten_url("https://h.example/a2")


@pytest.mark.parametrize("secret", [KEY, "0x" + KEY, 'pass"word\\ with ü and \n', "p@ss/wörd?"])
def test_a_secret_is_masked_in_every_spelling(secret: str) -> None:
    secrets = Secrets()
    secrets.add(secret)
    plain = secret.removeprefix("0x")
    for line in (plain, plain.upper(), repr(plain), json.dumps({"a": plain}), json.dumps(json.dumps(plain))):
        shown = redact(f"before {line} after", secrets)
        assert plain not in shown
        assert "[secret]" in shown


def test_signed_transactions_are_cut_but_hashes_are_not() -> None:
    raw, hash_ = "0x02f8" + "ab" * 120, "0x" + "cd" * 32
    line = redact(f"{raw} {hash_}", Secrets())
    assert raw not in line
    assert hash_ in line
    assert "(122 bytes)" in line


def test_text_too_short_to_be_a_secret_does_not_eat_the_log() -> None:
    secrets = Secrets()
    secrets.add("a")
    secrets.add("")
    assert redact("banana", secrets) == "banana"
