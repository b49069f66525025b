-- A state file of format 2, as the keeper that wrote it made it: a plan offered more once, a run that earned, a dry run.
CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT
;
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
    , legacy INTEGER NOT NULL DEFAULT 0, reserved_at_s INTEGER NOT NULL DEFAULT 0, notional_usd_e8 TEXT NOT NULL DEFAULT '0', profit_usd_e8 TEXT NOT NULL DEFAULT '0', native_usd_e8 TEXT NOT NULL DEFAULT '0', fee_ceiling_wei TEXT, reserved_wei TEXT, gas_paid_wei TEXT, result_usd_e8 TEXT) STRICT
;
CREATE UNIQUE INDEX one_slot_per_nonce ON slots (chain_id, sender, nonce) WHERE state NOT IN ('released');
CREATE INDEX slots_by_intent ON slots (intent);
CREATE INDEX slots_by_state ON slots (chain_id, sender, state);
CREATE INDEX slots_by_block ON slots (chain_id, sender, mined_block);
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
;
CREATE UNIQUE INDEX one_dry_run_per_intent ON ledger (intent) WHERE status = 'dry-run';
CREATE TABLE history (
        sequence INTEGER PRIMARY KEY,
        slot_id INTEGER NOT NULL,
        event TEXT NOT NULL,
        transaction_hash TEXT,
        block INTEGER,
        detail TEXT
    ) STRICT
;
CREATE TABLE discoveries (
        scope TEXT NOT NULL,
        account TEXT NOT NULL,
        PRIMARY KEY (scope, account)
    ) STRICT, WITHOUT ROWID
;
CREATE TABLE cursors (
        scope TEXT PRIMARY KEY,
        last_block INTEGER NOT NULL,
        block_hash TEXT NOT NULL
    ) STRICT
;
CREATE TABLE "intents" (
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
;
CREATE TABLE "attempts" (
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
;
CREATE INDEX slots_by_time ON slots (chain_id, sender, reserved_at_s);
INSERT INTO meta VALUES ('genesis:31337', '0x00');
INSERT INTO intents VALUES
    ('mined', 31337, '0x5151515151515151515151515151515151515151', 'liquidation', 'main', NULL, NULL, '900', '{}'),
    ('sent', 31337, '0x5151515151515151515151515151515151515151', 'liquidation', 'main', NULL, NULL, '1000', '{}');
INSERT INTO slots (slot_id, intent, chain_id, sender, nonce, state, recipient, data, gas_limit, fee_cap_wei, tip_wei,
                   deadline_block, mined_transaction, mined_block, mined_block_hash, reserved_at_s, notional_usd_e8,
                   profit_usd_e8, native_usd_e8, fee_ceiling_wei, reserved_wei, gas_paid_wei, result_usd_e8)
SELECT 1, 'mined', 31337, sender, 6, 'success', NULL, x'01', 100, '30', '2', 50, '0xa9', 11, '0x0b', 1000, '500', '90',
       '7', '80', '3000', '2500', '88' FROM intents WHERE key = 'mined';
INSERT INTO slots (slot_id, intent, chain_id, sender, nonce, state, recipient, data, gas_limit, fee_cap_wei, tip_wei,
                   deadline_block, reserved_at_s, notional_usd_e8, profit_usd_e8, native_usd_e8, fee_ceiling_wei,
                   reserved_wei)
SELECT 2, 'sent', 31337, sender, 7, 'sent', NULL, x'02', 100, '40', '3', 50, 1012, '600', '100', '7', '90', '4000'
FROM intents WHERE key = 'sent';
INSERT INTO attempts VALUES
    ('0xa9', 1, 0, 'plan', x'03', 100, '30', '2', 'accepted', 1, 10, NULL, 10),
    ('0xaa', 2, 0, 'plan', x'04', 100, '30', '2', 'accepted', 1, 12, NULL, 12),
    ('0xab', 2, 1, 'bump', x'05', 100, '40', '3', 'accepted', 1, 14, NULL, 14);
INSERT INTO history (slot_id, event, transaction_hash) VALUES
    (1, 'reserved', NULL), (1, 'signed plan', '0xa9'), (1, 'broadcast accepted', '0xa9'), (1, 'success', '0xa9'),
    (2, 'reserved', NULL), (2, 'signed plan', '0xaa'), (2, 'broadcast accepted', '0xaa'), (2, 'signed bump', '0xab'),
    (2, 'broadcast accepted', '0xab');
INSERT INTO ledger VALUES
    (1, 1, 'mined', 'liquidation', '0xa9', 11, 'main', NULL, 'success', NULL, '900', '901', '2500', '{"note":"kept"}'),
    (2, NULL, 'dry', 'liquidation', NULL, 9, 'main', NULL, 'dry-run', NULL, '5', '0', '1', '{}');
INSERT INTO discoveries VALUES ('main', '0x5151515151515151515151515151515151515151');
INSERT INTO cursors VALUES ('main', 9, '0x09');
PRAGMA application_id = 1263551826;
PRAGMA user_version = 2;
