//! Where the database lies when nobody says otherwise.

use std::env;
use std::path::PathBuf;

/// The data directory of this user, as cli.md gives it; none where the environment names no home.
///
/// - Linux and other Unix: `$XDG_DATA_HOME/keywheel`, else `~/.local/share/keywheel` (XDG Base Directory Specification: a
///   relative path in the variable counts as none)
/// - macOS: `~/Library/Application Support/keywheel`
/// - Windows: `%LOCALAPPDATA%\keywheel`
pub fn default_data_dir() -> Option<PathBuf> {
    from_environment(|name| env::var_os(name).map(PathBuf::from))
}

fn from_environment(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        absolute("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("keywheel"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        from_environment(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn follows_the_xdg_variable_and_else_the_home() {
        assert_eq!(with(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Some("/x/keywheel".into()));
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.local/share/keywheel".into()));
        assert_eq!(with(&[("XDG_DATA_HOME", ""), ("HOME", "/h")]), Some("/h/.local/share/keywheel".into()));
        assert_eq!(with(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]), Some("/h/.local/share/keywheel".into()));
        assert_eq!(with(&[]), None, "a guess would scatter databases");
    }
}
