//! `keywheel credential history`.

use keywheel_core::Keywheel;
use keywheel_core::credential::KeyVersionView;
use keywheel_core::rotation::changes::ChangeView;
use keywheel_core::rotation::retired::{Held, RetiredVersion};
use serde::Serialize;

use crate::error::Failure;
use crate::output::{Form, printable, table, time};
use crate::shell::Shell;

/// An entry of a credential's history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Entry<'a> {
    KeyVersion(Version<'a>),
    Change(&'a ChangeView),
}

/// A key version and, for a retired one, when it goes and what holds it up.
#[derive(Debug, Serialize)]
struct Version<'a> {
    #[serde(flatten)]
    version: &'a KeyVersionView,
    retired_at: Option<&'a str>,
    goes_at: Option<&'a str>,
    held_by: &'a [Held],
}

impl<'a> Version<'a> {
    fn of(version: &'a KeyVersionView, retired: &'a [RetiredVersion]) -> Self {
        let retired = retired.iter().find(|known| known.version == version.version);
        Self {
            version,
            retired_at: retired.and_then(|retired| retired.retired_at.as_deref()),
            goes_at: retired.map(|retired| retired.goes_at.as_str()),
            held_by: retired.map(|retired| retired.held_by.as_slice()).unwrap_or_default(),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.version.version.to_string(),
            self.version.state.to_string(),
            self.version.algorithm.to_string(),
            self.version.fingerprint.clone(),
            time(&self.version.created),
            self.goes_at.map_or_else(|| "-".to_owned(), time),
        ]
    }
}

pub(super) async fn history(shell: &Shell, keywheel: &Keywheel, name: &str) -> Result<(), Failure> {
    let found = keywheel.find_credential(name).await?;
    let view = keywheel.credential_view(found.id).await?;
    let retired = keywheel.retired(found.id).await?;
    let changes = keywheel.change_views_of(found.id).await?;
    let versions: Vec<Version<'_>> = view.key_versions.iter().map(|version| Version::of(version, &retired)).collect();
    if shell.output().form() == Form::Json {
        versions.into_iter().for_each(|version| shell.output().json(&Entry::KeyVersion(version)));
        changes.iter().for_each(|change| shell.output().json(&Entry::Change(change)));
        return Ok(());
    }
    let header = ["version", "state", "algorithm", "fingerprint", "made", "destroyed from"];
    shell.output().data(&table(&header, versions.iter().map(Version::row).collect()));
    shell.output().data(&printable(&versions.iter().map(held).collect::<String>()));
    if !changes.is_empty() {
        let rows = changes.iter().map(crate::change::row).collect();
        shell.output().data(&format!("\n{}", table(&crate::change::HEADER, rows)));
    }
    Ok(())
}

/// What holds a version up.
fn held(version: &Version<'_>) -> String {
    let number = version.version.version;
    version.held_by.iter().map(|held| format!("  version {number} is kept: {}\n", held.reason.message)).collect()
}
