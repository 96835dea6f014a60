//! What must hold after a trial, by asking the devices from outside.

use keywheel_core::{
    catalogue::Credential,
    journal::{self, DeviceState},
    key::Fingerprint,
    rotation::decide::Outcome,
};
use keywheel_fleet::Trouble;

use crate::trial::{FOREIGN, OPTIONS, Run, Trial};

impl Trial {
    /// What was reported is what the devices do.
    pub(crate) async fn assert_true(&self, run: &Run) -> Result<(), Trouble> {
        let change = self.newest_change().await?;
        if let (Run::Ended(finished), Some(change)) = (run, &change) {
            assert_eq!(change.state.as_str(), finished.outcome.as_str(), "the journal says another end");
            let id = change.id;
            let records = self.keywheel().database().run_read(move |read| journal::device::list(read, id)).await?;
            let noted: Vec<_> = records.iter().map(|record| record.state).collect();
            let told: Vec<_> = finished.devices.iter().map(|device| device.state).collect();
            assert_eq!(noted, told, "{}: the journal says other states than were told", self.variant);
        }
        let credential = self.keywheel().find_credential("deploy").await?;
        for index in 0..self.devices.len() {
            let accepted = self.accepted(&credential, index).await?;
            let at = format!("{}: web-{} accepts {accepted:?}: {run:?}", self.variant, index + 1);
            assert!(!accepted.is_empty(), "nobody gets in any more: {at}");
            self.assert_foreign_bytes(&credential, index)?;
            let Run::Ended(finished) = run else { continue };
            let end = &finished.devices[index];
            let (new, old) = (credential.key_versions.last(), credential.key_version(1));
            let (new, old) = (new.ok_or("a version")?.fingerprint(), old.ok_or("version 1")?.fingerprint());
            let expected = match end.state {
                DeviceState::Changed => vec![new],
                DeviceState::RolledBack | DeviceState::Unchanged => vec![old],
                DeviceState::Proven => vec![old, new],
                DeviceState::OldKeyAccepted => {
                    assert!(accepted.contains(&old), "it is said to accept the old key: {at}");
                    continue;
                }
                // What these are said to accept is what was seen last, which the fault may have overtaken.
                DeviceState::Waiting | DeviceState::Running | DeviceState::NotProven | DeviceState::Failed => continue,
            };
            assert_eq!(accepted, expected, "it is said to be {}: {at}", end.state);
            // A line that another device's name has taken out of a shared file was there when it was last asked.
            if end.state != DeviceState::Unchanged && !self.place.is_shared() {
                let mut told = end.accepts.clone();
                told.sort_by_key(|key| expected.iter().position(|known| known == key));
                assert_eq!(told, expected, "it is said to accept other keys: {at}");
            }
        }
        Ok(())
    }

    /// Which versions of the key log in, by the OpenSSH client.
    async fn accepted(&self, credential: &Credential, index: usize) -> Result<Vec<Fingerprint>, Trouble> {
        let (device, mut accepted) = (&self.devices[index], Vec::new());
        for version in &credential.key_versions {
            let Some(secret) = self.desk.vault.names().into_iter().find(|name| *name == version.item) else { continue };
            let key =
                self.keywheel().read_key(credential, version).await.map_err(|error| format!("{secret}: {error}"))?;
            let name = format!("{}-{index}-{}", credential.id, version.version);
            let file = self.desk.client.key_file(&name, &key.write_openssh(None)?)?;
            let (client, target) = (&self.desk.client, device.target()?);
            if tokio::task::block_in_place(|| client.logs_in(&target, &file))? {
                accepted.push(version.fingerprint());
            }
        }
        Ok(accepted)
    }

    /// Every byte that is not ours is as it was, and each of our lines has the options it had.
    fn assert_foreign_bytes(&self, credential: &Credential, index: usize) -> Result<(), Trouble> {
        let text = String::from_utf8(self.devices[index].authorized_keys()?)?;
        let keys: Vec<String> = credential.key_versions.iter().map(|version| version.public_key.to_openssh()).collect();
        let mut foreign = String::new();
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_prefix(OPTIONS) {
                Some(key) => assert!(keys.iter().any(|known| known == key), "web-{}: whose line is {line}", index + 1),
                None => foreign.push_str(line),
            }
        }
        let appended = self.shared.appended.lock().unwrap().clone();
        let appended = if index == self.target || self.place.is_shared() { appended } else { String::new() };
        assert_eq!(
            foreign,
            format!("{}{}{appended}", FOREIGN[0], FOREIGN[1]),
            "web-{}: a foreign byte changed",
            index + 1
        );
        Ok(())
    }

    pub(crate) fn assert_no_temporaries(&self) -> Result<(), Trouble> {
        for device in &self.devices {
            for entry in std::fs::read_dir(device.home().join(".ssh"))? {
                assert_eq!(entry?.file_name(), "authorized_keys", "{}: a temporary file stayed", self.variant);
            }
        }
        Ok(())
    }

    /// Every device accepts the current key, and no other of the credential's.
    pub(crate) async fn assert_settled(&self, outcome: Outcome, said: &str) -> Result<(), Trouble> {
        let credential = self.keywheel().find_credential("deploy").await?;
        let current = credential.current_key().ok_or("a current key")?;
        assert_eq!(current.version == 1, outcome == Outcome::RolledBack, "another version is the current one: {said}");
        for index in 0..self.devices.len() {
            let accepted = self.accepted(&credential, index).await?;
            assert_eq!(accepted, [current.fingerprint()], "{}: web-{}: {said}", self.variant, index + 1);
            self.assert_foreign_bytes(&credential, index)?;
        }
        Ok(())
    }
}
