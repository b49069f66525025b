"""What other amounts of a run would bring, sold along the same routes in the same proportions.

Exact quotes, one after another, so that what sales take from each other's pools counts; the
division stays that of a run worked out before. Good for amounts not far from its own.
"""

from __future__ import annotations

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.units import BPS, Address
from keeper.estimate.scene import Choice, Scene, seized_by
from keeper.estimate.sketch import Outline


class Template:
    """The sale of `choice`, to be scaled."""

    def __init__(self, scene: Scene, choice: Choice) -> None:
        self._scene = scene
        self._legs = choice.legs
        self._seized = seized_by(choice.steps)
        self._gas = scene.gas_value(choice.gas_units)
        self._premiums = {fund.token: (fund.premium_raw, fund.amount_raw) for fund in choice.funds}

    def worth(self, outline: Outline) -> int | None:
        """Return about what a run with other amounts of the same pairs nets, base units times 1e18.

        What is gained or lacking of each token counts at the oracle's price. None where a pool cannot take it.
        """
        scene, venues = self._scene, self._scene.venues
        seized = seized_by(outline.steps)
        gains = dict(seized)
        for step in outline.steps:
            token = step.call.debt
            premium = mul_div_up(step.repaid_raw, *self._premiums.get(token, (0, BPS)))
            gains[token] = gains.get(token, 0) - step.repaid_raw - premium
        sold: dict[Address, int] = {}
        last = {leg.token_in: index for index, leg in enumerate(self._legs)}
        for index, leg in enumerate(self._legs):
            token = leg.token_in
            if token not in seized or not self._seized.get(token):
                return None
            amount_raw = mul_div_down(leg.amount_in_raw, seized[token], self._seized[token])
            if last[token] == index:
                amount_raw = max(seized[token] - sold.get(token, 0) - self._kept(token, seized[token]), 0)
            quotes = venues.quote(leg.route, amount_raw)
            if quotes is None:
                return None
            venues = venues.after(quotes)
            sold[token] = sold.get(token, 0) + amount_raw
            gains[token] -= amount_raw
            gains[leg.token_out] = gains.get(leg.token_out, 0) + (quotes[-1].amount_out_raw if quotes else 0)
        return sum(scene.value_of(token, raw) for token, raw in gains.items()) - self._gas

    def _kept(self, token: Address, seized_raw: int) -> int:
        """Return what is not sold of a token: the part of it that was not sold before."""
        sold_raw = sum(leg.amount_in_raw for leg in self._legs if leg.token_in == token)
        return mul_div_down(max(self._seized[token] - sold_raw, 0), seized_raw, self._seized[token])
