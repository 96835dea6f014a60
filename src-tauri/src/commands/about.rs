//! What this program is.

use serde::Serialize;
use ts_rs::TS;

/// What the window shows about the program itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
pub(crate) struct About {
    /// The version of the program that runs, which need not be the one that is installed by now.
    pub(crate) version: &'static str,
}

/// Tells which version runs.
#[tauri::command]
pub(crate) fn about() -> About {
    About { version: env!("CARGO_PKG_VERSION") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_version_of_the_package() {
        let answer = serde_json::to_value(about()).unwrap();
        assert_eq!(
            answer,
            serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }),
            "the window would show no version, or a wrong one"
        );
    }
}
