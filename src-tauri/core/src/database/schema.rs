//! The tables, by noun.
//!
//! A version is the list of its parts; a later version is a new list, never a change of an old one. All tables are
//! STRICT. Times are RFC 3339 text of fixed width (`clock::rfc3339`), truth values are 0 and 1.

/// What each version of the database adds to the one before.
pub(super) const MIGRATIONS: &[&[&str]] = &[
    &[VAULT, CATALOGUE, AUDIT, crate::journal::schema::JOURNAL],
    &[OBSERVATIONS, ANSWERS, LISTS],
    &[crate::journal::schema::SCHEDULED, REVEALED, INACTIVE, WAITING],
];

/// Marks the file as ours: "KeyW". `VAULT` sets it, in the transaction that makes the tables.
pub(super) const APPLICATION_ID: i32 = 0x4b65_7957;

/// The identity of this data directory; its one row is written at creation.
const VAULT: &str = "
PRAGMA application_id = 0x4b657957;
CREATE TABLE vault (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    id      TEXT NOT NULL CHECK (length(id) = 32),
    created TEXT NOT NULL
) STRICT;
";

/// People, devices, credentials, policies, key versions, settings.
///
/// IDs are never reused (AUTOINCREMENT). What is removed stays as a row with `removed_at`, because key versions
/// remember the devices they were installed on.
const CATALOGUE: &str = "
CREATE TABLE person (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    email      TEXT,
    active     INTEGER NOT NULL CHECK (active IN (0, 1)),
    created    TEXT NOT NULL,
    removed_at TEXT
) STRICT;
CREATE UNIQUE INDEX person_name ON person (name) WHERE removed_at IS NULL;

CREATE TABLE policy (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT NOT NULL,
    maximum_age_days   INTEGER NOT NULL CHECK (maximum_age_days >= 1),
    days               INTEGER NOT NULL CHECK (days BETWEEN 1 AND 127),
    window_from        INTEGER NOT NULL CHECK (window_from BETWEEN 0 AND 1439),
    window_to          INTEGER NOT NULL CHECK (window_to BETWEEN 0 AND 1439),
    retries            INTEGER NOT NULL CHECK (retries >= 0),
    retry_minutes      INTEGER NOT NULL CHECK (retry_minutes >= 1),
    algorithm          TEXT NOT NULL,
    warning_days       INTEGER NOT NULL CHECK (warning_days >= 0),
    after_reveal_hours INTEGER CHECK (after_reveal_hours >= 0),
    strategy           TEXT NOT NULL CHECK (strategy IN ('two-phase', 'device-by-device')),
    on_failure         TEXT NOT NULL CHECK (on_failure IN ('roll-back', 'continue')),
    at_once            INTEGER NOT NULL CHECK (at_once >= 1),
    after_interruption TEXT NOT NULL CHECK (after_interruption IN ('resume', 'roll-back')),
    created            TEXT NOT NULL,
    removed_at         TEXT
) STRICT;
CREATE UNIQUE INDEX policy_name ON policy (name) WHERE removed_at IS NULL;

CREATE TABLE device (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    name                 TEXT NOT NULL,
    address              TEXT NOT NULL,
    port                 INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    jump                 INTEGER REFERENCES device (id),
    jump_with            INTEGER REFERENCES credential (id),
    authorized_keys_path TEXT,
    enabled              INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created              TEXT NOT NULL,
    removed_at           TEXT,
    CHECK (jump IS NOT id)
) STRICT;
CREATE UNIQUE INDEX device_name ON device (name) WHERE removed_at IS NULL;
CREATE INDEX device_jump ON device (jump) WHERE jump IS NOT NULL;

CREATE TABLE device_tag (
    device INTEGER NOT NULL REFERENCES device (id),
    tag    TEXT NOT NULL,
    PRIMARY KEY (device, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE host_key (
    device     INTEGER NOT NULL REFERENCES device (id),
    key_type   TEXT NOT NULL,
    public_key TEXT NOT NULL,
    pinned_at  TEXT NOT NULL,
    PRIMARY KEY (device, key_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT NOT NULL,
    kind             TEXT NOT NULL CHECK (kind IN ('ssh-key', 'password')),
    username         TEXT NOT NULL,
    owner            INTEGER REFERENCES person (id),
    original_device  INTEGER NOT NULL REFERENCES device (id),
    enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    automatic_change INTEGER NOT NULL CHECK (automatic_change IN (0, 1)),
    auth_with        INTEGER REFERENCES credential (id),
    policy           INTEGER NOT NULL REFERENCES policy (id),
    imported_from    TEXT,
    ready            INTEGER NOT NULL CHECK (ready IN (0, 1)),
    created          TEXT NOT NULL,
    removed_at       TEXT,
    CHECK (auth_with IS NOT id),
    CHECK (kind = 'ssh-key' OR automatic_change = 0)
) STRICT;
CREATE UNIQUE INDEX credential_name ON credential (name) WHERE removed_at IS NULL AND ready = 1;
CREATE INDEX credential_owner ON credential (owner) WHERE owner IS NOT NULL;

CREATE TABLE credential_tag (
    credential INTEGER NOT NULL REFERENCES credential (id),
    tag        TEXT NOT NULL,
    PRIMARY KEY (credential, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE credential_device (
    credential INTEGER NOT NULL REFERENCES credential (id),
    device     INTEGER NOT NULL REFERENCES device (id),
    PRIMARY KEY (credential, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_device_device ON credential_device (device);

CREATE TABLE key_version (
    credential   INTEGER NOT NULL REFERENCES credential (id),
    version      INTEGER NOT NULL CHECK (version >= 1),
    state        TEXT NOT NULL CHECK (state IN ('candidate', 'current', 'retired', 'destroyed')),
    public_key   TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    item         TEXT NOT NULL UNIQUE,
    compromised  INTEGER NOT NULL CHECK (compromised IN (0, 1)),
    created      TEXT NOT NULL,
    retired_at   TEXT,
    destroyed_at TEXT,
    PRIMARY KEY (credential, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX key_version_current ON key_version (credential) WHERE state = 'current';
CREATE INDEX key_version_fingerprint ON key_version (fingerprint);

CREATE TABLE installed_on (
    credential   INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    device       INTEGER NOT NULL REFERENCES device (id),
    installed_at TEXT,
    accepted_at  TEXT,
    refused_at   TEXT,
    given_up_at  TEXT,
    PRIMARY KEY (credential, version, device),
    FOREIGN KEY (credential, version) REFERENCES key_version (credential, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX installed_on_device ON installed_on (device);

CREATE TABLE password_version (
    credential   INTEGER NOT NULL REFERENCES credential (id),
    version      INTEGER NOT NULL CHECK (version >= 1),
    state        TEXT NOT NULL CHECK (state IN ('candidate', 'current', 'retired', 'destroyed')),
    item         TEXT NOT NULL UNIQUE,
    created      TEXT NOT NULL,
    destroyed_at TEXT,
    PRIMARY KEY (credential, version)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX password_version_current ON password_version (credential) WHERE state = 'current';

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The record of actions. Rows are only ever added: the triggers keep a mistake of ours from changing one, the hash
/// chain shows what anybody else changed.
const AUDIT: &str = "
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           TEXT NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject      TEXT,
    result       TEXT NOT NULL CHECK (result IN ('ok', 'failed', 'refused')),
    code         TEXT,
    detail       TEXT,
    hash         BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'a row of the audit is never changed');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'a row of the audit is never deleted');
END;
";

/// What was observed of devices, beside what people said of them.
const OBSERVATIONS: &str = "
CREATE TABLE device_seen (
    device  INTEGER PRIMARY KEY REFERENCES device (id),
    seen_at TEXT NOT NULL
) STRICT;

CREATE TABLE changed_host_key (
    device     INTEGER PRIMARY KEY REFERENCES device (id),
    public_key TEXT NOT NULL,
    seen_at    TEXT NOT NULL
) STRICT;
";

/// A refusal, or giving a device up, is noted with the acceptance before taken back; the first version kept both.
const ANSWERS: &str = "
UPDATE installed_on SET accepted_at = NULL WHERE refused_at IS NOT NULL OR given_up_at IS NOT NULL;
";

/// What long lists are found by.
const LISTS: &str = "
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX change_newest ON change (credential, kind, id, state);
";

/// When the private half of a key version first left the keyring for a file.
const REVEALED: &str = "
ALTER TABLE key_version ADD COLUMN revealed_at TEXT;
";

/// Since when a person is inactive; of those who were before this was noted it is not known any better.
const INACTIVE: &str = "
ALTER TABLE person ADD COLUMN inactive_since TEXT;
UPDATE person SET inactive_since = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE active = 0;
";

/// Since when changes that are due wait for the keyring; no row while none does.
const WAITING: &str = "
CREATE TABLE waiting_for_keyring (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    since TEXT NOT NULL
) STRICT;
";
