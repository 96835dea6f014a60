//! The settings that the shell itself goes by.

use keywheel_core::settings::SettingView;

/// The language of what is shown outside the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    English,
    /// Brazilian Portuguese.
    Portuguese,
}

impl Language {
    /// The language of a locale (`pt-BR`), English where there is no other.
    pub(crate) fn of(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("pt") { Self::Portuguese } else { Self::English }
    }

    /// The language of the system.
    pub(crate) fn of_system() -> Self {
        Self::of(&sys_locale::get_locale().unwrap_or_default())
    }
}

/// What was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// "Keep running in the tray".
    pub(crate) keep_in_tray: bool,
    /// "Notifications".
    pub(crate) notifications: bool,
    /// Whether automatic changes are paused today.
    pub(crate) paused: bool,
    /// "Language"; the system's where none is set.
    pub(crate) language: Language,
}

impl Default for Preferences {
    /// What holds until the settings can be read.
    fn default() -> Self {
        Self { keep_in_tray: true, notifications: true, paused: false, language: Language::of_system() }
    }
}

impl Preferences {
    /// Picks them out of all settings; whether automatic changes are paused, the core knows.
    pub(crate) fn of(views: &[SettingView], paused: bool) -> Self {
        let value = |name: &str| views.iter().find(|view| view.name == name).map(|view| view.value.as_str());
        Self {
            keep_in_tray: value("keep-running-in-tray") != Some("off"),
            notifications: value("notifications") != Some("off"),
            paused,
            language: match value("language") {
                None | Some("system") => Language::of_system(),
                Some(locale) => Language::of(locale),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Table;
    use super::*;

    #[tokio::test]
    async fn follow_the_settings() {
        let table = Table::laid();
        let before = table.desk.preferences();
        assert!(before.keep_in_tray && before.notifications);
        assert!(!before.paused);
        for (name, value) in [
            ("keep-running-in-tray", "off"),
            ("notifications", "off"),
            ("language", "pt-BR"),
            ("pause-automatic-changes", "on"),
        ] {
            table.keywheel().set_setting(name, value).await.unwrap();
        }
        table.desk.read_preferences().await;
        let expected =
            Preferences { keep_in_tray: false, notifications: false, paused: true, language: Language::Portuguese };
        assert_eq!(table.desk.preferences(), expected, "a setting would have no effect");
    }

    #[test]
    fn a_locale_has_the_language_of_its_first_part() {
        assert_eq!(Language::of("pt-BR"), Language::Portuguese);
        assert_eq!(Language::of("pt_PT.UTF-8"), Language::Portuguese);
        assert_eq!(Language::of("en-GB"), Language::English);
        assert_eq!(Language::of(""), Language::English);
    }
}
