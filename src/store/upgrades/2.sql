-- From version 1 to 2: every recorded row gets a checksum of its other columns, the schema one of its own; steps of
-- the clock that a person believed are written down.

DROP INDEX IF EXISTS projects_held; -- nothing reads by it any more

CREATE TABLE clock_steps (
    seq       INTEGER PRIMARY KEY,
    from_time INTEGER NOT NULL,
    to_time   INTEGER NOT NULL
) STRICT;

ALTER TABLE sequence ADD COLUMN schema_checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE texts ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policies ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enforcement_events ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message_facts ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE activity ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER enforcement_events_no_update;
DROP TRIGGER messages_no_update;
DROP TRIGGER message_facts_no_update;
DROP TRIGGER activity_no_update;

UPDATE texts SET checksum = checksum_of(id, text);
UPDATE policies SET checksum = checksum_of(mailbox, version, document, put_at);
UPDATE enforcement_events SET checksum = checksum_of(seq, id, workspace, tenant, mailbox_address, action, sent_count,
    limit_value, message, created_at, recorded_at);
UPDATE messages SET checksum = checksum_of(seq, workspace, mailbox, message_id, thread_id, sender_address,
    recipient_address, received_at, outcome, reason, dkim, spf, dmarc, from_alignment, body_hash, message_hash,
    capabilities, policy_version, sender_rule, fingerprint, recorded_at);
UPDATE message_facts SET checksum = checksum_of(seq, message, mailbox, kind, data, recorded_at);
UPDATE activity SET checksum = checksum_of(seq, workspace, project, user_id, actor, action, target_type, target_id,
    metadata, ip_address, user_agent, created_at, recorded_at);

CREATE TRIGGER enforcement_events_no_update BEFORE UPDATE ON enforcement_events
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is append-only'); END;
CREATE TRIGGER messages_no_update BEFORE UPDATE ON messages
    BEGIN SELECT RAISE(ABORT, 'messages is append-only'); END;
CREATE TRIGGER message_facts_no_update BEFORE UPDATE ON message_facts
    BEGIN SELECT RAISE(ABORT, 'message_facts is append-only'); END;
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
    BEGIN SELECT RAISE(ABORT, 'activity is append-only'); END;
