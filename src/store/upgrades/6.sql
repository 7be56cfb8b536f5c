-- From version 5 to 6.

-- Every row says who recorded it. Of those that are there nobody knows any more.
ALTER TABLE enforcement_events ADD COLUMN recorded_by INTEGER;
ALTER TABLE messages ADD COLUMN recorded_by INTEGER;
ALTER TABLE message_facts ADD COLUMN recorded_by INTEGER;
ALTER TABLE activity ADD COLUMN recorded_by INTEGER;

-- What kept a message's text from being read. Before, it was taken for empty.
ALTER TABLE messages ADD COLUMN text_problem INTEGER CHECK (text_problem BETWEEN 1 AND 6);

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
