//! What must hold on each device of a credential, as far as a look can tell.

use serde::Serialize;

use super::Finding;

/// Whether what must hold on a device does (product.md, tab "Devices"); none: it could not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ts_rs::TS)]
pub struct Conditions {
    /// The account exists.
    pub account: Option<bool>,
    /// The public key stands in one of its files.
    pub public_key: Option<bool>,
    /// The account may log in with keys.
    pub key_login: Option<bool>,
    /// The other credential logs in; none also where the key itself connects.
    pub other_login: Option<bool>,
}

/// As whom a device was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// With the key itself.
    Itself,
    /// With another credential, and then with the key itself, too.
    OtherThenItself,
    /// With another credential alone.
    Other,
}

/// Reads from a finding what holds.
pub(super) fn conditions(finding: &Finding, entered: Entered) -> Conditions {
    let has = |code: &str| finding.problems.iter().any(|problem| problem.code == code);
    let off = has("key-login-off").then_some(false);
    // Where a login with a key is refused, key login was among the methods that the account was offered.
    let refused = has("authentication-refused");
    if finding.method.is_some() {
        let unread = ["file-unreadable", "file-too-large", "not-a-regular-file"].into_iter().any(has);
        let stands = finding.old_key_lines > 0;
        let logged_in =
            !["answer-unknown", "connection-cut", "connection-refused", "timeout", "turned-away", "unreachable"]
                .into_iter()
                .any(has);
        return Conditions {
            account: Some(true),
            public_key: (stands || !unread).then_some(stands),
            key_login: off.or((entered != Entered::Other && logged_in).then_some(true)),
            other_login: (entered != Entered::Itself).then_some(true),
        };
    }
    if entered == Entered::Itself {
        return Conditions { key_login: off.or(refused.then_some(true)), ..Conditions::default() };
    }
    let is_in = has("account-unknown") || finding.problems.iter().any(|problem| problem.code.starts_with("sudo-"));
    Conditions {
        account: has("account-unknown").then_some(false),
        other_login: if refused || off.is_some() { Some(false) } else { is_in.then_some(true) },
        ..Conditions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    /// What was found where the files were seen.
    fn seen(lines: usize, codes: &[&str]) -> Finding {
        Finding { method: Some("shell".to_owned()), old_key_lines: lines, ..unseen(codes) }
    }

    /// What was found where nobody got as far as the files.
    fn unseen(codes: &[&str]) -> Finding {
        let problem = |code: &&str| Report::new(code, "It is so.".to_owned(), "Change it.");
        Finding {
            other_keys: Vec::new(),
            device: "web-1".to_owned(),
            ready: codes.is_empty(),
            method: None,
            files: Vec::new(),
            old_key_lines: 0,
            problems: codes.iter().map(problem).collect(),
            warnings: Vec::new(),
        }
    }

    fn told(finding: &Finding, entered: Entered) -> [Option<bool>; 4] {
        let Conditions { account, public_key, key_login, other_login } = conditions(finding, entered);
        [account, public_key, key_login, other_login]
    }

    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);

    #[test]
    fn a_key_that_gets_in_by_itself_proves_all_but_another_credential() {
        assert_eq!(told(&seen(1, &[]), Entered::Itself), [YES, YES, YES, None]);
        assert_eq!(
            told(&seen(0, &["old-key-missing"]), Entered::Itself),
            [YES, NO, YES, None],
            "it came from elsewhere"
        );
    }

    #[test]
    fn a_key_that_is_refused_tells_neither_the_account_nor_the_file() {
        assert_eq!(told(&unseen(&["authentication-refused"]), Entered::Itself), [None, None, YES, None]);
        assert_eq!(told(&unseen(&["key-login-off"]), Entered::Itself), [None, None, NO, None]);
        assert_eq!(told(&unseen(&["unreachable"]), Entered::Itself), [None; 4]);
    }

    #[test]
    fn another_credential_sees_the_file_also_where_the_key_is_refused() {
        let both = Entered::OtherThenItself;
        assert_eq!(told(&seen(1, &[]), both), [YES, YES, YES, YES]);
        assert_eq!(told(&seen(0, &["old-key-missing", "authentication-refused"]), both), [YES, NO, YES, YES]);
        assert_eq!(told(&seen(1, &["key-login-off"]), both), [YES, YES, NO, YES]);
        assert_eq!(told(&seen(1, &["answer-unknown"]), both), [YES, YES, None, YES], "no answer is no yes");
        assert_eq!(told(&seen(0, &["file-unreadable"]), both), [YES, None, YES, YES], "an unread file may hold it");
        assert_eq!(told(&seen(0, &[]), Entered::Other), [YES, NO, None, YES], "the key was not tried");
    }

    #[test]
    fn another_credential_that_gets_in_may_still_find_no_account() {
        let both = Entered::OtherThenItself;
        assert_eq!(told(&unseen(&["account-unknown"]), both), [NO, None, None, YES]);
        assert_eq!(told(&unseen(&["sudo-not-allowed"]), both), [None, None, None, YES]);
        assert_eq!(told(&unseen(&["authentication-refused"]), both), [None, None, None, NO]);
        assert_eq!(told(&unseen(&["timeout"]), both), [None; 4]);
    }
}
