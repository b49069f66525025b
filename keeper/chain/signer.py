"""The only holder of a key.

Nothing here shows it: not the representation, not an error, not a pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from coincurve import PrivateKey
from eth_utils.crypto import keccak

from keeper.chain.rlp import rlp_encode
from keeper.domain.errors import ConfigError
from keeper.domain.units import Address, address_bytes, to_address

_DYNAMIC_FEE = b"\x02"
_KEY_BYTES = 32
# scrypt works over n * r blocks; 2**18 with r = 8 is what wallets write, 16 times that takes seconds.
_MOST_SCRYPT_WORK = 2**18 * 8 * 16
_MOST_PBKDF2_ROUNDS = 20_000_000


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
        content = _read_keystore(path)
        from eth_account import Account  # noqa: PLC0415 - a second to import, and only keystores need it

        try:
            key = bytes(Account.decrypt(content, password))
        except (ValueError, TypeError, KeyError, NotImplementedError):
            # the library's text is not passed on: it may quote what it was given
            raise ConfigError(f"the keystore {path} does not open with this password") from None
        signer = cls(key)
        claimed = content.get("address")
        if isinstance(claimed, str) and claimed and _plain(claimed) != _plain(signer.address):
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
    ) -> tuple[bytes, str]:
        """Return the signed EIP-1559 transaction's bytes and hash (0x, lower-case).

        The same arguments give the same bytes. `to` None creates a contract.
        """
        recipient = b"" if to is None else address_bytes(to)
        fields = (chain_id, nonce, tip_wei, fee_cap_wei, gas_limit, recipient, value_wei, data, ())
        signature = self._key.sign_recoverable(keccak(_DYNAMIC_FEE + rlp_encode(fields)), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        raw = _DYNAMIC_FEE + rlp_encode((*fields, signature[64], r, s))
        return raw, "0x" + keccak(raw).hex()

    def __repr__(self) -> str:
        return f"KeySigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is never copied or stored")


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the keystore {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path} is not a keystore: no JSON") from None
    crypto = content.get("crypto", content.get("Crypto")) if isinstance(content, dict) else None
    if not isinstance(crypto, dict) or content.get("version") != 3:
        raise ConfigError(f"{path} is not a version 3 keystore")
    if not _is_bearable(crypto.get("kdfparams")):
        raise ConfigError(f"the keystore {path} asks for an unreasonable key derivation; write it again with n = 2**18")
    return dict(content)


def _is_bearable(parameters: object) -> bool:
    if not isinstance(parameters, dict):
        return False
    numbers = [parameters.get(name, 1) for name in ("n", "r", "p", "c")]
    wanted = [number for number in numbers if type(number) is int and number > 0]
    if len(wanted) != len(numbers):
        return False
    n, r, p, rounds = wanted
    return n * r * p <= _MOST_SCRYPT_WORK and rounds <= _MOST_PBKDF2_ROUNDS


def _plain(address: str) -> str:
    return address.lower().removeprefix("0x")
