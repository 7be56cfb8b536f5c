-- The whole schema as it is now. A new database is made from this file; an older one is brought here by the steps
-- in src/store/migrate.rs, and a test holds the two against each other.
--
-- Times are whole microseconds since 1970, UTC. UUIDs and ULIDs are their 16 bytes. Small closed lists are
-- integers whose words stand beside them and in the slice's mod.rs. Owners are named inside by a small integer
-- that is never used again, and outside by a UUID; they are never deleted, only marked, since the trail outlives
-- its subject. Every row of a log is a leaf of the tree, by its number; the 16 random bytes of `salt` are part of what
-- the leaf commits to and go with the row (src/tlog). Other things kept for good have a checksum of their columns
-- (src/store/checksums.rs).

------------------------------------------------------------------------------------------------ the floor

-- One row. `seq` numbers every recorded row of every log: it is the tie-break of every order, the cursor, and a
-- message's id. Clients keep ids as cursors and rows are pruned, so no number ever comes back.
CREATE TABLE sequence (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    last_seq        INTEGER NOT NULL CHECK (last_seq >= 0),   -- the last number given out
    last_now        INTEGER NOT NULL,                         -- the latest time a write saw; time never goes back
    -- In every activity's id, so that no two appliances make the same.
    salt            INTEGER NOT NULL CHECK (salt BETWEEN 0 AND 16777215),
    schema_checksum INTEGER NOT NULL DEFAULT 0,               -- of the statements of this file, as they are stored
    n_leaves        INTEGER NOT NULL DEFAULT 0,               -- of the tree
    -- Those behind the last full run of `tree`. Every commit writes this page anyway, and so none of the tree's.
    leaves          BLOB    NOT NULL DEFAULT x'',
    believed        INTEGER,                                  -- the time that things end by; null: not known yet
    uptime          INTEGER,                                  -- what the machine counted then, since its start
    boot            INTEGER                                   -- which start of the machine that was
) STRICT;
INSERT INTO sequence (one, last_seq, last_now, salt) VALUES (1, 0, 0, random() & 16777215);

-- Each time a person said that the clock had been wrong and is right now: from here on times start again.
CREATE TABLE clock_steps (
    seq       INTEGER PRIMARY KEY,                            -- the last number given out before
    from_time INTEGER NOT NULL,                               -- the latest time a write had seen
    to_time   INTEGER NOT NULL
) STRICT;

-- How many rows an owner (a tenant, a mailbox, a project, a workspace) has in a stretch of time, and how many of
-- them are of one action, outcome or person. Kept by store/counts.rs in the transaction of the rows themselves;
-- `total` and `offset` are answered from it, so that they cost the same however many rows there are.
CREATE TABLE counts (
    log    INTEGER NOT NULL CHECK (log IN (1, 2, 3)),         -- 1 enforcement, 2 messages, 3 activity
    owner  INTEGER NOT NULL,                                  -- tenant, mailbox or project; below 0: a workspace
    kind   INTEGER NOT NULL,                                  -- 0: all; above: an action or outcome; below: a person
    width  INTEGER NOT NULL CHECK (width IN (0, 1, 2)),       -- 0: a day, 1: an hour, 2: thirty days
    bucket INTEGER NOT NULL,                                  -- the entry's own time divided by the width
    n      INTEGER NOT NULL,                                  -- rows; a bucket that comes to none is removed
    PRIMARY KEY (log, owner, kind, width, bucket)
) STRICT, WITHOUT ROWID;

-- What is needed to make the first answer to a write that named an Idempotency-Key again: a retry gets it, and records
-- nothing.
CREATE TABLE idempotency (
    workspace   INTEGER NOT NULL REFERENCES workspaces (id),
    key         TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255), -- U+0001 and a SHA-256 of whose it is and it, in hex
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of method, path, query and what the body says
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,                             -- see kind; its last 32 bytes are a seal of it
    created_at  INTEGER NOT NULL,
    -- The body is 0 the answer, 1 the numbers of the rows in it, 2 the name of what it showed once; 3: it was erased.
    kind        INTEGER NOT NULL DEFAULT 0 CHECK (kind IN (0, 1, 2, 3)),
    PRIMARY KEY (workspace, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);     -- the scheduler forgets the old ones

-- Texts that come again and again, each once: users, actions, user agents, kinds of targets. Never removed.
CREATE TABLE texts (
    id       INTEGER PRIMARY KEY,
    text     TEXT    NOT NULL UNIQUE,
    checksum INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What each job of the scheduler did last.
CREATE TABLE jobs (
    name        TEXT PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT                                          -- JSON: what was done, or {"error": …}
) STRICT, WITHOUT ROWID;

-- The settings of the last start, as `mailtrail config` shows them: the next start tells what was changed in between.
-- `set.` and a log: its days as `retention set` said, which beat the configuration.
CREATE TABLE seen_settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL                                       -- of a secret only whether there is one
) STRICT, WITHOUT ROWID;

-- The backups that were made, in the order of their making, as far as their files are there.
CREATE TABLE backups (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    file      BLOB    NOT NULL,                               -- the whole path
    made_at   INTEGER NOT NULL,                               -- when it was begun
    scheduled INTEGER NOT NULL CHECK (scheduled IN (0, 1))    -- 1: by the schedule, which removes it again
) STRICT;

-- Set only inside the transaction in which `prune` removes rows; the triggers below ask it.
CREATE TABLE pruning (
    log INTEGER PRIMARY KEY CHECK (log IN (1, 2, 3))
) STRICT;

------------------------------------------------------------------------------------------------ owners

CREATE TABLE workspaces (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    hold       INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)) -- 1: legal hold, nothing of it goes
) STRICT;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    email      TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name       TEXT    NOT NULL DEFAULT '',
    password   TEXT    NOT NULL,                              -- Argon2id, PHC string
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    maker      INTEGER REFERENCES workspaces (id),            -- the workspace that made the account
    -- When they chose their password themselves: from then on no administrator sets it. Null: it was given to them.
    own_password_at INTEGER,
    canonical  TEXT                                           -- the one form of the address, see src/canonical.rs
) STRICT;
-- Login looks a person up by address; one living account an address.
CREATE UNIQUE INDEX users_email ON users (email COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX users_canonical ON users (canonical) WHERE deleted_at IS NULL; -- not unique: an old file may have twins

CREATE TABLE members (
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    user       INTEGER NOT NULL REFERENCES users (id),
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),    -- 1 auditor, 2 admin, 3 owner
    joined_at  INTEGER NOT NULL,
    removed_at INTEGER,                                       -- kept, so that old entries still have a name
    -- When they agreed, by accepting or by getting the account here. Null: an older version added them unasked, and
    -- from where they log in is not this workspace's to know.
    accepted_at INTEGER,
    PRIMARY KEY (workspace, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members (user);                  -- which workspaces a session may see

-- Open invitations. One that is accepted, withdrawn or over is removed; what became of it stands in the trail.
CREATE TABLE invitations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    email      TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name       TEXT    NOT NULL DEFAULT '',
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),    -- as in members
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the link's token
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX invitations_email ON invitations (workspace, email COLLATE NOCASE); -- a later one replaces it
CREATE INDEX invitations_age ON invitations (expires_at);     -- the scheduler forgets the old ones

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
CREATE INDEX tenants_workspace ON tenants (workspace, id);

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
    sent_count       INTEGER NOT NULL DEFAULT 0 CHECK (sent_count >= 0), -- recipients let through since window_start
    blocked_at       INTEGER,                                 -- when the limit was crossed; null: not blocked
    created_at       INTEGER NOT NULL,
    deleted_at       INTEGER,
    canonical        TEXT                                     -- the one form of the address, see src/canonical.rs
) STRICT;
CREATE UNIQUE INDEX mailboxes_address ON mailboxes (workspace, address COLLATE NOCASE) WHERE deleted_at IS NULL;
CREATE INDEX mailboxes_canonical ON mailboxes (workspace, canonical) WHERE deleted_at IS NULL; -- as in users
CREATE INDEX mailboxes_workspace ON mailboxes (workspace, id);
CREATE INDEX mailboxes_tenant ON mailboxes (tenant, id);
CREATE INDEX mailboxes_held ON mailboxes (workspace, address) WHERE hold = 1; -- what retention leaves alone
CREATE INDEX mailboxes_blocked ON mailboxes (window_start) WHERE blocked_at IS NOT NULL; -- the daily reset

-- Every policy document ever put, so that an entry's policy_version can be read later.
CREATE TABLE policies (
    mailbox  INTEGER NOT NULL REFERENCES mailboxes (id),
    version  INTEGER NOT NULL CHECK (version >= 1),
    document TEXT    NOT NULL CHECK (json_valid(document)),
    put_at   INTEGER NOT NULL,
    checksum INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mailbox, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    hold       INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX projects_workspace ON projects (workspace, id);

------------------------------------------------------------------------------------------------ callers

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
CREATE INDEX api_keys_workspace ON api_keys (workspace, id);

CREATE TABLE sessions (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32), -- SHA-256 of the cookie's token
    user         INTEGER NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,                            -- to the minute
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_age ON sessions (created_at);           -- the scheduler forgets the old ones

-- From where people have logged in lately: who guesses elsewhere does not slow them down.
CREATE TABLE login_sources (
    user    INTEGER NOT NULL REFERENCES users (id),
    source  BLOB    NOT NULL CHECK (length(source) IN (4, 16)), -- an IPv4 address, or the first of an IPv6 /64
    last_at INTEGER NOT NULL,                                 -- the last login that succeeded
    PRIMARY KEY (user, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX login_sources_age ON login_sources (last_at);    -- the scheduler forgets the old ones

CREATE TABLE licenses (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    holder     TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

------------------------------------------------------------------------------------------------ log 1: enforcement

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
    recorded_at     INTEGER,                                  -- when it was written here; null: created_at
    salt            BLOB CHECK (length(salt) = 16),
    recorded_by     INTEGER                                   -- of texts: who wrote it here; null: before version 6
) STRICT;
-- Lists are newest first by (created_at, seq): of all, of a tenant, each of one action; of one mailbox. Every index
-- ends in the row's number, `seq`, without naming it.
CREATE INDEX enforcement_workspace ON enforcement_events (workspace, created_at);
CREATE INDEX enforcement_workspace_action ON enforcement_events (workspace, action, created_at);
CREATE INDEX enforcement_tenant ON enforcement_events (tenant, created_at);
CREATE INDEX enforcement_tenant_action ON enforcement_events (tenant, action, created_at);
CREATE INDEX enforcement_mailbox ON enforcement_events (workspace, mailbox_address COLLATE NOCASE, created_at);

------------------------------------------------------------------------------------------------ log 2: messages

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
    salt              BLOB CHECK (length(salt) = 16),
    recorded_by       INTEGER,                                -- of texts
    text_problem      INTEGER CHECK (text_problem BETWEEN 1 AND 6), -- why the text was not read, see messages/mod.rs
    CHECK (capabilities IS NULL OR outcome = 1)
) STRICT;
CREATE UNIQUE INDEX messages_message ON messages (mailbox, message_id); -- exactly one entry a message
-- The vendor's list goes by id: of all, of one outcome; of a thread.
CREATE INDEX messages_outcome ON messages (mailbox, outcome);
CREATE INDEX messages_thread ON messages (mailbox, thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX messages_mailbox ON messages (mailbox);
-- Our own filters, and retention, which goes by the entry's own time.
CREATE INDEX messages_received ON messages (mailbox, received_at);
CREATE INDEX messages_sender ON messages (mailbox, sender_address COLLATE NOCASE);
CREATE INDEX messages_recipient ON messages (mailbox, recipient_address COLLATE NOCASE);
CREATE INDEX messages_reason ON messages (mailbox, reason) WHERE reason IS NOT NULL;
-- Rate limits and budgets are counted from the log itself: what a rule delivered since an instant.
CREATE INDEX messages_rule ON messages (mailbox, sender_rule, recorded_at) WHERE outcome = 1 AND sender_rule IS NOT NULL;

-- What came later, in order. The entry shows them folded; nothing recorded is overwritten.
CREATE TABLE message_facts (
    seq         INTEGER PRIMARY KEY,
    message     INTEGER NOT NULL REFERENCES messages (seq),
    mailbox     INTEGER NOT NULL REFERENCES mailboxes (id),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5), -- 1 thread, 2 reply, 3 bounce, 4 tools, 5 tokens
    data        TEXT    NOT NULL CHECK (json_valid(data)),
    recorded_at INTEGER NOT NULL,
    salt        BLOB CHECK (length(salt) = 16),
    recorded_by INTEGER,                                      -- of texts
    -- What the entry's facts come to with this one, so that one more costs the same however many there are; null: before
    -- version 6. A place after 1000: the entry was full.
    place       INTEGER,                                      -- of this one among them
    bytes       INTEGER,                                      -- of their data
    tokens      INTEGER,                                      -- reported
    sum         TEXT                                          -- JSON: the reports of tokens put together; null: data is
) STRICT;
CREATE INDEX message_facts_message ON message_facts (message);
CREATE INDEX message_facts_late ON message_facts (message, kind) WHERE place > 1000; -- what a full entry took
-- A message joins a thread once, and then the thread's list has it.
CREATE UNIQUE INDEX message_facts_thread_once ON message_facts (message) WHERE kind = 1;
CREATE INDEX message_facts_thread ON message_facts (mailbox, data, message) WHERE kind = 1;

------------------------------------------------------------------------------------------------ log 3: activity

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
    day         INTEGER NOT NULL AS ((created_at - 86399999999 * (created_at < 0)) / 86400000000) VIRTUAL,
    salt        BLOB CHECK (length(salt) = 16),
    recorded_by INTEGER,                                      -- of texts
    redacted    TEXT CHECK (json_valid(redacted))             -- names of the members that metadata lacks, a list; null: none
) STRICT;
-- Lists are newest first by (created_at, seq). Every index ends in the row's number, `seq`, without naming it. With
-- the day in front of what is looked for, a day's rows lie together, and those of a day long ago are not touched.
CREATE INDEX activity_owner ON activity (owner, created_at);
CREATE INDEX activity_action ON activity (owner, day, action, created_at);
CREATE INDEX activity_user ON activity (owner, day, user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX activity_target ON activity (owner, day, target_id, created_at) WHERE target_id IS NOT NULL;

------------------------------------------------------------------------------------------------ the tree

-- The hash of every leaf, and of every full subtree of 256, 65,536, … leaves: runs of 126, which fill a page. The last
-- leaves stand in `sequence` until they are a run.
CREATE TABLE tree (
    id     INTEGER PRIMARY KEY,                               -- tier << 48 | run; see tlog/tree.rs
    hashes BLOB    NOT NULL CHECK (length(hashes) % 32 = 0)
) STRICT;

-- What happened to the tree itself, each a leaf like any other. Never removed, and never about a person.
CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    -- 1 the tree begins, 2 rows were removed, 3 another epoch, 4 for how long something is kept from now on
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    recorded_at INTEGER NOT NULL,
    salt        BLOB CHECK (length(salt) = 16)
) STRICT;

-- The numbers whose rows were removed, beside the row of `controls` that says so: ranges in bytes, see tlog/holes.rs.
CREATE TABLE holes (
    control INTEGER PRIMARY KEY REFERENCES controls (seq),
    ranges  BLOB NOT NULL
) STRICT;

-- Those of a run of retention that is under way, piece by piece. At its end they have a row of `controls`.
CREATE TABLE removing (
    id     INTEGER PRIMARY KEY,
    why    TEXT NOT NULL CHECK (json_valid(why)),
    ranges BLOB NOT NULL
) STRICT;

-- Under which name, and with which key, checkpoints of the tree are signed. A database that was put in place of a later
-- one is another log from there on, and begins another epoch; the last one is in force.
CREATE TABLE epochs (
    epoch    INTEGER PRIMARY KEY,
    verifier TEXT    NOT NULL,                                -- name+key id+key, as C2SP signed-note has it
    began_at INTEGER NOT NULL
) STRICT;

-- Checkpoints that are kept for good: one a day, and one before each run of retention.
CREATE TABLE seals (
    size      INTEGER PRIMARY KEY,                            -- leaves of the tree
    note      TEXT    NOT NULL,                               -- the signed checkpoint
    sealed_at INTEGER NOT NULL
) STRICT;

------------------------------------------------------------------------------------------------ append-only

-- Recorded rows are never changed, and go only by retention. `recursive_triggers` is on, or REPLACE would pass.
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
CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER holes_no_update BEFORE UPDATE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
CREATE TRIGGER holes_no_delete BEFORE DELETE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
