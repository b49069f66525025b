"""Type-0 signatures are those every other wallet makes."""

import pytest
from eth_account import Account

from keeper.chain.signer import KeySigner
from keeper.domain.units import Address, to_address

KEY = "4c" * 32


@pytest.mark.parametrize("chain_id", [1, 31337, 2**40])
@pytest.mark.parametrize("to", [to_address("0x" + "ab" * 20), None])
def test_the_bytes_are_those_of_eth_account(chain_id: int, to: Address | None) -> None:
    raw, transaction = KeySigner.from_hex(KEY).sign(
        chain_id=chain_id, nonce=3, to=to, data=b"\x01", gas_limit=90_000, fee_cap_wei=7, tip_wei=7, legacy=True
    )
    theirs = Account.from_key(KEY).sign_transaction(
        {
            "chainId": chain_id,
            "nonce": 3,
            "to": to or "",
            "data": b"\x01",
            "gas": 90_000,
            "gasPrice": 7,
            "value": 0,
        }
    )
    assert raw == theirs.raw_transaction
    assert transaction == "0x" + theirs.hash.hex()
