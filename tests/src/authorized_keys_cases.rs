//! Texts of `authorized_keys` files and what OpenSSH's sshd does with them.
//!
//! Each row was tried on a real sshd (OpenSSH 9.2): does a login with key K succeed? The same rows are held against
//! Keywheel's own reading of the file. In a text `%T` stands for the type of K, `%B` for the base64 of K, and `%O` for
//! type and base64 of another key (Ed25519).

/// What a file of one case does for key K.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// sshd lets K in; Keywheel finds this many lines of K.
    LogsIn(usize),
    /// sshd refuses K, though it reads this many lines as K: their options forbid it, or it doesn't know them.
    OptionsRefuse(usize),
    /// sshd doesn't read any line as K for a login.
    Absent,
}

/// A file and its truth.
#[derive(Debug)]
pub struct Case {
    /// What is special about it.
    pub name: &'static str,
    /// The file's text with placeholders.
    pub text: &'static [u8],
    /// What sshd does.
    pub truth: Truth,
}

impl Case {
    /// The file's text for a key K and another key, each by type and base64.
    pub fn text(&self, key: (&str, &str), other: (&str, &str)) -> Vec<u8> {
        let mut text = Vec::new();
        let mut bytes = self.text.iter();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.as_slice().first()) {
                (b'%', Some(b'T')) => text.extend_from_slice(key.0.as_bytes()),
                (b'%', Some(b'B')) => text.extend_from_slice(key.1.as_bytes()),
                (b'%', Some(b'O')) => text.extend_from_slice(format!("{} {}", other.0, other.1).as_bytes()),
                _ => {
                    text.push(*byte);
                    continue;
                }
            }
            bytes.next();
        }
        text
    }
}

use Truth::{Absent, LogsIn, OptionsRefuse};

const fn case(name: &'static str, text: &'static [u8], truth: Truth) -> Case {
    Case { name, text, truth }
}

/// Cases that hold for a key K of any type.
pub const CASES: &[Case] = &[
    // Where a line begins and ends.
    case("plain", b"%T %B me@here\n", LogsIn(1)),
    case("without a comment", b"%T %B\n", LogsIn(1)),
    case("without a final newline", b"%T %B", LogsIn(1)),
    case("empty file", b"", Absent),
    case("behind another key", b"%O other\n%T %B me\n", LogsIn(1)),
    case("glued to a last line without a newline", b"%O other%T %B me\n", Absent),
    case("CRLF", b"%T %B me\r\n", LogsIn(1)),
    case("CRLF without a comment", b"%T %B\r\n", LogsIn(1)),
    case("two CRs without a comment", b"%T %B\r\r\n", LogsIn(1)),
    case("CR alone ends no line", b"%O other\r%T %B me\n", Absent),
    case("CR alone before the line", b"\r%T %B me\n", Absent),
    case("leading blanks", b" \t %T %B me\n", LogsIn(1)),
    case("leading vertical tab", b"\x0b%T %B me\n", Absent),
    case("UTF-8 mark at the start", b"\xef\xbb\xbf%T %B me\n", Absent),
    case("UTF-8 mark on the line before", b"\xef\xbb\xbf\n%T %B me\n", LogsIn(1)),
    case("tab between type and key", b"%T\t%B\tme\n", LogsIn(1)),
    case("several blanks between type and key", b"%T \t  %B   me\n", LogsIn(1)),
    case("twice the same line", b"%T %B me\n%T %B me\n", LogsIn(2)),
    case("line that can't be read before it", b"what is this\n\xff\xfe\x00\x01\n%T %B me\n", LogsIn(1)),
    // NUL and other bytes.
    case("NUL in the comment", b"%T %B a\0b\n", LogsIn(1)),
    case("NUL directly behind the key", b"%T %B\0%O\n", LogsIn(1)),
    case("NUL before the line", b"\0%T %B me\n", Absent),
    case("NUL between type and key", b"%T \0%B me\n", Absent),
    case("NUL ends no line", b"%O other\0\n%T %B me\n", LogsIn(1)),
    case("0xff in the comment", b"%T %B \xff\xfe\n", LogsIn(1)),
    case("0xff in the key", b"%T \xff%B me\n", Absent),
    // Comments.
    case("comment line", b"#%T %B me\n", Absent),
    case("comment line with a blank", b" # %T %B me\n", Absent),
    case("comment sign behind the key", b"%T %B # me\n", LogsIn(1)),
    case("comment sign behind a word", b"restrict # %T %B me\n", Absent),
    case("the key in the comment of another", b"%O %T %B\n", Absent),
    case("options in the comment", b"%T %B cert-authority from=\"1.2.3.4\"\n", LogsIn(1)),
    // The key itself.
    case("type alone", b"%T\n", Absent),
    case("type and blank", b"%T \n%B\n", Absent),
    case("key alone", b"%B me\n", Absent),
    case("unknown type", b"ssh-ed448 %B me\n", Absent),
    case("type in capitals", b"SSH-ED25519 %B me\n", Absent),
    case("key with something behind it", b"%T %B= me\n", Absent),
    case("key with a letter before it", b"%T x%B me\n", Absent),
    case("vertical tab and form feed within the key's word", b"%T \x0b%B\x0c me\n", LogsIn(1)),
    case("colon behind the type", b"%T: %B me\n", Absent),
    // Options.
    case("option", b"no-pty %T %B me\n", LogsIn(1)),
    case("options", b"no-pty,no-X11-forwarding %T %B me\n", LogsIn(1)),
    case("options and several blanks", b"no-pty \t %T %B me\n", LogsIn(1)),
    case("option in capitals", b"NO-PTY %T %B me\n", LogsIn(1)),
    case("blank in an option list", b"no-pty, no-X11-forwarding %T %B me\n", Absent),
    case("blank before a comma", b"no-pty ,no-X11-forwarding %T %B me\n", Absent),
    case("from that admits", b"from=\"127.0.0.0/8\" %T %B me\n", LogsIn(1)),
    case("from that doesn't admit", b"from=\"192.0.2.1\" %T %B me\n", OptionsRefuse(1)),
    case("second line admits", b"from=\"192.0.2.1\" %T %B me\nfrom=\"127.0.0.1\" %T %B me\n", LogsIn(2)),
    case("expired", b"expiry-time=\"20200101\" %T %B me\n", OptionsRefuse(1)),
    case("unknown option", b"no-such-option %T %B me\n", OptionsRefuse(1)),
    case("unknown option on one of two lines", b"no-such-option %T %B me\n%T %B me\n", LogsIn(2)),
    case("comma at the end of the options", b"no-pty, %T %B me\n", LogsIn(1)),
    case("type in the place of options", b"%T %T %B me\n", OptionsRefuse(1)),
    // Quotes.
    case("blanks in quotes", b"command=\"echo  a   b\" %T %B me\n", LogsIn(1)),
    case("tab in quotes", b"command=\"echo\ta\" %T %B me\n", LogsIn(1)),
    case("comment sign in quotes", b"command=\"echo # a\" %T %B me\n", LogsIn(1)),
    case("the key in quotes of another", b"command=\"echo %T %B me\" %O other\n", Absent),
    case("another key in quotes", b"command=\"echo %O x\" %T %B me\n", LogsIn(1)),
    case("escaped quotes", b"command=\"echo \\\"a b\\\" c\" %T %B me\n", LogsIn(1)),
    case("escaped quotes around the key of another line", b"command=\"echo \\\" %T %B \\\"\" %O other\n", Absent),
    case("two backslashes before a quote", b"command=\"echo \\\\\" %T %B\" %O other\n", Absent),
    case("quotes that are not closed", b"command=\"echo a %T %B me\n", Absent),
    case("quotes that end in an escaped quote", b"command=\"echo a\\\" %T %B me\n", Absent),
    case("quotes end in the middle of a word", b"environment=\"A=b\"c %T %B me\n", OptionsRefuse(1)),
    case("comma in quotes", b"command=\"echo a, cert-authority\" %T %B me\n", LogsIn(1)),
    case("cert-authority in quotes", b"command=\"echo a,cert-authority,b\" %T %B me\n", LogsIn(1)),
    case("value without quotes", b"command=true %T %B me\n", OptionsRefuse(1)),
    case("0xff in quotes", b"command=\"echo \xff\xfe\" %T %B me\n", LogsIn(1)),
    case("NUL in quotes", b"command=\"echo \0 a\" %T %B me\n", Absent),
    case("comma in front of the options", b",no-pty %T %B me\n", LogsIn(1)),
    case("comma in front of an unknown option", b",no-such-option %T %B me\n", OptionsRefuse(1)),
    case("comma alone", b", %T %B me\n", LogsIn(1)),
    case("certificate authority behind a comma", b",cert-authority %T %B me\n", Absent),
    case("certificate authority behind two commas", b"no-pty,,cert-authority %T %B me\n", Absent),
    case("certificate authority glued to quotes", b"from=\"127.0.0.1\"cert-authority %T %B me\n", OptionsRefuse(1)),
    case("name that begins as certificate authority", b"cert-authority-x %T %B me\n", Absent),
    // Certificate authorities.
    case("certificate authority", b"cert-authority %T %B me\n", Absent),
    case("certificate authority in capitals", b"CERT-AUTHORITY %T %B me\n", Absent),
    case("certificate authority among options", b"no-pty,cert-authority,principals=\"a,b\" %T %B me\n", Absent),
    case("certificate authority behind quotes", b"principals=\"a,b\",cert-authority %T %B me\n", Absent),
    case("certificate authority and login", b"cert-authority %T %B me\n%T %B me\n", LogsIn(1)),
];

/// Cases that hold for an RSA key K only.
pub const RSA_CASES: &[Case] = &[
    case("named by a signature algorithm", b"rsa-sha2-256 %B me\n", LogsIn(1)),
    case("named by the other signature algorithm", b"no-pty rsa-sha2-512 %B me\n", LogsIn(1)),
    case("named by a certificate's type", b"ssh-rsa-cert-v01@openssh.com %B me\n", Absent),
];
