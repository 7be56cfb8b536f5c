-- From version 5 to 6.

-- Every row says who recorded it. Of those that are there nobody knows any more.
ALTER TABLE enforcement_events ADD COLUMN recorded_by INTEGER;
ALTER TABLE messages ADD COLUMN recorded_by INTEGER;
ALTER TABLE message_facts ADD COLUMN recorded_by INTEGER;
ALTER TABLE activity ADD COLUMN recorded_by INTEGER;

-- The settings of the last start, as `mailtrail config` shows them: the next start tells what was changed in between.
CREATE TABLE seen_settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Members of metadata that say that they are a secret are told by name. Of those before nobody knows any more.
ALTER TABLE activity ADD COLUMN redacted TEXT CHECK (json_valid(redacted));

-- A clock that leaps for a moment ends nothing: the time that was believed last is kept.
ALTER TABLE sequence ADD COLUMN believed INTEGER;

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
