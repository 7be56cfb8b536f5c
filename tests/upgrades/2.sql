-- A database of schema version 2, as the program of that version left it (sqlite3 .dump).
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1297371724;
PRAGMA user_version = 2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE activity (
    seq         INTEGER PRIMARY KEY,                          -- with recorded_at and the salt, the id on the wire
    workspace   INTEGER NOT NULL REFERENCES workspaces (id),
    project     INTEGER REFERENCES projects (id),             -- null: of the workspace itself
    user_id     INTEGER,                                      -- of texts; null: not a person
    actor       INTEGER,                                      -- of texts: who it was, as named at the time
    action      INTEGER NOT NULL,                             -- of texts
    target_type INTEGER,                                      -- of texts
    target_id   ANY,                                          -- a UUID as its 16 bytes, anything else as text
    metadata    TEXT    NOT NULL CHECK (json_valid(metadata)),
    ip_address  ANY,                                          -- 4 or 16 bytes
    user_agent  INTEGER,                                      -- of texts
    created_at  INTEGER NOT NULL,
    recorded_at INTEGER,                                      -- when it was written here; null: created_at
    -- Whose it is: a project, or, with a minus, the workspace itself.
    owner       INTEGER NOT NULL AS (coalesce(project, -workspace)) VIRTUAL,
    -- Days since 1970, rounded down also before.
    day         INTEGER NOT NULL AS ((created_at - 86399999999 * (created_at < 0)) / 86400000000) VIRTUAL
, checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO activity VALUES(1,1,NULL,NULL,2,1,3,X'01A1FEC5A20C75769482D499F837605E','{"name":"Demo"}',NULL,NULL,1795275727000000,NULL,241676335);
INSERT INTO activity VALUES(2,1,NULL,NULL,2,4,5,X'01A1FEC5A2C8765B80D70C33D38BAA48','{"email":"ada@example.org"}',NULL,NULL,1795275727000000,NULL,-330652370);
INSERT INTO activity VALUES(3,1,NULL,NULL,2,6,5,X'01A1FEC5A2C8765B80D70C33D38BAA48','{"member_id":"01a1fec5-a2c8-765b-80d7-0c33d38baa48","email":"ada@example.org","role":"owner"}',NULL,NULL,1795275727000000,NULL,-162447731);
INSERT INTO activity VALUES(4,1,NULL,NULL,2,7,8,X'01A1FEC5A2DE7F569A9354CB4BC2A22E','{"name":"init","hint":"mt_live_2778","scopes":["enforcement:read","enforcement:write","messages:read","messages:write","activity:write","admin"],"expires_at":null}',NULL,NULL,1795275727000000,NULL,388573283);
INSERT INTO activity VALUES(5,1,NULL,NULL,2,9,10,X'01A1FEC5A49871099FA824D079CCA458','{"holder":"Demo","plan":"pro","expires_at":null}',NULL,NULL,1795275728000000,NULL,597849629);
INSERT INTO activity VALUES(6,1,NULL,NULL,2,11,12,X'01A1FEC5A4B67114A464B5394FC6CA26','{"name":"Acme","domain":"acmecorp.com"}',NULL,NULL,1795275728000000,NULL,444767159);
INSERT INTO activity VALUES(7,1,NULL,NULL,2,13,14,'1','{"address":"agent@acmecorp.com","tenant_id":null,"daily_send_limit":null}',NULL,NULL,1795275728000000,NULL,1579660221);
INSERT INTO activity VALUES(8,1,NULL,NULL,2,13,14,'2','{"address":"sales@mail.acmecorp.com","tenant_id":"01a1fec5-a4b6-7114-a464-b5394fc6ca26","daily_send_limit":25}',NULL,NULL,1795275728000000,NULL,52142618);
INSERT INTO activity VALUES(9,1,1,NULL,2,15,16,X'01A1FEC5A4D173C18691E6721DA7E966','{"name":"Newsletter"}',NULL,NULL,1795275728000000,NULL,578562190);
INSERT INTO activity VALUES(10,1,NULL,NULL,2,17,14,'1','{"version":1,"before":null,"after":{"defaultAction":"bounce","senders":[{"match":{"domain":"googlemail.com","requireDkim":false,"requireSpf":true},"capabilities":["ingest_conflict_notice"],"rateLimit":{"perDay":2}},{"match":{"domain":"gmail.com","requireDkim":true,"requireSpf":false},"capabilities":["read_calendar"]},{"match":{"domain":"example.co.jp","requireDkim":false,"requireSpf":false},"capabilities":[]},{"match":{"domain":"example.jp","requireDkim":false,"requireSpf":false},"capabilities":["read_calendar","propose_meeting"]},{"match":{"domain":"amazonses.com","requireDkim":true,"requireSpf":false},"capabilities":[]},{"match":{"domain":"mv-osn-hcb007.ocn.ad.jp","requireDkim":false,"requireSpf":false},"capabilities":[]}],"contentGuards":[{"reject":"(?i)this is an? (email )?abuse report","reason":"abuse_report"}],"auditLog":{"retentionDays":36500,"includeBodyHash":true}}}',NULL,NULL,1795275728000000,NULL,1205700598);
INSERT INTO activity VALUES(28,1,1,19,20,18,16,X'01A1FEC5A4D173C18691E6721DA7E966','{"smtp_host":"smtp.mailgun.org","smtp_user":"postmaster@acme.com","from_email":"hello@acme.com"}',X'CB00712A',21,1795275728000000,NULL,-2125322390);
INSERT INTO activity VALUES(29,1,1,19,20,22,16,X'01A1FEC5A4D173C18691E6721DA7E966','{"url":"https://acme.com/hook"}',X'CB00712A',21,1795275728000000,NULL,122211427);
INSERT INTO activity VALUES(33,1,1,23,NULL,22,24,'not a uuid','{"url":"https://example.org/ä"}',X'20010DB8000000000000000000000007',25,1795275776000000,NULL,-725066588);
INSERT INTO activity VALUES(34,1,NULL,19,20,26,5,X'01A1FEC5A2C8765B80D70C33D38BAA48','{}',X'7F000001',27,1795275777000000,NULL,-8304676);
INSERT INTO activity VALUES(37,1,NULL,NULL,29,28,10,NULL,'{"deleted":{"enforcement":1,"messages":0,"activity":0},"days":{"enforcement":3000,"messages":null,"activity":null}}',NULL,NULL,1795289022000000,NULL,-1048257610);
INSERT INTO activity VALUES(41,1,NULL,NULL,2,28,10,NULL,'{"deleted":{"enforcement":3,"messages":0,"activity":0},"days":{"enforcement":3000,"messages":null,"activity":null}}',NULL,NULL,1795289022000000,NULL,-1681787725);
INSERT INTO activity VALUES(42,1,NULL,NULL,2,9,10,X'01A1FF907EBB738A9BABDB855408D7A4','{"holder":"Main","plan":"pro","expires_at":null}',NULL,NULL,1795289022000000,NULL,2072789950);
INSERT INTO activity VALUES(43,1,NULL,19,20,26,5,X'01A1FEC5A2C8765B80D70C33D38BAA48','{}',X'7F000001',30,1795289022000000,NULL,1052844353);
CREATE INDEX activity_action ON activity (owner, day, action, created_at);
CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 3)
    BEGIN SELECT RAISE(ABORT, 'activity is deleted by retention only'); END;
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
    BEGIN SELECT RAISE(ABORT, 'activity is append-only'); END;
CREATE INDEX activity_owner ON activity (owner, created_at);
CREATE INDEX activity_target ON activity (owner, day, target_id, created_at) WHERE target_id IS NOT NULL;
CREATE INDEX activity_user ON activity (owner, day, user_id, created_at) WHERE user_id IS NOT NULL;
CREATE TABLE api_keys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid         BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    workspace    INTEGER NOT NULL REFERENCES workspaces (id),
    name         TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    hash         BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the key; the key is not kept
    hint         TEXT    NOT NULL,                            -- its first twelve characters, to tell keys apart
    scopes       INTEGER NOT NULL CHECK (scopes > 0),         -- bits, see auth/keys.rs
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,                                     -- to the minute
    replaces     INTEGER REFERENCES api_keys (id)             -- the key it was rotated from
) STRICT;
INSERT INTO api_keys VALUES(1,X'01A1FEC5A2DE7F569A9354CB4BC2A22E',1,'init',X'422D13A42EA400E6665919470640FCAF690BFB177359B38E53DFD83F13A7F158','mt_live_2778',63,1795275727000000,NULL,NULL,1795275778413443,NULL);
CREATE INDEX api_keys_workspace ON api_keys (workspace, id);
CREATE TABLE clock_steps (
    seq       INTEGER PRIMARY KEY,
    from_time INTEGER NOT NULL,
    to_time   INTEGER NOT NULL
) STRICT;
CREATE TABLE counts (
    log    INTEGER NOT NULL CHECK (log IN (1, 2, 3)),         -- 1 enforcement, 2 messages, 3 activity
    owner  INTEGER NOT NULL,                                  -- tenant, mailbox or project; below 0: a workspace
    kind   INTEGER NOT NULL,                                  -- 0: all; above: an action or outcome; below: a person
    width  INTEGER NOT NULL CHECK (width IN (0, 1, 2)),       -- 0: a day, 1: an hour, 2: thirty days
    bucket INTEGER NOT NULL,                                  -- the entry's own time divided by the width
    n      INTEGER NOT NULL,                                  -- rows; a bucket that comes to none is removed
    PRIMARY KEY (log, owner, kind, width, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO counts VALUES(1,-1,0,0,20777,1);
INSERT INTO counts VALUES(1,-1,0,0,20778,1);
INSERT INTO counts VALUES(1,-1,0,1,498658,1);
INSERT INTO counts VALUES(1,-1,0,1,498687,1);
INSERT INTO counts VALUES(1,-1,1,0,20777,1);
INSERT INTO counts VALUES(1,-1,1,0,20778,1);
INSERT INTO counts VALUES(1,1,0,0,20777,1);
INSERT INTO counts VALUES(1,1,0,0,20778,1);
INSERT INTO counts VALUES(1,1,0,1,498658,1);
INSERT INTO counts VALUES(1,1,0,1,498687,1);
INSERT INTO counts VALUES(1,1,1,0,20777,1);
INSERT INTO counts VALUES(1,1,1,0,20778,1);
INSERT INTO counts VALUES(2,1,0,0,14363,1);
INSERT INTO counts VALUES(2,1,0,0,14753,1);
INSERT INTO counts VALUES(2,1,0,0,15084,1);
INSERT INTO counts VALUES(2,1,0,0,16269,1);
INSERT INTO counts VALUES(2,1,0,0,16395,2);
INSERT INTO counts VALUES(2,1,0,0,16863,1);
INSERT INTO counts VALUES(2,1,0,0,17085,1);
INSERT INTO counts VALUES(2,1,0,0,17286,2);
INSERT INTO counts VALUES(2,1,0,0,17297,1);
INSERT INTO counts VALUES(2,1,0,0,17650,1);
INSERT INTO counts VALUES(2,1,0,0,18015,3);
INSERT INTO counts VALUES(2,1,0,0,19410,1);
INSERT INTO counts VALUES(2,1,0,1,344712,1);
INSERT INTO counts VALUES(2,1,0,1,354082,1);
INSERT INTO counts VALUES(2,1,0,1,362030,1);
INSERT INTO counts VALUES(2,1,0,1,390463,1);
INSERT INTO counts VALUES(2,1,0,1,393502,2);
INSERT INTO counts VALUES(2,1,0,1,404734,1);
INSERT INTO counts VALUES(2,1,0,1,410052,1);
INSERT INTO counts VALUES(2,1,0,1,414875,2);
INSERT INTO counts VALUES(2,1,0,1,415136,1);
INSERT INTO counts VALUES(2,1,0,1,423614,1);
INSERT INTO counts VALUES(2,1,0,1,432374,3);
INSERT INTO counts VALUES(2,1,0,1,465849,1);
INSERT INTO counts VALUES(2,1,1,0,14753,1);
INSERT INTO counts VALUES(2,1,1,0,16863,1);
INSERT INTO counts VALUES(2,1,1,0,17286,1);
INSERT INTO counts VALUES(2,1,1,0,17297,1);
INSERT INTO counts VALUES(2,1,2,0,16269,1);
INSERT INTO counts VALUES(2,1,2,0,18015,2);
INSERT INTO counts VALUES(2,1,3,0,15084,1);
INSERT INTO counts VALUES(2,1,3,0,16395,2);
INSERT INTO counts VALUES(2,1,3,0,17085,1);
INSERT INTO counts VALUES(2,1,3,0,17650,1);
INSERT INTO counts VALUES(2,1,3,0,18015,1);
INSERT INTO counts VALUES(2,1,3,0,19410,1);
INSERT INTO counts VALUES(2,1,4,0,14363,1);
INSERT INTO counts VALUES(2,1,5,0,17286,1);
INSERT INTO counts VALUES(3,-1,-19,2,692,2);
INSERT INTO counts VALUES(3,-1,0,0,20778,14);
INSERT INTO counts VALUES(3,-1,0,1,498687,10);
INSERT INTO counts VALUES(3,-1,0,1,498691,4);
INSERT INTO counts VALUES(3,-1,1,0,20778,1);
INSERT INTO counts VALUES(3,-1,4,0,20778,1);
INSERT INTO counts VALUES(3,-1,6,0,20778,1);
INSERT INTO counts VALUES(3,-1,7,0,20778,1);
INSERT INTO counts VALUES(3,-1,9,0,20778,2);
INSERT INTO counts VALUES(3,-1,11,0,20778,1);
INSERT INTO counts VALUES(3,-1,13,0,20778,2);
INSERT INTO counts VALUES(3,-1,17,0,20778,1);
INSERT INTO counts VALUES(3,-1,26,0,20778,2);
INSERT INTO counts VALUES(3,-1,28,0,20778,2);
INSERT INTO counts VALUES(3,1,-23,2,692,1);
INSERT INTO counts VALUES(3,1,-19,2,692,2);
INSERT INTO counts VALUES(3,1,0,0,20778,4);
INSERT INTO counts VALUES(3,1,0,1,498687,4);
INSERT INTO counts VALUES(3,1,15,0,20778,1);
INSERT INTO counts VALUES(3,1,18,0,20778,1);
INSERT INTO counts VALUES(3,1,22,0,20778,2);
CREATE TABLE enforcement_events (
    seq             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL CHECK (length(id) = 16), -- UUIDv7, the id on the wire
    workspace       INTEGER NOT NULL REFERENCES workspaces (id),
    tenant          INTEGER NOT NULL REFERENCES tenants (id),
    mailbox_address TEXT    NOT NULL,
    action          INTEGER NOT NULL CHECK (action IN (1, 2)), -- 1 blocked, 2 unblocked
    sent_count      INTEGER NOT NULL CHECK (sent_count >= 0),
    limit_value     INTEGER NOT NULL CHECK (limit_value >= 0),
    message         TEXT,                                     -- null: the vendor's sentence, made when read
    created_at      INTEGER NOT NULL,                         -- the event's own time
    recorded_at     INTEGER                                   -- when it was written here; null: created_at
, checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO enforcement_events VALUES(27,X'01A1FEC5A65275959CB3AF11F0FEE5B8',1,1,'sales@mail.acmecorp.com',1,26,25,NULL,1795275728000000,NULL,-2098851533);
INSERT INTO enforcement_events VALUES(38,X'01A1FF907EB372D5B6FAA39DA19A0989',1,1,'old1@example.org',1,26,25,NULL,1795168800000000,1795289022000000,1684370575);
CREATE TRIGGER enforcement_events_no_delete BEFORE DELETE ON enforcement_events
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 1)
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is deleted by retention only'); END;
CREATE TRIGGER enforcement_events_no_update BEFORE UPDATE ON enforcement_events
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is append-only'); END;
CREATE INDEX enforcement_mailbox ON enforcement_events (workspace, mailbox_address COLLATE NOCASE, created_at);
CREATE INDEX enforcement_tenant ON enforcement_events (tenant, created_at);
CREATE INDEX enforcement_tenant_action ON enforcement_events (tenant, action, created_at);
CREATE INDEX enforcement_workspace ON enforcement_events (workspace, created_at);
CREATE INDEX enforcement_workspace_action ON enforcement_events (workspace, action, created_at);
CREATE TABLE idempotency (
    workspace   INTEGER NOT NULL REFERENCES workspaces (id),
    key         TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of method, path, query and body
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,                             -- the answer as it was sent
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE TABLE jobs (
    name        TEXT PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT                                          -- JSON: what was done, or {"error": …}
) STRICT, WITHOUT ROWID;
INSERT INTO jobs VALUES('housekeeping',1795289022124359,1795289022127232,'{"answers":0,"sessions":0}');
INSERT INTO jobs VALUES('retention',1795289022127582,1795289022131562,'{"deleted":{"enforcement":1,"messages":0,"activity":0}}');
INSERT INTO jobs VALUES('retention_completed',1795289022135966,1795289022136670,'{"deleted":{"enforcement":3,"messages":0,"activity":0}}');
CREATE TABLE licenses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    holder     TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
INSERT INTO licenses VALUES(1,X'01A1FEC5A49871099FA824D079CCA458','Demo','pro',1795275728000000,NULL);
INSERT INTO licenses VALUES(2,X'01A1FF907EBB738A9BABDB855408D7A4','Main','pro',1795289022000000,NULL);
CREATE TABLE mailboxes (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,       -- the id on the wire; never used again
    workspace        INTEGER NOT NULL REFERENCES workspaces (id),
    tenant           INTEGER REFERENCES tenants (id),
    address          TEXT    NOT NULL CHECK (length(address) BETWEEN 3 AND 320),
    name             TEXT,
    daily_send_limit INTEGER CHECK (daily_send_limit >= 0),   -- null: no limit
    policy_version   INTEGER NOT NULL DEFAULT 0,              -- the version in force; 0: none was ever put
    retention_days   INTEGER CHECK (retention_days >= 1),     -- of the policy in force; null: the default
    include_body_hash INTEGER NOT NULL DEFAULT 0 CHECK (include_body_hash IN (0, 1)), -- of the policy in force
    hold             INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)),
    window_start     INTEGER NOT NULL DEFAULT 0,              -- the reset that began the day being counted
    sent_count       INTEGER NOT NULL DEFAULT 0 CHECK (sent_count >= 0), -- recipients since window_start
    blocked_at       INTEGER,                                 -- when the limit was crossed; null: not blocked
    created_at       INTEGER NOT NULL,
    deleted_at       INTEGER
) STRICT;
INSERT INTO mailboxes VALUES(1,1,NULL,'agent@acmecorp.com',NULL,NULL,1,36500,1,0,0,0,NULL,1795275728000000,NULL);
INSERT INTO mailboxes VALUES(2,1,1,'sales@mail.acmecorp.com',NULL,25,0,NULL,0,0,1795219200000000,26,1795275728000000,1795275728000000,NULL);
CREATE UNIQUE INDEX mailboxes_address ON mailboxes (workspace, address COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX mailboxes_blocked ON mailboxes (window_start) WHERE blocked_at IS NOT NULL;
CREATE INDEX mailboxes_held ON mailboxes (workspace, address) WHERE hold = 1;
CREATE INDEX mailboxes_tenant ON mailboxes (tenant, id);
CREATE TABLE members (
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    user       INTEGER NOT NULL REFERENCES users (id),
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),    -- 1 auditor, 2 admin, 3 owner
    joined_at  INTEGER NOT NULL,
    removed_at INTEGER,                                       -- kept, so that old entries still have a name
    PRIMARY KEY (workspace, user)
) STRICT, WITHOUT ROWID;
INSERT INTO members VALUES(1,1,3,1795275727000000,NULL);
CREATE INDEX members_user ON members (user);
CREATE TABLE message_facts (
    seq         INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES messages (seq),
    mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5), -- 1 thread, 2 reply, 3 bounce, 4 tools, 5 tokens
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    recorded_at INTEGER NOT NULL
, checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO message_facts VALUES(30,26,1,2,'{"message_id":"<r1@acmecorp.com>"}',1795275776000000,391368391);
INSERT INTO message_facts VALUES(31,26,1,4,'["search_orders"]',1795275776000000,-120494100);
INSERT INTO message_facts VALUES(32,26,1,5,'1234',1795275776000000,2079645372);
CREATE INDEX message_facts_message ON message_facts (message);
CREATE TRIGGER message_facts_no_delete BEFORE DELETE ON message_facts
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'message_facts is deleted by retention only'); END;
CREATE TRIGGER message_facts_no_update BEFORE UPDATE ON message_facts
    BEGIN SELECT RAISE(ABORT, 'message_facts is append-only'); END;
CREATE INDEX message_facts_thread ON message_facts (mailbox, data, message) WHERE kind = 1;
CREATE UNIQUE INDEX message_facts_thread_once ON message_facts (message) WHERE kind = 1;
CREATE TABLE messages (
    seq               INTEGER PRIMARY KEY,                    -- the id on the wire, and the cursor
    workspace         INTEGER NOT NULL REFERENCES workspaces (id),
    mailbox           INTEGER NOT NULL REFERENCES mailboxes (id),
    message_id        TEXT    NOT NULL CHECK (length(message_id) > 0),
    thread_id         TEXT,                                   -- as known at first; a later one is a fact
    sender_address    TEXT,
    recipient_address TEXT,
    received_at       INTEGER NOT NULL,
    outcome           INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 6), -- see messages/mod.rs
    reason            TEXT,
    dkim              INTEGER CHECK (dkim BETWEEN 1 AND 7),   -- verdicts, see messages/mod.rs
    spf               INTEGER CHECK (spf BETWEEN 1 AND 7),
    dmarc             INTEGER CHECK (dmarc BETWEEN 1 AND 7),
    from_alignment    INTEGER CHECK (from_alignment IN (0, 1)),
    body_hash         BLOB    CHECK (length(body_hash) = 32), -- SHA-256 of the text body
    message_hash      BLOB    CHECK (length(message_hash) = 32), -- SHA-256 of the raw message
    capabilities      TEXT    CHECK (json_valid(capabilities)), -- capabilities_granted; only when delivered
    policy_version    INTEGER,                                -- the policy that decided, when mailtrail did
    sender_rule       INTEGER,                                -- fingerprint of the rule that matched, for its limits
    fingerprint       BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- tells "the same again" from "another"
    recorded_at       INTEGER NOT NULL, checksum INTEGER NOT NULL DEFAULT 0,
    CHECK (capabilities IS NULL OR outcome = 1)
) STRICT;
INSERT INTO messages VALUES(11,1,1,'047d7bdca0c250c6c004fe72bd32@google.com','047d7bdca0c250c6c004fe72bd32@google.com','mailer-daemon@googlemail.com','the-local-part-of-google-mail-address@gmail.com',1405668664000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'B61F185EAB68220F06632A95F39489A888683616B149CBD3C47751B506A36EBF',X'29292F162A902600E37BBD91B625CCEF3F2BC97C50269C44E07CC9896DF6DA57',NULL,1,NULL,X'061EB8815CAACBDB4B214BD3DF5C2C5A687F018854264747B10AFED982EA339D',1795275728000000,976967460);
INSERT INTO messages VALUES(12,1,1,'001a113e798846564e052d2c56d2@google.com','001a113e798846564e052d2c56d2@google.com','mailer-daemon@googlemail.com','sironeko@google.example.com',1457043333000000,1,NULL,1,1,1,1,X'17DD6A85251ED428ECEEA50D9EB083EE08065751905D29D2FDC59C832F493C21',X'3307D4D2CFD5FED45F67325EDADD2BABB71DE3751A81DBCDC984AF42656DB75C','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'C73E34056028DE1A3BD5EF8C9E28383E74D33D10130E76AE81CB61C1B1F70843',1795275728000000,-840783213);
INSERT INTO messages VALUES(13,1,1,'5e598862.1c69fb81.594e1.5dee.GMR@mx.google.com','D0E3D626-1C96-4749-8101-62C0CE13B1D5@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'B2BFB40F331862068C02FB5EFC765D76AACA47F2F43B8AE0EFEFA7AABD27C1CC',X'80CF1297448689F2F5FFF88F8B1B96AACEBF4D55B4EBC591F1B0D3E0D9FED70B',NULL,1,NULL,X'01ABF56B33FF5CC95EE9476367369FA279FCEED25C9994F7BA41AC3C68C44863',1795275728000000,37163193);
INSERT INTO messages VALUES(14,1,1,'5e5e041f.1c69fb81.9bfe.9a8c.GMR@mx.google.com','DF227C49-3696-43F9-B18D-745FF5721583@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'64C1B795A0FFC122621D9938E07379C52415BDF601E9CFE62504687E570A7762',X'7BC9D584BCD5D88076E845BEB2083348DFC04D3D443613414EBB2E6572D6BE12',NULL,1,NULL,X'6D55729467D957A71B921F4C68664C4EFDCC29A850779DB8E55F5E7652FD0290',1795275728000000,-878023168);
INSERT INTO messages VALUES(15,1,1,'20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','MAILER-DAEMON@mv-osn-hcb007.ocn.ad.jp','agent@acmecorp.com',1274695610000000,1,NULL,NULL,NULL,NULL,NULL,X'00AE9795B7B2AA4B242283E56F9EFE785DDA161009BA663A19ECC450DB5EDE49',X'C14ED2FEF8C8B689751FA78022F7133BE9AD60A67AF76672721803A0A84B2721','{"capabilities":[],"rule_index":5}',1,-1664695323369678662,X'D0C998CE78A97BDAC53114CC7961F9C40A4EC24CD44CD2C83F037B1A94C91BFA',1795275728000000,-1967793961);
INSERT INTO messages VALUES(16,1,1,'20110420233445.ffff@mx20.example.jp','20110420233445.ffff@mx20.example.jp','MAILER-DAEMON@mx20.example.jp','agent@acmecorp.com',1303310085000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'F41FF5BC26A446E032CAE0203396E4A1DD2385FF6298A1BD28D6A1F6E925456F',X'11DC96E2927BF2384622619F0C055B5D85F77ED7CE1B7593D921ABE2925E9900',NULL,1,NULL,X'90BE6406DDAA792E0F6C7E07B5084C231DFA3CBE35999D677694DE237622B294',1795275728000000,25826358);
INSERT INTO messages VALUES(17,1,1,'9pm5Tbp1R2zH0Y30@mbox.example.jp','9pm5Tbp1R2zH0Y30@mbox.example.jp','MAILER-DAEMON@mbox.example.jp','agent@acmecorp.com',1556548485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'3BDEFF33B180B7F88C634362F5234AA463287A05F589605D5691E33C104C1B44',X'102FA686C11A3D1D8A3669DC93820073C362E540DAF5B3E9FCE69911F4659B41',NULL,1,NULL,X'F8F542B274B0BD77D2CD0278FDF15DAB498C72967D3BCA7E89AD4735B931A1F1',1795275728000000,-818997095);
INSERT INTO messages VALUES(18,1,1,'Neko2202-0002qr-xp@q002.kijitora.gol.com','Neko2202-0002qr-xp@q002.kijitora.gol.com','Mailer-Daemon@q002.kijitora.gol.com','neko-nyaan@example.jp',1525012485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'2B1939348508A937F07719F763A3B7866BC943F8D7D765A0EC4390968B0E3003',X'313F800BCF9072D6BE0664107D7B8FBC995E7D12ECAAF8FD330A8111A5235626',NULL,1,NULL,X'DFEF90302BDDE08428604265DB423F9D5C0A5AFF1568F904F61FE995617962AA',1795275728000000,-66132335);
INSERT INTO messages VALUES(19,1,1,'201705110831.v4B8Viav016285@kujo.example.jp','201705110831.v4B8Viav016285@kujo.example.jp','poostmaster@example.jp','kijitora+example.jp@gmail.example.com',1494491507000000,1,NULL,NULL,1,NULL,1,X'EC8C2DA9FA84B9A9E7A8EB905309417B7BE563F808563903D3476BC242D61528',X'C43820F16CE4D3A6CB058520985E28ECEBB1C95034F50A046DF1174E46330008','{"capabilities":["read_calendar","propose_meeting"],"rule_index":3}',1,8023048761086274157,X'1F5E853BF6E2868C1952603EB1583BA52CBE93129CC401A5417CF222ACB8B81A',1795275728000000,-707132084);
INSERT INTO messages VALUES(20,1,1,'a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','postmaster@mail.hotmail.example.com','agent@acmecorp.com',1416608274000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'7EFD92C1602F05A62680393F7B24F1AFD26A1C85F8D2877D4BAA8EAB087C6CC0',X'233E609125406BFB230C336C2123AF09B75229BF70EE4CC42D33F0182184C54E',NULL,1,NULL,X'1C5D1004750F7C9062146B38CADDEF745C55FD5EE12CABA5E553B3DC18D035F4',1795275728000000,1503347494);
INSERT INTO messages VALUES(21,1,1,'01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','MAILER-DAEMON@us-west-2.amazonses.com','kijitora@example.com',1476189541000000,3,'no_matching_sender_rule',NULL,1,NULL,0,X'25AFE6DCEA28D31739DBC57F710EF726DBBC60BB868A1A7060E2FBC75336E6A7',X'9EB560D0467E33502C41D4F20E3692240CE4D7228AAD36E30D4BDDD02FC4C6DA',NULL,1,NULL,X'538E05B64CEF52BD58F57859E90BA68F5280A90EB55FB49251DEB04625A46F74',1795275728000000,706890474);
INSERT INTO messages VALUES(22,1,1,'dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','MAILER-DAEMON@y.example.co.jp','agent@acmecorp.com',1416607864000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'1185BC0C5B19DADC343B03D5D2C013E3A2A800CBFF7B2F5E5ECFE1F9E334F7D5',X'DBA04A8F77852882036FD3276C5C0CD3D0F52E9921873D8B1FB7F66AA51985CE',NULL,1,NULL,X'A0715B3CEFB513547D0C1B514512B3A4662120BCE586A21322505086CAB3D58E',1795275728000000,-1440637243);
INSERT INTO messages VALUES(23,1,1,'5905c4be.429f370a.43a01.3f62.GMRIR@mx.google.com','CAByYQsHoD+W5rSuhuhywef6ctb4__6whKo4VQCZk+LSM+HUZNA@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493550270000000,1,NULL,1,1,1,1,X'8B37699F0378F0C3C85BF27E93B2D41264F0C3ABE54EDAB3EDB11EEB956D076C',X'E0F8D03F9CFC2DC694A853BE9ECD04C61E4470310269CADDE922E81DABD69A96','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'84C722B614C30920FBA9789B1601995025CEF71C3FD6929A151C869EB5BDCD18',1795275728000000,-378448018);
INSERT INTO messages VALUES(24,1,1,'5ZGLGdBZw6z5FwBg@mail1.example.org','5ZGLGdBZw6z5FwBg@mail1.example.org','MAILER-DAEMON@mail1.example.org','michitsuna@example.jp',1677058222000000,3,'no_matching_sender_rule',NULL,7,7,0,X'5F393AD7D1311F9FDB5A1A133C5976CA499B639EC414E188BADFB3114C37458B',X'932734BD1F8B2F2256B262244380C471A013B8A3D2A7F62B7AFB87CF7030D007',NULL,1,NULL,X'DDA96A34D7FE4D0D2F3A31884B491D17A667BD83EC0A570C602A2475C309F0AF',1795275728000000,414682283);
INSERT INTO messages VALUES(25,1,1,'5905c9cf.429f370a.43a01.400d.GMRIR@mx.google.com','CAByYQsHXg2cXwxngxkcwej84LqcVDd4CpoHv+ens3ZfwWodAnQ@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493551567000000,5,'rate_limit_per_day',1,1,1,1,X'D4A4724128D0427F03DB63314A1278430D6BF878EDD0E28EE569A78784FF38CC',X'F944D4C683F464359D1186E25C99AEA38B90EC0DF3613B0A23CE2E1DA0D66D6A',NULL,1,3604062704388480973,X'6EA58BB2A2AF0FDAFAE668EDED4E02881090424A74A55EC276D8286B083C557F',1795275728000000,-1493727432);
INSERT INTO messages VALUES(26,1,1,'000000000000000.000000000000@x34.mx.example.net','000000000000000.000000000000@x34.mx.example.net','kijitora@example.co.jp','agent@acmecorp.com',1240963200000000,4,'abuse_report',NULL,NULL,NULL,NULL,X'F969F0BAB72BDF894AFE8D059B31573A822A7E5E24DB1934DDFD01D6BD0DADA0',X'C8521576B6FDA2DCDF3DC843992B824675D15947591B1DABFF8BC942E6E7EC50',NULL,1,NULL,X'B4DE22A44DD8ACEC0281E2319FFFEFDCB922AEFD70F2081D5EEDD68511AA3A74',1795275728000000,-461379396);
CREATE INDEX messages_mailbox ON messages (mailbox);
CREATE UNIQUE INDEX messages_message ON messages (mailbox, message_id);
CREATE TRIGGER messages_no_delete BEFORE DELETE ON messages
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'messages is deleted by retention only'); END;
CREATE TRIGGER messages_no_update BEFORE UPDATE ON messages
    BEGIN SELECT RAISE(ABORT, 'messages is append-only'); END;
CREATE INDEX messages_outcome ON messages (mailbox, outcome);
CREATE INDEX messages_reason ON messages (mailbox, reason) WHERE reason IS NOT NULL;
CREATE INDEX messages_received ON messages (mailbox, received_at);
CREATE INDEX messages_recipient ON messages (mailbox, recipient_address COLLATE NOCASE);
CREATE INDEX messages_rule ON messages (mailbox, sender_rule, recorded_at) WHERE outcome = 1 AND sender_rule IS NOT NULL;
CREATE INDEX messages_sender ON messages (mailbox, sender_address COLLATE NOCASE);
CREATE INDEX messages_thread ON messages (mailbox, thread_id) WHERE thread_id IS NOT NULL;
CREATE TABLE policies (
    mailbox  INTEGER NOT NULL REFERENCES mailboxes (id),
    version  INTEGER NOT NULL CHECK (version >= 1),
    document TEXT    NOT NULL CHECK (json_valid(document)),
    put_at   INTEGER NOT NULL, checksum INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mailbox, version)
) STRICT, WITHOUT ROWID;
INSERT INTO policies VALUES(1,1,'{"defaultAction":"bounce","senders":[{"match":{"domain":"googlemail.com","requireDkim":false,"requireSpf":true},"capabilities":["ingest_conflict_notice"],"rateLimit":{"perDay":2}},{"match":{"domain":"gmail.com","requireDkim":true,"requireSpf":false},"capabilities":["read_calendar"]},{"match":{"domain":"example.co.jp","requireDkim":false,"requireSpf":false},"capabilities":[]},{"match":{"domain":"example.jp","requireDkim":false,"requireSpf":false},"capabilities":["read_calendar","propose_meeting"]},{"match":{"domain":"amazonses.com","requireDkim":true,"requireSpf":false},"capabilities":[]},{"match":{"domain":"mv-osn-hcb007.ocn.ad.jp","requireDkim":false,"requireSpf":false},"capabilities":[]}],"contentGuards":[{"reject":"(?i)this is an? (email )?abuse report","reason":"abuse_report"}],"auditLog":{"retentionDays":36500,"includeBodyHash":true}}',1795275728106585,-571597819);
CREATE TABLE projects (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    hold       INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO projects VALUES(1,X'01A1FEC5A4D173C18691E6721DA7E966',1,'Newsletter',0,1795275728000000,NULL);
CREATE INDEX projects_workspace ON projects (workspace, id);
CREATE TABLE pruning (
    log INTEGER PRIMARY KEY CHECK (log IN (1, 2, 3))
) STRICT;
CREATE TABLE sequence (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    last_seq INTEGER NOT NULL CHECK (last_seq >= 0),          -- the last number given out
    last_now INTEGER NOT NULL,                                -- the latest time a write saw; time never goes back
    salt     INTEGER NOT NULL CHECK (salt BETWEEN 0 AND 16777215) -- in every activity's id: no two appliances make the same
, schema_checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO sequence VALUES(1,43,1795289022173390,3197643,739757344);
CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's token
    user         INTEGER NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,                            -- to the minute
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES(X'809749BD2D34ED78B3D25034EB797BE1C9EA9C19568A4D2698B44675DEC01D58',1,1795275777215964,1795275778481058,NULL);
INSERT INTO sessions VALUES(X'EFB36BA9187361A153C7A9566021CD5E7CEEA222466260FA19B18715293E1048',1,1795289022173390,1795289022173390,NULL);
CREATE INDEX sessions_age ON sessions (created_at);
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE tenants (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL CHECK (length(uuid) = 16), -- a Microsoft GUID may be in several workspaces
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    domain     TEXT,
    hold       INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)), -- 1: legal hold, nothing of it is pruned
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (workspace, uuid)
) STRICT;
INSERT INTO tenants VALUES(1,X'01A1FEC5A4B67114A464B5394FC6CA26',1,'Acme','acmecorp.com',0,1795275728000000,NULL);
CREATE INDEX tenants_workspace ON tenants (workspace, id);
CREATE TABLE texts (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
, checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO texts VALUES(1,'workspace.create',1496245678);
INSERT INTO texts VALUES(2,'operator',-1515046442);
INSERT INTO texts VALUES(3,'workspace',-460856630);
INSERT INTO texts VALUES(4,'workspace.user_created',444273992);
INSERT INTO texts VALUES(5,'user',-224335588);
INSERT INTO texts VALUES(6,'workspace.member_added',2126663326);
INSERT INTO texts VALUES(7,'api_key.create',1617155227);
INSERT INTO texts VALUES(8,'api_key',574963719);
INSERT INTO texts VALUES(9,'license.issue',1973733115);
INSERT INTO texts VALUES(10,'appliance',2079595719);
INSERT INTO texts VALUES(11,'tenant.create',101849836);
INSERT INTO texts VALUES(12,'tenant',2057921670);
INSERT INTO texts VALUES(13,'mailbox.create',1147559873);
INSERT INTO texts VALUES(14,'mailbox',-1515397257);
INSERT INTO texts VALUES(15,'project.create',383611527);
INSERT INTO texts VALUES(16,'project',193215360);
INSERT INTO texts VALUES(17,'mailbox.policy_update',-161085571);
INSERT INTO texts VALUES(18,'smtp.update',-726303900);
INSERT INTO texts VALUES(19,'01a1fec5-a2c8-765b-80d7-0c33d38baa48',2116339405);
INSERT INTO texts VALUES(20,'ada@example.org',-194662642);
INSERT INTO texts VALUES(21,'Mozilla/5.0',-50883107);
INSERT INTO texts VALUES(22,'webhook.create',-1277243626);
INSERT INTO texts VALUES(23,'01BX5ZZKBKACTAV9WEVGEMMVRZ',491506492);
INSERT INTO texts VALUES(24,'webhook',-1712294853);
INSERT INTO texts VALUES(25,'curl/8',1874591922);
INSERT INTO texts VALUES(26,'auth.login',-841334938);
INSERT INTO texts VALUES(27,'curl/7.88.1',-1220712446);
INSERT INTO texts VALUES(28,'retention.run',-1835493008);
INSERT INTO texts VALUES(29,'mailtrail: retention',1823689218);
INSERT INTO texts VALUES(30,'Python-urllib/3.11',-1328633037);
CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    email      TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name       TEXT    NOT NULL DEFAULT '',
    password   TEXT    NOT NULL,                              -- Argon2id, PHC string
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO users VALUES(1,X'01A1FEC5A2C8765B80D70C33D38BAA48','ada@example.org','','$argon2id$v=19$m=19456,t=2,p=1$zgAn+2cXRWFZCHoR0zOaWw$GoouzVaB7Rb49USlbKSOaj99V++OsTe7pewqMChnhpw',1795275727000000,NULL);
CREATE UNIQUE INDEX users_email ON users (email COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE TABLE workspaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO workspaces VALUES(1,X'01A1FEC5A20C75769482D499F837605E','Demo',1795275727000000,NULL);
DELETE FROM main.sqlite_sequence WHERE name='api_keys';
INSERT INTO main.sqlite_sequence VALUES ('api_keys', 1);
DELETE FROM main.sqlite_sequence WHERE name='licenses';
INSERT INTO main.sqlite_sequence VALUES ('licenses', 2);
DELETE FROM main.sqlite_sequence WHERE name='mailboxes';
INSERT INTO main.sqlite_sequence VALUES ('mailboxes', 2);
DELETE FROM main.sqlite_sequence WHERE name='projects';
INSERT INTO main.sqlite_sequence VALUES ('projects', 1);
DELETE FROM main.sqlite_sequence WHERE name='tenants';
INSERT INTO main.sqlite_sequence VALUES ('tenants', 1);
DELETE FROM main.sqlite_sequence WHERE name='users';
INSERT INTO main.sqlite_sequence VALUES ('users', 1);
DELETE FROM main.sqlite_sequence WHERE name='workspaces';
INSERT INTO main.sqlite_sequence VALUES ('workspaces', 1);
pragma user_version=2;
pragma application_id=1297371724;
COMMIT TRANSACTION;
