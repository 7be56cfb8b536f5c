-- From version 2 to 3: every row of a log is a leaf of one tree, whose leaves take the place of the rows' checksums.
-- The leaves of the rows that are there are made right after this, in the same transaction (store/migrate.rs).

DROP TRIGGER enforcement_events_no_update;
DROP TRIGGER messages_no_update;
DROP TRIGGER message_facts_no_update;
DROP TRIGGER activity_no_update;

ALTER TABLE enforcement_events DROP COLUMN checksum;
ALTER TABLE enforcement_events ADD COLUMN salt BLOB CHECK (length(salt) = 16);
UPDATE enforcement_events SET salt = randomblob(16);
ALTER TABLE messages DROP COLUMN checksum;
ALTER TABLE messages ADD COLUMN salt BLOB CHECK (length(salt) = 16);
UPDATE messages SET salt = randomblob(16);
ALTER TABLE message_facts DROP COLUMN checksum;
ALTER TABLE message_facts ADD COLUMN salt BLOB CHECK (length(salt) = 16);
UPDATE message_facts SET salt = randomblob(16);
ALTER TABLE activity DROP COLUMN checksum;
ALTER TABLE activity ADD COLUMN salt BLOB CHECK (length(salt) = 16);
UPDATE activity SET salt = randomblob(16);

CREATE TRIGGER enforcement_events_no_update BEFORE UPDATE ON enforcement_events
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is append-only'); END;
CREATE TRIGGER messages_no_update BEFORE UPDATE ON messages
    BEGIN SELECT RAISE(ABORT, 'messages is append-only'); END;
CREATE TRIGGER message_facts_no_update BEFORE UPDATE ON message_facts
    BEGIN SELECT RAISE(ABORT, 'message_facts is append-only'); END;
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
    BEGIN SELECT RAISE(ABORT, 'activity is append-only'); END;

CREATE TABLE tree (
    id     INTEGER PRIMARY KEY,
    hashes BLOB    NOT NULL CHECK (length(hashes) % 32 = 0)
) STRICT;

CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2)),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    recorded_at INTEGER NOT NULL,
    salt        BLOB CHECK (length(salt) = 16)
) STRICT;

CREATE TABLE holes (
    first   INTEGER PRIMARY KEY,
    last    INTEGER NOT NULL CHECK (last >= first),
    control INTEGER NOT NULL REFERENCES controls (seq)
) STRICT;
CREATE INDEX holes_control ON holes (control);

CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER holes_no_update BEFORE UPDATE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
CREATE TRIGGER holes_no_delete BEFORE DELETE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
