-- A database of schema version 1, as the program of that version left it (sqlite3 .dump).
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1297371724;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE sequence (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    last_seq INTEGER NOT NULL CHECK (last_seq >= 0),          -- the last number given out
    last_now INTEGER NOT NULL,                                -- the latest time a write saw; time never goes back
    salt     INTEGER NOT NULL CHECK (salt BETWEEN 0 AND 16777215) -- in every activity's id: no two appliances make the same
) STRICT;
INSERT INTO sequence VALUES(1,35,1795275809652369,3197643);
CREATE TABLE counts (
    log    INTEGER NOT NULL CHECK (log IN (1, 2, 3)),         -- 1 enforcement, 2 messages, 3 activity
    owner  INTEGER NOT NULL,                                  -- tenant, mailbox or project; below 0: a workspace
    kind   INTEGER NOT NULL,                                  -- 0: all; above: an action or outcome; below: a person
    width  INTEGER NOT NULL CHECK (width IN (0, 1, 2)),       -- 0: a day, 1: an hour, 2: thirty days
    bucket INTEGER NOT NULL,                                  -- the entry's own time divided by the width
    n      INTEGER NOT NULL,                                  -- rows; a bucket that comes to none is removed
    PRIMARY KEY (log, owner, kind, width, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO counts VALUES(1,-1,0,0,0,1);
INSERT INTO counts VALUES(1,-1,0,0,20778,1);
INSERT INTO counts VALUES(1,-1,0,1,0,1);
INSERT INTO counts VALUES(1,-1,0,1,498687,1);
INSERT INTO counts VALUES(1,-1,1,0,0,1);
INSERT INTO counts VALUES(1,-1,1,0,20778,1);
INSERT INTO counts VALUES(1,1,0,0,0,1);
INSERT INTO counts VALUES(1,1,0,0,20778,1);
INSERT INTO counts VALUES(1,1,0,1,0,1);
INSERT INTO counts VALUES(1,1,0,1,498687,1);
INSERT INTO counts VALUES(1,1,1,0,0,1);
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
INSERT INTO counts VALUES(3,-1,-19,2,692,1);
INSERT INTO counts VALUES(3,-1,0,0,20778,10);
INSERT INTO counts VALUES(3,-1,0,1,498687,10);
INSERT INTO counts VALUES(3,-1,1,0,20778,1);
INSERT INTO counts VALUES(3,-1,4,0,20778,1);
INSERT INTO counts VALUES(3,-1,6,0,20778,1);
INSERT INTO counts VALUES(3,-1,7,0,20778,1);
INSERT INTO counts VALUES(3,-1,9,0,20778,1);
INSERT INTO counts VALUES(3,-1,11,0,20778,1);
INSERT INTO counts VALUES(3,-1,13,0,20778,2);
INSERT INTO counts VALUES(3,-1,17,0,20778,1);
INSERT INTO counts VALUES(3,-1,26,0,20778,1);
INSERT INTO counts VALUES(3,1,-23,2,692,1);
INSERT INTO counts VALUES(3,1,-19,2,692,2);
INSERT INTO counts VALUES(3,1,0,0,20778,4);
INSERT INTO counts VALUES(3,1,0,1,498687,4);
INSERT INTO counts VALUES(3,1,15,0,20778,1);
INSERT INTO counts VALUES(3,1,18,0,20778,1);
INSERT INTO counts VALUES(3,1,22,0,20778,2);
CREATE TABLE idempotency (
    workspace   INTEGER NOT NULL REFERENCES workspaces (id),
    key         TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of method, path, query and body
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,                             -- the answer as it was sent
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT;
CREATE TABLE texts (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO texts VALUES(1,'workspace.create');
INSERT INTO texts VALUES(2,'operator');
INSERT INTO texts VALUES(3,'workspace');
INSERT INTO texts VALUES(4,'workspace.user_created');
INSERT INTO texts VALUES(5,'user');
INSERT INTO texts VALUES(6,'workspace.member_added');
INSERT INTO texts VALUES(7,'api_key.create');
INSERT INTO texts VALUES(8,'api_key');
INSERT INTO texts VALUES(9,'license.issue');
INSERT INTO texts VALUES(10,'appliance');
INSERT INTO texts VALUES(11,'tenant.create');
INSERT INTO texts VALUES(12,'tenant');
INSERT INTO texts VALUES(13,'mailbox.create');
INSERT INTO texts VALUES(14,'mailbox');
INSERT INTO texts VALUES(15,'project.create');
INSERT INTO texts VALUES(16,'project');
INSERT INTO texts VALUES(17,'mailbox.policy_update');
INSERT INTO texts VALUES(18,'smtp.update');
INSERT INTO texts VALUES(19,'01a1fec5-a2c8-765b-80d7-0c33d38baa48');
INSERT INTO texts VALUES(20,'ada@example.org');
INSERT INTO texts VALUES(21,'Mozilla/5.0');
INSERT INTO texts VALUES(22,'webhook.create');
INSERT INTO texts VALUES(23,'01BX5ZZKBKACTAV9WEVGEMMVRZ');
INSERT INTO texts VALUES(24,'webhook');
INSERT INTO texts VALUES(25,'curl/8');
INSERT INTO texts VALUES(26,'auth.login');
INSERT INTO texts VALUES(27,'curl/7.88.1');
CREATE TABLE jobs (
    name        TEXT PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT                                          -- JSON: what was done, or {"error": …}
) STRICT, WITHOUT ROWID;
INSERT INTO jobs VALUES('housekeeping',1795275728488217,1795275728492641,'{"answers":0,"sessions":0}');
INSERT INTO jobs VALUES('retention',1795275728493543,1795275728494724,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
INSERT INTO jobs VALUES('retention_completed',1795275728493664,1795275728493838,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
CREATE TABLE pruning (
    log INTEGER PRIMARY KEY CHECK (log IN (1, 2, 3))
) STRICT;
CREATE TABLE workspaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
INSERT INTO workspaces VALUES(1,X'01a1fec5a20c75769482d499f837605e','Demo',1795275727000000,NULL);
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
CREATE TABLE members (
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    user       INTEGER NOT NULL REFERENCES users (id),
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),    -- 1 auditor, 2 admin, 3 owner
    joined_at  INTEGER NOT NULL,
    removed_at INTEGER,                                       -- kept, so that old entries still have a name
    PRIMARY KEY (workspace, user)
) STRICT, WITHOUT ROWID;
INSERT INTO members VALUES(1,1,3,1795275727000000,NULL);
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
CREATE TABLE policies (
    mailbox  INTEGER NOT NULL REFERENCES mailboxes (id),
    version  INTEGER NOT NULL CHECK (version >= 1),
    document TEXT    NOT NULL CHECK (json_valid(document)),
    put_at   INTEGER NOT NULL,
    PRIMARY KEY (mailbox, version)
) STRICT, WITHOUT ROWID;
INSERT INTO policies VALUES(1,1,'{"defaultAction":"bounce","senders":[{"match":{"domain":"googlemail.com","requireDkim":false,"requireSpf":true},"capabilities":["ingest_conflict_notice"],"rateLimit":{"perDay":2}},{"match":{"domain":"gmail.com","requireDkim":true,"requireSpf":false},"capabilities":["read_calendar"]},{"match":{"domain":"example.co.jp","requireDkim":false,"requireSpf":false},"capabilities":[]},{"match":{"domain":"example.jp","requireDkim":false,"requireSpf":false},"capabilities":["read_calendar","propose_meeting"]},{"match":{"domain":"amazonses.com","requireDkim":true,"requireSpf":false},"capabilities":[]},{"match":{"domain":"mv-osn-hcb007.ocn.ad.jp","requireDkim":false,"requireSpf":false},"capabilities":[]}],"contentGuards":[{"reject":"(?i)this is an? (email )?abuse report","reason":"abuse_report"}],"auditLog":{"retentionDays":36500,"includeBodyHash":true}}',1795275728106585);
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
CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's token
    user         INTEGER NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,                            -- to the minute
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES(X'809749bd2d34ed78b3d25034eb797be1c9ea9c19568a4d2698b44675dec01d58',1,1795275777215964,1795275778481058,NULL);
CREATE TABLE licenses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    holder     TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
INSERT INTO licenses VALUES(1,X'01a1fec5a49871099fa824d079cca458','Demo','pro',1795275728000000,NULL);
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
) STRICT;
INSERT INTO enforcement_events VALUES(27,X'01a1fec5a65275959cb3af11f0fee5b8',1,1,'sales@mail.acmecorp.com',1,26,25,NULL,1795275728000000,NULL);
INSERT INTO enforcement_events VALUES(35,X'01a1fec6e3747fbb98610b00abcaa011',1,1,'Käse@mail.acmecorp.com',1,7,5,'in our own words',500000,1795275809000000);
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
    recorded_at       INTEGER NOT NULL,
    CHECK (capabilities IS NULL OR outcome = 1)
) STRICT;
INSERT INTO messages VALUES(11,1,1,'047d7bdca0c250c6c004fe72bd32@google.com','047d7bdca0c250c6c004fe72bd32@google.com','mailer-daemon@googlemail.com','the-local-part-of-google-mail-address@gmail.com',1405668664000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'b61f185eab68220f06632a95f39489a888683616b149cbd3c47751b506a36ebf',X'29292f162a902600e37bbd91b625ccef3f2bc97c50269c44e07cc9896df6da57',NULL,1,NULL,X'061eb8815caacbdb4b214bd3df5c2c5a687f018854264747b10afed982ea339d',1795275728000000);
INSERT INTO messages VALUES(12,1,1,'001a113e798846564e052d2c56d2@google.com','001a113e798846564e052d2c56d2@google.com','mailer-daemon@googlemail.com','sironeko@google.example.com',1457043333000000,1,NULL,1,1,1,1,X'17dd6a85251ed428eceea50d9eb083ee08065751905d29d2fdc59c832f493c21',X'3307d4d2cfd5fed45f67325edadd2babb71de3751a81dbcdc984af42656db75c','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'c73e34056028de1a3bd5ef8c9e28383e74d33d10130e76ae81cb61c1b1f70843',1795275728000000);
INSERT INTO messages VALUES(13,1,1,'5e598862.1c69fb81.594e1.5dee.GMR@mx.google.com','D0E3D626-1C96-4749-8101-62C0CE13B1D5@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'b2bfb40f331862068c02fb5efc765d76aaca47f2f43b8ae0efefa7aabd27c1cc',X'80cf1297448689f2f5fff88f8b1b96aacebf4d55b4ebc591f1b0d3e0d9fed70b',NULL,1,NULL,X'01abf56b33ff5cc95ee9476367369fa279fceed25c9994f7ba41ac3c68c44863',1795275728000000);
INSERT INTO messages VALUES(14,1,1,'5e5e041f.1c69fb81.9bfe.9a8c.GMR@mx.google.com','DF227C49-3696-43F9-B18D-745FF5721583@example.jp','mailer-daemon@googlemail.com','agent@acmecorp.com',1556548485000000,2,'spf_not_passed',NULL,NULL,NULL,NULL,X'64c1b795a0ffc122621d9938e07379c52415bdf601e9cfe62504687e570a7762',X'7bc9d584bcd5d88076e845beb2083348dfc04d3d443613414ebb2e6572d6be12',NULL,1,NULL,X'6d55729467d957a71b921f4c68664c4efdcc29a850779db8e55f5e7652fd0290',1795275728000000);
INSERT INTO messages VALUES(15,1,1,'20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','20100524100650.7FE851AC10D@mv-osn-hcb007.ocn.ad.jp','MAILER-DAEMON@mv-osn-hcb007.ocn.ad.jp','agent@acmecorp.com',1274695610000000,1,NULL,NULL,NULL,NULL,NULL,X'00ae9795b7b2aa4b242283e56f9efe785dda161009ba663a19ecc450db5ede49',X'c14ed2fef8c8b689751fa78022f7133be9ad60a67af76672721803a0a84b2721','{"capabilities":[],"rule_index":5}',1,-1664695323369678662,X'd0c998ce78a97bdac53114cc7961f9c40a4ec24cd44cd2c83f037b1a94c91bfa',1795275728000000);
INSERT INTO messages VALUES(16,1,1,'20110420233445.ffff@mx20.example.jp','20110420233445.ffff@mx20.example.jp','MAILER-DAEMON@mx20.example.jp','agent@acmecorp.com',1303310085000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'f41ff5bc26a446e032cae0203396e4a1dd2385ff6298a1bd28d6a1f6e925456f',X'11dc96e2927bf2384622619f0c055b5d85f77ed7ce1b7593d921abe2925e9900',NULL,1,NULL,X'90be6406ddaa792e0f6c7e07b5084c231dfa3cbe35999d677694de237622b294',1795275728000000);
INSERT INTO messages VALUES(17,1,1,'9pm5Tbp1R2zH0Y30@mbox.example.jp','9pm5Tbp1R2zH0Y30@mbox.example.jp','MAILER-DAEMON@mbox.example.jp','agent@acmecorp.com',1556548485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'3bdeff33b180b7f88c634362f5234aa463287a05f589605d5691e33c104c1b44',X'102fa686c11a3d1d8a3669dc93820073c362e540daf5b3e9fce69911f4659b41',NULL,1,NULL,X'f8f542b274b0bd77d2cd0278fdf15dab498c72967d3bca7e89ad4735b931a1f1',1795275728000000);
INSERT INTO messages VALUES(18,1,1,'Neko2202-0002qr-xp@q002.kijitora.gol.com','Neko2202-0002qr-xp@q002.kijitora.gol.com','Mailer-Daemon@q002.kijitora.gol.com','neko-nyaan@example.jp',1525012485000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'2b1939348508a937f07719f763a3b7866bc943f8d7d765a0ec4390968b0e3003',X'313f800bcf9072d6be0664107d7b8fbc995e7d12ecaaf8fd330a8111a5235626',NULL,1,NULL,X'dfef90302bdde08428604265db423f9d5c0a5aff1568f904f61fe995617962aa',1795275728000000);
INSERT INTO messages VALUES(19,1,1,'201705110831.v4B8Viav016285@kujo.example.jp','201705110831.v4B8Viav016285@kujo.example.jp','poostmaster@example.jp','kijitora+example.jp@gmail.example.com',1494491507000000,1,NULL,NULL,1,NULL,1,X'ec8c2da9fa84b9a9e7a8eb905309417b7be563f808563903d3476bc242d61528',X'c43820f16ce4d3a6cb058520985e28ecebb1c95034f50a046df1174e46330008','{"capabilities":["read_calendar","propose_meeting"],"rule_index":3}',1,8023048761086274157,X'1f5e853bf6e2868c1952603eb1583ba52cbe93129cc401a5417cf222acb8b81a',1795275728000000);
INSERT INTO messages VALUES(20,1,1,'a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','a0xtAEHLB0000d09e@BLU004-OMC3S13.hotmail.example.com','postmaster@mail.hotmail.example.com','agent@acmecorp.com',1416608274000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'7efd92c1602f05a62680393f7b24f1afd26a1c85f8d2877d4baa8eab087c6cc0',X'233e609125406bfb230c336c2123af09b75229bf70ee4cc42d33f0182184c54e',NULL,1,NULL,X'1c5d1004750f7c9062146b38caddef745c55fd5ee12caba5e553b3dc18d035f4',1795275728000000);
INSERT INTO messages VALUES(21,1,1,'01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','01010157b3c0c752-ee5b6bff-a3a2-42a2-a4ea-7fbeb7b65f30-000000@us-west-2.amazonses.com','MAILER-DAEMON@us-west-2.amazonses.com','kijitora@example.com',1476189541000000,3,'no_matching_sender_rule',NULL,1,NULL,0,X'25afe6dcea28d31739dbc57f710ef726dbbc60bb868a1a7060e2fbc75336e6a7',X'9eb560d0467e33502c41d4f20e3692240ce4d7228aad36e30d4bddd02fc4c6da',NULL,1,NULL,X'538e05b64cef52bd58f57859e90ba68f5280a90eb55fb49251deb04625a46f74',1795275728000000);
INSERT INTO messages VALUES(22,1,1,'dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','dba04a8f77852882036fd3276c5c0cd3@derived.mailtrail','MAILER-DAEMON@y.example.co.jp','agent@acmecorp.com',1416607864000000,3,'no_matching_sender_rule',NULL,NULL,NULL,NULL,X'1185bc0c5b19dadc343b03d5d2c013e3a2a800cbff7b2f5e5ecfe1f9e334f7d5',X'dba04a8f77852882036fd3276c5c0cd3d0f52e9921873d8b1fb7f66aa51985ce',NULL,1,NULL,X'a0715b3cefb513547d0c1b514512b3a4662120bce586a21322505086cab3d58e',1795275728000000);
INSERT INTO messages VALUES(23,1,1,'5905c4be.429f370a.43a01.3f62.GMRIR@mx.google.com','CAByYQsHoD+W5rSuhuhywef6ctb4__6whKo4VQCZk+LSM+HUZNA@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493550270000000,1,NULL,1,1,1,1,X'8b37699f0378f0c3c85bf27e93b2d41264f0c3abe54edab3edb11eeb956d076c',X'e0f8d03f9cfc2dc694a853be9ecd04c61e4470310269cadde922e81dabd69a96','{"capabilities":["ingest_conflict_notice"],"rule_index":0}',1,3604062704388480973,X'84c722b614c30920fba9789b1601995025cef71c3fd6929a151c869eb5bdcd18',1795275728000000);
INSERT INTO messages VALUES(24,1,1,'5ZGLGdBZw6z5FwBg@mail1.example.org','5ZGLGdBZw6z5FwBg@mail1.example.org','MAILER-DAEMON@mail1.example.org','michitsuna@example.jp',1677058222000000,3,'no_matching_sender_rule',NULL,7,7,0,X'5f393ad7d1311f9fdb5a1a133c5976ca499b639ec414e188badfb3114c37458b',X'932734bd1f8b2f2256b262244380c471a013b8a3d2a7f62b7afb87cf7030d007',NULL,1,NULL,X'dda96a34d7fe4d0d2f3a31884b491d17a667bd83ec0a570c602a2475c309f0af',1795275728000000);
INSERT INTO messages VALUES(25,1,1,'5905c9cf.429f370a.43a01.400d.GMRIR@mx.google.com','CAByYQsHXg2cXwxngxkcwej84LqcVDd4CpoHv+ens3ZfwWodAnQ@mail.gmail.example.com','mailer-daemon@googlemail.com','kijitora@gmail.example.com',1493551567000000,5,'rate_limit_per_day',1,1,1,1,X'd4a4724128d0427f03db63314a1278430d6bf878edd0e28ee569a78784ff38cc',X'f944d4c683f464359d1186e25c99aea38b90ec0df3613b0a23ce2e1da0d66d6a',NULL,1,3604062704388480973,X'6ea58bb2a2af0fdafae668eded4e02881090424a74a55ec276d8286b083c557f',1795275728000000);
INSERT INTO messages VALUES(26,1,1,'000000000000000.000000000000@x34.mx.example.net','000000000000000.000000000000@x34.mx.example.net','kijitora@example.co.jp','agent@acmecorp.com',1240963200000000,4,'abuse_report',NULL,NULL,NULL,NULL,X'f969f0bab72bdf894afe8d059b31573a822a7e5e24db1934ddfd01d6bd0dada0',X'c8521576b6fda2dcdf3dc843992b824675d15947591b1dabff8bc942e6e7ec50',NULL,1,NULL,X'b4de22a44dd8acec0281e2319fffefdcb922aefd70f2081d5eedd68511aa3a74',1795275728000000);
CREATE TABLE message_facts (
    seq         INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES messages (seq),
    mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5), -- 1 thread, 2 reply, 3 bounce, 4 tools, 5 tokens
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    recorded_at INTEGER NOT NULL
) STRICT;
INSERT INTO message_facts VALUES(30,26,1,2,'{"message_id":"<r1@acmecorp.com>"}',1795275776000000);
INSERT INTO message_facts VALUES(31,26,1,4,'["search_orders"]',1795275776000000);
INSERT INTO message_facts VALUES(32,26,1,5,'1234',1795275776000000);
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
) STRICT;
INSERT INTO activity VALUES(1,1,NULL,NULL,2,1,3,X'01a1fec5a20c75769482d499f837605e','{"name":"Demo"}',NULL,NULL,1795275727000000,NULL);
INSERT INTO activity VALUES(2,1,NULL,NULL,2,4,5,X'01a1fec5a2c8765b80d70c33d38baa48','{"email":"ada@example.org"}',NULL,NULL,1795275727000000,NULL);
INSERT INTO activity VALUES(3,1,NULL,NULL,2,6,5,X'01a1fec5a2c8765b80d70c33d38baa48','{"member_id":"01a1fec5-a2c8-765b-80d7-0c33d38baa48","email":"ada@example.org","role":"owner"}',NULL,NULL,1795275727000000,NULL);
INSERT INTO activity VALUES(4,1,NULL,NULL,2,7,8,X'01a1fec5a2de7f569a9354cb4bc2a22e','{"name":"init","hint":"mt_live_2778","scopes":["enforcement:read","enforcement:write","messages:read","messages:write","activity:write","admin"],"expires_at":null}',NULL,NULL,1795275727000000,NULL);
INSERT INTO activity VALUES(5,1,NULL,NULL,2,9,10,X'01a1fec5a49871099fa824d079cca458','{"holder":"Demo","plan":"pro","expires_at":null}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(6,1,NULL,NULL,2,11,12,X'01a1fec5a4b67114a464b5394fc6ca26','{"name":"Acme","domain":"acmecorp.com"}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(7,1,NULL,NULL,2,13,14,'1','{"address":"agent@acmecorp.com","tenant_id":null,"daily_send_limit":null}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(8,1,NULL,NULL,2,13,14,'2','{"address":"sales@mail.acmecorp.com","tenant_id":"01a1fec5-a4b6-7114-a464-b5394fc6ca26","daily_send_limit":25}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(9,1,1,NULL,2,15,16,X'01a1fec5a4d173c18691e6721da7e966','{"name":"Newsletter"}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(10,1,NULL,NULL,2,17,14,'1','{"version":1,"before":null,"after":{"defaultAction":"bounce","senders":[{"match":{"domain":"googlemail.com","requireDkim":false,"requireSpf":true},"capabilities":["ingest_conflict_notice"],"rateLimit":{"perDay":2}},{"match":{"domain":"gmail.com","requireDkim":true,"requireSpf":false},"capabilities":["read_calendar"]},{"match":{"domain":"example.co.jp","requireDkim":false,"requireSpf":false},"capabilities":[]},{"match":{"domain":"example.jp","requireDkim":false,"requireSpf":false},"capabilities":["read_calendar","propose_meeting"]},{"match":{"domain":"amazonses.com","requireDkim":true,"requireSpf":false},"capabilities":[]},{"match":{"domain":"mv-osn-hcb007.ocn.ad.jp","requireDkim":false,"requireSpf":false},"capabilities":[]}],"contentGuards":[{"reject":"(?i)this is an? (email )?abuse report","reason":"abuse_report"}],"auditLog":{"retentionDays":36500,"includeBodyHash":true}}}',NULL,NULL,1795275728000000,NULL);
INSERT INTO activity VALUES(28,1,1,19,20,18,16,X'01a1fec5a4d173c18691e6721da7e966','{"smtp_host":"smtp.mailgun.org","smtp_user":"postmaster@acme.com","from_email":"hello@acme.com"}',X'cb00712a',21,1795275728000000,NULL);
INSERT INTO activity VALUES(29,1,1,19,20,22,16,X'01a1fec5a4d173c18691e6721da7e966','{"url":"https://acme.com/hook"}',X'cb00712a',21,1795275728000000,NULL);
INSERT INTO activity VALUES(33,1,1,23,NULL,22,24,'not a uuid','{"url":"https://example.org/ä"}',X'20010db8000000000000000000000007',25,1795275776000000,NULL);
INSERT INTO activity VALUES(34,1,NULL,19,20,26,5,X'01a1fec5a2c8765b80d70c33d38baa48','{}',X'7f000001',27,1795275777000000,NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('workspaces',1);
INSERT INTO sqlite_sequence VALUES('users',1);
INSERT INTO sqlite_sequence VALUES('api_keys',1);
INSERT INTO sqlite_sequence VALUES('licenses',1);
INSERT INTO sqlite_sequence VALUES('tenants',1);
INSERT INTO sqlite_sequence VALUES('mailboxes',2);
INSERT INTO sqlite_sequence VALUES('projects',1);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE UNIQUE INDEX users_email ON users (email COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX members_user ON members (user);
CREATE INDEX tenants_workspace ON tenants (workspace, id);
CREATE UNIQUE INDEX mailboxes_address ON mailboxes (workspace, address COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX mailboxes_tenant ON mailboxes (tenant, id);
CREATE INDEX mailboxes_held ON mailboxes (workspace, address) WHERE hold = 1;
CREATE INDEX mailboxes_blocked ON mailboxes (window_start) WHERE blocked_at IS NOT NULL;
CREATE INDEX projects_workspace ON projects (workspace, id);
CREATE INDEX projects_held ON projects (workspace) WHERE hold = 1;
CREATE INDEX api_keys_workspace ON api_keys (workspace, id);
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_age ON sessions (created_at);
CREATE INDEX enforcement_workspace ON enforcement_events (workspace, created_at);
CREATE INDEX enforcement_workspace_action ON enforcement_events (workspace, action, created_at);
CREATE INDEX enforcement_tenant ON enforcement_events (tenant, created_at);
CREATE INDEX enforcement_tenant_action ON enforcement_events (tenant, action, created_at);
CREATE INDEX enforcement_mailbox ON enforcement_events (workspace, mailbox_address COLLATE NOCASE, created_at);
CREATE UNIQUE INDEX messages_message ON messages (mailbox, message_id);
CREATE INDEX messages_outcome ON messages (mailbox, outcome);
CREATE INDEX messages_thread ON messages (mailbox, thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX messages_mailbox ON messages (mailbox);
CREATE INDEX messages_received ON messages (mailbox, received_at);
CREATE INDEX messages_sender ON messages (mailbox, sender_address COLLATE NOCASE);
CREATE INDEX messages_recipient ON messages (mailbox, recipient_address COLLATE NOCASE);
CREATE INDEX messages_reason ON messages (mailbox, reason) WHERE reason IS NOT NULL;
CREATE INDEX messages_rule ON messages (mailbox, sender_rule, recorded_at) WHERE outcome = 1 AND sender_rule IS NOT NULL;
CREATE INDEX message_facts_message ON message_facts (message);
CREATE UNIQUE INDEX message_facts_thread_once ON message_facts (message) WHERE kind = 1;
CREATE INDEX message_facts_thread ON message_facts (mailbox, data, message) WHERE kind = 1;
CREATE INDEX activity_owner ON activity (owner, created_at);
CREATE INDEX activity_action ON activity (owner, day, action, created_at);
CREATE INDEX activity_user ON activity (owner, day, user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX activity_target ON activity (owner, day, target_id, created_at) WHERE target_id IS NOT NULL;
CREATE TRIGGER enforcement_events_no_update BEFORE UPDATE ON enforcement_events
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is append-only'); END;
CREATE TRIGGER messages_no_update BEFORE UPDATE ON messages
    BEGIN SELECT RAISE(ABORT, 'messages is append-only'); END;
CREATE TRIGGER message_facts_no_update BEFORE UPDATE ON message_facts
    BEGIN SELECT RAISE(ABORT, 'message_facts is append-only'); END;
CREATE TRIGGER activity_no_update BEFORE UPDATE ON activity
    BEGIN SELECT RAISE(ABORT, 'activity is append-only'); END;
CREATE TRIGGER enforcement_events_no_delete BEFORE DELETE ON enforcement_events
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 1)
    BEGIN SELECT RAISE(ABORT, 'enforcement_events is deleted by retention only'); END;
CREATE TRIGGER messages_no_delete BEFORE DELETE ON messages
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'messages is deleted by retention only'); END;
CREATE TRIGGER message_facts_no_delete BEFORE DELETE ON message_facts
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 2)
    BEGIN SELECT RAISE(ABORT, 'message_facts is deleted by retention only'); END;
CREATE TRIGGER activity_no_delete BEFORE DELETE ON activity
    WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE log = 3)
    BEGIN SELECT RAISE(ABORT, 'activity is deleted by retention only'); END;
COMMIT;
