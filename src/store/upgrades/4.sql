-- From version 3 to 4: the tree's checkpoints are signed, and some of them kept. A row of `controls` may be of another
-- kind; SQLite cannot change a CHECK, so the table is made anew, and `holes`, which refers to it, with it.

CREATE TEMP TABLE old_controls AS SELECT * FROM controls;
CREATE TEMP TABLE old_holes AS SELECT * FROM holes;
DROP TABLE holes;
DROP TABLE controls;

CREATE TABLE controls (
    seq         INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
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

INSERT INTO controls (seq, kind, body, recorded_at, salt) SELECT seq, kind, body, recorded_at, salt FROM old_controls;
INSERT INTO holes (first, last, control) SELECT first, last, control FROM old_holes;
DROP TABLE old_controls;
DROP TABLE old_holes;

CREATE TRIGGER controls_no_update BEFORE UPDATE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER controls_no_delete BEFORE DELETE ON controls
    BEGIN SELECT RAISE(ABORT, 'controls is append-only'); END;
CREATE TRIGGER holes_no_update BEFORE UPDATE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;
CREATE TRIGGER holes_no_delete BEFORE DELETE ON holes
    BEGIN SELECT RAISE(ABORT, 'holes is append-only'); END;

CREATE TABLE epochs (
    epoch    INTEGER PRIMARY KEY,
    verifier TEXT    NOT NULL,
    began_at INTEGER NOT NULL
) STRICT;

CREATE TABLE seals (
    size      INTEGER PRIMARY KEY,
    note      TEXT    NOT NULL,
    sealed_at INTEGER NOT NULL
) STRICT;
