//! One line of the configuration in words.

/// A keyword with what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// The keyword in small letters.
    pub(super) keyword: String,
    /// The line behind the keyword, as written.
    pub(super) rest: String,
}

impl Directive {
    /// Reads a line; an empty one, a comment and a keyword alone are nothing.
    ///
    /// Bytes that are not UTF-8 become replacement characters: no keyword and no name of an account holds one, and a path
    /// that does is not found.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        // sshd sees a line up to a NUL byte.
        let visible = line.split(|byte| *byte == 0).next()?;
        let text = String::from_utf8_lossy(visible);
        let text = text.trim_start_matches([' ', '\t', '\r']).trim_end_matches([' ', '\t', '\r', '\x0c']);
        if text.starts_with('#') {
            return None;
        }
        // One `=` may stand between keyword and value, with blanks around it.
        let end = text.find([' ', '\t', '\r', '=', '"']).unwrap_or(text.len());
        let (keyword, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => text.split_at_checked(end)?,
        };
        let rest = rest.trim_start_matches(BLANKS);
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANKS);
        if keyword.is_empty() || rest.is_empty() {
            return None;
        }
        Some(Self { keyword: keyword.to_ascii_lowercase(), rest: rest.to_owned() })
    }

    /// The words behind the keyword, at least one, none of them empty; `None` if sshd could not read them.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        split(&self.rest).filter(|words| !words.is_empty() && words.iter().all(|word| !word.is_empty()))
    }

    /// The first word behind the keyword.
    pub(super) fn word(&self) -> Option<String> {
        self.words()?.into_iter().next()
    }

    /// The criteria of a `Match` line, each with its patterns.
    pub(super) fn criteria(&self) -> Option<Vec<(String, String)>> {
        let mut words = self.words()?.into_iter();
        let mut criteria = Vec::new();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => {
                    (name.to_ascii_lowercase(), Some(value.to_owned()).filter(|value| !value.is_empty()))
                }
                None => (word.to_ascii_lowercase(), None),
            };
            let value = match (name.as_str(), value) {
                ("all" | "invalid-user", None) => String::new(),
                (_, Some(value)) => value,
                (_, None) => words.next()?,
            };
            criteria.push((name, value));
        }
        Some(criteria)
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Splits a text into words as OpenSSH's `argv_split` does: quotes of both kinds, a backslash before quotes, a backslash
/// or (outside of quotes) a blank, and a comment where a word could begin. `None` if quotes are not closed.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|character| BLANKS.contains(character)).is_some() {}
        match characters.peek() {
            None | Some('#') => return Some(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(character) = characters.next_if(|character| quote.is_some() || !BLANKS.contains(character)) {
            match (character, quote) {
                ('\\', _) => {
                    let escaped = characters
                        .next_if(|next| matches!(next, '"' | '\'' | '\\') || (quote.is_none() && *next == ' '));
                    word.push(escaped.unwrap_or('\\'));
                }
                (_, Some(open)) if character == open => quote = None,
                ('"' | '\'', None) => quote = Some(character),
                _ => word.push(character),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(String, String)> {
        Directive::parse(line.as_bytes()).map(|directive| (directive.keyword, directive.rest))
    }

    #[test]
    fn separates_keyword_and_value() {
        for line in ["Port 22", "  PORT\t22 ", "port=22", "Port = 22", "\"Port\" 22\r", "Port =22\x0c"] {
            assert_eq!(parsed(line), Some(("port".to_owned(), "22".to_owned())), "{line:?}");
        }
        for line in ["", " ", "# Port 22", "Port", "Port =", "\"Port 22"] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
        assert_eq!(parsed("Port == 22").unwrap().1, "= 22", "one sign of equality may be skipped");
    }

    #[test]
    fn splits_words_as_sshd_does() {
        for (text, words) in [
            ("a b\tc", vec!["a", "b", "c"]),
            ("\"a b\" 'c \"d'", vec!["a b", "c \"d"]),
            (r#"a\ b \"c "d\"e" f\g"#, vec!["a b", "\"c", "d\"e", r"f\g"]),
            ("a # b", vec!["a"]),
            ("a#b", vec!["a#b"]),
            ("a\"b c\"d", vec!["ab cd"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert_eq!(split("a \"b"), None, "quotes that are not closed stop sshd");
    }

    #[test]
    fn takes_criteria_with_and_without_a_value() {
        let criteria = Directive::parse(b"Match User=a,b Address 10.0.0.0/8 # c").unwrap().criteria().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(criteria, [pair("user", "a,b"), pair("address", "10.0.0.0/8")]);
        assert_eq!(Directive::parse(b"Match all").unwrap().criteria().unwrap(), [pair("all", "")]);
        assert_eq!(Directive::parse(b"Match User").unwrap().criteria(), None);
    }
}
