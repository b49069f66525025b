"""Signing, keystores, and that a key shows nowhere."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.rlp import create_address
from keeper.chain.signer import KeySigner
from keeper.domain.errors import ConfigError
from keeper.domain.units import to_address

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
PASSWORD = "a canary password"
_UINT256 = st.integers(0, 2**256 - 1)


@given(
    chain_id=st.integers(1, 2**53),
    nonce=st.integers(0, 2**64 - 2),
    to=st.none() | st.binary(min_size=20, max_size=20),
    data=st.binary(max_size=200),
    gas_limit=st.integers(21_000, 2**40),
    fees=st.tuples(st.integers(0, 2**90), st.integers(0, 2**90)),
    value=_UINT256,
    key=st.integers(1, 2**255),
)
def test_signed_bytes_equal_those_of_eth_account(
    chain_id: int,
    nonce: int,
    to: bytes | None,
    data: bytes,
    gas_limit: int,
    fees: tuple[int, int],
    value: int,
    key: int,
) -> None:
    signer = KeySigner(key.to_bytes(32, "big"))
    recipient = None if to is None else to_address(to)
    raw, transaction_hash = signer.sign(
        chain_id=chain_id,
        nonce=nonce,
        to=recipient,
        data=data,
        gas_limit=gas_limit,
        fee_cap_wei=max(fees),
        tip_wei=min(fees),
        value_wei=value,
    )
    theirs = Account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": recipient or "",
            "data": data,
            "gas": gas_limit,
            "maxFeePerGas": max(fees),
            "maxPriorityFeePerGas": min(fees),
            "value": value,
        },
        key.to_bytes(32, "big"),
    )
    assert raw == bytes(theirs.raw_transaction)
    assert transaction_hash == theirs.hash.to_0x_hex()
    assert Account.recover_transaction(raw) == signer.address


def test_create_address_is_the_known_one() -> None:
    sender = to_address("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert create_address(sender, 0) == to_address("0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d")
    assert create_address(sender, 1) == to_address("0x343c43a37d37dff08ae8c4a11544c718abb4fcf8")


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    path.write_text(json.dumps(Account.encrypt(bytes.fromhex(KEY), PASSWORD, iterations=2**4)))
    return path


def test_keystore_opens_with_its_password(keystore: Path) -> None:
    assert KeySigner.from_keystore(keystore, PASSWORD).address == Account.from_key(KEY).address


def _change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_keystore_of_another_address_is_refused(keystore: Path) -> None:
    _change(keystore, address="11" * 20)
    with pytest.raises(ConfigError, match="says it is for"):
        KeySigner.from_keystore(keystore, PASSWORD)


def test_derivation_that_would_never_end_is_refused(keystore: Path) -> None:
    crypto = json.loads(keystore.read_text())["crypto"]
    crypto["kdfparams"]["n"] = 2**30
    _change(keystore, crypto=crypto)
    with pytest.raises(ConfigError, match="key derivation"):
        KeySigner.from_keystore(keystore, PASSWORD)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 3}', '{"version": 3, "crypto": {}}', '{"version": 1, "crypto": {}}', "\xff"],
)
def test_file_that_is_no_keystore_is_a_configuration_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        KeySigner.from_keystore(path, PASSWORD)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        KeySigner.from_keystore(tmp_path / "absent.json", PASSWORD)


@pytest.mark.parametrize("text", ["", "0x", "zz", KEY[:-2], KEY + "00", "00" * 32, "ff" * 32])
def test_text_that_is_no_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KeySigner.from_hex(text)
    shown = "".join(traceback.format_exception(caught.value))
    assert len(text) < 8 or text not in shown.split("KeySigner.from_hex")[-1]
    assert caught.value.exit_code == 3


def test_nothing_shows_the_key_or_the_password(keystore: Path) -> None:
    signer = KeySigner.from_hex("0x" + KEY)
    with pytest.raises(ConfigError) as caught:
        KeySigner.from_keystore(keystore, "wrong " + PASSWORD)
    texts = [repr(signer), str(signer), f"{signer!r:>80}", str(caught.value)]
    texts += traceback.format_exception(caught.value)
    for text in texts:
        assert KEY not in text
        assert PASSWORD not in text
        assert str(int(KEY, 16)) not in text
    assert caught.value.__suppress_context__
    for copy_of in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copy_of(signer)
