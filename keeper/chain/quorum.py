"""Decisive reads, put to every endpoint: what they do not agree on is not acted upon.

An endpoint that answers has a vote, be it nonsense what it says; one that is silent has none. A
decision needs two equal votes where two endpoints can be heard (`[chain] quorum` demands more, or
fewer). Where votes differ, the false ones are convicted by what can be checked: the configured chain
id, a header that does not hash to its own hash, a proof under the agreed state root; where nothing can
be checked, by the majority of three or more. A convicted endpoint is set aside, and it goes on counting
as one that should have agreed: of two endpoints, the honest one alone decides nothing until the other
tells the truth again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from eth_utils.crypto import keccak

from keeper.chain import batcher, decode
from keeper.chain.endpoint import Endpoint, WrongChain
from keeper.chain.evidence import Evidence
from keeper.chain.headers import is_self_consistent
from keeper.chain.health import EndpointState
from keeper.chain.priority import Priority
from keeper.chain.replies import BadReply, BatchRefused
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import Disagreement, RpcError, Transient
from keeper.domain.units import Address
from keeper.observe import events

_PATIENCE_S = 2.0
_MAJORITY_OF = 3
_MOST_READS = 400
_WORD = 32
_ROUND_BYTES = 5 * _WORD

Requests = Sequence[tuple[str, Sequence[Any]]]
V = TypeVar("V")
Proof = Callable[[Mapping[Endpoint, V]], Awaitable[frozenset[Endpoint]]]
"""Returns the voters whose answers are proven false."""


class Quorum:
    """Puts decisive reads to all endpoints of `rpc`. With one endpoint its word is taken."""

    def __init__(self, rpc: RpcClient, *, chain_id: int, needed: int | None = None) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._needed = needed
        self._votes_needed = 1
        self._confirmed: tuple[str, frozenset[Call], frozenset[Address]] | None = None

    @property
    def is_needed(self) -> bool:
        """Whether there is more than one endpoint to ask."""
        return len(self._rpc.endpoints) > 1

    async def confirm(self, head: Head, reads: Mapping[Call, bytes], contracts: Mapping[Address, bytes]) -> None:
        """Return when the endpoints agree on `head`, on these results of views at it, and on these code hashes.

        Raises Disagreement when they do not, or agree on something else than is given here.
        """
        asked = (head.hash, frozenset(reads), frozenset(contracts))
        if not self.is_needed or self._confirmed == asked:
            return
        ballot = _Ballot(self._rpc, list(reads), list(contracts))
        votes = await self._ballots(ballot.requests(head.number))
        root = await self._agree_on_chain_and_head(votes, head)
        results = _parsed(votes, ballot.results)
        evidence = Evidence(self._rpc, list(votes), number=head.number, state_root=root)
        for call, used in reads.items():
            said = {voter: result.reads[call] for voter, result in results.items() if call in result.reads}
            agreed = await self._agree("oracle round", said, _by_storage(evidence, call))
            self._require("oracle round", used, agreed)
        for account, used in contracts.items():
            hashes = {voter: result.codes[account] for voter, result in results.items() if account in result.codes}
            code_hash = await self._agree("contract code", hashes, _by_account(evidence, account, "code_hash"))
            self._require("contract code", used, code_hash)
        self._confirmed = asked

    async def nonce(self, account: Address) -> int:
        """Return the number of mined transactions of `account` on which the endpoints agree."""
        answers = await self._ballots([("eth_getTransactionCount", (account, "latest"))])
        said = _votes(answers, decode.quantity)
        if len(set(said.values())) == 1:
            return await self._agree("account nonce", said, _by_nothing)
        number, root = await self._common_block()
        answers = await self._ballots([("eth_getTransactionCount", (account, hex(number)))])
        said = _votes(answers, decode.quantity)
        evidence = Evidence(self._rpc, list(answers), number=number, state_root=root)
        return await self._agree("account nonce", said, _by_account(evidence, account, "nonce"))

    async def code(self, account: Address) -> bytes:
        """Return the code at `account` on which the endpoints agree."""
        answers = await self._ballots([("eth_getCode", (account, "latest"))])
        said = _votes(answers, decode.data)
        if len(set(said.values())) > 1:
            number, root = await self._common_block()
            evidence = Evidence(self._rpc, list(answers), number=number, state_root=root)
            hashes = {voter: keccak(code) for voter, code in said.items()}
            wanted = await self._agree("contract code", hashes, _by_account(evidence, account, "code_hash"))
            return next(code for voter, code in said.items() if hashes[voter] == wanted)
        return await self._agree("contract code", said, _by_nothing)

    async def _common_block(self) -> tuple[int, bytes]:
        """Return number and state root of the newest block that all voters have, and agree on."""
        answers = await self._ballots([("eth_getBlockByNumber", ("latest", False))])
        heights = _votes(answers, decode.head)
        if not heights:
            raise Transient("no endpoint tells its newest block")
        number = min(head.number for head in heights.values())
        answers = await self._ballots([("eth_chainId", ()), ("eth_getBlockByNumber", (hex(number), False))])
        return number, await self._agree_on_chain_and_head(answers, None)

    async def _agree_on_chain_and_head(self, votes: dict[Endpoint, list[Any]], head: Head | None) -> bytes:
        """Return the state root of the block agreed on; drop the voters found false from `votes`."""
        for voter, answers in list(votes.items()):
            if answers[0] != hex(self._chain_id):
                voter.note_failure(WrongChain(f"{voter.label} answers for another chain than {self._chain_id}"))
                events.endpoints_disagree(what="chain id", endpoints=[voter.label], detail=str(answers[0])[:40])
                del votes[voter]
        headers = {voter: answers[1] for voter, answers in votes.items() if isinstance(answers[1], dict)}
        hashes = {voter: _hash_of(header) for voter, header in headers.items()}
        agreed = await self._agree("head hash", hashes, _by_header(headers))
        if head is not None:
            self._require("head hash", head.hash, agreed)
        for voter in list(votes):
            if hashes.get(voter) != agreed:
                del votes[voter]
        return decode.data(headers[next(iter(votes))].get("stateRoot"))

    async def _agree(self, what: str, said: Mapping[Endpoint, V], prove: Proof[V]) -> V:
        """Return the value agreed on by enough voters; convict those proven or outvoted."""
        false = frozenset[Endpoint]()
        if len(set(said.values())) > 1:
            false = await prove(said) or _outvoted(said)
            labels = sorted(voter.label for voter in (false or said))
            events.endpoints_disagree(what=what, endpoints=labels, detail="false" if false else "undecided")
            for voter in false:
                voter.note_lie(what)
        left = {voter: value for voter, value in said.items() if voter not in false}
        if len(set(left.values())) > 1:
            raise Disagreement(f"endpoints disagree on the {what}: {_named(said)}")
        needed = self._votes_needed
        if not left or len(left) < needed:
            liars = f"; set aside: {', '.join(sorted(voter.label for voter in false))}" if false else ""
            raise Disagreement(f"{len(left)} of {needed} endpoints needed agree on the {what}{liars}")
        for voter in left:
            if voter.health.state is EndpointState.LYING:
                voter.note_cleared()
        return next(iter(left.values()))

    def _count_votes_needed(self) -> int:
        if self._needed is not None:
            return self._needed
        heard = [each for each in self._rpc.endpoints if each.health.can_be_heard]
        return max(1, min(2, len(heard)))

    def _require(self, what: str, used: Hashable, agreed: Hashable) -> None:
        if used != agreed:
            self._confirmed = None
            events.endpoints_disagree(what=what, endpoints=[], detail="what was decided on is not what they agree on")
            raise Disagreement(f"the {what} in use is not the one the endpoints agree on")

    async def _ballots(self, requests: Requests) -> dict[Endpoint, list[Any]]:
        """Return the answers of every endpoint that can be heard; an RpcError stands for a refusal."""
        self._votes_needed = self._count_votes_needed()  # who falls silent in this very ballot still counts
        voters = [each for each in self._rpc.endpoints if self._may_vote(each)]
        answers = await asyncio.gather(*(self._ballot(voter, requests) for voter in voters))
        return {voter: answer for voter, answer in zip(voters, answers, strict=True) if answer is not None}

    def _may_vote(self, endpoint: Endpoint) -> bool:
        health = endpoint.health
        if health.state is EndpointState.LYING:
            return not endpoint.resting_s()
        return health.is_usable and (health.can_be_heard or not endpoint.resting_s())

    async def _ballot(self, voter: Endpoint, requests: Requests) -> list[Any] | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._ask_all(voter, requests)
        except TimeoutError:
            voter.note_failure(Transient(f"{voter.label}: no answer within {_PATIENCE_S:.0f} s"))
        except Transient as error:
            voter.note_failure(error)
        except RpcError as error:
            voter.note_failure(BadReply(f"{voter.label}: {error}"))
        return None

    async def _ask_all(self, voter: Endpoint, requests: Requests) -> list[Any]:
        if 1 < len(requests) <= self._rpc.largest_batch:
            try:
                return await self._rpc.ask_together(voter, requests, priority=Priority.PRICE)
            except BatchRefused:
                pass
        return [await self._ask_alone(voter, *request) for request in requests]

    async def _ask_alone(self, voter: Endpoint, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self._rpc.ask_one(voter, method, params, lambda value: value, priority=Priority.PRICE)
        except RpcError as error:
            return error


class _Answers:
    """One voter's answers, taken apart; what it refused is missing."""

    def __init__(self, reads: dict[Call, bytes], codes: dict[Address, bytes]) -> None:
        self.reads = reads
        self.codes = codes


class _Ballot:
    """The questions of one confirmation."""

    def __init__(self, rpc: RpcClient, reads: list[Call], contracts: list[Address]) -> None:
        self._rpc = rpc
        self._reads = reads[:_MOST_READS]
        self._contracts = contracts

    def requests(self, number: int) -> Requests:
        """Return what is asked: chain id, header, code of each contract, and all views in one call."""
        block = hex(number)
        asked: list[tuple[str, Sequence[Any]]] = [("eth_chainId", ()), ("eth_getBlockByNumber", (block, False))]
        asked += [("eth_getCode", (account, block)) for account in self._contracts]
        if self._reads:
            transaction = {"to": batcher.BATCHER, "data": batcher.encode_batch(self._reads)}
            asked.append(("eth_call", (transaction, block, batcher.overrides())))
        return asked

    def results(self, answers: Sequence[Any]) -> _Answers:
        """Return what one voter said. Raises BadReply for an answer of another shape."""
        codes = dict(zip(self._contracts, answers[2:], strict=False))
        found = _Answers(
            {}, {account: keccak(decode.data(code)) for account, code in codes.items() if not _failed(code)}
        )
        if self._reads and not _failed(answers[-1]):
            outcomes = batcher.decode_batch(decode.data(answers[-1]), len(self._reads)).results
            found.reads = {call: _canonical(outcome) for call, outcome in zip(self._reads, outcomes, strict=True)}
        return found


def _parsed(answers: Mapping[Endpoint, list[Any]], parse: Callable[[list[Any]], V]) -> dict[Endpoint, V]:
    """Return what `parse` makes of each voter's answers; who answers nonsense has no vote."""
    found = {}
    for voter, replies in answers.items():
        try:
            found[voter] = parse(replies)
        except BadReply as error:
            voter.note_failure(BadReply(f"{voter.label}: {error}"))
    return found


def _votes(answers: Mapping[Endpoint, list[Any]], parse: Callable[[Any], V]) -> dict[Endpoint, V]:
    """Return what each voter said to the first question; who refused it has no vote."""
    heard = {voter: replies for voter, replies in answers.items() if not _failed(replies[0])}
    return _parsed(heard, lambda replies: parse(replies[0]))


def _canonical(outcome: CallResult) -> bytes:
    return outcome.data if outcome.ok else b""


def _failed(answer: Any) -> bool:
    return isinstance(answer, RpcError) or answer is None


def _hash_of(header: Mapping[str, Any]) -> str:
    try:
        return decode.hash_text(header.get("hash"))
    except BadReply:
        return ""


def _outvoted(said: Mapping[Endpoint, Hashable]) -> frozenset[Endpoint]:
    """Return the minority where there is a majority of three or more voters."""
    value, votes = Counter(said.values()).most_common(1)[0]
    if len(said) < _MAJORITY_OF or 2 * votes <= len(said):
        return frozenset()
    return frozenset(voter for voter, each in said.items() if each != value)


async def _by_nothing(_said: Mapping[Endpoint, Any]) -> frozenset[Endpoint]:
    return frozenset()


def _by_header(headers: Mapping[Endpoint, Any]) -> Proof[str]:
    """Convict whose header does not hash to its hash, where somebody's does."""

    async def prove(said: Mapping[Endpoint, str]) -> frozenset[Endpoint]:
        sound = {voter for voter in said if is_self_consistent(headers[voter])}
        return frozenset(said) - sound if sound else frozenset()

    return prove


def _by_account(evidence: Evidence, account: Address, name: str) -> Proof[Any]:
    """Convict who says otherwise than a proof of the account's state."""

    async def prove(said: Mapping[Endpoint, Any]) -> frozenset[Endpoint]:
        state = await evidence.account(account)
        if state is None:
            return frozenset()
        truth = getattr(state, name)
        return frozenset(voter for voter, value in said.items() if value != truth)

    return prove


def _by_storage(evidence: Evidence, call: Call) -> Proof[bytes]:
    """Convict whose numbers stand in none of the slots that the view reads, where somebody's do."""

    async def prove(said: Mapping[Endpoint, bytes]) -> frozenset[Endpoint]:
        stored = await evidence.stored_numbers(call)
        for claim in (_answer_and_time, _answer):
            borne_out = {voter for voter, data in said.items() if (claimed := claim(data)) and claimed <= stored}
            if borne_out and len(borne_out) < len(said):
                return frozenset(said) - borne_out
        return frozenset()

    return prove


def _answer(data: bytes) -> frozenset[int]:
    """Return the price in the answer of `latestRoundData` (the second word), else of a view with one word."""
    start = _WORD if len(data) >= _ROUND_BYTES else 0
    word = data[start : start + _WORD]
    return frozenset({int.from_bytes(word, "big", signed=True)} if len(word) == _WORD else ())


def _answer_and_time(data: bytes) -> frozenset[int]:
    time = data[3 * _WORD : 4 * _WORD]
    return _answer(data) | {int.from_bytes(time, "big")} if len(data) >= _ROUND_BYTES else frozenset()


def _named(said: Mapping[Endpoint, Hashable]) -> str:
    return ", ".join(sorted(voter.label for voter in said))
