"""Tables of the state file. Amounts are decimal text: they outgrow SQLite's 64-bit integers.

A new file is made as the first format was and then brought up step by step, like an old one: there is one way to the
present format, and every new file walks it. Old files also have the tables `discoveries` and `cursors`, which
nothing reads.
"""

from typing import Final

VERSION: Final = 3
APPLICATION_ID: Final = 0x4B504552
"""Marks the file as ours in its header ("KPER")."""

FIRST_TABLES: Final = (
    """
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE intents (
        key TEXT PRIMARY KEY,
        chain_id INTEGER NOT NULL,
        sender TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('liquidation', 'deploy')),
        market TEXT,
        account TEXT,
        profit_token TEXT,
        expected_raw TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE slots (
        slot_id INTEGER PRIMARY KEY,
        intent TEXT NOT NULL REFERENCES intents (key),
        chain_id INTEGER NOT NULL,
        sender TEXT NOT NULL,
        nonce INTEGER NOT NULL CHECK (nonce >= 0),
        state TEXT NOT NULL CHECK (state IN
            ('reserved', 'signed', 'sent', 'success', 'reverted', 'given-up', 'released', 'foreign')),
        recipient TEXT,
        data BLOB NOT NULL,
        gas_limit INTEGER NOT NULL,
        fee_cap_wei TEXT NOT NULL,
        tip_wei TEXT NOT NULL,
        deadline_block INTEGER,
        mined_transaction TEXT,
        mined_block INTEGER,
        mined_block_hash TEXT
    ) STRICT
    """,
    # A released nonce was never on the wire and may be given out again; any other is held by one slot for ever.
    "CREATE UNIQUE INDEX one_slot_per_nonce ON slots (chain_id, sender, nonce) WHERE state NOT IN ('released')",
    "CREATE INDEX slots_by_intent ON slots (intent)",
    "CREATE INDEX slots_by_state ON slots (chain_id, sender, state)",
    "CREATE INDEX slots_by_block ON slots (chain_id, sender, mined_block)",
    """
    CREATE TABLE attempts (
        transaction_hash TEXT PRIMARY KEY,
        slot_id INTEGER NOT NULL REFERENCES slots (slot_id),
        ordinal INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('plan', 'cancel')),
        raw BLOB NOT NULL,
        gas_limit INTEGER NOT NULL,
        fee_cap_wei TEXT NOT NULL,
        tip_wei TEXT NOT NULL,
        broadcast TEXT NOT NULL CHECK (broadcast IN ('signed', 'accepted', 'ambiguous', 'refused')),
        maybe_known INTEGER NOT NULL,
        last_sent_block INTEGER,
        last_answer TEXT,
        UNIQUE (slot_id, ordinal)
    ) STRICT
    """,
    """
    CREATE TABLE ledger (
        entry_id INTEGER PRIMARY KEY,
        slot_id INTEGER UNIQUE REFERENCES slots (slot_id),
        intent TEXT NOT NULL,
        kind TEXT NOT NULL,
        transaction_hash TEXT UNIQUE,
        block INTEGER,
        market TEXT,
        account TEXT,
        status TEXT NOT NULL CHECK (status IN ('success', 'reverted', 'dry-run', 'given-up')),
        profit_token TEXT,
        expected_raw TEXT NOT NULL,
        realised_raw TEXT NOT NULL,
        gas_cost_wei TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX one_dry_run_per_intent ON ledger (intent) WHERE status = 'dry-run'",
    # Every change of a slot, in order: what an auditor replays.
    """
    CREATE TABLE history (
        sequence INTEGER PRIMARY KEY,
        slot_id INTEGER NOT NULL,
        event TEXT NOT NULL,
        transaction_hash TEXT,
        block INTEGER,
        detail TEXT
    ) STRICT
    """,
)

STEPS: Final = {
    # Guards, replacements at a higher price, filled nonces, legacy transactions.
    1: (
        """
        CREATE TABLE intents_2 (
            key TEXT PRIMARY KEY,
            chain_id INTEGER NOT NULL,
            sender TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('liquidation', 'deploy', 'fill')),
            market TEXT,
            account TEXT,
            profit_token TEXT,
            expected_raw TEXT NOT NULL,
            detail TEXT NOT NULL
        ) STRICT
        """,
        "INSERT INTO intents_2 SELECT * FROM intents",
        "DROP TABLE intents",
        "ALTER TABLE intents_2 RENAME TO intents",
        """
        CREATE TABLE attempts_2 (
            transaction_hash TEXT PRIMARY KEY,
            slot_id INTEGER NOT NULL REFERENCES slots (slot_id),
            ordinal INTEGER NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('plan', 'bump', 'cancel')),
            raw BLOB NOT NULL,
            gas_limit INTEGER NOT NULL,
            fee_cap_wei TEXT NOT NULL,
            tip_wei TEXT NOT NULL,
            broadcast TEXT NOT NULL CHECK (broadcast IN ('signed', 'accepted', 'ambiguous', 'refused')),
            maybe_known INTEGER NOT NULL,
            last_sent_block INTEGER,
            last_answer TEXT,
            signed_block INTEGER NOT NULL DEFAULT 0,
            UNIQUE (slot_id, ordinal)
        ) STRICT
        """,
        "INSERT INTO attempts_2 SELECT *, coalesce(last_sent_block, 0) FROM attempts",
        "DROP TABLE attempts",
        "ALTER TABLE attempts_2 RENAME TO attempts",
        "ALTER TABLE slots ADD COLUMN legacy INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE slots ADD COLUMN reserved_at_s INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE slots ADD COLUMN notional_usd_e8 TEXT NOT NULL DEFAULT '0'",
        "ALTER TABLE slots ADD COLUMN profit_usd_e8 TEXT NOT NULL DEFAULT '0'",
        "ALTER TABLE slots ADD COLUMN native_usd_e8 TEXT NOT NULL DEFAULT '0'",
        # The highest price per gas at which the plan still pays; NULL where nothing bounds it.
        "ALTER TABLE slots ADD COLUMN fee_ceiling_wei TEXT",
        # What the risk ledger holds for the slot; NULL in a row of the first format: there the attempts say it.
        "ALTER TABLE slots ADD COLUMN reserved_wei TEXT",
        "ALTER TABLE slots ADD COLUMN gas_paid_wei TEXT",
        "ALTER TABLE slots ADD COLUMN result_usd_e8 TEXT",
        "CREATE INDEX slots_by_time ON slots (chain_id, sender, reserved_at_s)",
    ),
    # What a rollup may charge for the data, beside the gas.
    2: ("ALTER TABLE slots ADD COLUMN l1_fee_wei TEXT NOT NULL DEFAULT '0'",),
}
"""What leads from each format to the next, in one transaction."""
