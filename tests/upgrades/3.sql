-- A database of schema version 3, as the program of that version left it (sqlite3 .dump).
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1297371724;
PRAGMA user_version = 3;
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
, salt BLOB CHECK (length(salt) = 16)) STRICT;
INSERT INTO activity VALUES(1,1,NULL,NULL,2,1,3,X'01a1fec5a20c75769482d499f837605e','{"name":"Demo"}',NULL,NULL,1795275727000000,NULL,X'd8d9b760c3dadbb885e3784f27bd5812');
INSERT INTO activity VALUES(2,1,NULL,NULL,2,4,5,X'01a1fec5a2c8765b80d70c33d38baa48','{"email":"ada@example.org"}',NULL,NULL,1795275727000000,NULL,X'266111d9b88a7b15c68ecef6099b2aab');
INSERT INTO activity VALUES(3,1,NULL,NULL,2,6,5,X'01a1fec5a2c8765b80d70c33d38baa48','{"member_id":"01a1fec5-a2c8-765b-80d7-0c33d38baa48","email":"ada@example.org","role":"owner"}',NULL,NULL,1795275727000000,NULL,X'599cba925eac211dcba5918bca85392c');
INSERT INTO activity VALUES(4,1,NULL,NULL,2,7,8,X'01a1fec5a2de7f569a9354cb4bc2a22e','{"name":"init","hint":"mt_live_2778","scopes":["enforcement:read","enforcement:write","messages:read","messages:write","activity:write","admin"],"expires_at":null}',NULL,NULL,1795275727000000,NULL,X'1903885bc6023b247c9da5d761b6718c');
INSERT INTO activity VALUES(5,1,NULL,NULL,2,9,10,X'01a1fec5a49871099fa824d079cca458','{"holder":"Demo","plan":"pro","expires_at":null}',NULL,NULL,1795275728000000,NULL,X'4cc893de1be0e0efa578856703c0e389');
INSERT INTO activity VALUES(6,1,NULL,NULL,2,11,12,X'01a1fec5a4b67114a464b5394fc6ca26','{"name":"Acme","domain":"acmecorp.com"}',NULL,NULL,1795275728000000,NULL,X'1f1b6c0b354765447a617a13ddb6a2e2');
INSERT INTO activity VALUES(7,1,NULL,NULL,2,13,14,'1','{"address":"agent@acmecorp.com","tenant_id":null,"daily_send_limit":null}',NULL,NULL,1795275728000000,NULL,X'7d5bc5d09a9f0329c227e6da30c67eb5');
INSERT INTO activity VALUES(8,1,NULL,NULL,2,13,14,'2','{"address":"sales@mail.acmecorp.com","tenant_id":"01a1fec5-a4b6-7114-a464-b5394fc6ca26","daily_send_limit":25}',NULL,NULL,1795275728000000,NULL,X'30b6f3155d05f41de7054f58a92c748f');
INSERT INTO activity VALUES(9,1,1,NULL,2,15,16,X'01a1fec5a4d173c18691e6721da7e966','{"name":"Newsletter"}',NULL,NULL,1795275728000000,NULL,X'6c1816345c69e99fb522a381d8c1fd51');
INSERT INTO activity VALUES(10,1,NULL,NULL,2,17,14,'1','{"version":1,"before":null,"after":{"defaultAction":"bounce","senders":[{"match":{"domain":"googlemail.com","requireDkim":false,"requireSpf":true},"capabilities":["ingest_conflict_notice"],"rateLimit":{"perDay":2}},{"match":{"domain":"gmail.com","requireDkim":true,"requireSpf":false},"capabilities":["read_calendar"]},{"match":{"domain":"example.co.jp","requireDkim":false,"requireSpf":false},"capabilities":[]},{"match":{"domain":"example.jp","requireDkim":false,"requireSpf":false},"capabilities":["read_calendar","propose_meeting"]},{"match":{"domain":"amazonses.com","requireDkim":true,"requireSpf":false},"capabilities":[]},{"match":{"domain":"mv-osn-hcb007.ocn.ad.jp","requireDkim":false,"requireSpf":false},"capabilities":[]}],"contentGuards":[{"reject":"(?i)this is an? (email )?abuse report","reason":"abuse_report"}],"auditLog":{"retentionDays":36500,"includeBodyHash":true}}}',NULL,NULL,1795275728000000,NULL,X'e0ea707f8253481cc925dd67016d6445');
INSERT INTO activity VALUES(28,1,1,19,20,18,16,X'01a1fec5a4d173c18691e6721da7e966','{"smtp_host":"smtp.mailgun.org","smtp_user":"postmaster@acme.com","from_email":"hello@acme.com"}',X'cb00712a',21,1795275728000000,NULL,X'ed4f50164c9d2671be2d76e613faf614');
INSERT INTO activity VALUES(29,1,1,19,20,22,16,X'01a1fec5a4d173c18691e6721da7e966','{"url":"https://acme.com/hook"}',X'cb00712a',21,1795275728000000,NULL,X'b5294de65797f54b87170e42d51a94df');
INSERT INTO activity VALUES(33,1,1,23,NULL,22,24,'not a uuid','{"url":"https://example.org/ä"}',X'20010db8000000000000000000000007',25,1795275776000000,NULL,X'ca469e3a9ded21061aab6ccfd2684a5f');
INSERT INTO activity VALUES(34,1,NULL,19,20,26,5,X'01a1fec5a2c8765b80d70c33d38baa48','{}',X'7f000001',27,1795275777000000,NULL,X'a8924d1c2023767b24a26069fb77ba7e');
INSERT INTO activity VALUES(37,1,NULL,NULL,29,28,10,NULL,'{"deleted":{"enforcement":1,"messages":0,"activity":0},"days":{"enforcement":3000,"messages":null,"activity":null}}',NULL,NULL,1795289022000000,NULL,X'52ac7fc99053c67cee0c473a9edc7343');
INSERT INTO activity VALUES(41,1,NULL,NULL,2,28,10,NULL,'{"deleted":{"enforcement":3,"messages":0,"activity":0},"days":{"enforcement":3000,"messages":null,"activity":null}}',NULL,NULL,1795289022000000,NULL,X'b2d5a9040de95aa86ee62d71929a0ed7');
INSERT INTO activity VALUES(42,1,NULL,NULL,2,9,10,X'01a1ff907ebb738a9babdb855408d7a4','{"holder":"Main","plan":"pro","expires_at":null}',NULL,NULL,1795289022000000,NULL,X'757aeb209c99faf1b98b306ba85558af');
INSERT INTO activity VALUES(43,1,NULL,19,20,26,5,X'01a1fec5a2c8765b80d70c33d38baa48','{}',X'7f000001',30,1795289022000000,NULL,X'9ea3ba62fc4b2979c06656b001354152');
INSERT INTO activity VALUES(56,1,NULL,NULL,2,9,10,X'01a20021b49b75b9b7aa67765f6b63d5','{"holder":"Main","plan":"pro","expires_at":null}',NULL,NULL,1795298538000000,NULL,X'1c805de9dbe9df89a665da3f2d125632');
INSERT INTO activity VALUES(58,1,NULL,NULL,2,28,10,NULL,'{"deleted":{"enforcement":0,"messages":6,"activity":0},"days":{"enforcement":300,"messages":300,"activity":null}}',NULL,NULL,1795298538000000,NULL,X'29be9b7d78f738091b86760231781346');
INSERT INTO activity VALUES(59,1,NULL,19,20,26,5,X'01a1fec5a2c8765b80d70c33d38baa48','{}',X'7f000001',31,1795298540000000,NULL,X'abdc18d616e5439e676b1a5cd6736a38');
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
INSERT INTO api_keys VALUES(1,X'01a1fec5a2de7f569a9354cb4bc2a22e',1,'init',X'422d13a42ea400e6665919470640fcaf690bfb177359b38e53dfd83f13a7f158','mt_live_2778',63,1795275727000000,NULL,NULL,1795275778413443,NULL);
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
INSERT INTO counts VALUES(1,-1,0,0,20778,6);
INSERT INTO counts VALUES(1,-1,0,1,498658,1);
INSERT INTO counts VALUES(1,-1,0,1,498687,1);
INSERT INTO counts VALUES(1,-1,0,1,498694,5);
INSERT INTO counts VALUES(1,-1,1,0,20777,1);
INSERT INTO counts VALUES(1,-1,1,0,20778,4);
INSERT INTO counts VALUES(1,-1,2,0,20778,2);
INSERT INTO counts VALUES(1,1,0,0,20777,1);
INSERT INTO counts VALUES(1,1,0,0,20778,6);
INSERT INTO counts VALUES(1,1,0,1,498658,1);
INSERT INTO counts VALUES(1,1,0,1,498687,1);
INSERT INTO counts VALUES(1,1,0,1,498694,5);
INSERT INTO counts VALUES(1,1,1,0,20777,1);
INSERT INTO counts VALUES(1,1,1,0,20778,4);
INSERT INTO counts VALUES(1,1,2,0,20778,2);
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
INSERT INTO counts VALUES(3,-1,-19,2,692,3);
INSERT INTO counts VALUES(3,-1,0,0,20778,17);
INSERT INTO counts VALUES(3,-1,0,1,498687,10);
INSERT INTO counts VALUES(3,-1,0,1,498691,4);
INSERT INTO counts VALUES(3,-1,0,1,498694,3);
INSERT INTO counts VALUES(3,-1,1,0,20778,1);
INSERT INTO counts VALUES(3,-1,4,0,20778,1);
INSERT INTO counts VALUES(3,-1,6,0,20778,1);
INSERT INTO counts VALUES(3,-1,7,0,20778,1);
INSERT INTO counts VALUES(3,-1,9,0,20778,3);
INSERT INTO counts VALUES(3,-1,11,0,20778,1);
INSERT INTO counts VALUES(3,-1,13,0,20778,2);
INSERT INTO counts VALUES(3,-1,17,0,20778,1);
INSERT INTO counts VALUES(3,-1,26,0,20778,3);
INSERT INTO counts VALUES(3,-1,28,0,20778,3);
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
, salt BLOB CHECK (length(salt) = 16)) STRICT;
INSERT INTO enforcement_events VALUES(27,X'01a1fec5a65275959cb3af11f0fee5b8',1,1,'sales@mail.acmecorp.com',1,26,25,NULL,1795275728000000,NULL,X'd44f27729c9635e55bb441e7630d3d12');
INSERT INTO enforcement_events VALUES(38,X'01a1ff907eb372d5b6faa39da19a0989',1,1,'old1@example.org',1,26,25,NULL,1795168800000000,1795289022000000,X'bcbc6e77098277ae6b0bf46023ec0e5f');
INSERT INTO enforcement_events VALUES(45,X'01a20021b48372f185b7daae1310b112',1,1,'later0@example.org',1,26,25,NULL,1795298538000000,NULL,X'ec47ec268548d047657bd4914c60f047');
INSERT INTO enforcement_events VALUES(46,X'01a20021b485705dad624aeaac8fa335',1,1,'later1@example.org',2,27,25,NULL,1795298538000000,NULL,X'64184af591e3c1ac790e93d314b91324');
INSERT INTO enforcement_events VALUES(47,X'01a20021b48679efabd816e91feb70d4',1,1,'later2@example.org',1,28,25,NULL,1795298538000000,NULL,X'f4d0205864ccd466e9c38a042418fc0d');
INSERT INTO enforcement_events VALUES(48,X'01a20021b4877f8e97bbe836a6a1b154',1,1,'later3@example.org',2,29,25,NULL,1795298538000000,NULL,X'ccb5025d91a55c792006edcdf4ebbac0');
INSERT INTO enforcement_events VALUES(49,X'01a20021b4887895a00898c252969ffe',1,1,'later4@example.org',1,30,25,NULL,1795298538000000,NULL,X'8818e5f36d932915c8d8d52fc3e5fc35');
CREATE TABLE idempotency (
    workspace   INTEGER NOT NULL REFERENCES workspaces (id),
    key         TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of method, path, query and body
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,                             -- the answer as it was sent
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT;
CREATE TABLE jobs (
    name        TEXT PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT                                          -- JSON: what was done, or {"error": …}
) STRICT, WITHOUT ROWID;
INSERT INTO jobs VALUES('housekeeping',1795298538673083,1795298538674143,'{"answers":0,"sessions":0}');
INSERT INTO jobs VALUES('retention',1795298538674516,1795298538675039,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
INSERT INTO jobs VALUES('retention_completed',1795298538674562,1795298538674696,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
CREATE TABLE licenses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    holder     TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
INSERT INTO licenses VALUES(1,X'01a1fec5a49871099fa824d079cca458','Demo','pro',1795275728000000,NULL);
INSERT INTO licenses VALUES(2,X'01a1ff907ebb738a9babdb855408d7a4','Main','pro',1795289022000000,NULL);
INSERT INTO licenses VALUES(3,X'01a20021b49b75b9b7aa67765f6b63d5','Main','pro',1795298538000000,NULL);
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
CREATE TABLE members (
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    user       INTEGER NOT NULL REFERENCES users (id),
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),    -- 1 auditor, 2 admin, 3 owner
    joined_at  INTEGER NOT NULL,
    removed_at INTEGER,                                       -- kept, so that old entries still have a name
    PRIMARY KEY (workspace, user)
) STRICT, WITHOUT ROWID;
INSERT INTO members VALUES(1,1,3,1795275727000000,NULL);
CREATE TABLE message_facts (
    seq         INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES messages (seq),
    mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5), -- 1 thread, 2 reply, 3 bounce, 4 tools, 5 tokens
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    recorded_at INTEGER NOT NULL
, salt BLOB CHECK (length(salt) = 16)) STRICT;
INSERT INTO message_facts VALUES(30,26,1,2,'{"message_id":"<r1@acmecorp.com>"}',1795275776000000,X'0fcd91073c05a113f3d13f91b06c1a4b');
INSERT INTO message_facts VALUES(31,26,1,4,'["search_orders"]',1795275776000000,X'5bc43454dc3ad46bfa99cb2cb8823390');
INSERT INTO message_facts VALUES(32,26,1,5,'1234',1795275776000000,X'50217984e7435364bd7b3150bb233b92');
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
    recorded_at       INTEGER NOT NULL, salt BLOB CHECK (length(salt) = 16),
    CHECK (capabilities IS NULL OR outcome = 1)
) STRICT;
INSERT INTO messages VALUES(11,1,1,'047d7bdca0c250c6c004fe72bd32@google.com','047d7bdca0c250c6c004fe72bd32@google.com','mailer-daemon@googlemail.com','the-local-part-of-google-mail-address@gmail.com',1405668664000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'b61f185eab68220f06632a95f39489a888683616b149cbd3c47751b506a36ebf',X'29292f162a902600e37bbd91b625ccef3f2bc97c50269c44e07cc9896df6da57',NULL,1,NULL,X'061eb8815caacbdb4b214bd3df5c2c5a687f018854264747b10afed982ea339d',1795275728000000,X'49e52ac63115eb7f473419d61afaae98');
INSERT INTO messages VALUES(12,1,1,'001a113e798846564e052d2c56d2@google.com','001a113e798846564e052d2c56d2@google.com','mailer-daemon@googlemail.com','sironeko@google.example.com',1457043333000000,1,NULL,1,1,1,1,X'17dd6a85251ed428eceea50d9eb083ee08065751905d29d2fdc59c832f493c21',X'3307d4d2cfd5fed45f67325edadd2babb71de3751a81dbcdc984af42656db75c','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'c73e34056028de1a3bd5ef8c9e28383e74d33d10130e76ae81cb61c1b1f70843',1795275728000000,X'1b5fc751a711b4619ada1cdab00ca209');
INSERT INTO messages VALUES(13,1,1,'5e598862.1c69fb81.594e1.5dee.GMR@mx.google.com','D0E3D626-1C96-4749-8101-62C0CE13B1D5@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'b2bfb40f331862068c02fb5efc765d76aaca47f2f43b8ae0efefa7aabd27c1cc',X'80cf1297448689f2f5fff88f8b1b96aacebf4d55b4ebc591f1b0d3e0d9fed70b',NULL,1,NULL,X'01abf56b33ff5cc95ee9476367369fa279fceed25c9994f7ba41ac3c68c44863',1795275728000000,X'ebbd8bece8f84076a24e4d480ec8ef3b');
INSERT INTO messages VALUES(14,1,1,'5e5e041f.1c69fb81.9bfe.9a8c.GMR@mx.google.com','DF227C49-3696-43F9-B18D-745FF5721583@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'64c1b795a0ffc122621d9938e07379c52415bdf601e9cfe62504687e570a7762',X'7bc9d584bcd5d88076e845beb2083348dfc04d3d443613414ebb2e6572d6be12',NULL,1,NULL,X'6d55729467d957a71b921f4c68664c4efdcc29a850779db8e55f5e7652fd0290',1795275728000000,X'cd3e0a5aa2169a34a57dce2f6a0b8ab3');
INSERT INTO messages VALUES(15,1,1,'20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','MAILER-DAEMON@mv-osn-hcb007.ocn.ad.jp','agent@acmecorp.com',1274695610000000,1,NULL,NULL,NULL,NULL,NULL,X'00ae9795b7b2aa4b242283e56f9efe785dda161009ba663a19ecc450db5ede49',X'c14ed2fef8c8b689751fa78022f7133be9ad60a67af76672721803a0a84b2721','{"capabilities":[],"rule_index":5}',1,-1664695323369678662,X'd0c998ce78a97bdac53114cc7961f9c40a4ec24cd44cd2c83f037b1a94c91bfa',1795275728000000,X'a226a4f3b86ac52a1ae5f1cf7b82df52');
INSERT INTO messages VALUES(16,1,1,'20110420233445.ffff@mx20.example.jp','20110420233445.ffff@mx20.example.jp','MAILER-DAEMON@mx20.example.jp','agent@acmecorp.com',1303310085000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'f41ff5bc26a446e032cae0203396e4a1dd2385ff6298a1bd28d6a1f6e925456f',X'11dc96e2927bf2384622619f0c055b5d85f77ed7ce1b7593d921abe2925e9900',NULL,1,NULL,X'90be6406ddaa792e0f6c7e07b5084c231dfa3cbe35999d677694de237622b294',1795275728000000,X'8793977ec37478bb3ee8878d912280db');
INSERT INTO messages VALUES(17,1,1,'9pm5Tbp1R2zH0Y30@mbox.example.jp','9pm5Tbp1R2zH0Y30@mbox.example.jp','MAILER-DAEMON@mbox.example.jp','agent@acmecorp.com',1556548485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'3bdeff33b180b7f88c634362f5234aa463287a05f589605d5691e33c104c1b44',X'102fa686c11a3d1d8a3669dc93820073c362e540daf5b3e9fce69911f4659b41',NULL,1,NULL,X'f8f542b274b0bd77d2cd0278fdf15dab498c72967d3bca7e89ad4735b931a1f1',1795275728000000,X'4f98eaab4b03a48e970d35bea76eaff2');
INSERT INTO messages VALUES(18,1,1,'Neko2202-0002qr-xp@q002.kijitora.gol.com','Neko2202-0002qr-xp@q002.kijitora.gol.com','Mailer-Daemon@q002.kijitora.gol.com','neko-nyaan@example.jp',1525012485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'2b1939348508a937f07719f763a3b7866bc943f8d7d765a0ec4390968b0e3003',X'313f800bcf9072d6be0664107d7b8fbc995e7d12ecaaf8fd330a8111a5235626',NULL,1,NULL,X'dfef90302bdde08428604265db423f9d5c0a5aff1568f904f61fe995617962aa',1795275728000000,X'6cd779bc87dff11d9f59b3dc3cd3e798');
INSERT INTO messages VALUES(19,1,1,'201705110831.v4B8Viav016285@kujo.example.jp','201705110831.v4B8Viav016285@kujo.example.jp','poostmaster@example.jp','kijitora+example.jp@gmail.example.com',1494491507000000,1,NULL,NULL,1,NULL,1,X'ec8c2da9fa84b9a9e7a8eb905309417b7be563f808563903d3476bc242d61528',X'c43820f16ce4d3a6cb058520985e28ecebb1c95034f50a046df1174e46330008','{"capabilities":["read_calendar","propose_meeting"],"rule_index":3}',1,8023048761086274157,X'1f5e853bf6e2868c1952603eb1583ba52cbe93129cc401a5417cf222acb8b81a',1795275728000000,X'8a647cecd38bb5af26aaf0d0804b9588');
INSERT INTO messages VALUES(20,1,1,'a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','postmaster@mail.hotmail.example.com','agent@acmecorp.com',1416608274000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'7efd92c1602f05a62680393f7b24f1afd26a1c85f8d2877d4baa8eab087c6cc0',X'233e609125406bfb230c336c2123af09b75229bf70ee4cc42d33f0182184c54e',NULL,1,NULL,X'1c5d1004750f7c9062146b38caddef745c55fd5ee12caba5e553b3dc18d035f4',1795275728000000,X'8a174ad09fd8752a3a034c9b1c798d82');
INSERT INTO messages VALUES(21,1,1,'01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','MAILER-DAEMON@us-west-2.amazonses.com','kijitora@example.com',1476189541000000,3,'no_matching_sender_rule',NULL,1,NULL,0,X'25afe6dcea28d31739dbc57f710ef726dbbc60bb868a1a7060e2fbc75336e6a7',X'9eb560d0467e33502c41d4f20e3692240ce4d7228aad36e30d4bddd02fc4c6da',NULL,1,NULL,X'538e05b64cef52bd58f57859e90ba68f5280a90eb55fb49251deb04625a46f74',1795275728000000,X'5ca35f6fd4917737139de33b0dc6e5dd');
INSERT INTO messages VALUES(22,1,1,'dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','MAILER-DAEMON@y.example.co.jp','agent@acmecorp.com',1416607864000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'1185bc0c5b19dadc343b03d5d2c013e3a2a800cbff7b2f5e5ecfe1f9e334f7d5',X'dba04a8f77852882036fd3276c5c0cd3d0f52e9921873d8b1fb7f66aa51985ce',NULL,1,NULL,X'a0715b3cefb513547d0c1b514512b3a4662120bce586a21322505086cab3d58e',1795275728000000,X'cac1205f93aacfb77560e983ca7df9ae');
INSERT INTO messages VALUES(23,1,1,'5905c4be.429f370a.43a01.3f62.GMRIR@mx.google.com','CAByYQsHoD+W5rSuhuhywef6ctb4__6whKo4VQCZk+LSM+HUZNA@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493550270000000,1,NULL,1,1,1,1,X'8b37699f0378f0c3c85bf27e93b2d41264f0c3abe54edab3edb11eeb956d076c',X'e0f8d03f9cfc2dc694a853be9ecd04c61e4470310269cadde922e81dabd69a96','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'84c722b614c30920fba9789b1601995025cef71c3fd6929a151c869eb5bdcd18',1795275728000000,X'04f41a3dd9bd290f86d51e4971d6532c');
INSERT INTO messages VALUES(24,1,1,'5ZGLGdBZw6z5FwBg@mail1.example.org','5ZGLGdBZw6z5FwBg@mail1.example.org','MAILER-DAEMON@mail1.example.org','michitsuna@example.jp',1677058222000000,3,'no_matching_sender_rule',NULL,7,7,0,X'5f393ad7d1311f9fdb5a1a133c5976ca499b639ec414e188badfb3114c37458b',X'932734bd1f8b2f2256b262244380c471a013b8a3d2a7f62b7afb87cf7030d007',NULL,1,NULL,X'dda96a34d7fe4d0d2f3a31884b491d17a667bd83ec0a570c602a2475c309f0af',1795275728000000,X'9b1ac2c45754159be077a84548886a79');
INSERT INTO messages VALUES(25,1,1,'5905c9cf.429f370a.43a01.400d.GMRIR@mx.google.com','CAByYQsHXg2cXwxngxkcwej84LqcVDd4CpoHv+ens3ZfwWodAnQ@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493551567000000,5,'rate_limit_per_day',1,1,1,1,X'd4a4724128d0427f03db63314a1278430d6bf878edd0e28ee569a78784ff38cc',X'f944d4c683f464359d1186e25c99aea38b90ec0df3613b0a23ce2e1da0d66d6a',NULL,1,3604062704388480973,X'6ea58bb2a2af0fdafae668eded4e02881090424a74a55ec276d8286b083c557f',1795275728000000,X'8a70154d8da62fdca4a084dc16a8a60c');
INSERT INTO messages VALUES(26,1,1,'000000000000000.000000000000@x34.mx.example.net','000000000000000.000000000000@x34.mx.example.net','kijitora@example.co.jp','agent@acmecorp.com',1240963200000000,4,'abuse_report',NULL,NULL,NULL,NULL,X'f969f0bab72bdf894afe8d059b31573a822a7e5e24db1934ddfd01d6bd0dada0',X'c8521576b6fda2dcdf3dc843992b824675d15947591b1dabff8bc942e6e7ec50',NULL,1,NULL,X'b4de22a44dd8acec0281e2319fffefdcb922aefd70f2081d5eedd68511aa3a74',1795275728000000,X'22c398e97ae170c9b0c04487197af1bb');
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
INSERT INTO projects VALUES(1,X'01a1fec5a4d173c18691e6721da7e966',1,'Newsletter',0,1795275728000000,NULL);
CREATE TABLE pruning (
    log INTEGER PRIMARY KEY CHECK (log IN (1, 2, 3))
) STRICT;
CREATE TABLE sequence (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    last_seq INTEGER NOT NULL CHECK (last_seq >= 0),          -- the last number given out
    last_now INTEGER NOT NULL,                                -- the latest time a write saw; time never goes back
    salt     INTEGER NOT NULL CHECK (salt BETWEEN 0 AND 16777215) -- in every activity's id: no two appliances make the same
, schema_checksum INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO sequence VALUES(1,59,1795298540701741,3197643,-935531584);
CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's token
    user         INTEGER NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,                            -- to the minute
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES(X'74fc3402992bbde3808796115cb5dc00d6e01c782dd8ff61e9b80a05a4b39dd0',1,1795298540701741,1795298540701741,NULL);
INSERT INTO sessions VALUES(X'809749bd2d34ed78b3d25034eb797be1c9ea9c19568a4d2698b44675dec01d58',1,1795275777215964,1795275778481058,NULL);
INSERT INTO sessions VALUES(X'efb36ba9187361a153c7a9566021cd5e7ceea222466260fa19b18715293e1048',1,1795289022173390,1795289022173390,NULL);
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
INSERT INTO tenants VALUES(1,X'01a1fec5a4b67114a464b5394fc6ca26',1,'Acme','acmecorp.com',0,1795275728000000,NULL);
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
INSERT INTO texts VALUES(31,'python-httpx/0.28.1',764679634);
CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    email      TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name       TEXT    NOT NULL DEFAULT '',
    password   TEXT    NOT NULL,                              -- Argon2id, PHC string
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO users VALUES(1,X'01a1fec5a2c8765b80d70c33d38baa48','ada@example.org','','$argon2id$v=19$m=19456,t=2,p=1$zgAn+2cXRWFZCHoR0zOaWw$GoouzVaB7Rb49USlbKSOaj99V++OsTe7pewqMChnhpw',1795275727000000,NULL);
CREATE TABLE workspaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO workspaces VALUES(1,X'01a1fec5a20c75769482d499f837605e','Demo',1795275727000000,NULL);
CREATE TABLE tree (
    id     INTEGER PRIMARY KEY,
    hashes BLOB    NOT NULL CHECK (length(hashes) % 32 = 0)
) STRICT;
INSERT INTO tree VALUES(0,X'ef79be728b7c5845730f42828342958327205ef08c14d80892cf9b9abe4d3e7ea5468d975501a13a98ececff7023424e6e16fca44f3d1f6c209d19a8edb8e37268daea64fea37144f4c71b53673cd020478d82fc115c620720633a4b1e5dbaa4fda195958d1f66a85b1ec61a373fb822ad7bf288a20397d084f2b987835fd260cf497d401ac9b22f1a2310a6bfa3c77adbe9c1b6be081bf70d82147e8818e1154d598eb5651a0eb80ef84efa9f09b7b36d53311846c55504a60b93233487e0e55aa738522bc3b57eeb2a1deaa893a63ac62300df713464aca1f4e814315572a766ce32dab2c4b384df8e898941d999b9e11a5a956b704720dd434a2b113d21fa91ab534251a6b4ac5c6416a88c70599373de19b244a613380b173550f039ad117899233001f58978cf1bb4c8f11b138d7117017f4a130db23bfc52f11bdefd96e417ed424ee359165da9a98bf7f2e0712b7925c5ae3bbfe6ce3d4e899ffd0e026d4f8cf58ff5eaaacd0eac9d944d557c5dd58252f7c624423da3038e8d7b0b888aab1fac9cc65f8fa34113f7226ac60eb433e2a83e6033a8284856e3cd1f76078bfbeabfdbe83576101942369c9f1c9b01e0325547dc3f24c9aa2c246008b2d35b522a07408624bff5373ee87103e77831281dae0c1d0127e6f9ba40e73ab53de822b1c60f90ce74db623d7352ba0066b7908c0353b58a0f6fb0bc5feda38ebd42bf59b60b9aa3ce2069bfb0633ebee6c03de6b65137e8e53bff19e86eee31fed0680a9553527efe3d9acf556a205eabfe50467c8bad25deada39a7175c396505e51f2e6d355404709159e8c3f742b1786efa42efa4f5cafa18cde6facea04fcb1a67f139d466b6b1534c1894c343cf336bfacfc0326a6aa041b7aa51397b3a6b6e14a5c2aa08cdf6bb841a229f872eafe6115dcca359f117bfd5e1e9e9e92fb7e92aa3fad26650d766486f624e420c3085741d927e912226ebd0fdd4b7ba5d6169b5f4d208be25eb30f66fd04291584a4eb74bc8f66180916ee19a9d49587548f347557fd406bcbf62321c859cc8c9e2814cb16e5caae811b7792faeb838d734d35e8934d6a6a2ee86cd8507c7ae68b40350f3ca60874dfb974aa32308598ee2c07c89efce3608dfba8f86e73d4ae81a0d54e647a4847d84747259b0cb72b22db8334a8a1122f66d9be7551f609347090d693caa0e1cb16944299c2bca435e01d61303eeff7617613c8c510bc53907dcfe091a210d23b21dcb7b1de136a77de6e2614274f9faf75dd3435869a2dab9f275f9cdd3e57df60f8e391fd488038f8d02fe81d9eeb89d1c03cd1387d381944e3662fe152a59773b6eb165446e67e9cf3d4d8438c194e5362d6d0e0d03133c3271d42ddc43e87b2037c7ce7886dd83f45e2b52f3bd65f8ea593820c25936e0a0ed0ece080707807fbe75ba4b819a3a45b088acecea1632a134eee6e814119c10157ac697bfc2aa7c74b209e895132e798a7aa01eb2dc34a1fdad4dfae9feebddd6d1a0e63979b4c2c735e60438c25e57f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce97f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce99711f353fcf29ff3acb7880662ba3f03359bf055d39895c4a52b87f8f40ff9c134ceae3067604a3506687b57f212f7b5b4c0b1bfdbaa3095916cb7e1763ae3297f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce97f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce90c729a5fc24fda537b67a2b0a10cc2942f0f506bd5d24a69b98b2913b93c663782e67f8f5aa268dd430d6d7d8597adcb1cb1e9c04b5548c980a78827be123eefcbe5e5a6562e7687c5014f0239573280c34962abf097fe90ffc4a4f9f340784d042a31b3b767b609fbee16bfd41572ce5f137f3b3f597433ac4b6c6342e3c0af1c4c9657e6549dcfd3b59278c79b14886bb9c7680941e9403af63855dca57665093c86dfad2d7af2cf76e8f63bf08b95305d3ba5e8047d8adcdde69b73ec0f092ffeaa54c916bb0d3f3affaaaf5bc0359b502497f3b16df6cfe878a52d8316044c099318bc8a2012ede7b09781888c7e9b002638b539dfddb924249bee544c73cb102485d0a52a6d45b5218289f8b3c7812d237e9e41b1d10bf3bfacc924b547520789ac039ef8edf5d6cde5e47042ef6866f41da000688ad1388cf3568bedde98a56cf1e4dd005744e4607ec785bb14b0da40e8f89f8a34f2d625e1597637e73975c6ee3639f90837ebc47fac9abb208f4a3b3eb54c18bb56e187efe5005d3abec39685aa33c27c73d565b9bb7bd7898b25c7a3837308a3aeb20f3f076882bb08771489c709861bd7a2f658777ea84601d486110ece21df06c2e3709d5ca979958edebac9ca67dca2fc6b790f99e62f423accf0abce4d128c545ef3440c09344c0b032f1cf85de990e9006c65be4f0b72d6130abe86739b3ff4f79350eb19c1a1cc62447449bcdc30acf13961552580d2d7ae4352db396d9fc49c3fd0edf0979fb46253929eb29230c74b445b5b81ac69f231cafc72cae675f4531255ab64a87ab10fcdad5364f69ea61adf06f241673b9e627e6c0cd30b0eb99ca898d7f0cd');
CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2)),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    recorded_at INTEGER NOT NULL,
    salt        BLOB CHECK (length(salt) = 16)
) STRICT;
INSERT INTO controls VALUES(44,1,'{"n":4,"holes":"d8983b4213a4160f33c68d1bc82f761d45f731c1db7f8a8db4d13d83b8376254"}',1795289022173390,X'3edf2372b718e18de74537f05e08b142');
INSERT INTO controls VALUES(57,2,'{"log":"messages","mailbox":2,"before":"2026-01-25T22:02:18.661812Z","n":6,"holes":"847b821d082789be6f4fd4e945233913bd804a928924eaa5060e744be838d5e8"}',1795298538000000,X'fd02ce855cbc808265a1552097fdab70');
CREATE TABLE holes (
    first   INTEGER PRIMARY KEY,
    last    INTEGER NOT NULL CHECK (last >= first),
    control INTEGER NOT NULL REFERENCES controls (seq)
) STRICT;
INSERT INTO holes VALUES(35,36,44);
INSERT INTO holes VALUES(39,40,44);
INSERT INTO holes VALUES(50,55,57);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('api_keys',1);
INSERT INTO sqlite_sequence VALUES('licenses',3);
INSERT INTO sqlite_sequence VALUES('mailboxes',2);
INSERT INTO sqlite_sequence VALUES('projects',1);
INSERT INTO sqlite_sequence VALUES('tenants',1);
INSERT INTO sqlite_sequence VALUES('users',1);
INSERT INTO sqlite_sequence VALUES('workspaces',1);
CREATE INDEX activity_action ON activity (owner, day, action, created_at);
CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 3)
    BEGIN SELECT RAISE(ABORT, 'activity is deleted by retention only'); END;
CREATE INDEX activity_owner ON activity (owner, created_at);
CREATE INDEX activity_target ON activity (owner, day, target_id, created_at) WHERE target_id IS NOT NULL;
CREATE INDEX activity_user ON activity (owner, day, user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX api_keys_workspace ON api_keys (workspace, id);
CREATE TRIGGER enforcement_events_no_delete BEFORE DELETE ON enforcement_events
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 1)
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is deleted by retention only'); END;
CREATE INDEX enforcement_mailbox ON enforcement_events (workspace, mailbox_address COLLATE NOCASE, created_at);
CREATE INDEX enforcement_tenant ON enforcement_events (tenant, created_at);
CREATE INDEX enforcement_tenant_action ON enforcement_events (tenant, action, created_at);
CREATE INDEX enforcement_workspace ON enforcement_events (workspace, created_at);
CREATE INDEX enforcement_workspace_action ON enforcement_events (workspace, action, created_at);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE UNIQUE INDEX mailboxes_address ON mailboxes (workspace, address COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX mailboxes_blocked ON mailboxes (window_start) WHERE blocked_at IS NOT NULL;
CREATE INDEX mailboxes_held ON mailboxes (workspace, address) WHERE hold = 1;
CREATE INDEX mailboxes_tenant ON mailboxes (tenant, id);
CREATE INDEX members_user ON members (user);
CREATE INDEX message_facts_message ON message_facts (message);
CREATE TRIGGER message_facts_no_delete BEFORE DELETE ON message_facts
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'message_facts is deleted by retention only'); END;
CREATE INDEX message_facts_thread ON message_facts (mailbox, data, message) WHERE kind = 1;
CREATE UNIQUE INDEX message_facts_thread_once ON message_facts (message) WHERE kind = 1;
CREATE INDEX messages_mailbox ON messages (mailbox);
CREATE UNIQUE INDEX messages_message ON messages (mailbox, message_id);
CREATE TRIGGER messages_no_delete BEFORE DELETE ON messages
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'messages is deleted by retention only'); END;
CREATE INDEX messages_outcome ON messages (mailbox, outcome);
CREATE INDEX messages_reason ON messages (mailbox, reason) WHERE reason IS NOT NULL;
CREATE INDEX messages_received ON messages (mailbox, received_at);
CREATE INDEX messages_recipient ON messages (mailbox, recipient_address COLLATE NOCASE);
CREATE INDEX messages_rule ON messages (mailbox, sender_rule, recorded_at) WHERE outcome = 1 AND sender_rule IS NOT NULL;
CREATE INDEX messages_sender ON messages (mailbox, sender_address COLLATE NOCASE);
CREATE INDEX messages_thread ON messages (mailbox, thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX projects_workspace ON projects (workspace, id);
CREATE INDEX sessions_age ON sessions (created_at);
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX tenants_workspace ON tenants (workspace, id);
CREATE UNIQUE INDEX users_email ON users (email COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE TRIGGER enforcement_events_no_update BEFORE UPDATE ON enforcement_events
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is append-only'); END;
CREATE TRIGGER messages_no_update BEFORE UPDATE ON messages
    BEGIN SELECT RAISE(ABORT, 'messages is append-only'); END;
CREATE TRIGGER message_facts_no_update BEFORE UPDATE ON message_facts
    BEGIN SELECT RAISE(ABORT, 'message_facts is append-only'); END;
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
    BEGIN SELECT RAISE(ABORT, 'activity is append-only'); END;
CREATE INDEX holes_control ON holes (control);
CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER holes_no_update BEFORE UPDATE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
CREATE TRIGGER holes_no_delete BEFORE DELETE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
COMMIT;
