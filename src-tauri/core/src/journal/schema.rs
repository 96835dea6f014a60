//! The journal's tables.

/// Changes, their devices and effects, and the texts of files while a change may need them.
pub const JOURNAL: &str = "
CREATE TABLE change (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    credential    INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    state         TEXT NOT NULL,
    direction     TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    strategy      TEXT NOT NULL,
    on_failure    TEXT NOT NULL,
    at_once       INTEGER NOT NULL,
    from_version  INTEGER,
    to_version    INTEGER,
    snapshot      TEXT NOT NULL,
    requested_by  TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    stored_at     TEXT,
    no_return_at  TEXT,
    error         TEXT
) STRICT;
CREATE INDEX change_of_credential ON change (credential, id);
CREATE INDEX change_by_state ON change (state);

CREATE TABLE change_device (
    change    INTEGER NOT NULL REFERENCES change (id),
    position  INTEGER NOT NULL,
    device    INTEGER NOT NULL,
    state     TEXT NOT NULL,
    standing  TEXT NOT NULL,
    stage     TEXT,
    cause     TEXT,
    accepts   TEXT NOT NULL,
    at        TEXT NOT NULL,
    PRIMARY KEY (change, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE effect (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    change       INTEGER NOT NULL REFERENCES change (id),
    epoch        INTEGER NOT NULL,
    device       INTEGER,
    kind         TEXT NOT NULL,
    direction    TEXT NOT NULL,
    intent       TEXT NOT NULL,
    intended_at  TEXT NOT NULL,
    result       TEXT,
    resulted_at  TEXT
) STRICT;
CREATE INDEX effect_of_change ON effect (change, device, id);

CREATE TABLE file_text (
    hash   TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE file_text_of_change (
    change  INTEGER NOT NULL REFERENCES change (id),
    hash    TEXT NOT NULL REFERENCES file_text (hash),
    PRIMARY KEY (change, hash)
) STRICT, WITHOUT ROWID;
";

/// Changes that wait for their time, and those that a policy asked for.
///
/// `begun_after` is set where a change began later than others with higher numbers; `place` is the order in which changes
/// began, which is not that of their numbers then.
pub const SCHEDULED: &str = "
ALTER TABLE change ADD COLUMN reason TEXT NOT NULL DEFAULT 'request';
ALTER TABLE change ADD COLUMN scheduled_for TEXT;
ALTER TABLE change ADD COLUMN choices TEXT;
ALTER TABLE change ADD COLUMN series INTEGER REFERENCES change (id);
ALTER TABLE change ADD COLUMN attempt INTEGER;
ALTER TABLE change ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1));
ALTER TABLE change ADD COLUMN begun_after INTEGER;
ALTER TABLE change ADD COLUMN place INTEGER GENERATED ALWAYS AS
    (2 * ifnull(begun_after, id) + (begun_after IS NOT NULL)) VIRTUAL;
DROP INDEX change_newest;
CREATE INDEX change_newest ON change (credential, kind, place, state);
CREATE INDEX change_automatic ON change (credential, place) WHERE reason <> 'request';
CREATE UNIQUE INDEX change_scheduled ON change (credential) WHERE state = 'scheduled';
";
