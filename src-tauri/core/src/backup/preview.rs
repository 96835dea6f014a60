//! What restoring a backup will change: a comparison of its catalogue with what is here.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use zeroize::Zeroizing;

use super::BackupError;
use super::create::Copy;
use super::manifest::{Listed, Manifest};
use crate::catalogue::words;
use crate::catalogue::{
    Authentication, CatalogueError, Credential, CredentialId, Device, KeyVersion, Kind, Person, VersionState,
    credential, device, person,
};
use crate::clock::rfc3339;
use crate::database::DatabaseError;
use crate::error::Error;
use crate::keywheel::Keywheel;
use crate::vault::ItemVersion;

words! {
    /// Target what a backup is restored.
    #[ts(rename = "RestoreTarget")]
    Target {
        /// A data directory that holds nothing yet: it becomes the backup's vault.
        Empty = "empty",
        /// The vault the backup is of: it gets what it lacks.
        Same = "same",
    }
}

words! {
    /// How a thing of the backup stands to what is here.
    #[ts(rename = "RestoreComparison")]
    Comparison {
        /// It is not here, and comes.
        New = "new",
        /// It is here, and the same.
        Same = "same",
        /// It is here and differs, and stays as it is here.
        Differs = "differs",
        /// It is not in the backup, and stays.
        OnlyHere = "only-here",
        /// It was removed here since, and stays removed.
        Removed = "removed",
        /// Its name or number belongs to another thing here, or what it needs can't come; it does not come.
        CannotCome = "cannot-come",
    }
}

/// A person, device or credential in a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
#[ts(rename = "RestoreRow")]
pub struct PreviewRow {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub comparison: Comparison,
    #[serde(skip)]
    #[ts(skip)]
    pub(super) id: i64,
}

/// A credential whose newest key is newer here than in the backup: it keeps that, since the devices know no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct NewerHere {
    /// The credential's name.
    pub credential: String,
    /// Its newest version here, in the database or the keyring.
    pub here: u32,
    /// Its newest version in the backup.
    pub backup: u32,
}

/// What becomes of the secrets of a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct SecretCounts {
    /// Those that the keyring lacks and gets.
    pub new: u32,
    /// Those that the keyring holds already, the same.
    pub same: u32,
    /// Those that are not wanted here: destroyed since, or of a credential that does not come.
    pub left: u32,
}

/// What restoring a backup will change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct RestorePreview {
    /// The file.
    pub file: PathBuf,
    /// When the backup was made, in RFC 3339.
    pub created: String,
    /// Who made it.
    pub actor: String,
    /// Target what it is restored.
    pub into: Target,
    /// People.
    pub people: Vec<PreviewRow>,
    /// Devices.
    pub devices: Vec<PreviewRow>,
    /// Credentials.
    pub credentials: Vec<PreviewRow>,
    /// The keys that come to credentials that are here.
    pub key_versions: u32,
    /// The secrets.
    pub secrets: SecretCounts,
    /// The credentials that have gone on since the backup.
    pub newer_here: Vec<NewerHere>,
    /// The credentials whose current secret is neither in the backup nor in the keyring.
    pub without_secret: Vec<String>,
}

/// What is to be brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) into: Target,
    pub(super) people: Vec<PreviewRow>,
    pub(super) devices: Vec<PreviewRow>,
    pub(super) credentials: Vec<PreviewRow>,
    /// Keys of credentials that are here.
    pub(super) versions: Vec<(CredentialId, KeyVersion)>,
    /// The items of the keyring that shall be there.
    items: HashSet<String>,
    newer_here: Vec<NewerHere>,
    /// The current item of each credential that is there afterwards.
    current: Vec<(CredentialId, String, crate::vault::ItemName)>,
}

impl Plan {
    pub(super) fn wants(&self, listed: &Listed) -> bool {
        // An empty directory also takes what is left of removed credentials: it may stand on devices.
        self.into == Target::Empty || self.items.contains(listed.item.as_str())
    }
}

/// How the secrets of a plan stand to the keyring.
pub(super) struct Standing {
    pub(super) counts: SecretCounts,
    /// The places of the secrets that the keyring lacks.
    pub(super) to_store: Vec<usize>,
    /// The credentials whose current secret is nowhere.
    pub(super) lost: Vec<(CredentialId, String)>,
}

impl Keywheel {
    pub(super) async fn preview(
        &self,
        path: &Path,
        manifest: &Manifest,
        secrets: &[(Listed, Zeroizing<Vec<u8>>)],
        copy: &Copy,
    ) -> Result<RestorePreview, Error> {
        let mut plan = self.plan_restore(path, manifest, copy).await?;
        let standing = self.secrets_standing(&plan, secrets).await?;
        if plan.into == Target::Empty {
            plan.newer_here = self.newer_in_keyring(manifest).await?;
        }
        Ok(RestorePreview {
            file: path.to_owned(),
            created: manifest.created.clone(),
            actor: manifest.actor.clone(),
            into: plan.into,
            people: plan.people,
            devices: plan.devices,
            credentials: plan.credentials,
            key_versions: u32::try_from(plan.versions.len()).unwrap_or(u32::MAX),
            secrets: standing.counts,
            newer_here: plan.newer_here,
            without_secret: standing.lost.into_iter().map(|(_, name)| name).collect(),
        })
    }

    pub(super) async fn plan_restore(&self, path: &Path, manifest: &Manifest, copy: &Copy) -> Result<Plan, Error> {
        let (path, vault, copy) = (path.to_owned(), manifest.vault.clone(), copy.path.clone());
        let ours = self.database().vault_id();
        self.database()
            .run(move |database| {
                let there = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_ONLY)
                    .map_err(DatabaseError::from)?;
                let there = Side::read(&there)?;
                let (here, empty) =
                    database.read(|conn| Ok::<_, CatalogueError>((Side::read(conn)?, is_empty(conn)?)))?;
                if empty {
                    Ok(plan(Target::Empty, &here, &there))
                } else if *ours == *vault {
                    Ok(plan(Target::Same, &here, &there))
                } else {
                    Err(BackupError::OtherVault { path }.into())
                }
            })
            .await
    }

    /// Looks what the keyring holds of the secrets that a plan wants there.
    pub(super) async fn secrets_standing(
        &self,
        plan: &Plan,
        secrets: &[(Listed, Zeroizing<Vec<u8>>)],
    ) -> Result<Standing, Error> {
        let mut standing = Standing { counts: SecretCounts::default(), to_store: Vec::new(), lost: Vec::new() };
        for (place, (listed, secret)) in secrets.iter().enumerate() {
            if !plan.wants(listed) {
                standing.counts.left += 1;
                continue;
            }
            match self.vault().read(&listed.item).await? {
                None => {
                    standing.counts.new += 1;
                    standing.to_store.push(place);
                }
                Some(held) if held == *secret => standing.counts.same += 1,
                Some(_) => return Err(differs(listed).into()),
            }
        }
        let saved: HashSet<&str> = secrets.iter().map(|(listed, _)| listed.item.as_str()).collect();
        for (id, name, item) in &plan.current {
            if !saved.contains(item.as_str()) && self.vault().read(item).await?.is_none() {
                standing.lost.push((*id, name.clone()));
            }
        }
        Ok(standing)
    }

    /// The credentials of a backup of which the keyring holds a newer key.
    async fn newer_in_keyring(&self, manifest: &Manifest) -> Result<Vec<NewerHere>, Error> {
        let mut newest: HashMap<CredentialId, (&str, u32)> = HashMap::new();
        for listed in manifest.secrets.iter().filter(|listed| listed.kind == Kind::SshKey) {
            let (_, version) = newest.entry(listed.id).or_insert((&listed.credential, 0));
            *version = listed.version.max(*version);
        }
        let mut newer = Vec::new();
        for (id, (name, backup)) in newest {
            let (mut here, mut missing, mut number) = (backup, 0, backup);
            // A change that failed may have left a number out.
            while missing < 2 {
                number += 1;
                missing += 1;
                if !self.vault().find(&ItemVersion::new(&manifest.vault, id.0, number)).await?.is_empty() {
                    (here, missing) = (number, 0);
                }
            }
            if here > backup {
                newer.push(NewerHere { credential: name.to_owned(), here, backup });
            }
        }
        newer.sort_by(|one, other| one.credential.cmp(&other.credential));
        Ok(newer)
    }
}

pub(super) fn differs(listed: &Listed) -> BackupError {
    BackupError::SecretDiffers {
        credential: listed.credential.clone(),
        version: listed.version,
        item: listed.item.clone(),
    }
}

/// Whether a data directory holds nothing that a person has put there, so that it may become another vault.
pub(super) fn is_empty(conn: &Connection) -> Result<bool, DatabaseError> {
    Ok(conn.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM person) AND NOT EXISTS (SELECT 1 FROM device)
            AND NOT EXISTS (SELECT 1 FROM credential) AND NOT EXISTS (SELECT 1 FROM change)
            AND (SELECT count(*) FROM policy) <= 1",
        [],
        |row| row.get(0),
    )?)
}

/// The numbers that a table has given, also to what was removed: when each was made, and whether it was removed.
type Known = HashMap<i64, (String, bool)>;

/// One of two catalogues that are compared.
struct Side {
    people: Vec<Person>,
    devices: Vec<Device>,
    credentials: Vec<Credential>,
    known_people: Known,
    known_devices: Known,
    known_credentials: Known,
}

impl Side {
    fn read(conn: &Connection) -> Result<Self, CatalogueError> {
        let known = |table: &str| -> Result<Known, CatalogueError> {
            let mut statement = conn.prepare(&format!("SELECT id, created, removed_at IS NOT NULL FROM {table}"))?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        Ok(Self {
            people: person::all(conn)?,
            devices: device::all(conn)?,
            credentials: credential::all(conn)?,
            known_people: known("person")?,
            known_devices: known("device")?,
            known_credentials: known("credential")?,
        })
    }
}

/// What has a number, a name and a time at which it was made.
trait Thing: PartialEq {
    fn number(&self) -> i64;
    fn name(&self) -> &str;
    fn made(&self) -> Timestamp;
}

impl Thing for Person {
    fn number(&self) -> i64 {
        self.id.0
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn made(&self) -> Timestamp {
        self.created
    }
}

impl Thing for Device {
    fn number(&self) -> i64 {
        self.id.0
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn made(&self) -> Timestamp {
        self.created
    }
}

impl Thing for Credential {
    fn number(&self) -> i64 {
        self.id.0
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn made(&self) -> Timestamp {
        self.created
    }
}

fn compare<T: Thing>(here: &[T], known: &Known, there: &[T]) -> Vec<PreviewRow> {
    let by_number: HashMap<i64, &T> = here.iter().map(|thing| (thing.number(), thing)).collect();
    let names: HashSet<&str> = here.iter().map(Thing::name).collect();
    let theirs: HashSet<i64> = there.iter().map(Thing::number).collect();
    let row = |thing: &T, comparison| PreviewRow { name: thing.name().to_owned(), comparison, id: thing.number() };
    let of_backup = there.iter().map(|thing| {
        let is_it = known.get(&thing.number()).map(|(made, _)| *made == rfc3339(thing.made()));
        let comparison = match (by_number.get(&thing.number()), is_it) {
            (Some(ours), Some(true)) if *ours == thing => Comparison::Same,
            (Some(_), Some(true)) => Comparison::Differs,
            (None, Some(true)) => Comparison::Removed,
            (None, None) if !names.contains(thing.name()) => Comparison::New,
            _ => Comparison::CannotCome,
        };
        row(thing, comparison)
    });
    let only_here = here.iter().filter(|thing| !theirs.contains(&thing.number()));
    of_backup.chain(only_here.map(|thing| row(thing, Comparison::OnlyHere))).collect()
}

fn plan(into: Target, here: &Side, there: &Side) -> Plan {
    let people = compare(&here.people, &here.known_people, &there.people);
    let mut devices = compare(&here.devices, &here.known_devices, &there.devices);
    let mut credentials = compare(&here.credentials, &here.known_credentials, &there.credentials);
    if into == Target::Same {
        keep_what_can_come(&people, &mut devices, &mut credentials, there);
    }
    let new: HashSet<i64> = taken(&credentials).collect();
    let stay: HashSet<i64> = staying(&credentials).collect();
    let ours: HashMap<CredentialId, &Credential> = here
        .credentials
        .iter()
        .filter(|credential| stay.contains(&credential.id.0))
        .map(|credential| (credential.id, credential))
        .collect();
    let mut items = HashSet::new();
    let mut versions = Vec::new();
    let mut newer_here = Vec::new();
    let mut current = Vec::new();
    for theirs in &there.credentials {
        if new.contains(&theirs.id.0) {
            items.extend(items_of(theirs));
            current.extend(current_of(theirs));
            continue;
        }
        let Some(ours) = ours.get(&theirs.id) else { continue };
        items.extend(items_of(ours));
        current.extend(current_of(ours));
        let known = |item: &KeyVersion| ours.key_versions.iter().any(|known| known.item == item.item);
        for version in theirs.key_versions.iter().filter(|version| is_kept(version.state) && !known(version)) {
            items.insert(version.item.to_string());
            versions.push((ours.id, version.clone()));
        }
        let (here, backup) = (newest(ours), newest(theirs));
        if here > backup {
            newer_here.push(NewerHere { credential: ours.name.clone(), here, backup });
        }
    }
    Plan { into, people, devices, credentials, versions, items, newer_here, current }
}

fn is_kept(state: VersionState) -> bool {
    state != VersionState::Destroyed
}

fn newest(credential: &Credential) -> u32 {
    credential.key_versions.iter().map(|version| version.version).max().unwrap_or(0)
}

fn items_of(credential: &Credential) -> Vec<String> {
    let keys = credential.key_versions.iter().filter(|version| is_kept(version.state)).map(|version| &version.item);
    let passwords = credential.passwords.iter().filter(|version| is_kept(version.state)).map(|version| &version.item);
    keys.chain(passwords).map(ToString::to_string).collect()
}

fn current_of(credential: &Credential) -> Option<(CredentialId, String, crate::vault::ItemName)> {
    let key = credential.current_key().map(|version| &version.item);
    let item = key.or_else(|| credential.current_password().map(|version| &version.item))?;
    Some((credential.id, credential.name.clone(), item.clone()))
}

/// The numbers of what comes.
pub(super) fn taken(rows: &[PreviewRow]) -> impl Iterator<Item = i64> + '_ {
    rows.iter().filter(|row| row.comparison == Comparison::New).map(|row| row.id)
}

/// The numbers of what is on both sides.
pub(super) fn staying(rows: &[PreviewRow]) -> impl Iterator<Item = i64> + '_ {
    rows.iter().filter(|row| matches!(row.comparison, Comparison::Same | Comparison::Differs)).map(|row| row.id)
}

/// Takes out what refers to something that is neither here nor comes, until nothing more is to be taken out.
fn keep_what_can_come(people: &[PreviewRow], devices: &mut [PreviewRow], credentials: &mut [PreviewRow], there: &Side) {
    let there_are = |rows: &[PreviewRow]| -> HashSet<i64> { taken(rows).chain(staying(rows)).collect() };
    let has_people = there_are(people);
    loop {
        let (has_devices, has_credentials) = (there_are(devices), there_are(credentials));
        let device_fits = |device: &Device| {
            device.jump.is_none_or(|id| has_devices.contains(&id.0))
                && device.jump_with.is_none_or(|id| has_credentials.contains(&id.0))
        };
        let credential_fits = |credential: &Credential| {
            let authenticated = match credential.authentication {
                Authentication::Itself => true,
                Authentication::Credential(id) => has_credentials.contains(&id.0),
            };
            authenticated
                && credential.devices_in_order().iter().all(|id| has_devices.contains(&id.0))
                && credential.owner.is_none_or(|id| has_people.contains(&id.0))
        };
        let refused =
            refuse(devices, &there.devices, device_fits) + refuse(credentials, &there.credentials, credential_fits);
        if refused == 0 {
            return;
        }
    }
}

/// Refuses what was to come and does not fit; answers how many.
fn refuse<T: Thing>(rows: &mut [PreviewRow], there: &[T], fits: impl Fn(&T) -> bool) -> usize {
    let unfit: HashSet<i64> = there.iter().filter(|thing| !fits(thing)).map(Thing::number).collect();
    let rows = rows.iter_mut().filter(|row| row.comparison == Comparison::New && unfit.contains(&row.id));
    rows.map(|row| row.comparison = Comparison::CannotCome).count()
}
