-- From version 5 to 6.

-- What is kept under an Idempotency-Key is no longer always the answer itself.
ALTER TABLE idempotency ADD COLUMN kind INTEGER NOT NULL DEFAULT 0 CHECK (kind IN (0, 1, 2, 3));

-- Mailboxes are listed in pages.
CREATE INDEX mailboxes_workspace ON mailboxes (workspace, id);

-- Every row says who recorded it. Of those that are there nobody knows any more.
ALTER TABLE enforcement_events ADD COLUMN recorded_by INTEGER;
ALTER TABLE messages ADD COLUMN recorded_by INTEGER;
ALTER TABLE message_facts ADD COLUMN recorded_by INTEGER;
ALTER TABLE activity ADD COLUMN recorded_by INTEGER;

-- What kept a message's text from being read. Before, it was taken for empty.
ALTER TABLE messages ADD COLUMN text_problem INTEGER CHECK (text_problem BETWEEN 1 AND 6);

-- A workspace as a whole can be on legal hold.
ALTER TABLE workspaces ADD COLUMN hold INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1));

-- The settings of the last start, as `mailtrail config` shows them: the next start tells what was changed in between.
CREATE TABLE seen_settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Members of metadata that say that they are a secret are told by name. Of those before nobody knows any more.
ALTER TABLE activity ADD COLUMN redacted TEXT CHECK (json_valid(redacted));

-- A clock that leaps for a moment ends nothing: the time that was believed last is kept.
ALTER TABLE sequence ADD COLUMN believed INTEGER;
ALTER TABLE sequence ADD COLUMN uptime INTEGER;
ALTER TABLE sequence ADD COLUMN boot INTEGER;

-- Which backups were made, in the order of their making.
CREATE TABLE backups (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    file      BLOB    NOT NULL,
    made_at   INTEGER NOT NULL,
    scheduled INTEGER NOT NULL CHECK (scheduled IN (0, 1))
) STRICT;
INSERT INTO backups (file, made_at, scheduled)
    SELECT CAST(outcome ->> 'file' AS BLOB), started_at, 1 FROM jobs WHERE name = 'backup' AND outcome ->> 'file' IS NOT NULL;
DELETE FROM jobs WHERE name = 'backup_completed';

-- Whoever an older version added to a second workspace was not asked. The first workspace of an account made it.
ALTER TABLE users ADD COLUMN maker INTEGER REFERENCES workspaces (id);
ALTER TABLE users ADD COLUMN own_password_at INTEGER;
ALTER TABLE members ADD COLUMN accepted_at INTEGER;
UPDATE users SET maker =
    (SELECT workspace FROM members WHERE members.user = users.id ORDER BY joined_at, workspace LIMIT 1);
UPDATE members SET accepted_at = joined_at WHERE workspace = (SELECT maker FROM users WHERE users.id = members.user);

CREATE TABLE invitations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    workspace  INTEGER NOT NULL REFERENCES workspaces (id),
    email      TEXT    NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    name       TEXT    NOT NULL DEFAULT '',
    role       INTEGER NOT NULL CHECK (role IN (1, 2, 3)),
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX invitations_email ON invitations (workspace, email COLLATE NOCASE);
CREATE INDEX invitations_age ON invitations (expires_at);

CREATE TABLE login_sources (
    user    INTEGER NOT NULL REFERENCES users (id),
    source  BLOB    NOT NULL CHECK (length(source) IN (4, 16)),
    last_at INTEGER NOT NULL,
    PRIMARY KEY (user, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX login_sources_age ON login_sources (last_at);

-- Each fact carries on what those of its entry come to, so that one more costs the same however many there are.
ALTER TABLE message_facts ADD COLUMN place INTEGER;
ALTER TABLE message_facts ADD COLUMN bytes INTEGER;
ALTER TABLE message_facts ADD COLUMN tokens INTEGER;
ALTER TABLE message_facts ADD COLUMN sum TEXT;
CREATE INDEX message_facts_late ON message_facts (message, kind) WHERE place > 1000;

-- How long rows are kept is a row of `controls` too. And the numbers of what was removed are bytes beside their row of it:
-- as rows with an index they took as much room as the leaves.
CREATE TEMP TABLE old_controls AS SELECT seq, kind, body, recorded_at, salt FROM controls;
CREATE TEMP TABLE old_holes AS
    SELECT control, gap, more, row_number() OVER (ORDER BY control, first) AS place
    FROM (SELECT control, first, last - first AS more,
              first - coalesce(lag(last) OVER (PARTITION BY control ORDER BY first), 0) AS gap FROM holes);
DROP TABLE holes;
DROP TABLE controls;
CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    recorded_at INTEGER NOT NULL,
    salt        BLOB CHECK (length(salt) = 16)
) STRICT;
INSERT INTO controls (seq, kind, body, recorded_at, salt) SELECT seq, kind, body, recorded_at, salt FROM old_controls;
CREATE TABLE holes (
    control INTEGER PRIMARY KEY REFERENCES controls (seq),
    ranges  BLOB NOT NULL
) STRICT;
-- Seven bits a byte, the lowest first; up to 2^42, for no log has more numbers.
INSERT INTO holes (control, ranges)
    SELECT control, unhex(group_concat(hex, '' ORDER BY place, half)) FROM (
        SELECT control, place, half, CASE
            WHEN n < 1 << 7 THEN printf('%02x', n)
            WHEN n < 1 << 14 THEN printf('%02x%02x', n & 127 | 128, n >> 7)
            WHEN n < 1 << 21 THEN printf('%02x%02x%02x', n & 127 | 128, n >> 7 & 127 | 128, n >> 14)
            WHEN n < 1 << 28 THEN
                printf('%02x%02x%02x%02x', n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128, n >> 21)
            WHEN n < 1 << 35 THEN
                printf('%02x%02x%02x%02x%02x', n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128,
                    n >> 21 & 127 | 128, n >> 28)
            ELSE
                printf('%02x%02x%02x%02x%02x%02x', n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128,
                    n >> 21 & 127 | 128, n >> 28 & 127 | 128, n >> 35)
            END AS hex
        FROM (SELECT control, place, 0 AS half, gap AS n FROM old_holes
              UNION ALL SELECT control, place, 1, more FROM old_holes))
    GROUP BY control;
DROP TABLE old_controls;
DROP TABLE old_holes;
CREATE TABLE removing (
    id     INTEGER PRIMARY KEY,
    why    TEXT NOT NULL CHECK (json_valid(why)),
    ranges BLOB NOT NULL
) STRICT;
CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER holes_no_update BEFORE UPDATE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
CREATE TRIGGER holes_no_delete BEFORE DELETE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;

-- From here on the log says which sessions people logged in to. Those of before end.
UPDATE sessions SET ended_at = (SELECT last_now FROM sequence) WHERE ended_at IS NULL;

-- What was refused no longer counts as sent: of a mailbox that is blocked at least its limit was let through.
UPDATE mailboxes SET sent_count = min(sent_count, daily_send_limit)
    WHERE blocked_at IS NOT NULL AND daily_send_limit IS NOT NULL;

-- Mailboxes and accounts are found by the one form of their address, which is filled in when it is served.
ALTER TABLE mailboxes ADD COLUMN canonical TEXT;
CREATE INDEX mailboxes_canonical ON mailboxes (workspace, canonical) WHERE deleted_at IS NULL;
ALTER TABLE users ADD COLUMN canonical TEXT;
CREATE INDEX users_canonical ON users (canonical) WHERE deleted_at IS NULL;
