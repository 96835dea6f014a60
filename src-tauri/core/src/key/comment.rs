//! The label of a key.

/// The most bytes of a comment that are kept in a private key.
///
/// The Windows Credential Manager takes 2,560 bytes an item; a key of RSA 4096 needs 2,436 of them without its comment.
pub(super) const MAX_PRIVATE: usize = 120;

/// Makes control characters into spaces, so that a comment can't end a line or move a terminal's cursor.
pub(super) fn clean(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || is_line_end(c) { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// Cuts a comment to what fits into the keyring beside the longest key.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_PRIVATE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim_end()
}

/// Tells the Unicode line and paragraph separators, which are no control characters.
fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_cannot_start_a_second_line() {
        assert_eq!(clean(" deploy@desk\r\nssh-rsa AAAA\u{1b}[2J\0\u{2028}x\t"), "deploy@desk  ssh-rsa AAAA [2J  x");
    }

    #[test]
    fn a_long_comment_is_cut_between_characters() {
        let long = "é".repeat(100);
        assert_eq!(cut(&long), "é".repeat(60));
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&format!("x{long}")).len(), 119, "half a character must not be kept");
    }
}
