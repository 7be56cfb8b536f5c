-- A database of schema version 4, as the program of that version left it (sqlite3 .dump).
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1297371724;
PRAGMA user_version = 4;
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
INSERT INTO activity VALUES(300,1,NULL,19,20,26,5,X'01a1fec5a2c8765b80d70c33d38baa48','{}',X'7f000001',NULL,1795300204000000,NULL,X'f1a04ac2bd6833bff26fe79e9f3c4ad2');
INSERT INTO activity VALUES(301,1,NULL,NULL,2,9,10,X'01a2003b1e1370ef9000d383a36a5622','{"holder":"Main","plan":"pro","expires_at":null}',NULL,27,1795300204000000,NULL,X'27f270b9e5a53be84bafe14781215dc5');
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
INSERT INTO counts VALUES(1,-1,0,0,20778,246);
INSERT INTO counts VALUES(1,-1,0,1,498658,1);
INSERT INTO counts VALUES(1,-1,0,1,498687,1);
INSERT INTO counts VALUES(1,-1,0,1,498694,245);
INSERT INTO counts VALUES(1,-1,1,0,20777,1);
INSERT INTO counts VALUES(1,-1,1,0,20778,244);
INSERT INTO counts VALUES(1,-1,2,0,20778,2);
INSERT INTO counts VALUES(1,1,0,0,20777,1);
INSERT INTO counts VALUES(1,1,0,0,20778,246);
INSERT INTO counts VALUES(1,1,0,1,498658,1);
INSERT INTO counts VALUES(1,1,0,1,498687,1);
INSERT INTO counts VALUES(1,1,0,1,498694,245);
INSERT INTO counts VALUES(1,1,1,0,20777,1);
INSERT INTO counts VALUES(1,1,1,0,20778,244);
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
INSERT INTO counts VALUES(3,-1,-19,2,692,4);
INSERT INTO counts VALUES(3,-1,0,0,20778,19);
INSERT INTO counts VALUES(3,-1,0,1,498687,10);
INSERT INTO counts VALUES(3,-1,0,1,498691,4);
INSERT INTO counts VALUES(3,-1,0,1,498694,5);
INSERT INTO counts VALUES(3,-1,1,0,20778,1);
INSERT INTO counts VALUES(3,-1,4,0,20778,1);
INSERT INTO counts VALUES(3,-1,6,0,20778,1);
INSERT INTO counts VALUES(3,-1,7,0,20778,1);
INSERT INTO counts VALUES(3,-1,9,0,20778,4);
INSERT INTO counts VALUES(3,-1,11,0,20778,1);
INSERT INTO counts VALUES(3,-1,13,0,20778,2);
INSERT INTO counts VALUES(3,-1,17,0,20778,1);
INSERT INTO counts VALUES(3,-1,26,0,20778,4);
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
INSERT INTO enforcement_events VALUES(60,X'01a2003b1614748bb38cafb05530321e',1,1,'sales@acmecorp.com',1,26,25,NULL,1795300202000000,NULL,X'68c1d098e98c23f7817a7ed122d7da5f');
INSERT INTO enforcement_events VALUES(61,X'01a2003b161471dcb6ca7b07cf72d6da',1,1,'sales@acmecorp.com',1,27,25,NULL,1795300202000000,NULL,X'30aa8b7e9f2485be8f543220f81881a9');
INSERT INTO enforcement_events VALUES(62,X'01a2003b16147309bee1631ce148cb37',1,1,'sales@acmecorp.com',1,28,25,NULL,1795300202000000,NULL,X'cc53214e32e9a511a7682a7129dd90ee');
INSERT INTO enforcement_events VALUES(63,X'01a2003b161474a4a9df19d1427df44d',1,1,'sales@acmecorp.com',1,29,25,NULL,1795300202000000,NULL,X'595d55b2abc0305810ba9f9e6823b9c9');
INSERT INTO enforcement_events VALUES(64,X'01a2003b161477e68b54acd431287484',1,1,'sales@acmecorp.com',1,30,25,NULL,1795300202000000,NULL,X'73102d0ccd680b28cb85372e65ead82b');
INSERT INTO enforcement_events VALUES(65,X'01a2003b16147609959d56f8add5a8d0',1,1,'sales@acmecorp.com',1,31,25,NULL,1795300202000000,NULL,X'8c35808d527cd309b7977e50dcc63915');
INSERT INTO enforcement_events VALUES(66,X'01a2003b16147d46a5416a5397f45dbd',1,1,'sales@acmecorp.com',1,32,25,NULL,1795300202000000,NULL,X'ff7e435777d270547c73b994986c1b7c');
INSERT INTO enforcement_events VALUES(67,X'01a2003b1614751392abf5756e3cba2b',1,1,'sales@acmecorp.com',1,33,25,NULL,1795300202000000,NULL,X'c5be4aeb0d8885b2fa4e6b82646febe9');
INSERT INTO enforcement_events VALUES(68,X'01a2003b16147c019c6d26d0c585d435',1,1,'sales@acmecorp.com',1,34,25,NULL,1795300202000000,NULL,X'afad202b86bf8437dbc7c2ec68a0a360');
INSERT INTO enforcement_events VALUES(69,X'01a2003b16147b5097223068d0c9000e',1,1,'sales@acmecorp.com',1,35,25,NULL,1795300202000000,NULL,X'19ab057a377e28da73f83d931ad3b36d');
INSERT INTO enforcement_events VALUES(70,X'01a2003b16147bd4a12d63b4f0a5e442',1,1,'sales@acmecorp.com',1,36,25,NULL,1795300202000000,NULL,X'c28feef261a95fffd60eae1f11455d87');
INSERT INTO enforcement_events VALUES(71,X'01a2003b1614719d8ec943b5e762d5d7',1,1,'sales@acmecorp.com',1,37,25,NULL,1795300202000000,NULL,X'a71b17b2053caa291c2f04f976658a31');
INSERT INTO enforcement_events VALUES(72,X'01a2003b1614788f8e2e37ff1dc4402d',1,1,'sales@acmecorp.com',1,38,25,NULL,1795300202000000,NULL,X'30d1bd40de790f969866a3e07bfda3fd');
INSERT INTO enforcement_events VALUES(73,X'01a2003b16147be9af83213970e79b90',1,1,'sales@acmecorp.com',1,39,25,NULL,1795300202000000,NULL,X'145007e9aaee18b37889553649991ba1');
INSERT INTO enforcement_events VALUES(74,X'01a2003b1614799098804552e4d88ba5',1,1,'sales@acmecorp.com',1,40,25,NULL,1795300202000000,NULL,X'fbea62ae3952f302b801bb47cdad65c1');
INSERT INTO enforcement_events VALUES(75,X'01a2003b161470d6ba3b80595125fd89',1,1,'sales@acmecorp.com',1,41,25,NULL,1795300202000000,NULL,X'ee38283584200e761990904d62e0158e');
INSERT INTO enforcement_events VALUES(76,X'01a2003b161472b1bbe27290814e6ce2',1,1,'sales@acmecorp.com',1,42,25,NULL,1795300202000000,NULL,X'1c131e8a9ed4dbe9fdb0740f86cbe338');
INSERT INTO enforcement_events VALUES(77,X'01a2003b1614728eadf37f0e88be6fb7',1,1,'sales@acmecorp.com',1,43,25,NULL,1795300202000000,NULL,X'd546eaa66a94658de8b824e98969350a');
INSERT INTO enforcement_events VALUES(78,X'01a2003b16147928b77366b4faa2dbb1',1,1,'sales@acmecorp.com',1,44,25,NULL,1795300202000000,NULL,X'4238d5ce167a1ad40333d9f43362d81b');
INSERT INTO enforcement_events VALUES(79,X'01a2003b16147881a9cb33629f173bc7',1,1,'sales@acmecorp.com',1,45,25,NULL,1795300202000000,NULL,X'bba4900fb1c7911fe3f67945aed19d05');
INSERT INTO enforcement_events VALUES(80,X'01a2003b161474cd8e6af7688e8f37cf',1,1,'sales@acmecorp.com',1,46,25,NULL,1795300202000000,NULL,X'56b440e9e34cf81ab371fffc42d5bfcd');
INSERT INTO enforcement_events VALUES(81,X'01a2003b161470e5a3f0d35480759a86',1,1,'sales@acmecorp.com',1,47,25,NULL,1795300202000000,NULL,X'0f26a893a200d94830c88c2987bf8814');
INSERT INTO enforcement_events VALUES(82,X'01a2003b16147cd1bac919458fb09b7d',1,1,'sales@acmecorp.com',1,48,25,NULL,1795300202000000,NULL,X'8908293cec0967fef5d3d810ce956a29');
INSERT INTO enforcement_events VALUES(83,X'01a2003b16147283a9882e07a5c07b06',1,1,'sales@acmecorp.com',1,49,25,NULL,1795300202000000,NULL,X'52a2b8139537a852f99eb370c3b99efb');
INSERT INTO enforcement_events VALUES(84,X'01a2003b16147240b3fd48c66ad84017',1,1,'sales@acmecorp.com',1,50,25,NULL,1795300202000000,NULL,X'00da2eaced9b278dcbd80d373025f796');
INSERT INTO enforcement_events VALUES(85,X'01a2003b161471b592ecb2a2f26b48c8',1,1,'sales@acmecorp.com',1,51,25,NULL,1795300202000000,NULL,X'7e5cd47328e42bc96f6cd3c451454ac3');
INSERT INTO enforcement_events VALUES(86,X'01a2003b161476b0ab488f0192f5924a',1,1,'sales@acmecorp.com',1,52,25,NULL,1795300202000000,NULL,X'a0963f77ac8c2780eeebbe6f54d6d4ff');
INSERT INTO enforcement_events VALUES(87,X'01a2003b161473cfb48241555f8ca5b2',1,1,'sales@acmecorp.com',1,53,25,NULL,1795300202000000,NULL,X'2a3674b643f485aaa625cecd4c51a469');
INSERT INTO enforcement_events VALUES(88,X'01a2003b16147233a181021f9fd8820d',1,1,'sales@acmecorp.com',1,54,25,NULL,1795300202000000,NULL,X'e22d1ec6b40e88d06c7e2c346f8a6c9e');
INSERT INTO enforcement_events VALUES(89,X'01a2003b16147e66b0d61a05278a052c',1,1,'sales@acmecorp.com',1,55,25,NULL,1795300202000000,NULL,X'cf071b69a444d32b2d0a466fc9bfddcf');
INSERT INTO enforcement_events VALUES(90,X'01a2003b1614714ab243acd10072280e',1,1,'sales@acmecorp.com',1,56,25,NULL,1795300202000000,NULL,X'67fa88c9f05966c258d0f72c5d6e315b');
INSERT INTO enforcement_events VALUES(91,X'01a2003b161475cb812b810ecc1980b7',1,1,'sales@acmecorp.com',1,57,25,NULL,1795300202000000,NULL,X'1bc6cbc090b5a476b8f8475d061c1852');
INSERT INTO enforcement_events VALUES(92,X'01a2003b16147eaa8f98537db1b88f9c',1,1,'sales@acmecorp.com',1,58,25,NULL,1795300202000000,NULL,X'4b62bd32cacabb8e5e981d5cd0157347');
INSERT INTO enforcement_events VALUES(93,X'01a2003b161479b9b1fc39229a9819f4',1,1,'sales@acmecorp.com',1,59,25,NULL,1795300202000000,NULL,X'e31ff2fa52e5dbbb356d6bf6cb9c994b');
INSERT INTO enforcement_events VALUES(94,X'01a2003b16147572be2558c4e26f1b83',1,1,'sales@acmecorp.com',1,60,25,NULL,1795300202000000,NULL,X'81c6a133c14d02969a13e35d565e3a33');
INSERT INTO enforcement_events VALUES(95,X'01a2003b16147f34a018b1b69165a690',1,1,'sales@acmecorp.com',1,61,25,NULL,1795300202000000,NULL,X'f390b2d60ab3efebaeda91384a35ba60');
INSERT INTO enforcement_events VALUES(96,X'01a2003b16147ec7b1db691c758f3ec3',1,1,'sales@acmecorp.com',1,62,25,NULL,1795300202000000,NULL,X'defdf7892f2ce6c625bdf16fd7e863e7');
INSERT INTO enforcement_events VALUES(97,X'01a2003b16147c5aaa6b11454c0ac17a',1,1,'sales@acmecorp.com',1,63,25,NULL,1795300202000000,NULL,X'6419c6c3cb2c22ec2068af67ee33c542');
INSERT INTO enforcement_events VALUES(98,X'01a2003b16147d318aa0b7b8d7474251',1,1,'sales@acmecorp.com',1,64,25,NULL,1795300202000000,NULL,X'f55e98c0c67285c2ab6c334fb48ddead');
INSERT INTO enforcement_events VALUES(99,X'01a2003b16147acc965ed21a37a35fa7',1,1,'sales@acmecorp.com',1,65,25,NULL,1795300202000000,NULL,X'de485aba0ee7c9bda0e5ab20c6b517d3');
INSERT INTO enforcement_events VALUES(100,X'01a2003b16147cb9bea05e231a1c5cd1',1,1,'sales@acmecorp.com',1,66,25,NULL,1795300202000000,NULL,X'ffff87807b5d544622c9d4b4edf92f43');
INSERT INTO enforcement_events VALUES(101,X'01a2003b161475e08c64190122eaa10c',1,1,'sales@acmecorp.com',1,67,25,NULL,1795300202000000,NULL,X'd6b1d58048e54b737f624781b85283fe');
INSERT INTO enforcement_events VALUES(102,X'01a2003b1614765a8f92e6dea44b7f98',1,1,'sales@acmecorp.com',1,68,25,NULL,1795300202000000,NULL,X'57f3399b8a6b286b7aec9ac795f04a2e');
INSERT INTO enforcement_events VALUES(103,X'01a2003b161476a4b380785e9f341ae1',1,1,'sales@acmecorp.com',1,69,25,NULL,1795300202000000,NULL,X'dbefa5c5a30138a1679344e4eefe6e93');
INSERT INTO enforcement_events VALUES(104,X'01a2003b16147d4b9c3ca66d843d587b',1,1,'sales@acmecorp.com',1,70,25,NULL,1795300202000000,NULL,X'4f6359317ee1c5d889292eb165590833');
INSERT INTO enforcement_events VALUES(105,X'01a2003b16147a9b89a4a91d5503d9bb',1,1,'sales@acmecorp.com',1,71,25,NULL,1795300202000000,NULL,X'50e9095a9faac9b03c98fb137a8160d3');
INSERT INTO enforcement_events VALUES(106,X'01a2003b1614785fb90f5f7af47a3a63',1,1,'sales@acmecorp.com',1,72,25,NULL,1795300202000000,NULL,X'da1ed923250e7376d580c43d7e5e9d9e');
INSERT INTO enforcement_events VALUES(107,X'01a2003b16147b8ea85b111e6c2824bd',1,1,'sales@acmecorp.com',1,73,25,NULL,1795300202000000,NULL,X'fc9a053182cb1b152a9e9d3377ab39f9');
INSERT INTO enforcement_events VALUES(108,X'01a2003b16147d45a88b8e01ef283dbc',1,1,'sales@acmecorp.com',1,74,25,NULL,1795300202000000,NULL,X'f0e031fc9594e8112b271fa850910d76');
INSERT INTO enforcement_events VALUES(109,X'01a2003b16147cfdadebdd11c03074b1',1,1,'sales@acmecorp.com',1,75,25,NULL,1795300202000000,NULL,X'fd645dbab5537557b05dbde8af5d5e3a');
INSERT INTO enforcement_events VALUES(110,X'01a2003b1614736ab2bba225cf4949bf',1,1,'sales@acmecorp.com',1,76,25,NULL,1795300202000000,NULL,X'6c1dca9bdc457986888b32e389f53c9b');
INSERT INTO enforcement_events VALUES(111,X'01a2003b16147102b33c624dfeaa1ca0',1,1,'sales@acmecorp.com',1,77,25,NULL,1795300202000000,NULL,X'9d81761191898e234f39522f45177a84');
INSERT INTO enforcement_events VALUES(112,X'01a2003b16147328abf9411f7d1e8661',1,1,'sales@acmecorp.com',1,78,25,NULL,1795300202000000,NULL,X'fc9a9903f0e431b3b9727f83f854a77f');
INSERT INTO enforcement_events VALUES(113,X'01a2003b161476b48eef50f40855f916',1,1,'sales@acmecorp.com',1,79,25,NULL,1795300202000000,NULL,X'ff05001c7a4707fc8755948d7694f9ec');
INSERT INTO enforcement_events VALUES(114,X'01a2003b161479949b723947b0fe834e',1,1,'sales@acmecorp.com',1,80,25,NULL,1795300202000000,NULL,X'870469cda02c704be7e76d9d22260cc6');
INSERT INTO enforcement_events VALUES(115,X'01a2003b16147f65b2e5de1f5269738a',1,1,'sales@acmecorp.com',1,81,25,NULL,1795300202000000,NULL,X'5c49a01bd28950ca4e93be2b20f0c5c9');
INSERT INTO enforcement_events VALUES(116,X'01a2003b1614707980d2d818a16efeaa',1,1,'sales@acmecorp.com',1,82,25,NULL,1795300202000000,NULL,X'2070c87ad1a7088592b1700f7fc28a5a');
INSERT INTO enforcement_events VALUES(117,X'01a2003b16147039b4820bd5b987d8c2',1,1,'sales@acmecorp.com',1,83,25,NULL,1795300202000000,NULL,X'5fa3d9b91bec267fc50d79e0d17bc9af');
INSERT INTO enforcement_events VALUES(118,X'01a2003b1614751fb80f6ee3765a4acc',1,1,'sales@acmecorp.com',1,84,25,NULL,1795300202000000,NULL,X'41e072f8db6baedd13acc9ffaa8587ac');
INSERT INTO enforcement_events VALUES(119,X'01a2003b161478db84efcea6dbccf138',1,1,'sales@acmecorp.com',1,85,25,NULL,1795300202000000,NULL,X'f29e6d37a57680ceda08399c424a50ff');
INSERT INTO enforcement_events VALUES(120,X'01a2003b16147519861fe84fd8aa4a83',1,1,'sales@acmecorp.com',1,86,25,NULL,1795300202000000,NULL,X'f20a1ba232dda71fabcc4108683f7291');
INSERT INTO enforcement_events VALUES(121,X'01a2003b16147088b562769286648277',1,1,'sales@acmecorp.com',1,87,25,NULL,1795300202000000,NULL,X'75088a36bbe256319cd45219641c1360');
INSERT INTO enforcement_events VALUES(122,X'01a2003b161476e4b5c2305785529bae',1,1,'sales@acmecorp.com',1,88,25,NULL,1795300202000000,NULL,X'6ee0c94a835f759b145fc7e3f88da7d9');
INSERT INTO enforcement_events VALUES(123,X'01a2003b16147e8d88e0dc2889dd7c84',1,1,'sales@acmecorp.com',1,89,25,NULL,1795300202000000,NULL,X'b9f5baff0e2b9695117f2c4a753215a0');
INSERT INTO enforcement_events VALUES(124,X'01a2003b16147cab965041bfff78fb2d',1,1,'sales@acmecorp.com',1,90,25,NULL,1795300202000000,NULL,X'a317b83f98b11ec531276cedf9792795');
INSERT INTO enforcement_events VALUES(125,X'01a2003b16147b1c9579a36c539118a8',1,1,'sales@acmecorp.com',1,91,25,NULL,1795300202000000,NULL,X'f649f2fb80bb98de43cdadf7cd1e8416');
INSERT INTO enforcement_events VALUES(126,X'01a2003b16147276995369bb64568f51',1,1,'sales@acmecorp.com',1,92,25,NULL,1795300202000000,NULL,X'4aecdc1e1d432eecdd7d5558a213106d');
INSERT INTO enforcement_events VALUES(127,X'01a2003b161471b4ad21ef8d4c64ad46',1,1,'sales@acmecorp.com',1,93,25,NULL,1795300202000000,NULL,X'4067d27639f94ef4fba3667cdd7d1542');
INSERT INTO enforcement_events VALUES(128,X'01a2003b16147cb1b0d08e9e8bfd0e9e',1,1,'sales@acmecorp.com',1,94,25,NULL,1795300202000000,NULL,X'495e203912754d62973a54b845def91b');
INSERT INTO enforcement_events VALUES(129,X'01a2003b161470dda70dee9db76ac695',1,1,'sales@acmecorp.com',1,95,25,NULL,1795300202000000,NULL,X'd88df2ecacada46e7dfaafd1499d270c');
INSERT INTO enforcement_events VALUES(130,X'01a2003b16147c8eb5c2697919126a57',1,1,'sales@acmecorp.com',1,96,25,NULL,1795300202000000,NULL,X'e96896d676a47aa7a09f2d5cc89f8b17');
INSERT INTO enforcement_events VALUES(131,X'01a2003b161470e090d9dcd7e981f001',1,1,'sales@acmecorp.com',1,97,25,NULL,1795300202000000,NULL,X'253dc84c54a6095c75a27bc5ca244fe3');
INSERT INTO enforcement_events VALUES(132,X'01a2003b16147e919154532c67b87754',1,1,'sales@acmecorp.com',1,98,25,NULL,1795300202000000,NULL,X'aeb0933b5f622250b19f56c404d6fd66');
INSERT INTO enforcement_events VALUES(133,X'01a2003b161470dca91b267922a3fc21',1,1,'sales@acmecorp.com',1,99,25,NULL,1795300202000000,NULL,X'706275bd737d8c00dd7fd56e7aa6eafd');
INSERT INTO enforcement_events VALUES(134,X'01a2003b161478dc99b15de96e7fbe30',1,1,'sales@acmecorp.com',1,100,25,NULL,1795300202000000,NULL,X'27635c0cd97d9f682626bda6484ae737');
INSERT INTO enforcement_events VALUES(135,X'01a2003b16147794be913d780f58e873',1,1,'sales@acmecorp.com',1,101,25,NULL,1795300202000000,NULL,X'60d120b7857355c403a2102996e7a6b6');
INSERT INTO enforcement_events VALUES(136,X'01a2003b16147a548a64d4cbca6ecc7e',1,1,'sales@acmecorp.com',1,102,25,NULL,1795300202000000,NULL,X'99f4583fe1e52830f73b5844ba0fe7f3');
INSERT INTO enforcement_events VALUES(137,X'01a2003b16147b22a489a8025eb98252',1,1,'sales@acmecorp.com',1,103,25,NULL,1795300202000000,NULL,X'2841224698c7e04a76e18b5c6792b43c');
INSERT INTO enforcement_events VALUES(138,X'01a2003b161474f5b00d93eff4178bad',1,1,'sales@acmecorp.com',1,104,25,NULL,1795300202000000,NULL,X'ce4fca619f82786d520c3f2d7ed4ee47');
INSERT INTO enforcement_events VALUES(139,X'01a2003b1614749eb81b02807ecb156f',1,1,'sales@acmecorp.com',1,105,25,NULL,1795300202000000,NULL,X'60a5ef9045fd81f1df2ff72f9ae26e28');
INSERT INTO enforcement_events VALUES(140,X'01a2003b16147096a3bebe1d431a2ec7',1,1,'sales@acmecorp.com',1,106,25,NULL,1795300202000000,NULL,X'2ab2123355bc27e48d92a273c1ea3f55');
INSERT INTO enforcement_events VALUES(141,X'01a2003b16147930b271f35ed224b2a9',1,1,'sales@acmecorp.com',1,107,25,NULL,1795300202000000,NULL,X'f2d5c669760233b0f4611c2149fdb16e');
INSERT INTO enforcement_events VALUES(142,X'01a2003b16147666bba6627b98e6bc07',1,1,'sales@acmecorp.com',1,108,25,NULL,1795300202000000,NULL,X'26637435ea61a3c958becaf9cd104914');
INSERT INTO enforcement_events VALUES(143,X'01a2003b16147cdf8888e45d996445cf',1,1,'sales@acmecorp.com',1,109,25,NULL,1795300202000000,NULL,X'f7bfba5a26a039a9954aef9003ba6719');
INSERT INTO enforcement_events VALUES(144,X'01a2003b16147f4eabfc9fa845079a85',1,1,'sales@acmecorp.com',1,110,25,NULL,1795300202000000,NULL,X'eb9cc88cf303e60820b83c2f0ea0ec5f');
INSERT INTO enforcement_events VALUES(145,X'01a2003b16147fb6bc183e478aa0d400',1,1,'sales@acmecorp.com',1,111,25,NULL,1795300202000000,NULL,X'8cf91d89b64632f9ab1175358d8fe597');
INSERT INTO enforcement_events VALUES(146,X'01a2003b161475298412089ff09823d0',1,1,'sales@acmecorp.com',1,112,25,NULL,1795300202000000,NULL,X'c01a48fded6cc75429fe49a80985d163');
INSERT INTO enforcement_events VALUES(147,X'01a2003b1614733c9f56ab5f4ad90c3b',1,1,'sales@acmecorp.com',1,113,25,NULL,1795300202000000,NULL,X'7a8e6cc0717ed447d96cdedccf4557ed');
INSERT INTO enforcement_events VALUES(148,X'01a2003b161472909db643bcea10314e',1,1,'sales@acmecorp.com',1,114,25,NULL,1795300202000000,NULL,X'd3d3443d4ff54ce837a49cca6751cf9c');
INSERT INTO enforcement_events VALUES(149,X'01a2003b1614765c8496c97cd6929433',1,1,'sales@acmecorp.com',1,115,25,NULL,1795300202000000,NULL,X'2290181a30fb784952b233bd371e60fe');
INSERT INTO enforcement_events VALUES(150,X'01a2003b16147228a8a37084643a25d2',1,1,'sales@acmecorp.com',1,116,25,NULL,1795300202000000,NULL,X'6fa059f1abae103d8bdb46a169b1ba28');
INSERT INTO enforcement_events VALUES(151,X'01a2003b16147dc8bd1ad71eb2a59478',1,1,'sales@acmecorp.com',1,117,25,NULL,1795300202000000,NULL,X'86810e1e6d4affa7edd700b23154a7c7');
INSERT INTO enforcement_events VALUES(152,X'01a2003b1614788abe5c17672027fc75',1,1,'sales@acmecorp.com',1,118,25,NULL,1795300202000000,NULL,X'19685c3a8d8de180ab8e685fffae015f');
INSERT INTO enforcement_events VALUES(153,X'01a2003b161474b495f9f561dea7a28a',1,1,'sales@acmecorp.com',1,119,25,NULL,1795300202000000,NULL,X'b18118c30061da17248e9f51a2cc465f');
INSERT INTO enforcement_events VALUES(154,X'01a2003b16147722979d2bb3d8fb40ec',1,1,'sales@acmecorp.com',1,120,25,NULL,1795300202000000,NULL,X'7576c8fc41711d7088d362f07c7a10c1');
INSERT INTO enforcement_events VALUES(155,X'01a2003b16147916b876301b7aaa4851',1,1,'sales@acmecorp.com',1,121,25,NULL,1795300202000000,NULL,X'b95630957d4a9022216aacf70c7a8f84');
INSERT INTO enforcement_events VALUES(156,X'01a2003b161473a4b3ea79d64ce7df77',1,1,'sales@acmecorp.com',1,122,25,NULL,1795300202000000,NULL,X'feae4aa12ea851a504467faa9d82ea2a');
INSERT INTO enforcement_events VALUES(157,X'01a2003b161473048b9bf01ef44ee0ff',1,1,'sales@acmecorp.com',1,123,25,NULL,1795300202000000,NULL,X'c9883c0b9d01ecb25073273f985ecf66');
INSERT INTO enforcement_events VALUES(158,X'01a2003b16147641b2e1440dba3b7388',1,1,'sales@acmecorp.com',1,124,25,NULL,1795300202000000,NULL,X'799aa838918ae96cdcb46b08c2702e51');
INSERT INTO enforcement_events VALUES(159,X'01a2003b16147ecabec273becdc18f5e',1,1,'sales@acmecorp.com',1,125,25,NULL,1795300202000000,NULL,X'b32bfbdb34201f7f5fbd715a4f28236e');
INSERT INTO enforcement_events VALUES(160,X'01a2003b1614776084480d2031f10ad5',1,1,'sales@acmecorp.com',1,126,25,NULL,1795300202000000,NULL,X'd5429af5165631dc37d8da1033dc8e0e');
INSERT INTO enforcement_events VALUES(161,X'01a2003b16147c83a702ff9473592208',1,1,'sales@acmecorp.com',1,127,25,NULL,1795300202000000,NULL,X'd89e135a99bc8edbed8da37d8c16a1fe');
INSERT INTO enforcement_events VALUES(162,X'01a2003b16147cb1be09639beaf6af7f',1,1,'sales@acmecorp.com',1,128,25,NULL,1795300202000000,NULL,X'f11c4dfd556697e48597d06a7f5b4b95');
INSERT INTO enforcement_events VALUES(163,X'01a2003b16147733b14ae2216a0e41f6',1,1,'sales@acmecorp.com',1,129,25,NULL,1795300202000000,NULL,X'e3b1b37e722c4ec90146f7c10adf7237');
INSERT INTO enforcement_events VALUES(164,X'01a2003b161470aaafa4ef55cbc42470',1,1,'sales@acmecorp.com',1,130,25,NULL,1795300202000000,NULL,X'84c0d758b9fb574109bfcad3af1342ef');
INSERT INTO enforcement_events VALUES(165,X'01a2003b1614757fab497a18228fb408',1,1,'sales@acmecorp.com',1,131,25,NULL,1795300202000000,NULL,X'301dbf24d39649e7af1f7cf5b77d7efb');
INSERT INTO enforcement_events VALUES(166,X'01a2003b161471408f60d40928794ec0',1,1,'sales@acmecorp.com',1,132,25,NULL,1795300202000000,NULL,X'c3bd7cd524413cc5f438f6164b7416cf');
INSERT INTO enforcement_events VALUES(167,X'01a2003b161479ebbb37a1ce5d142040',1,1,'sales@acmecorp.com',1,133,25,NULL,1795300202000000,NULL,X'd13f3b85ff7f052f3daf815237d0e856');
INSERT INTO enforcement_events VALUES(168,X'01a2003b16147f60a021bce31443cbe9',1,1,'sales@acmecorp.com',1,134,25,NULL,1795300202000000,NULL,X'ed89c31b6001810874e1d36b4baf8124');
INSERT INTO enforcement_events VALUES(169,X'01a2003b161473f6849c27fff4c6e191',1,1,'sales@acmecorp.com',1,135,25,NULL,1795300202000000,NULL,X'18784f713267b7f3b51384275307583a');
INSERT INTO enforcement_events VALUES(170,X'01a2003b16147b5f844b333023ae6524',1,1,'sales@acmecorp.com',1,136,25,NULL,1795300202000000,NULL,X'57b4f16b18d8fce86e03d60ab31cccec');
INSERT INTO enforcement_events VALUES(171,X'01a2003b16147c799d17aa6669c55963',1,1,'sales@acmecorp.com',1,137,25,NULL,1795300202000000,NULL,X'd7a5d903b554c4cf342e680f96565507');
INSERT INTO enforcement_events VALUES(172,X'01a2003b1614704283b8d83f84b303d5',1,1,'sales@acmecorp.com',1,138,25,NULL,1795300202000000,NULL,X'f0f5b7653361822495c8ca400a9d712f');
INSERT INTO enforcement_events VALUES(173,X'01a2003b16147825a22787bf927e5228',1,1,'sales@acmecorp.com',1,139,25,NULL,1795300202000000,NULL,X'f14f46f936c44e496206081b8c11e7d4');
INSERT INTO enforcement_events VALUES(174,X'01a2003b161471c7855d492e1eda500c',1,1,'sales@acmecorp.com',1,140,25,NULL,1795300202000000,NULL,X'501dff33c509476015d3eeaf72777489');
INSERT INTO enforcement_events VALUES(175,X'01a2003b161471b78c91f3e7a3e7fde4',1,1,'sales@acmecorp.com',1,141,25,NULL,1795300202000000,NULL,X'38c8e4b5cb8287b1a9603e0d6562d705');
INSERT INTO enforcement_events VALUES(176,X'01a2003b161479e9bb555cff9c4bc3e0',1,1,'sales@acmecorp.com',1,142,25,NULL,1795300202000000,NULL,X'db46af82933ffd1b725f09710ad39dc7');
INSERT INTO enforcement_events VALUES(177,X'01a2003b161476c78a7069fd75293c85',1,1,'sales@acmecorp.com',1,143,25,NULL,1795300202000000,NULL,X'0f306135e4289904571168ed7ae2139c');
INSERT INTO enforcement_events VALUES(178,X'01a2003b16147a5593430eb0d2ff3baa',1,1,'sales@acmecorp.com',1,144,25,NULL,1795300202000000,NULL,X'9c0fbfd5c0aa8daa5781df341d2165db');
INSERT INTO enforcement_events VALUES(179,X'01a2003b161473a6a5bee6cddf501dc9',1,1,'sales@acmecorp.com',1,145,25,NULL,1795300202000000,NULL,X'133a7c99b4b34e0b428dd7a3115f6cc1');
INSERT INTO enforcement_events VALUES(180,X'01a2003b16147dc7a2f307fcd7202b96',1,1,'sales@acmecorp.com',1,146,25,NULL,1795300202000000,NULL,X'd7aa51618bc4bd28cf42eb70a4c1313d');
INSERT INTO enforcement_events VALUES(181,X'01a2003b1614769897da009cebbf2866',1,1,'sales@acmecorp.com',1,147,25,NULL,1795300202000000,NULL,X'5bccbaf9971eead61ec691ab83bf618a');
INSERT INTO enforcement_events VALUES(182,X'01a2003b16147e1ebbecd8b9c1c7371a',1,1,'sales@acmecorp.com',1,148,25,NULL,1795300202000000,NULL,X'5cbfdb6c5a3313fbfede718925b00c2f');
INSERT INTO enforcement_events VALUES(183,X'01a2003b161476ec980288ed50a70490',1,1,'sales@acmecorp.com',1,149,25,NULL,1795300202000000,NULL,X'0d89abb2933439071976f7f6310a68d2');
INSERT INTO enforcement_events VALUES(184,X'01a2003b16147465a175b5bc23721da3',1,1,'sales@acmecorp.com',1,150,25,NULL,1795300202000000,NULL,X'969c11cdf8f0028509aa526520e8dd3d');
INSERT INTO enforcement_events VALUES(185,X'01a2003b161479ecba18496518b78546',1,1,'sales@acmecorp.com',1,151,25,NULL,1795300202000000,NULL,X'57dfe57e51029c7fc4b5407fb9013a30');
INSERT INTO enforcement_events VALUES(186,X'01a2003b16147479a2566ae66b5d1a13',1,1,'sales@acmecorp.com',1,152,25,NULL,1795300202000000,NULL,X'cbbd85d433c0ddd0b3415467eb62ba20');
INSERT INTO enforcement_events VALUES(187,X'01a2003b16147af3b817ee4156261192',1,1,'sales@acmecorp.com',1,153,25,NULL,1795300202000000,NULL,X'8941099691fdd29d7f9997cd0bde8278');
INSERT INTO enforcement_events VALUES(188,X'01a2003b161478b587a58e6725f24e4f',1,1,'sales@acmecorp.com',1,154,25,NULL,1795300202000000,NULL,X'98861d0a9d1a2386059a613aac5fe7e5');
INSERT INTO enforcement_events VALUES(189,X'01a2003b1614763c8c394bbb85a21f73',1,1,'sales@acmecorp.com',1,155,25,NULL,1795300202000000,NULL,X'5ebc0987e0c1dd9ae4474224e6b6891a');
INSERT INTO enforcement_events VALUES(190,X'01a2003b161473d2ac3648813036f0d4',1,1,'sales@acmecorp.com',1,156,25,NULL,1795300202000000,NULL,X'e572bed2a8ee768aa60aea96e5494501');
INSERT INTO enforcement_events VALUES(191,X'01a2003b1614721986ec30a3613375d3',1,1,'sales@acmecorp.com',1,157,25,NULL,1795300202000000,NULL,X'6a0b3f9572af0508620f13fc9dd232f8');
INSERT INTO enforcement_events VALUES(192,X'01a2003b16147c3aac44458d7fd6d708',1,1,'sales@acmecorp.com',1,158,25,NULL,1795300202000000,NULL,X'49bbf278baddb4a82b09a7eb245c5e38');
INSERT INTO enforcement_events VALUES(193,X'01a2003b16147ceabe9f3d1410430d3a',1,1,'sales@acmecorp.com',1,159,25,NULL,1795300202000000,NULL,X'd5910852f24eeeca1ef8068643b55839');
INSERT INTO enforcement_events VALUES(194,X'01a2003b161479779e578e939f681653',1,1,'sales@acmecorp.com',1,160,25,NULL,1795300202000000,NULL,X'56fe37b2cf46b92973deac952fa56ee0');
INSERT INTO enforcement_events VALUES(195,X'01a2003b16147dc6bb70feafeff0328d',1,1,'sales@acmecorp.com',1,161,25,NULL,1795300202000000,NULL,X'0efa022465744b1f7ac0bbe8535fbc87');
INSERT INTO enforcement_events VALUES(196,X'01a2003b16147868aa3c6e569ebec4f4',1,1,'sales@acmecorp.com',1,162,25,NULL,1795300202000000,NULL,X'33aae6db70c04ea2fc2b402257069754');
INSERT INTO enforcement_events VALUES(197,X'01a2003b161472ddab8e438c85a0174c',1,1,'sales@acmecorp.com',1,163,25,NULL,1795300202000000,NULL,X'8d16a4472e0cf4579c40f218697bb614');
INSERT INTO enforcement_events VALUES(198,X'01a2003b1614724dbbfc61e5e3569cec',1,1,'sales@acmecorp.com',1,164,25,NULL,1795300202000000,NULL,X'3c52a9b95ad7085aef7396a0015edc99');
INSERT INTO enforcement_events VALUES(199,X'01a2003b1614766f8849de147b3003da',1,1,'sales@acmecorp.com',1,165,25,NULL,1795300202000000,NULL,X'bee5d6fef4a1da0311ad7bdf0516aac9');
INSERT INTO enforcement_events VALUES(200,X'01a2003b16147c0e8e2911ad24ca0743',1,1,'sales@acmecorp.com',1,166,25,NULL,1795300202000000,NULL,X'948bad89d5d30298130e411b2f00109a');
INSERT INTO enforcement_events VALUES(201,X'01a2003b16147c87820d2429eaee67a6',1,1,'sales@acmecorp.com',1,167,25,NULL,1795300202000000,NULL,X'bb57d720fe21db8e71984a945beed6c0');
INSERT INTO enforcement_events VALUES(202,X'01a2003b161479a49013537ccf36fe20',1,1,'sales@acmecorp.com',1,168,25,NULL,1795300202000000,NULL,X'60566ba5ff107acc531ec4d2fb5fe942');
INSERT INTO enforcement_events VALUES(203,X'01a2003b16147151a31d2320a70716d2',1,1,'sales@acmecorp.com',1,169,25,NULL,1795300202000000,NULL,X'c7d088f495045a6606848b95e4c5a7ff');
INSERT INTO enforcement_events VALUES(204,X'01a2003b161475fa8a94c36efbb62e41',1,1,'sales@acmecorp.com',1,170,25,NULL,1795300202000000,NULL,X'ceb6f69085f582e3b213a8a3ddf08b89');
INSERT INTO enforcement_events VALUES(205,X'01a2003b16147083872e64921e038a2e',1,1,'sales@acmecorp.com',1,171,25,NULL,1795300202000000,NULL,X'a735054f15526e80b4645f65923d6eaa');
INSERT INTO enforcement_events VALUES(206,X'01a2003b161474f1b6230a584be84dc6',1,1,'sales@acmecorp.com',1,172,25,NULL,1795300202000000,NULL,X'85f7c5fb18a03585ca059475695bea32');
INSERT INTO enforcement_events VALUES(207,X'01a2003b16147272b56175d32cb365e2',1,1,'sales@acmecorp.com',1,173,25,NULL,1795300202000000,NULL,X'02eae3d7345acf11de05ac7c731d04f4');
INSERT INTO enforcement_events VALUES(208,X'01a2003b16147727ad53ac158ec015dd',1,1,'sales@acmecorp.com',1,174,25,NULL,1795300202000000,NULL,X'9f31a32201d0f0fcba5d7ed746f9a4f6');
INSERT INTO enforcement_events VALUES(209,X'01a2003b16147059ae451ee39114a3b5',1,1,'sales@acmecorp.com',1,175,25,NULL,1795300202000000,NULL,X'a2208104e5dc0d7594464e24acfa9857');
INSERT INTO enforcement_events VALUES(210,X'01a2003b161478c08d81442646f42865',1,1,'sales@acmecorp.com',1,176,25,NULL,1795300202000000,NULL,X'a641c90bb86241b2c84d4fe0837f915b');
INSERT INTO enforcement_events VALUES(211,X'01a2003b16147ca08c48ff30988e4bdf',1,1,'sales@acmecorp.com',1,177,25,NULL,1795300202000000,NULL,X'0347ce2ebf985550da26e8316bb8529b');
INSERT INTO enforcement_events VALUES(212,X'01a2003b161474d2a91e174173074b26',1,1,'sales@acmecorp.com',1,178,25,NULL,1795300202000000,NULL,X'4f67122de2027290b5413564e63fa4d0');
INSERT INTO enforcement_events VALUES(213,X'01a2003b16147a01bd0bfaaf6eca1197',1,1,'sales@acmecorp.com',1,179,25,NULL,1795300202000000,NULL,X'781c84f8755badd66ee6c89bf54049fd');
INSERT INTO enforcement_events VALUES(214,X'01a2003b161473608aeb044ae5940feb',1,1,'sales@acmecorp.com',1,180,25,NULL,1795300202000000,NULL,X'cb0b3409147ea538a2f9505b6e1144fd');
INSERT INTO enforcement_events VALUES(215,X'01a2003b16147ef79ff0ce4311e81def',1,1,'sales@acmecorp.com',1,181,25,NULL,1795300202000000,NULL,X'6a14a493b53bd27fa58322267514dc94');
INSERT INTO enforcement_events VALUES(216,X'01a2003b16147cc18fcebd35711e8b05',1,1,'sales@acmecorp.com',1,182,25,NULL,1795300202000000,NULL,X'05c0313f0a30a00a76d7918ad43685dd');
INSERT INTO enforcement_events VALUES(217,X'01a2003b16147a5fa59fdf5e4d715d59',1,1,'sales@acmecorp.com',1,183,25,NULL,1795300202000000,NULL,X'7e90aa91bf803c146810c89aba24e0b4');
INSERT INTO enforcement_events VALUES(218,X'01a2003b16147765a9946e862dd28129',1,1,'sales@acmecorp.com',1,184,25,NULL,1795300202000000,NULL,X'09de0ab160b860f9a4c09dbd5c6bec0d');
INSERT INTO enforcement_events VALUES(219,X'01a2003b1614742fb90cebcde041ddc8',1,1,'sales@acmecorp.com',1,185,25,NULL,1795300202000000,NULL,X'992e8ca453048d6e9389b94a7c0407c3');
INSERT INTO enforcement_events VALUES(220,X'01a2003b161479f18d027ace498047b1',1,1,'sales@acmecorp.com',1,186,25,NULL,1795300202000000,NULL,X'bef2dc10e70e22f8c3fba43899e9f807');
INSERT INTO enforcement_events VALUES(221,X'01a2003b161470929aa985d34ef7bb81',1,1,'sales@acmecorp.com',1,187,25,NULL,1795300202000000,NULL,X'3c1c6b35f8f2774151b51690412739aa');
INSERT INTO enforcement_events VALUES(222,X'01a2003b16147c2fb0010f4b922c7022',1,1,'sales@acmecorp.com',1,188,25,NULL,1795300202000000,NULL,X'2247efe829e5920ca1603e5e06b1ea37');
INSERT INTO enforcement_events VALUES(223,X'01a2003b16147648bcf3b88e9906e6ed',1,1,'sales@acmecorp.com',1,189,25,NULL,1795300202000000,NULL,X'208c56db6142c8609767fdf2cf70ca44');
INSERT INTO enforcement_events VALUES(224,X'01a2003b16147c649205d3ad6247647e',1,1,'sales@acmecorp.com',1,190,25,NULL,1795300202000000,NULL,X'8c947bde7a2b55a38f54b0b2c516fa76');
INSERT INTO enforcement_events VALUES(225,X'01a2003b16147628a3a0f8a1b95df8ab',1,1,'sales@acmecorp.com',1,191,25,NULL,1795300202000000,NULL,X'62ae2bbfbd02c320dbb3c44417bdc3fc');
INSERT INTO enforcement_events VALUES(226,X'01a2003b16147bd388f563ab6acffd44',1,1,'sales@acmecorp.com',1,192,25,NULL,1795300202000000,NULL,X'f6a8c3fcd0b5e4d1217e6441313d145a');
INSERT INTO enforcement_events VALUES(227,X'01a2003b1614795781137076f7bd56b1',1,1,'sales@acmecorp.com',1,193,25,NULL,1795300202000000,NULL,X'0e274431ac90c39051f5f353cdcee3cb');
INSERT INTO enforcement_events VALUES(228,X'01a2003b1614757bbe53d76b2d88b4d1',1,1,'sales@acmecorp.com',1,194,25,NULL,1795300202000000,NULL,X'db3594edf493249828518bd49b73890e');
INSERT INTO enforcement_events VALUES(229,X'01a2003b1614796fb9354813d15bdf67',1,1,'sales@acmecorp.com',1,195,25,NULL,1795300202000000,NULL,X'1a816109cefc891f5b6b9e0ee00414b3');
INSERT INTO enforcement_events VALUES(230,X'01a2003b16147f8783147b6e06ea2c13',1,1,'sales@acmecorp.com',1,196,25,NULL,1795300202000000,NULL,X'89426cd0fe3f92db7cf6398965849e69');
INSERT INTO enforcement_events VALUES(231,X'01a2003b16147d6fb0f1ac69fa61d50d',1,1,'sales@acmecorp.com',1,197,25,NULL,1795300202000000,NULL,X'fe1606c54a44167fb21d5906a0d43252');
INSERT INTO enforcement_events VALUES(232,X'01a2003b161477559c8c50fa8d56651e',1,1,'sales@acmecorp.com',1,198,25,NULL,1795300202000000,NULL,X'b92312f299da4054338d1179549c7e4f');
INSERT INTO enforcement_events VALUES(233,X'01a2003b16147e919d10420aa1cf5beb',1,1,'sales@acmecorp.com',1,199,25,NULL,1795300202000000,NULL,X'bb587487844f0f05558e7f3fbb765309');
INSERT INTO enforcement_events VALUES(234,X'01a2003b16147cf7936c77db2c624ba2',1,1,'sales@acmecorp.com',1,200,25,NULL,1795300202000000,NULL,X'd9b0dbfe9f238fcb48eb33c22a2d4250');
INSERT INTO enforcement_events VALUES(235,X'01a2003b161477d69024378193532843',1,1,'sales@acmecorp.com',1,201,25,NULL,1795300202000000,NULL,X'33cbec6e414edf0b2d10bbd1310ef856');
INSERT INTO enforcement_events VALUES(236,X'01a2003b16147337b0295d82469d57bd',1,1,'sales@acmecorp.com',1,202,25,NULL,1795300202000000,NULL,X'96579e34f9686221ad0d5731bc152650');
INSERT INTO enforcement_events VALUES(237,X'01a2003b161477208c33eea22de02dfc',1,1,'sales@acmecorp.com',1,203,25,NULL,1795300202000000,NULL,X'6129456c0aca73bc704a5953f8992e94');
INSERT INTO enforcement_events VALUES(238,X'01a2003b1614765e958aabb06a5a5e40',1,1,'sales@acmecorp.com',1,204,25,NULL,1795300202000000,NULL,X'f32ca2c72d834e4e3a231fcfff50d32c');
INSERT INTO enforcement_events VALUES(239,X'01a2003b1614784191ebdb296f791db9',1,1,'sales@acmecorp.com',1,205,25,NULL,1795300202000000,NULL,X'33dd024848459f2b237ffc8bb0ac46e0');
INSERT INTO enforcement_events VALUES(240,X'01a2003b16147f8ba401ee94d738d2ea',1,1,'sales@acmecorp.com',1,206,25,NULL,1795300202000000,NULL,X'64a278f0cc16b64d69f1f719c96e2612');
INSERT INTO enforcement_events VALUES(241,X'01a2003b16147f75bbce47ee9e529446',1,1,'sales@acmecorp.com',1,207,25,NULL,1795300202000000,NULL,X'bdfe4310a037cf2837019ae3baec0c21');
INSERT INTO enforcement_events VALUES(242,X'01a2003b16147220aa443d9c4b81c643',1,1,'sales@acmecorp.com',1,208,25,NULL,1795300202000000,NULL,X'163ace1cd12e46aa4f139bf92dfd1372');
INSERT INTO enforcement_events VALUES(243,X'01a2003b161472db8804a0003414c1fc',1,1,'sales@acmecorp.com',1,209,25,NULL,1795300202000000,NULL,X'cecbeedc9e98642d1ef82d66b3c53587');
INSERT INTO enforcement_events VALUES(244,X'01a2003b16147d5d89a5170d7511a9ac',1,1,'sales@acmecorp.com',1,210,25,NULL,1795300202000000,NULL,X'54fd935919a1b0324fd3677cacf56a11');
INSERT INTO enforcement_events VALUES(245,X'01a2003b16147ec9bd6777f325fa7f14',1,1,'sales@acmecorp.com',1,211,25,NULL,1795300202000000,NULL,X'7c8b31eb8e0965d109d1cfb466d3ee2a');
INSERT INTO enforcement_events VALUES(246,X'01a2003b16147d668e7e849334d6ce0c',1,1,'sales@acmecorp.com',1,212,25,NULL,1795300202000000,NULL,X'9abb185a9ca024bb1b7c12610abad70c');
INSERT INTO enforcement_events VALUES(247,X'01a2003b16147e0e850555f4f761dead',1,1,'sales@acmecorp.com',1,213,25,NULL,1795300202000000,NULL,X'0e40c72fbdb0337a70649ec336c7dbe5');
INSERT INTO enforcement_events VALUES(248,X'01a2003b161478d6baef45df7cff8310',1,1,'sales@acmecorp.com',1,214,25,NULL,1795300202000000,NULL,X'14e575e3f4d122c0b15a3906f8c48c16');
INSERT INTO enforcement_events VALUES(249,X'01a2003b16147b2ca7cfbd4395dc7b57',1,1,'sales@acmecorp.com',1,215,25,NULL,1795300202000000,NULL,X'0b8073230597bfb80b1def1dc13826a4');
INSERT INTO enforcement_events VALUES(250,X'01a2003b1614771d91175ebf5f39f50e',1,1,'sales@acmecorp.com',1,216,25,NULL,1795300202000000,NULL,X'5ac3a97bb297aaaf5872e451be01ac63');
INSERT INTO enforcement_events VALUES(251,X'01a2003b16147c94bae3d12ca1cf027e',1,1,'sales@acmecorp.com',1,217,25,NULL,1795300202000000,NULL,X'5aa552a228dc51858b9df48a66c7e097');
INSERT INTO enforcement_events VALUES(252,X'01a2003b16147d72ac25e573abeba784',1,1,'sales@acmecorp.com',1,218,25,NULL,1795300202000000,NULL,X'ed8d4c9ddb0bd3846ba1036a236f7766');
INSERT INTO enforcement_events VALUES(253,X'01a2003b1614730e9763c9f107f85d70',1,1,'sales@acmecorp.com',1,219,25,NULL,1795300202000000,NULL,X'aba0f5eb2619f2610a960171e074aaf7');
INSERT INTO enforcement_events VALUES(254,X'01a2003b16147a8dab7534da7ecdb07b',1,1,'sales@acmecorp.com',1,220,25,NULL,1795300202000000,NULL,X'bd38adfac5de2768008e90415cfdbdac');
INSERT INTO enforcement_events VALUES(255,X'01a2003b16147453ad7599f709a0bed0',1,1,'sales@acmecorp.com',1,221,25,NULL,1795300202000000,NULL,X'5b0dcd7fb7895dcbc90b68769038c306');
INSERT INTO enforcement_events VALUES(256,X'01a2003b16147a6bb9960a4fbf5d0cbc',1,1,'sales@acmecorp.com',1,222,25,NULL,1795300202000000,NULL,X'3ab7b5c2c2547a01bc76baef94626e52');
INSERT INTO enforcement_events VALUES(257,X'01a2003b16147c058e515616cdadb7e1',1,1,'sales@acmecorp.com',1,223,25,NULL,1795300202000000,NULL,X'627b9f3737b12e302c3e0645cccbbeae');
INSERT INTO enforcement_events VALUES(258,X'01a2003b16147d6480d932a98ba83136',1,1,'sales@acmecorp.com',1,224,25,NULL,1795300202000000,NULL,X'773b33489dd3d19d0e1905779d9fbfa4');
INSERT INTO enforcement_events VALUES(259,X'01a2003b16147f97a2ce0eeffec7035d',1,1,'sales@acmecorp.com',1,225,25,NULL,1795300202000000,NULL,X'e88eb9abd671cb1a7668b46647e75bc0');
INSERT INTO enforcement_events VALUES(260,X'01a2003b16147bfa8fc56d7e0f329c2e',1,1,'sales@acmecorp.com',1,226,25,NULL,1795300202000000,NULL,X'8256ed34d1cdb825674988dc45e7a861');
INSERT INTO enforcement_events VALUES(261,X'01a2003b1614787799f1c758dc885feb',1,1,'sales@acmecorp.com',1,227,25,NULL,1795300202000000,NULL,X'c2993cb7cec529d51712f0fa4f9d333b');
INSERT INTO enforcement_events VALUES(262,X'01a2003b1614719fb48bac77e9b202d4',1,1,'sales@acmecorp.com',1,228,25,NULL,1795300202000000,NULL,X'9841404839b2eddca6538eb2ec80d5dd');
INSERT INTO enforcement_events VALUES(263,X'01a2003b1614724f9fe3741ab8bccedb',1,1,'sales@acmecorp.com',1,229,25,NULL,1795300202000000,NULL,X'fbe9ab2aab7e8caec127bb41fac0aaac');
INSERT INTO enforcement_events VALUES(264,X'01a2003b16147b168db1b6c2c82f934a',1,1,'sales@acmecorp.com',1,230,25,NULL,1795300202000000,NULL,X'cd8b1de59a9066a7eafe620c4240fb1c');
INSERT INTO enforcement_events VALUES(265,X'01a2003b161479678a313b9154ccbea4',1,1,'sales@acmecorp.com',1,231,25,NULL,1795300202000000,NULL,X'b442f6295cdadbbe2940e0fb19a50f5b');
INSERT INTO enforcement_events VALUES(266,X'01a2003b1614743b91015885bfc3440b',1,1,'sales@acmecorp.com',1,232,25,NULL,1795300202000000,NULL,X'3e4bc3f4a32eaa1ea72512aab197a5cd');
INSERT INTO enforcement_events VALUES(267,X'01a2003b161474049b046a05d35136bb',1,1,'sales@acmecorp.com',1,233,25,NULL,1795300202000000,NULL,X'5541223efebda6bf30075e3258246cb5');
INSERT INTO enforcement_events VALUES(268,X'01a2003b161473daa598de7b6784f446',1,1,'sales@acmecorp.com',1,234,25,NULL,1795300202000000,NULL,X'dc70a773f4dd32e877710f8d3b08771a');
INSERT INTO enforcement_events VALUES(269,X'01a2003b16147b91b2f0e5165119d584',1,1,'sales@acmecorp.com',1,235,25,NULL,1795300202000000,NULL,X'498efe3e4eeb63ebe4978382b5bc54a4');
INSERT INTO enforcement_events VALUES(270,X'01a2003b16147706bdb28bf7d99e3387',1,1,'sales@acmecorp.com',1,236,25,NULL,1795300202000000,NULL,X'026349b812c02fd236b1ac54e6002aae');
INSERT INTO enforcement_events VALUES(271,X'01a2003b16147da983c08ebd5fd7142e',1,1,'sales@acmecorp.com',1,237,25,NULL,1795300202000000,NULL,X'338a5ddbdbd79308445611164a5d244a');
INSERT INTO enforcement_events VALUES(272,X'01a2003b16147743b0819619abc89be1',1,1,'sales@acmecorp.com',1,238,25,NULL,1795300202000000,NULL,X'09eb4d2369384911c9e2f474449bbf26');
INSERT INTO enforcement_events VALUES(273,X'01a2003b161479cf9a8b73e8ece36521',1,1,'sales@acmecorp.com',1,239,25,NULL,1795300202000000,NULL,X'44f95ec2512b2994e54484402afe4092');
INSERT INTO enforcement_events VALUES(274,X'01a2003b16147921986500fc0a808b1e',1,1,'sales@acmecorp.com',1,240,25,NULL,1795300202000000,NULL,X'99256190d4764981be159f4eac9518d8');
INSERT INTO enforcement_events VALUES(275,X'01a2003b16147fd6bbb3452cf14293f9',1,1,'sales@acmecorp.com',1,241,25,NULL,1795300202000000,NULL,X'153a7473c4d84858a6cd5ecd1dd71560');
INSERT INTO enforcement_events VALUES(276,X'01a2003b16147ff5962d9007a9f92f6b',1,1,'sales@acmecorp.com',1,242,25,NULL,1795300202000000,NULL,X'1c27f50ae69490b12df6fe0e45334366');
INSERT INTO enforcement_events VALUES(277,X'01a2003b16147ae0985c29079f9ba966',1,1,'sales@acmecorp.com',1,243,25,NULL,1795300202000000,NULL,X'c5f999c028b10fc783ccb5a59c878cc9');
INSERT INTO enforcement_events VALUES(278,X'01a2003b1614711eba0da8ad8c58b658',1,1,'sales@acmecorp.com',1,244,25,NULL,1795300202000000,NULL,X'380e3f60f5a76799725fe6d458dd2ba5');
INSERT INTO enforcement_events VALUES(279,X'01a2003b161471fea2d7a4239af11f49',1,1,'sales@acmecorp.com',1,245,25,NULL,1795300202000000,NULL,X'687e488f9821e80bf014d0d0f5f7b272');
INSERT INTO enforcement_events VALUES(280,X'01a2003b16147233908c7045a0879e12',1,1,'sales@acmecorp.com',1,246,25,NULL,1795300202000000,NULL,X'0c6d9f80fd9b142b8bf3156d1aa91e36');
INSERT INTO enforcement_events VALUES(281,X'01a2003b16147cb1808bd743b7b8d8f1',1,1,'sales@acmecorp.com',1,247,25,NULL,1795300202000000,NULL,X'0e65c44efe57d1145ff92aea87886d2b');
INSERT INTO enforcement_events VALUES(282,X'01a2003b16147e948999578b65fcffc7',1,1,'sales@acmecorp.com',1,248,25,NULL,1795300202000000,NULL,X'bf516f7ca3fb56b48f6ab2791f83a1c1');
INSERT INTO enforcement_events VALUES(283,X'01a2003b161478dfab0b39fa3a848da1',1,1,'sales@acmecorp.com',1,249,25,NULL,1795300202000000,NULL,X'6d593dadd05742c309d345096afff578');
INSERT INTO enforcement_events VALUES(284,X'01a2003b16147385a195a718b66229f9',1,1,'sales@acmecorp.com',1,250,25,NULL,1795300202000000,NULL,X'3aedf5c6f4e384772e1ad2f9354c199f');
INSERT INTO enforcement_events VALUES(285,X'01a2003b161473fdbac923d527f0d213',1,1,'sales@acmecorp.com',1,251,25,NULL,1795300202000000,NULL,X'6ba51490e22f6ce459973e0c017082d1');
INSERT INTO enforcement_events VALUES(286,X'01a2003b16147697bb521d939cffacbb',1,1,'sales@acmecorp.com',1,252,25,NULL,1795300202000000,NULL,X'63b9ac0f7afe0a74ab72c5e0be2dd697');
INSERT INTO enforcement_events VALUES(287,X'01a2003b16147ee3b57a14fee55c748c',1,1,'sales@acmecorp.com',1,253,25,NULL,1795300202000000,NULL,X'd116d86e36dc6503539be1f0e85071b1');
INSERT INTO enforcement_events VALUES(288,X'01a2003b161474a4bc7155122931e4fb',1,1,'sales@acmecorp.com',1,254,25,NULL,1795300202000000,NULL,X'eba2e099b63bbb07f76907584aaa1519');
INSERT INTO enforcement_events VALUES(289,X'01a2003b16147c46a3c94912aa821c1b',1,1,'sales@acmecorp.com',1,255,25,NULL,1795300202000000,NULL,X'747258df616c038617f8a87426659964');
INSERT INTO enforcement_events VALUES(290,X'01a2003b161472ceb212b5d0cc54623d',1,1,'sales@acmecorp.com',1,256,25,NULL,1795300202000000,NULL,X'9eaf9c80c413a13b17bad8f364cf8e73');
INSERT INTO enforcement_events VALUES(291,X'01a2003b16147533b3ff9847ee17f307',1,1,'sales@acmecorp.com',1,257,25,NULL,1795300202000000,NULL,X'6f4747c8678731a041cf9cacafd33448');
INSERT INTO enforcement_events VALUES(292,X'01a2003b161478b1b9a69bfd92d19ae8',1,1,'sales@acmecorp.com',1,258,25,NULL,1795300202000000,NULL,X'0bd916ce92f64cac0abfc5f8b76bb6bb');
INSERT INTO enforcement_events VALUES(293,X'01a2003b16147fbcb9bbb215c456106d',1,1,'sales@acmecorp.com',1,259,25,NULL,1795300202000000,NULL,X'8e1d1d96c756497f7cc5840086320c70');
INSERT INTO enforcement_events VALUES(294,X'01a2003b1614796eb310916681d23d46',1,1,'sales@acmecorp.com',1,260,25,NULL,1795300202000000,NULL,X'e7fee04f045574b5579190ff41c3d9a0');
INSERT INTO enforcement_events VALUES(295,X'01a2003b16147a51a32467ed4025a11d',1,1,'sales@acmecorp.com',1,261,25,NULL,1795300202000000,NULL,X'724d7e8c43247df2fdae7fccf5a5cb5c');
INSERT INTO enforcement_events VALUES(296,X'01a2003b161477e39a87fe3f53dd1bb5',1,1,'sales@acmecorp.com',1,262,25,NULL,1795300202000000,NULL,X'495bd7730aafe931f1bcc7fe2c36bba8');
INSERT INTO enforcement_events VALUES(297,X'01a2003b1614799aa018ef04cfc63a84',1,1,'sales@acmecorp.com',1,263,25,NULL,1795300202000000,NULL,X'1f925771bff5262ef2ce0c627666b728');
INSERT INTO enforcement_events VALUES(298,X'01a2003b1614799596fed9fb4dd94d54',1,1,'sales@acmecorp.com',1,264,25,NULL,1795300202000000,NULL,X'01a65b73cb0ba172032fbdc2cfd86ca1');
INSERT INTO enforcement_events VALUES(299,X'01a2003b16147e7baa197fa1f27ff4b3',1,1,'sales@acmecorp.com',1,265,25,NULL,1795300202000000,NULL,X'd78c35ecdbb76315be4066a1ae6abd35');
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
INSERT INTO jobs VALUES('housekeeping',1795300200024013,1795300200024660,'{"answers":0,"sessions":0}');
INSERT INTO jobs VALUES('retention',1795300200025024,1795300200025671,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
INSERT INTO jobs VALUES('retention_completed',1795300200025059,1795300200025275,'{"deleted":{"enforcement":0,"messages":0,"activity":0}}');
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
INSERT INTO licenses VALUES(4,X'01a2003b1e1370ef9000d383a36a5622','Main','pro',1795300204000000,NULL);
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
INSERT INTO sequence VALUES(1,301,1795300204052533,3197643,954968332);
CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's token
    user         INTEGER NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,                            -- to the minute
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO sessions VALUES(X'74fc3402992bbde3808796115cb5dc00d6e01c782dd8ff61e9b80a05a4b39dd0',1,1795298540701741,1795298540701741,NULL);
INSERT INTO sessions VALUES(X'809749bd2d34ed78b3d25034eb797be1c9ea9c19568a4d2698b44675dec01d58',1,1795275777215964,1795275778481058,NULL);
INSERT INTO sessions VALUES(X'a261e6f3c46e17f923d62dcd937bd5397307741d2ad1d573a52e366c426c7575',1,1795300204041733,1795300204041733,NULL);
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
INSERT INTO tree VALUES(0,X'ef79be728b7c5845730f42828342958327205ef08c14d80892cf9b9abe4d3e7ea5468d975501a13a98ececff7023424e6e16fca44f3d1f6c209d19a8edb8e37268daea64fea37144f4c71b53673cd020478d82fc115c620720633a4b1e5dbaa4fda195958d1f66a85b1ec61a373fb822ad7bf288a20397d084f2b987835fd260cf497d401ac9b22f1a2310a6bfa3c77adbe9c1b6be081bf70d82147e8818e1154d598eb5651a0eb80ef84efa9f09b7b36d53311846c55504a60b93233487e0e55aa738522bc3b57eeb2a1deaa893a63ac62300df713464aca1f4e814315572a766ce32dab2c4b384df8e898941d999b9e11a5a956b704720dd434a2b113d21fa91ab534251a6b4ac5c6416a88c70599373de19b244a613380b173550f039ad117899233001f58978cf1bb4c8f11b138d7117017f4a130db23bfc52f11bdefd96e417ed424ee359165da9a98bf7f2e0712b7925c5ae3bbfe6ce3d4e899ffd0e026d4f8cf58ff5eaaacd0eac9d944d557c5dd58252f7c624423da3038e8d7b0b888aab1fac9cc65f8fa34113f7226ac60eb433e2a83e6033a8284856e3cd1f76078bfbeabfdbe83576101942369c9f1c9b01e0325547dc3f24c9aa2c246008b2d35b522a07408624bff5373ee87103e77831281dae0c1d0127e6f9ba40e73ab53de822b1c60f90ce74db623d7352ba0066b7908c0353b58a0f6fb0bc5feda38ebd42bf59b60b9aa3ce2069bfb0633ebee6c03de6b65137e8e53bff19e86eee31fed0680a9553527efe3d9acf556a205eabfe50467c8bad25deada39a7175c396505e51f2e6d355404709159e8c3f742b1786efa42efa4f5cafa18cde6facea04fcb1a67f139d466b6b1534c1894c343cf336bfacfc0326a6aa041b7aa51397b3a6b6e14a5c2aa08cdf6bb841a229f872eafe6115dcca359f117bfd5e1e9e9e92fb7e92aa3fad26650d766486f624e420c3085741d927e912226ebd0fdd4b7ba5d6169b5f4d208be25eb30f66fd04291584a4eb74bc8f66180916ee19a9d49587548f347557fd406bcbf62321c859cc8c9e2814cb16e5caae811b7792faeb838d734d35e8934d6a6a2ee86cd8507c7ae68b40350f3ca60874dfb974aa32308598ee2c07c89efce3608dfba8f86e73d4ae81a0d54e647a4847d84747259b0cb72b22db8334a8a1122f66d9be7551f609347090d693caa0e1cb16944299c2bca435e01d61303eeff7617613c8c510bc53907dcfe091a210d23b21dcb7b1de136a77de6e2614274f9faf75dd3435869a2dab9f275f9cdd3e57df60f8e391fd488038f8d02fe81d9eeb89d1c03cd1387d381944e3662fe152a59773b6eb165446e67e9cf3d4d8438c194e5362d6d0e0d03133c3271d42ddc43e87b2037c7ce7886dd83f45e2b52f3bd65f8ea593820c25936e0a0ed0ece080707807fbe75ba4b819a3a45b088acecea1632a134eee6e814119c10157ac697bfc2aa7c74b209e895132e798a7aa01eb2dc34a1fdad4dfae9feebddd6d1a0e63979b4c2c735e60438c25e57f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce97f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce99711f353fcf29ff3acb7880662ba3f03359bf055d39895c4a52b87f8f40ff9c134ceae3067604a3506687b57f212f7b5b4c0b1bfdbaa3095916cb7e1763ae3297f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce97f9c9e31ac8256ca2f258583df262dbc7d6f68f2a03043d5c99a4ae5a7396ce90c729a5fc24fda537b67a2b0a10cc2942f0f506bd5d24a69b98b2913b93c663782e67f8f5aa268dd430d6d7d8597adcb1cb1e9c04b5548c980a78827be123eefcbe5e5a6562e7687c5014f0239573280c34962abf097fe90ffc4a4f9f340784d042a31b3b767b609fbee16bfd41572ce5f137f3b3f597433ac4b6c6342e3c0af1c4c9657e6549dcfd3b59278c79b14886bb9c7680941e9403af63855dca57665093c86dfad2d7af2cf76e8f63bf08b95305d3ba5e8047d8adcdde69b73ec0f092ffeaa54c916bb0d3f3affaaaf5bc0359b502497f3b16df6cfe878a52d8316044c099318bc8a2012ede7b09781888c7e9b002638b539dfddb924249bee544c73cb102485d0a52a6d45b5218289f8b3c7812d237e9e41b1d10bf3bfacc924b547520789ac039ef8edf5d6cde5e47042ef6866f41da000688ad1388cf3568bedde98a56cf1e4dd005744e4607ec785bb14b0da40e8f89f8a34f2d625e1597637e73975c6ee3639f90837ebc47fac9abb208f4a3b3eb54c18bb56e187efe5005d3abec39685aa33c27c73d565b9bb7bd7898b25c7a3837308a3aeb20f3f076882bb08771489c709861bd7a2f658777ea84601d486110ece21df06c2e3709d5ca979958edebac9ca67dca2fc6b790f99e62f423accf0abce4d128c545ef3440c09344c0b032f1cf85de990e9006c65be4f0b72d6130abe86739b3ff4f79350eb19c1a1cc62447449bcdc30acf13961552580d2d7ae4352db396d9fc49c3fd0edf0979fb46253929eb29230c74b445b5b81ac69f231cafc72cae675f4531255ab64a87ab10fcdad5364f69ea61adf06f241673b9e627e6c0cd30b0eb99ca898d7f0cd1a41e7d088a0978bc6006ae0a8a8458eb4d7f272d65bb8e6c6a70630563feda40fd337ae7a3a8fd2a7eb26e3e9b003919f3871f89df11ea9e38129b8cf3078122471849708b7457115fe86bd2d2f1a68b04ca0e937da57dedd50cd9d29ce19b683f603ed4fa6e274bab3f41fcd48e537a28e921fd61a498c1e0c78695e26bd067b0f363c7fb0e869d1e733912247ec47c13fed077c5ba3b06024c98eb5d1c08f1ddd3d15af19be083c06e3706fa4a7b426cdeb532cc548b072c3cb3aa6b7966944360b9bb0f105ae9c0079f030f22c767a7a5af29c9094c54db1a9d7bf2cad51536152d5e91bcbf916adfc5ab4cb07a89fd8c0ff5014e6ccfe7e13db9a13c6639a61539bd1940be1778efedd12c6f59b7c948977a2848fdadacbb9ac33c66779ffcc3a3c60e7703261508991faa4453cf66b1fcf6c48c4ab6b53fce90b84a636aade11aafc7dd2cd843317b398090cb9db054922def887f542fd52aa51b5cae59850f23f2d79949a22d5717a3ca2c619219bde5aaa48863acf4a1c32e8ebf47c1e64373eab4854058a5d84c577265e922c4b387f950ae9a7c69801398ba8692817c7526a617843002c8aab4ca6320602693c554c34b6d4d164cb1b11232d9b3ae28e5a7d706ad2727ab97867cf290c6d2f3559f1942100df623716df29a9da0da8c55173d4396e2da658b30f2ab98503efa4f62c53afbec663f4e1f3cc3c019a183784595126ce398852880b2fa916df3c84ce6693443c1a0947af04c64b5df35cbd2c65c34d396e1d376d7d234b7ff6bf461e877859e6b04fbf82f994d70f4ff3c25469a4958e8f107eec3623000356948a1930225824a9395854bbf522c465041a55964e6b3effab81f570a970d5fe1adeb9ef826a5aef7dfb3b00ab70475ae7179bf510a28082cbe2de5c0d5276017b2269f315fbe692fbf1198d98476e1245940f3309082520dcd21f92c4db5b1e734ddf15cf38c4b3f3c13b004ea60979b38ec0ff52d721f65c8d81dc14ef7dae4f612eed6ecadc799674a8c87ffb7e41ef9b1fe23e25c91e669beaa5f3f76b8e3ea2e6927d6fc7e5619467f38199491e2551ca08e9b272c963da85e90ee4d9153b2268220f07e2a55249583abd4ebc1ca38aeb942c3b1db563ad67a8672f715b64081934bcdba3343da54d4b6357cff229395e8bf65855fc2dce749e88a16e82b3b248dc325e5920c84276106311f94efb1dd40d2dba5905f6c57f4371b7d3fef17d4b66b59ea2764d2199faa5aaa48914db171ee9d9dbd9e81a301da28b3e723539ab2d9f5b7889c0e1addfc24208c6764b31078a2774d6cdafcabed8e9a1207a43b7060a999da236a3244e28bbc84be577f5548bc814815ae31f2246bea7b915ce7443db416a825d158a8e14fbf979f1b233f75e0da57c752c90cb16b8c71f84ca91a5c78bd90de5f1a3d9cde4003f13fa4f5b2db7b90bd9d9d6b9ca40d51f074ad3a3d8b14d7c08762d3f3ddf5a5f9642d2318f7e6d0cdb61c16ced8bf3786500ec598bac121159a82aeb71113e783e8f02985ace6d02978f01541081b20a1fd685e035895bc3602e1b7f96a7eaa8177c2157061c9674f53c284e46bfaa8c1699a2a3a10d9c0b04212fe7c882138a5f9e551889d33d62182020cfbc95cc80d25549b4f700bd966db7d6c669696f7c88e2350eff1f234ad9256926c3b894417f73e164de419bbb3735c05610ccd7ef5c8cf702638e258396f96bfd83ad0e481cb54d04e90452cd1c5eab73c6c8423575dba6fbec0727bab8b0511c86ca18b5a26d463728c301a1fb9bff092a1ddf2a66ac04589cdbc17bebad1ccbf111ef64de629937673b0e3e0f87c93a1f7bbf6aca81aa7031feace47cfdaf2aeb8690b4ebfd34334a5424ee564784af5e1ee1abaa6c30dd0409d2829ed955f67fde4dfda97a1c0e1abe3ca3f6f896ed44425eccc08c9cee376eac2b4b374686e6b7b1a6df21ee684df84a11d4249b8778f8d93d8273a4c9695eaaac96fcc3c79cb04abac98720d09fbdb551eef504459db202bcd6cdf019167ba87c8a27dcb6e53b4e3d8bea8810487afea10a8183d27ceb58a89391473df954d0f55e0850bd41894289934a7233589dd76739f66af3af97fbb94b7e6e1288e60306512c40617f63d2d25ea086526d7a9dd68b4e4cb76937a4dfb50827427101dd4923919d40e487987b79ff283aa2e254f39bb79de3539475b0674440ca12cb221940a291dd16006fb173d5c2367ce824b58fb0bbbc6c7dca1ed4af129c0539c68d17ac1953a12b361c54e00fd754551a4e2894f61c1f6bfa5ed5ca220e0c8b79e95b7da0ae5ed3eeb17f1607f624971859b8a622564a4a81bd1c1a923d1c1c3ca8fe2e54e401aca3b0bef08630d7d88b691f94a97e18ea37814cb43465efa049169f626212da01c270e5b934083f8b9867222c006e7549e7f435741af42ba8d5e23cfb32f9489db00b73a606ef9130ab03b7e11a14c768244bfcd285acc95f4303712d5ba6173dcf7bd055ef0dbd7aa20e24d68a5fcb0f6a31a55a172ba93dd436a2b4d031ecfea23e3b972a528392eb39dc1969c0f89c2ce5ab81b2161117e55f357248f8f4c011f95a22a17f017ed8e17c56d0cc4ef826c8f5a6799567ef00ea8237d04d7d445d9bbda232bbfabe76469934b071773a2f7237153bc0538134effd85bdbdcb9db1102ebfb4843dbf658bd84e687bf0b8a510fc6da4080a1db10255c0a8ec6cecd0c0329d590d297a7c6eaa1ac24e988643ed1c78426aee4e917f23d7f7afa58a1062171ba8c1e48d49baf22b0661c55503bd12cd3d6b05655d07728468c2a73735ce2b9470493ee2ddbd55c7b01e61c5f6bcb8eb56295e060576bebfc00d46280136facdc7198d67b4ccfdfcf4c4d574e91c5ec51147cb9a892c2b4d912853d58a87134bece65fb992c3f09ac9d8051645cfa7af3e785fc764d3a325a8da2771c27d539fa4994c99718952d68c51c905b253d6a03f1fdc4cb215c51eb785f9c06c98fffc1cca91733e924b39a1e26dcf18b7');
INSERT INTO tree VALUES(1,X'1c5a1c97a0e4c103bb9a2cda6c4bf014fdf929d054d392253cbe2a661c623ce2ea513c52f317a42e62d5a862dfc1a59779542d1a1e1b83b413bf86f38cb7645c0967f84eba3f309a5251d92e77e70732c32f70879cd6069aa15985f8dd3349e00e465b06ea874b06acc5375692a707a78afe2e81a39fcb8d0798e37e8ea287466d41b9ca4e850d97149cd78fdc902a636914b0a5b11c2f2183e04d1d4bca0ae3c6dc7eb7d1c61bbe7baa4eba18ccebb33f8ceda7b3f9ce569015ba6fe6f589ab1f0a1119de88daf1f4d8b418c5b21f6fad6b20a57af5e2866aaf3e01b752133dfa2931b84fe64e9a9facba85f382a7bceaa465a71701698611df9403aed048c443951cdd93e60a36fa018f9a8b67bab602a99945b96e7a69c0452ffae031b4f819dc04620a4cc4f611df7107e33c01d2a53c9b174d8f1e25f6de59e96ea7c297a01452e1292738ba811303591708b124ebbfe1975cd007752802124460a3ed1fdc3bf383b3ff7e53dcb4eb2163ddca5823017a5c66690f572e92c3ff039b5cfcc35274a56b62d8f2dea64cba2cece0b0319f3dde333ed7ccb40a2a40c5a842c6dcbad8966a3a0607725b7e440b4946c62a14cf853a77ca52540db14ac68ab9f6f8e7652b132780ee99db81dea67d9af6fc98e4a616a7d33f08af0c83ef4af0d2d5673fe737a8a3c2b4403dc05eb2ad2a39708cbec910ebaadb0ce872eeef7c8ff7de41ededea700dd6f4fe4dac50238f61a7f25f71eecb1fab4d3c6c7e5c27f17b527a7de61c469f898faf452e898b848f924dfb2e1545a5b3643e4201ee9204217b7498485482dc47ba30e6e09f830f10a8d2f357bf1ef0f47bb194089339d59c4d685dd3aeb14558bae9afaec2be6874c05bc399141ad02c880705b2f67c5925b01ef2ad4dfea3851ff9f1e2c1affda7f350e04e4b92b5dc1934d2f0353996acb23850fa166b0881537e716bb3d533ec51b1aa9c6bb621ba3fd59f74ccef9473041baeb38351bdf9f070d9e874b2486e3526a28ab6d1e04a348a977f7a81f9afd59718cf30170f05fa0a7faf055633247676fae08b64692d2605226e319f4b38ee07508cf5376a34d3e47fb3df28d02aa33dbc36e291fd50c2380676b4e8c81494bbad1d4093501e2d407300fde54f873bf2e7ef6b2b9300260f82de78f7cb7bc4cd1ee5e8748f319947b1d3236e2e1ebbb29692843214ccc66c87cd4d65843aa1def1901964cd3c75aeaa5a387038dd8977e466f3dabb963898d904d1e8104d91b9e6b1f96c539ddc674bddec615713b17794e297577eac2e65f1b0ad3a08bc5d6e3e14efbb7d06effb541fbb9922a405dddabe3385ba037e6ce01a63c0c6e601e6c20c0de2ba2a0df33a82d270860cf9a48c955327f3e6d56883bab3829ba7f5fe4b41406268e205bb99c04983917fec8402c32f7b1fc2e6b8ae64c9bcd8dd1e17a17c0960a0c3102c5984dd747969efaec96431a98413d27fe558d3f4d2dbf4d3b4af054b6f161f3f7fe6220600ca36b168c5fe424384066629f8f558cff52037ffe2b745ad5d5a1c333e91f6d663c11010d4c5fe332d4d26f318c472cdb70ed904bd1f81a6408a485904cad9f14458803e90d7515820807d7bc0a222b0972827f94f4dd780e265c3fee450888abcacf255d299ed4a3df4c2a266d54b1d0c37b83d093b885b2b970279189e9236be45367c2e911811e77b53f90798c9ca752243f458dc2e95d0a08f15bce1d0683ac56d11d480b90788ffce6b7b07e5b8b16ffd5c57a59902f9335d53097adaa14accb0355bc5e2a8f73842fec508c6dcc00af25084cf5dfbd692a72689352a687191505a4f471f78e3a81b0c73cff1e8ed3695930a6fa4beb5cf5567294de41163b625e19f1abfc56c5e087bb8dd605ee749e70a722d8346d932a6b9c926a0846bb9b0b6c88f7b9bdf3f05705e9871d2f1140ff65f0814b18609cb470a3413e2a141261144886bced358c5aa66029e87f76db934acf3cf0c2714392534fa373cd8cacb09413eb7c6e5fbc4dbe6f6df193eb26c8684008ff7abbea97c9c2b8dd2a9663c9f04f9f3ae19783c6facdda2fcf4548f6b657a28bad9522fd091b5a8c15fce1fa60444379b4433346060ad698d6df91461d8cc3e9ce6a406c15350b0558ab8bc3772ce0eb3727b7661b0b592e47b44343468ed5a0cafdd10de0070318be9b63878ba7093fb1804b6d6cd3534e42095caacee562ee4c6fa7dc80792c825011901bfa14219a3620775c38edeb6ca6fd6a8c3eb40669f24bf34532f0b5e3efdf59b8d142a380bb5221a7f7eeab8ac7647047f75281887987ff85581fe0bbd2a75d01c357ae5fc57ae865702656c1adb3a89fab109710f6a5d61fbd358b2e30c671c86207b755ea667e1fdd76c3be67019f5192c43d80da3995cdf7666842463385a731001ee800c3094b6185f43446b6977e156a157d4fb959a6b783671015807c9a05bcdcd890e4ced2fa6fbef099ef3c0b1a8f0b799eb131428c29baa4ca94e1e76a78e8f59c76f1a5766230879525ae73cc2d9b30ef0251fab9158db0673fafb314c5c2ab8b0ced3e546f3ba4e205183a3e68dec6816ec9214995aa403c33a98367c1e65a5c68a62e49f62861876199468dc512e9dd24a06471e858bd036dfdb647df320e62bc9089d7832fcdfb3cda6f9dfd85fbf67b6589f193ec29f25fce6b1900f8193a3bb97f809c1539da9225918899bca92cbcfdf5258387ba8da89f116b8774d726b9caf21950511a790edfef10d9a1408b91b198ab9b88a685ead09ac0fe2166756513556392a4859272fc376e3c512ed4c304fd34652273069b152bb83049a8f885962e3d1423f014a555a6793f826db53354591e250c719449e30e54c44604ab0ef42201ebcd52d51c9e285bda5cb4b5c7fec4ea2c9da69cf3623d6c3a854a041e5be40131eae00bd004c63975458303d826a7a1997fb5cfd5c2b08898ba256cff1687932ac84bbe3e6e3519e4dec85f7a2b5fe13b56e40be2939bdae1cc467d6e8a46ca89cba8e9e629b74941f147a21b99d697c3e5f928602e524e237330ea42df4fc22aae509bc9a9a5e60460d445cf06a936a656361105d65f4b82b32757f6c372d8a57040efbf40136524f87a71a6375653167aba23a19e0dc10bfd4eee767bc0819b791eb45033b4473febdc4b52a3d99257bd395775efc1922c69ee92ea22af71ae76b51c93b697594897e456b71b7a2d0f80c1cf8e68db036fd8c3c1777704758dde7115d74b53969bea6d3dcb958d3d5fe6ffb6c635a3d893642e7ea8e43fedce79590337ba060c8d4c36e16b955511190bbf80a1bdabc5e6a5e8cf1068ab3a65783cd259819a32a098e3a7c51c621a510579fba372d0d463959d3cfffdccb41f69309aa4bea15720b85ad1ed1bafd23e742acc9945d0d989120338e4c3875659062140c58db66fa3699f8dfdd77df6de966a98eda309b732c1d5558d1ed63a0b84589dd56b81b786be4be3967322878d19f2145214541d7b8780f9850251757eb9da703132762e8a2f6c9a3f5901e8b3efa9989933f44cdc9758e4edf72eabf245eecc534f438eae22e7fb59b3c847b24983d6bbbbefc599f52b4fbe5b5012a6e55d81a3e5ef3189e6c18eba76657997bf3cce4d6522172172ed1a0e110a8ba50df2762a7f4c1dde771bf580a767f56e39d470e9e61dad72fdb87482199e73209c4ea3926b1e5fc8ff6d112067b91157688115d75770449394ff93167f3c851c8ac3612a621ec0daabf2c956cd6064b3e15f7bfb7e2d26920c807e238ada525f19f78dfaabcdf554c667042aca2b5fb6e434b8caf30443346966a7767e518ab254ef61a4f08778324943fb2c27816575ea85aafce29ff96542aafd7422d2f203a06cbe88556d0838f5801298226f446f024efe73205d5ebf262116b4cd85ee96c93a6a99671622132933abb2eec439031ab5d6405ff95f8ea7c04a3839dcc84c60280670e205a1bb04c2581c94b93abfb062c691daeacfa0c7feaff88b43bc5f8731b37790f8a8f5cf8e25594023d8be26cc36269ac0cf14eec8b80a974b32565f34f4ac9cc36b9504b69957eb9c67de4aeb5a85f541cbc9f7eb4ad89c3e653a71beb67a7df4f4c4eaa7f163daa2bf5999612771fae3727b07c6125d8b9616b730bde842d071bdfa8775d5f4518a9b920f44ec3c5599c3d40780a3550650ba445023503d912d321b91911a930fbc5cf699198f894fa776e4800315dae40e1137123310ca39823286c37caa99e837585e3d44e617203174d12e10f70851e2a4b9b8483bb5dd1b306bca6e4348287010ba3f2b75533e4de10cb6ac57a6ed082555b3dac3a13ff885c4176054be43cc290f19efdb5a235de33b9387cb6eb5f44a02f3f9e01f2a8b863bdfe6316da9eed5e04f6ccd28587d1d6049b645bee5497b6764eaa6c70174dc12da5e61f24e25d70b5a56a02cebf4f8ea8f0c0c09d10b785d85c691cfdc5bea6b48a8c9a1f2555884f309377174882a85d0490a3828bdf304098e9df56cb2a99ff849ff0e3bd05ff6874b2a671dfc837900c5a5c718b9b4316f6b574ba6dd9ec137ec698e0a16ce258356f225229641080cce6bfb143a3cf4d16a99e8399205dc7697a1806c36ecec0eae08f004b1ee407c872af303506bc9c78e974048b439b6725c1b7d5fe0d607267cdde3277ac6ffd643398d72cfc5cf31fb266c0021d518015f78e06be0c9224621fb6644bc87138f6d04ff7710f151250141220115d790f70b25fca3458b8d2111afdea49de0e195c33e7c447138cfbfbe91d07632737c5f7d85f6e5c6042f1c8adc410a79b72462874029977deabeb98a870ff062bc145295b89556901478305b2b37cd54b841fed1d39764571c0256de4e079e9329ed1fa899545f231ba9635aca43aa311f814089d142659566af396579833af36026fa27e259258fade4b7eed04367676f9cc1bf8a74a8d1cf8ea0c0129c46bee208a2eb08476fbc65c9c34cb78cb3256a81a87e9c6e7187f0d035f696d4072399279965c4d6891c5e34282e8886dee57e146c87db7a3407585687935b28ee3b49e04bfb712248fb7e8592a4da211ab29e2bdb1a75df009278a42c03adc2c4b167abda20fc37bdd8b4d69ac076ae9663ac6161354e5a135cafd60f9c1b404e7deef416f983ff0d03162e8205a12ccfb232d3cda5a73be23313ac4a2185cc9b7331257b783f3ddbc3de6dda807e5bb87a233343dd5a432699a6e16a8e3741777a2bc2ab8818e274771b4491ba680a26bf1e9592d292fec621fd16da6b503100d197769c787f7a9a02d92625a7fa20dca7dd100606777cd06f0659013324a7f926b5e062f4751bab020965a2d11643c59e09ffd42f9fca2b61c6a2c1dbc95246055b0a5ec3994dc3665a1dc1550075d2ad359353103ba2bf0a6d9cf79fc13c03cbefca05b5e4a80a718c6c5dfe30f009007aa51d9e2fca15aa57d5da5377c5fa217a8b0e3fde435f4c39b4bd79fa395f5813224495406cc16efaf1f5bfb94d46a3ca5f0fb76438ca70c7e3148248d5f7d66f1f5aefb23d71fd30b7bb9d9ea71926c9c9572a4484660ac63df49910e7e94e25f15b5646e27088c458198d733117cb779ff843620620e62741fd0bccb6434a4238377385bd2efa595e672b5f116c1f48c51fd3a48515d6724a7f2d039bf182c968a39ddcda7eae76c5197c5');
INSERT INTO tree VALUES(2,X'a74fbc9794017f4be50658eb2b08010dd178ee7225a20710686497498eb601c9e4aa691a95ec118ea38fc6e6800761b450caa4954f9b2876a131ae2de30a86313149d59c34e3bee8922908029e0aa55cf938f3dc4ea6050ce6e796174c12b13f6d3a59d2764329d0905751f7d2d616e51193f7d050a9be60615e0546e6b9830143342fdf4926aafa186527b87ef8f40a22275c263fe6ba6b4ce798c0655864fae0bd14540da6e766a69a285d7536f39d5a51f551ccbcc7499da3d190edabf6a2372da965c612d56f62c38bfd42749b02d11104a97513c5a62f2588b7398d46e85550836d5c7db39a5eee043f3b7c79650807a22fb9f16c86d3771a28b1af52624ac9abec666cb8c421f88ec9e50d891f8e68c3141a9ea4c9fe7203e0fa940fdc0d486f43697b79d01bcaa0a834c32364aaf91ee4a37b73779c925ae4f668d272f40f105d66686cde1767fbaabe63e17839eeb1d4fbdc3b5b7ff9e67fef0c503aef8aae06b862cb8dc97196c8aadc5519718bb4e37ed68d591b300954217f6dde9b75cd271fdf6033132d46332f1c8dad0fe2bd0247140feb6a93da918ab554d0c91a87ff298bcece318849746c154207eb3f9114aae31b1e86777c9b3dea8f69aa3811fdc2bcf5cf04592794c60e511af4935b2bfb0a467f3ce4b38b1a3f01fdcbbcda858854ae03d3fd3b8c56a7ec2ed8e74b98a553d600930be4ad8d0c9e07a58a0e4df589c2bfaae37f8da007c52c8ba804d82239fa67123d3aab94d821ffa4dc297d221245a474ab77e81b9d84b61ec8338be39ecb3667ad3d45c63d047944311b4a7dcd4ec4fb45b5bb339ee3837444102889a1d7923d61eddd9641f059877a030bfd76b0eecdb1450ce8e760b2b2891fd9605ce9831761e7008dd6d27cf6b656a86b3ea15adc4efc18b42384b16eed7ca65caffad29f6869de4e54c1c82899def6a778abfc24ea503e9689e15e8fcc0c5a012eb984d02ab454c103afb2f82944a343f335ed595c53286c3ac597d49579706b08e77b0a7588c589cc1c69e7337f4f31e48b4fbebf9d76c6c4fcca6fbfbefbf3aa14ffa839d46fa13ad14b27f1ae0cfd27b81eb0a124c67180caca73b61a1f52233ca9b6d4be576e8e354059b96316f8cb2d36b2408addd1cfcd6b718b7c5a3a255d42bcb8153c649a1bcb62da32191bf256e6ee62802548ddc7c3a9ce5ee635c94baae11974909bd39a74806b8559674331846447d67ff6b648f5c5802ba35804334374dace0aebe974ed5de3f9818656d091cb470b4fd4b1ee5b0499d6be800c2a0705c568a18765aefe8235131bca52d645043ec42ba998660523c2cfa053cd556fb38713a78c28c017cf766ab1eee8395cb6fecb7065ed47b74a50de33534c37ae3fdd9fc1c537116db5a36af16432908909f388bc3cd6481aca186ec9088d6102fa259bc7adcf4e7ef45494edbe8f573e6e7dce6396099d1f733454fc539b06557a482655a9cb943bcb305cbab2d14e3194c00b144ca292b62b557f22968ed22f5dad40351c1cc32cf5df034007b86bfe0b5ccd752c3535895347bb18c6eb43f013d6a9ed372c1fa872ff4c9822bebe65c2bcf907e3ce686b4af107bfd0eee74f11070aac6aee8664f25b57d75e3cbaf23e98f78dfffa9f32d813669f66fb5febce201f3e0308c8ec74a9e3f4660a67acee2cd0d14153b7ee918449162ec57773092a0516676978ab522c9eaa4644979831f9af4688cc88c934196bf6c55ab7285b4682c36c84324a6052527a8cc7863c4ef9e1c8eb93bf68c2bc1c75424809aa5f01b8a3550079581d874bbdf92fe831cdde43543d72bbd8f6446b6498e25daa9d1d967ad85c2954ee8b94cfff909c0954b02a3657449e36e364450fa3e9dc79fbe60b5c7de49e5fbd9ba346b75b47423bd6b4ef3edce6a12e09066059cf50a8a801d0da319c26f0e7dc71df175984e3c24837776ef3f449b656af27f5eb6f2cdb09b7930b2696514bf4a82999de3866c7d730ae1bdedd8f570ef07fcd0447943bc13375dcc71e33cfe369cafc5cd79593bf714eb9190d815e35764e041345c36c92ff953614ddf6bec65bc153f571cd61c8f47ad0cfce949e67f0c67e668653aa184caaa3103e3bebf617910412ad61ee0f281ef35ce6eba54eaa60ee4b15aba5fa2d305343ccbf1edb60dac49eef6854e1ac633af2cf33f2d0d2a34d99bbf95e1b87ae59e252cf');
INSERT INTO tree VALUES(281474976710656,X'af116b6cde211f530da6bf64a71f12f5a4210ceb38f1712e91f48bd60b81baf8');
CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
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
CREATE TABLE epochs (
    epoch    INTEGER PRIMARY KEY,
    verifier TEXT    NOT NULL,
    began_at INTEGER NOT NULL
) STRICT;
INSERT INTO epochs VALUES(1,'vm/mailtrail/6df54df3/1+666e59e3+AaiKto/8qbCwWYPfXvHEARYorULawphiwLU4rvGInFqB',1795300200015153);
CREATE TABLE seals (
    size      INTEGER PRIMARY KEY,
    note      TEXT    NOT NULL,
    sealed_at INTEGER NOT NULL
) STRICT;
INSERT INTO seals VALUES(59,replace('vm/mailtrail/6df54df3/1\n59\nZeAsXfKkDUH6nouTmTku5745tQRvdOkNC/qzPlYbmIo=\n\n— vm/mailtrail/6df54df3/1 Zm5Z42yZvI3s9dEMGHj19s6Oytve01ZzYvMrghwA1Hdc/RoA2VFlvBkX6AAEEXSD7ubauloHQ/7Is7XieqiurO5cFwg=\n','\n',char(10)),1795300200023026);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('api_keys',1);
INSERT INTO sqlite_sequence VALUES('licenses',4);
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
