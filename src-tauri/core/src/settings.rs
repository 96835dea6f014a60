//! What can be done with settings.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::after_change;
use crate::audit::Action;
use crate::catalogue::setting::{self, Allowed, SETTINGS, Setting, Settings};
use crate::catalogue::words;
use crate::error::{Error, Explain};
use crate::keywheel::Keywheel;

/// A setting as shells show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ts_rs::TS)]
pub struct SettingView {
    /// The name on the command line.
    pub name: &'static str,
    /// The label in the window.
    pub label: &'static str,
    /// The value.
    pub value: String,
    /// The value while nothing else is set.
    pub default: &'static str,
    /// What it may be, in words.
    pub allowed: String,
    /// The words it may be; none for a number.
    pub choices: Vec<String>,
    /// What is counted, where it is a number.
    pub unit: Option<&'static str>,
}

impl Keywheel {
    /// Reads the settings that the core goes by.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.read(setting::load).await
    }

    /// Lists all settings with their values.
    ///
    /// # Errors
    /// The database's own failure.
    pub async fn setting_views(&self) -> Result<Vec<SettingView>, Error> {
        self.read(|conn| {
            SETTINGS
                .iter()
                .map(|setting| {
                    Ok(SettingView {
                        name: setting.name,
                        label: setting.label,
                        value: setting::value(conn, setting)?,
                        default: setting.default,
                        allowed: setting.allowed.to_string(),
                        choices: setting.allowed.choices().iter().map(|word| (*word).to_owned()).collect(),
                        unit: setting.allowed.unit(),
                    })
                })
                .collect()
        })
        .await
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// There is no such setting, or it can't have that value.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), Error> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.change(Action::new("setting-set", "setting", name.trim()), move |tx, action| {
            action.detail = json!({ "value": value });
            let setting = Setting::named(&name)?;
            let before = setting::value(tx, setting)?;
            let checked = setting.check(&value)?;
            if setting.allowed == Allowed::Program && !checked.is_empty() {
                after_change::refuse_unfit(Path::new(&checked))?;
            }
            setting::set(tx, setting, &checked)?;
            action.idle = checked == before;
            action.detail = json!({ "value": checked, "before": before });
            Ok(())
        })
        .await
    }

    /// Records that the start at login was switched on or off, or why not: the entry is the desktop's, and its shell has set it.
    pub async fn record_start_at_login(&self, value: OnOff, error: Option<&(dyn Explain + Sync)>) {
        let action = Action::new("setting-set", "setting", "start-at-login").with(json!({ "value": value.as_str() }));
        self.record(action, error).await;
    }
}

words! {
    /// Whether something is switched on.
    OnOff {
        /// It is.
        On = "on",
        /// It is not.
        Off = "off",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keywheel::testing::keywheel;

    #[tokio::test]
    async fn settings_have_the_defaults_of_the_design_until_they_are_set() {
        let (keywheel, _dir) = keywheel();
        let settings = keywheel.settings().await.unwrap();
        assert_eq!(settings.connection_timeout, Duration::from_secs(10));
        assert_eq!(settings.stage_timeout, Duration::from_secs(30));
        assert_eq!(settings.days_of_undo, 7);
        keywheel.set_setting("stage-timeout", "5").await.unwrap();
        assert_eq!(keywheel.settings().await.unwrap().stage_timeout, Duration::from_secs(5));
    }

    #[tokio::test]
    async fn the_start_at_login_is_recorded_as_a_setting() {
        let (keywheel, _dir) = keywheel();
        keywheel.record_start_at_login(OnOff::On, None).await;
        let rows = keywheel.audit_rows(Default::default()).await.unwrap();
        let row = rows.last().unwrap();
        assert_eq!((row.action.as_str(), row.subject.as_deref()), ("setting-set", Some("start-at-login")));
        assert_eq!(row.detail, serde_json::json!({ "value": "on" }));
    }

    #[tokio::test]
    async fn a_refused_value_changes_nothing_and_is_recorded() {
        let (keywheel, _dir) = keywheel();
        assert_eq!(keywheel.set_setting("stage-timeout", "0").await.unwrap_err().code(), "bad-setting");
        assert_eq!(keywheel.settings().await.unwrap().stage_timeout, Duration::from_secs(30));
        let rows = keywheel.audit_rows(Default::default()).await.unwrap();
        let row = rows.last().unwrap();
        assert_eq!(
            (row.action.as_str(), row.result.as_str(), row.code.as_deref()),
            ("setting-set", "refused", Some("bad-setting"))
        );
    }
}
