"""The only holder of a key.

Nothing here shows it: not the representation, not an error, not a pickle.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from coincurve import PrivateKey
from eth_utils.crypto import keccak

from keeper.chain.keystore import keystore_address, open_keystore, read_keystore, weak_work
from keeper.chain.rlp import rlp_encode
from keeper.domain.errors import ConfigError
from keeper.domain.units import Address, address_bytes, to_address
from keeper.observe import events

_DYNAMIC_FEE = b"\x02"
_KEY_BYTES = 32


class KeySigner:
    """Signs dynamic-fee transactions with one private key."""

    __slots__ = ("_address", "_key")

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes of a private key. Raises ConfigError when they are none."""
        try:
            self._key = PrivateKey(key)
        except (ValueError, TypeError):
            raise ConfigError("the private key is not a valid one") from None
        public = self._key.public_key.format(compressed=False)
        self._address = to_address(keccak(public[1:])[12:])

    @classmethod
    def from_hex(cls, text: str) -> KeySigner:
        """Return the signer of a hexadecimal key, as devnets pass it in the environment."""
        try:
            key = bytes.fromhex(text.strip().removeprefix("0x"))
        except ValueError:
            raise ConfigError("the private key is not hexadecimal") from None
        if len(key) != _KEY_BYTES:
            raise ConfigError(f"a private key has {_KEY_BYTES} bytes, not {len(key)}")
        return cls(key)

    @classmethod
    def from_keystore(cls, path: Path, password: str) -> KeySigner:
        """Return the signer of a V3 keystore file. Takes about half a second: the format wants it.

        Raises ConfigError for a file that is no keystore, one whose key derivation would take far
        too long, and a wrong password.
        """
        content = read_keystore(path)
        work = weak_work(content)
        if work is not None:
            events.keystore_is_weak(path=str(path), work=work)
        key = open_keystore(content, path, password)
        signer = cls(key)
        claimed = keystore_address(content)
        if claimed is not None and _plain(claimed) != _plain(signer.address):
            raise ConfigError(f"the keystore {path} says it is for {claimed}, but its key is that of {signer.address}")
        return signer

    @property
    def address(self) -> Address:
        """The key's address."""
        return self._address

    def sign(
        self,
        *,
        chain_id: int,
        nonce: int,
        to: Address | None,
        data: bytes,
        gas_limit: int,
        fee_cap_wei: int,
        tip_wei: int,
        value_wei: int = 0,
        legacy: bool = False,
    ) -> tuple[bytes, str]:
        """Return the signed transaction's bytes and hash (0x, lower-case).

        It is one of EIP-1559, or when `legacy` of type 0 with replay protection and the fee cap as its gas price. The
        same arguments give the same bytes. `to` None creates a contract.
        """
        recipient = b"" if to is None else address_bytes(to)
        if legacy:
            return self._sign_legacy(chain_id, (nonce, fee_cap_wei, gas_limit, recipient, value_wei, data))
        fields = (chain_id, nonce, tip_wei, fee_cap_wei, gas_limit, recipient, value_wei, data, ())
        signature = self._key.sign_recoverable(keccak(_DYNAMIC_FEE + rlp_encode(fields)), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        raw = _DYNAMIC_FEE + rlp_encode((*fields, signature[64], r, s))
        return raw, "0x" + keccak(raw).hex()

    def _sign_legacy(self, chain_id: int, fields: tuple[int | bytes, ...]) -> tuple[bytes, str]:
        signature = self._key.sign_recoverable(keccak(rlp_encode((*fields, chain_id, 0, 0))), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        raw = rlp_encode((*fields, 2 * chain_id + 35 + signature[64], r, s))
        return raw, "0x" + keccak(raw).hex()

    def __repr__(self) -> str:
        return f"KeySigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is never copied or stored")


def _plain(address: str) -> str:
    return address.lower().removeprefix("0x")
