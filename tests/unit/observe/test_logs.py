import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from keeper.domain.plans import Rejected
from keeper.observe import events, metrics
from keeper.observe.logs import configure_logging, get_logger, register_secret
from keeper.send.entries import dry_run_entry
from tests.faults.fake_chain import BORROWER, FakeChain, make_plan

CANARY = "canary-4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f"


@pytest.fixture
def sink() -> Iterator[io.StringIO]:
    """Where log lines go during a test; what the process had before comes back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(sink: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_off_a_terminal_each_line_is_one_json_document(sink: io.StringIO) -> None:
    configure_logging(stream=sink)
    get_logger().info("hello", amount=2**200, text="\x1b[31mred\u202e\nnew line")
    logging.getLogger("a_library").warning("theirs %s", 7)
    ours, theirs = lines(sink)
    assert (ours["event"], ours["amount"], ours["level"]) == ("hello", str(2**200), "info")
    assert (theirs["event"], theirs["level"]) == ("theirs 7", "warning")
    assert "\x1b" not in sink.getvalue()
    assert "\u202e" not in sink.getvalue()


def break_with_a_secret_at_hand(local_only: str) -> None:
    raise ValueError(f"bad key {local_only.removesuffix('-local')}")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_never_reach_the_sink(sink: io.StringIO, log_format: str) -> None:
    configure_logging(stream=sink, log_format=log_format)  # type: ignore[arg-type]
    register_secret(CANARY)
    get_logger().warning(f"in the event {CANARY}", field=CANARY, nested={"key": [CANARY]})
    logging.getLogger("aiohttp.client").error("GET https://rpc.example.org/v2/%s failed", CANARY)
    try:
        break_with_a_secret_at_hand(CANARY + "-local")
    except ValueError:
        get_logger().exception("broke")
    text = sink.getvalue()
    assert "Traceback" in text
    assert "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f" not in text
    assert "canary" not in text


def test_set_up_twice_logs_once(sink: io.StringIO) -> None:
    configure_logging(stream=io.StringIO())
    configure_logging(stream=sink)
    get_logger().info("once")
    assert len(lines(sink)) == 1


def test_events_log_and_count_in_one_call(sink: io.StringIO) -> None:
    configure_logging(stream=sink, log_format="json", level=logging.DEBUG)
    simulated, chain = make_plan(), FakeChain()
    counted = metrics.REJECTIONS.labels(market="main", reason="no_route")
    before = counted._value.get()
    events.head_seen(chain.blocks[0].head)
    events.plan_made(simulated.plan)
    events.plan_rejected(Rejected(market="main", account=BORROWER, reason="no_route", detail="there is no pool"))
    events.attempt_mined(replace(dry_run_entry(simulated), status="success", gas_cost_wei=5 * 10**18), nonce=3)
    assert counted._value.get() == before + 1
    assert [line["event"] for line in lines(sink)] == ["head", "plan", "rejected", "mined"]
    assert lines(sink)[3]["gas_cost_wei"] == str(5 * 10**18)
    assert simulated.calldata.hex() not in sink.getvalue()
