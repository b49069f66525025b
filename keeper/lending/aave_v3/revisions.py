"""What differs between revisions of the pool, as data. The rules read it; nothing is subclassed.

`POOL_REVISION()` on the pool names the revision. An unknown one is refused: a wrong rounding
looks right until it costs money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from keeper.domain.errors import ConfigError

CloseFactor = Literal["half-per-reserve", "half-of-total", "whole", "fixed-half", "restore-target"]
"""How much of a debt one call may repay; see `rules.liquidation.compute_max_repay_raw`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision's way of counting and checking.

    `verified` means that the rules were compared with answers of the compiled contract, not only
    with its source. `policy` is the name under which the close factor is reported.
    """

    number: int
    version: str
    verified: bool
    policy: str
    close_factor: CloseFactor
    # The debt index: three powers of the rate per second, or one nested polynomial (3.4 on).
    nested_compound: bool = False
    # Supply rounds down, debt rounds up, burns and transfers follow (3.5 on); else all half up.
    directional: bool = False
    # Mints and burns report differences of balances (3.5 on), else the amount moved and the interest.
    balance_events: bool = False
    # A collateral counts, and can be seized, only with a liquidation threshold above zero.
    threshold_required: bool = True
    dust_rule: bool = False
    # How "no collateral is left" is found out; None: debt without collateral stays on the books.
    deficit: Literal["base", "scaled"] | None = None
    # The written-off debt is what the burn left (else what was owed less what was paid).
    deficit_after_burn: bool = False
    # Seize down, bonus base down, fee up (3.7), else half up.
    directed_seize: bool = False
    # The debt a capped seizure pays for rounds up (3.5 on).
    capped_debt_up: bool = False
    # The borrow flag falls when no scaled debt is left (3.4 on), else when the debt was paid whole.
    borrow_flag_by_scaled: bool = False
    self_liquidation: bool = True
    sentinel: Literal["updated-at", "started-at"] | None = None
    grace_period: bool = False
    emode: Literal["category", "bitmap"] | None = None
    virtual_balance: bool = False
    stable_debt: bool = False
    flash_premium_up: bool = False
    # Suppliers get their part of a flash loan's premium by a rise of the supply index (until 3.3).
    premium_to_suppliers: bool = False

    @property
    def custom_errors(self) -> bool:
        """Whether refusals are custom errors rather than numbers in a string."""
        return self.nested_compound


_V3_0: Final = Revision(
    number=1,
    version="3.0",
    verified=True,
    policy="tiered",
    close_factor="half-per-reserve",
    sentinel="updated-at",
    emode="category",
    stable_debt=True,
    premium_to_suppliers=True,
)
_V3_1: Final = replace(
    _V3_0, number=4, version="3.1", verified=False, sentinel="started-at", grace_period=True, virtual_balance=True
)
_V3_2: Final = replace(_V3_1, number=5, version="3.2", emode="bitmap", stable_debt=False)
_V3_3: Final = replace(
    _V3_2, number=7, version="3.3", verified=True, close_factor="half-of-total", dust_rule=True, deficit="base"
)
_V3_4: Final = replace(
    _V3_3,
    number=8,
    version="3.4",
    nested_compound=True,
    borrow_flag_by_scaled=True,
    self_liquidation=False,
    premium_to_suppliers=False,
)
_V3_5: Final = replace(
    _V3_4,
    number=9,
    version="3.5",
    directional=True,
    balance_events=True,
    capped_debt_up=True,
    flash_premium_up=True,
)
_V3_6: Final = replace(_V3_5, number=10, version="3.6", threshold_required=False)
_V3_7: Final = replace(_V3_6, number=11, version="3.7", directed_seize=True, deficit="scaled", sentinel=None)

# The bundled market: the directional arithmetic, its own close-factor policies, no governance extras.
_BUNDLED: Final = Revision(
    number=1000,
    version="bundled",
    verified=True,
    policy="binary",
    close_factor="whole",
    nested_compound=True,
    directional=True,
    threshold_required=False,
    capped_debt_up=True,
    borrow_flag_by_scaled=True,
    self_liquidation=False,
    virtual_balance=True,
    flash_premium_up=True,
    deficit_after_burn=True,
)

_REVISIONS: Final[dict[int, Revision]] = {
    **{number: replace(_V3_0, number=number) for number in (1, 2, 3)},
    4: _V3_1,
    5: _V3_2,
    6: replace(_V3_2, number=6),
    7: _V3_3,
    8: _V3_4,
    9: _V3_5,
    10: _V3_6,
    11: _V3_7,
    1000: _BUNDLED,
    1001: replace(_BUNDLED, number=1001, policy="fixed-share", close_factor="fixed-half"),
    1002: replace(_BUNDLED, number=1002, policy="tiered", close_factor="half-of-total", dust_rule=True, deficit="base"),
    1003: replace(_BUNDLED, number=1003, policy="dynamic", close_factor="restore-target"),
}


def revision_for(number: int) -> Revision:
    """Return the description of POOL_REVISION `number`. Raises ConfigError for an unknown one."""
    known = _REVISIONS.get(number)
    if known is None:
        raise ConfigError(
            f"pool revision {number} is not known to this keeper (known: 1 to 11 and 1000 to 1003); "
            "its rules would have to be guessed, so it is refused"
        )
    return known


def known_revisions() -> tuple[Revision, ...]:
    """Return all descriptions, by number."""
    return tuple(_REVISIONS[number] for number in sorted(_REVISIONS))
