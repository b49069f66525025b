import pytest

from keeper.send.dialects import Answer, Broadcast, read_answer

OURS = "0x" + "ab" * 32
OTHER = "0x" + "cd" * 32

CASES = [
    ("geth", "already known", Answer.ALREADY_KNOWN),
    ("geth", "nonce too low: next nonce 5, tx nonce 4", Answer.NONCE_LOW),
    ("geth", "nonce too high", Answer.NONCE_HIGH),
    ("geth", "replacement transaction underpriced: new tx gas fee cap 7 <= 8 queued", Answer.REPLACE_UNDERPRICED),
    ("geth", "transaction underpriced: tip needed 1, tip permitted 0", Answer.UNDERPRICED),
    ("geth", "max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1", Answer.UNDERPRICED),
    ("geth", "insufficient funds for gas * price + value: balance 0, tx cost 1", Answer.FUNDS),
    ("geth", "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", Answer.FEE_CAP),
    ("geth", "txpool is full", Answer.POOL_FULL),
    ("geth", "in-flight transaction limit reached for delegated accounts", Answer.POOL_FULL),
    ("geth", "intrinsic gas too low: gas 0, minimum needed 21000", Answer.INVALID),
    ("geth", "exceeds block gas limit", Answer.INVALID),
    ("geth", "invalid sender", Answer.INVALID),
    ("anvil", "transaction already imported", Answer.ALREADY_KNOWN),
    ("anvil", "Insufficient funds for gas * price + value", Answer.FUNDS),
    ("anvil", "max fee per gas less than block base fee", Answer.UNDERPRICED),
    ("anvil", "Failed to decode signed transaction", Answer.INVALID),
    ("erigon", "ALREADY_EXISTS: existing tx with same hash", Answer.ALREADY_KNOWN),
    ("erigon", "could not replace existing tx", Answer.REPLACE_UNDERPRICED),
    ("nethermind", "AlreadyKnown", Answer.ALREADY_KNOWN),
    ("nethermind", "OldNonce, Current nonce: 5, nonce of rejected tx: 4", Answer.NONCE_LOW),
    ("nethermind", "FeeTooLow, MaxFeePerGas too low", Answer.UNDERPRICED),
    ("nethermind", "InsufficientFunds, Account balance: 0", Answer.FUNDS),
    ("nethermind", "ReplacementNotAllowed", Answer.REPLACE_UNDERPRICED),
    ("nethermind", "NonceGap, Future nonce. Expected nonce: 3", Answer.NONCE_HIGH),
    ("besu", "Known transaction", Answer.ALREADY_KNOWN),
    ("besu", "Upfront cost exceeds account balance", Answer.FUNDS),
    ("besu", "Transaction nonce is too distant from current sender nonce", Answer.NONCE_HIGH),
    ("geth", "gapped-nonce tx from delegated accounts", Answer.NONCE_HIGH),
    ("geth", "authority already reserved", Answer.POOL_FULL),
    ("geth", "future transaction tries to replace pending", Answer.POOL_FULL),
    ("reth", "already known", Answer.ALREADY_KNOWN),
    ("reth", "nonce too low: next nonce 5, tx nonce 4", Answer.NONCE_LOW),
    ("reth", "replacement transaction underpriced", Answer.REPLACE_UNDERPRICED),
    ("reth", "transaction underpriced", Answer.UNDERPRICED),
    ("reth", "max fee per gas less than block base fee", Answer.UNDERPRICED),
    ("reth", "insufficient funds for gas * price + value: have 0 want 1", Answer.FUNDS),
    ("reth", "txpool is full", Answer.POOL_FULL),
    ("reth", "invalid sender", Answer.INVALID),
    ("reth", "exceeds block gas limit", Answer.INVALID),
    ("reth", "oversized data", Answer.INVALID),
    ("reth", "max initcode size exceeded", Answer.INVALID),
    ("hardhat", f"Known transaction: {OURS}", Answer.ALREADY_KNOWN),
    ("hardhat", "Nonce too low. Expected nonce to be 5 but got 4.", Answer.NONCE_LOW),
    ("hardhat", "Sender doesn't have enough funds to send tx. The max upfront cost is: 1", Answer.FUNDS),
    (
        "hardhat",
        "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 9 is necessary to replace it",
        Answer.REPLACE_UNDERPRICED,
    ),
    ("a proxy", "upstream request timeout", Answer.AMBIGUOUS),
    ("anybody", "", Answer.AMBIGUOUS),
]


@pytest.mark.parametrize(("client", "words", "meaning"), CASES)
def test_row_07_each_clients_words_have_one_meaning(client: str, words: str, meaning: Answer) -> None:
    assert read_answer(words, OURS) is meaning, client


def test_another_transaction_being_known_is_not_ours_being_known() -> None:
    assert read_answer(f"Known transaction: {OTHER}", OURS) is Answer.AMBIGUOUS


def test_answers_about_the_nonce_are_no_refusals() -> None:
    standings = {answer: Broadcast(answer=answer, words="").standing for answer in Answer}
    assert {answer for answer, standing in standings.items() if standing == "accepted"} == {
        Answer.ACCEPTED,
        Answer.ALREADY_KNOWN,
    }
    for answer in (Answer.NONCE_LOW, Answer.NONCE_HIGH, Answer.REPLACE_UNDERPRICED, Answer.AMBIGUOUS):
        assert standings[answer] == "ambiguous"
