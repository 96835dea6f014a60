//! What is said outside the page, in the language that is set.

use keywheel_core::rotation::decide::Outcome;

use crate::desk::{Language, Progress};

/// The menu's entry that opens the window.
pub(crate) fn open(language: Language) -> &'static str {
    match language {
        Language::English => "Open Keywheel",
        Language::Portuguese => "Abrir o Keywheel",
    }
}

/// The menu's entry that ends the program.
pub(crate) fn quit(language: Language) -> &'static str {
    match language {
        Language::English => "Quit",
        Language::Portuguese => "Sair",
    }
}

/// The menu's entry that pauses automatic changes, or lets them go on.
pub(crate) fn pause(language: Language, paused: bool) -> &'static str {
    match (language, paused) {
        (Language::English, false) => "Pause automatic changes",
        (Language::English, true) => "Go on with automatic changes",
        (Language::Portuguese, false) => "Pausar trocas automáticas",
        (Language::Portuguese, true) => "Continuar as trocas automáticas",
    }
}

/// A notification's text where something is due and the keyring is locked.
pub(crate) fn waits(language: Language) -> &'static str {
    match language {
        Language::English => {
            "A key change is due and waits for the keyring. It begins by itself when the keyring is unlocked."
        }
        Language::Portuguese => {
            "Há uma troca de chave pendente que espera pelo chaveiro. Ela começa sozinha quando ele for desbloqueado."
        }
    }
}

/// What goes on: one change by name, more by number; that something waits, where nothing goes on.
pub(crate) fn state(language: Language, running: &[Progress], waits: bool) -> String {
    match (language, running) {
        (Language::English, []) if waits => "Waits for the keyring".to_owned(),
        (Language::Portuguese, []) if waits => "Espera pelo chaveiro".to_owned(),
        (Language::English, []) => "Nothing is running".to_owned(),
        (Language::Portuguese, []) => "Nada em execução".to_owned(),
        (Language::English, [one]) => format!("Changing {}: {} of {}", one.credential, one.done, one.devices),
        (Language::Portuguese, [one]) => format!("Trocando {}: {} de {}", one.credential, one.done, one.devices),
        (Language::English, more) => format!("{} changes are running", more.len()),
        (Language::Portuguese, more) => format!("{} trocas em execução", more.len()),
    }
}

/// A notification's text about a change that ended; none: it was broken off.
pub(crate) fn ended(language: Language, credential: &str, outcome: Option<Outcome>) -> String {
    let end = match (language, outcome) {
        (Language::English, Some(Outcome::Changed)) => "every device is done.",
        (Language::English, Some(Outcome::PartlyChanged)) => "only some devices are done.",
        (Language::English, Some(Outcome::RolledBack)) => "it was rolled back; the devices are as before.",
        (Language::English, Some(Outcome::Failed)) => "it failed; nothing was changed.",
        (Language::English, Some(Outcome::Interrupted)) => "it was interrupted; it can be resumed.",
        (Language::English, None) => "it was broken off; its page says how it stands.",
        (Language::Portuguese, Some(Outcome::Changed)) => "todos os dispositivos estão prontos.",
        (Language::Portuguese, Some(Outcome::PartlyChanged)) => "só alguns dispositivos estão prontos.",
        (Language::Portuguese, Some(Outcome::RolledBack)) => "foi revertida; os dispositivos estão como antes.",
        (Language::Portuguese, Some(Outcome::Failed)) => "falhou; nada foi alterado.",
        (Language::Portuguese, Some(Outcome::Interrupted)) => "foi interrompida; pode ser retomada.",
        (Language::Portuguese, None) => "parou antes do fim; a página dela mostra como está.",
    };
    format!("{credential}: {end}")
}

/// A notification's text about a program that did not end well after a change.
pub(crate) fn program_failed(language: Language) -> &'static str {
    match language {
        Language::English => "The program after the change failed; the change itself is as it ended.",
        Language::Portuguese => "O programa depois da troca falhou; a troca em si está como terminou.",
    }
}

#[cfg(test)]
mod tests {
    use keywheel_core::journal::ChangeId;

    use super::*;

    fn progress(change: i64) -> Progress {
        Progress { change: ChangeId(change), credential: "deploy".to_owned(), done: 3, devices: 12 }
    }

    #[test]
    fn the_state_names_the_change_and_how_far_it_is() {
        assert_eq!(state(Language::English, &[], false), "Nothing is running");
        assert_eq!(state(Language::English, &[], true), "Waits for the keyring");
        assert_eq!(state(Language::English, &[progress(1)], false), "Changing deploy: 3 of 12");
        assert_eq!(state(Language::Portuguese, &[progress(1)], false), "Trocando deploy: 3 de 12");
        assert_eq!(state(Language::English, &[progress(1), progress(2)], false), "2 changes are running");
    }

    #[test]
    fn the_pause_is_named_by_what_choosing_it_does() {
        for language in [Language::English, Language::Portuguese] {
            assert_ne!(pause(language, true), pause(language, false), "nobody could tell whether they are paused");
        }
        assert_eq!(pause(Language::English, false), "Pause automatic changes");
    }

    #[test]
    fn only_a_whole_change_is_told_as_done() {
        for outcome in [
            None,
            Some(Outcome::PartlyChanged),
            Some(Outcome::RolledBack),
            Some(Outcome::Failed),
            Some(Outcome::Interrupted),
        ] {
            let text = ended(Language::English, "deploy", outcome);
            assert!(!text.contains("every device is done"), "{outcome:?} would be told as a success: {text}");
            let resumable = outcome == Some(Outcome::Interrupted);
            assert_eq!(text.contains("can be resumed"), resumable, "{outcome:?} would be told as resumable: {text}");
        }
    }
}
