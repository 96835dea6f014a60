//! Questions to the person at the terminal, and secrets that are neither arguments nor environment.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use secrecy::SecretString;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Failure, ShellError};
use crate::output::printable;
use crate::shell::Shell;

/// No password or passphrase is longer; a file given by mistake is not read whole.
const LONGEST: u64 = 64 * 1024;

/// Asks a question that `--yes` answers with yes.
///
/// # Errors
/// There is no terminal, or the answer is not yes.
pub(crate) fn confirm(shell: &Shell, question: &str) -> Result<(), Failure> {
    if shell.yes() {
        return Ok(());
    }
    let answer = ask(&format!("{question} [y/N] "), question, "--yes")?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(ShellError::Declined.into()),
    }
}

/// Asks for a thing's name, as a check that it is meant; `--yes` stands for it.
///
/// # Errors
/// There is no terminal, or another text is typed.
pub(crate) fn confirm_name(shell: &Shell, question: &str, name: &str) -> Result<(), Failure> {
    if shell.yes() {
        return Ok(());
    }
    let answer = ask(&format!("{question}\nType its name to go on: "), question, "--yes")?;
    if answer == name { Ok(()) } else { Err(ShellError::OtherName { name: name.to_owned() }.into()) }
}

/// Asks a question with words for answers, and answers one of them.
///
/// # Errors
/// There is no terminal, or none of the words is typed.
pub(crate) fn choose(question: &str, words: &[&'static str], options: &'static str) -> Result<&'static str, Failure> {
    let answer = ask(&format!("{question} [{}] ", words.join("/")), question, options)?.to_lowercase();
    words.iter().copied().find(|word| *word == answer).ok_or_else(|| ShellError::Declined.into())
}

fn ask(prompt: &str, question: &str, answer: &'static str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() || !io::stderr().is_terminal() {
        return Err(ShellError::Unanswered { question: printable(question), answer }.into());
    }
    let mut line = String::new();
    let asked = write!(io::stderr(), "{}", printable(prompt)).and_then(|()| io::stderr().flush());
    asked.and_then(|()| stdin.lock().read_line(&mut line)).map_err(|source| ShellError::Input { source })?;
    Ok(line.trim().to_owned())
}

/// Reads a secret from standard input, up to its end; one end of line is not part of it.
///
/// # Errors
/// It can't be read, is too long, empty, or no single line of UTF-8.
pub(crate) fn secret_from_stdin() -> Result<SecretString, Failure> {
    // Past the buffer of the standard library, which nobody wipes.
    let file = unbuffered_stdin().map_err(|source| ShellError::Input { source })?;
    read_secret(file)
}

#[cfg(unix)]
fn unbuffered_stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn unbuffered_stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

fn read_secret(from: impl Read) -> Result<SecretString, Failure> {
    // The whole length at once: a buffer that grows leaves its old copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or(0) + 1));
    from.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|source| ShellError::Input { source })?;
    let bad = |problem| ShellError::BadSecret { problem };
    if bytes.len() as u64 > LONGEST {
        return Err(bad("longer than 64 KiB").into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(bad("empty").into());
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err(bad("more than one line").into());
    }
    Ok(SecretString::from(text))
}

/// Asks for a secret on the terminal, without echo.
///
/// # Errors
/// There is no terminal.
pub(crate) fn secret(what: &str, option: &'static str) -> Result<SecretString, Failure> {
    if !can_ask() {
        return Err(ShellError::NoSecret { what: what.to_owned(), option }.into());
    }
    let typed = rpassword::prompt_password(format!("{}: ", printable(what)));
    let mut typed = typed.map_err(|source| ShellError::Input { source })?;
    let secret = SecretString::from(typed.as_str());
    typed.zeroize();
    Ok(secret)
}

/// Asks twice for a secret that nothing else can check.
///
/// # Errors
/// There is no terminal; the two differ.
pub(crate) fn new_secret(what: &str, option: &'static str) -> Result<SecretString, Failure> {
    use secrecy::ExposeSecret;
    let first = secret(what, option)?;
    let second = secret(&format!("{what}, again"), option)?;
    if first.expose_secret() == second.expose_secret() { Ok(first) } else { Err(ShellError::EntriesDiffer.into()) }
}

/// Whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use keywheel_core::error::Explain;
    use secrecy::ExposeSecret;

    use super::*;

    fn read(bytes: &[u8]) -> Result<String, &'static str> {
        match read_secret(bytes) {
            Ok(secret) => Ok(secret.expose_secret().to_owned()),
            Err(Failure::Shell(error)) => Err(error.code()),
            Err(Failure::Core(error)) => Err(error.code()),
        }
    }

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        for (given, secret) in
            [("pass", "pass"), ("pass\n", "pass"), ("pass\r\n", "pass"), (" p a s s \n", " p a s s ")]
        {
            assert_eq!(read(given.as_bytes()).unwrap(), secret, "{given:?}");
        }
    }

    #[test]
    fn refuses_what_could_not_be_typed() {
        let long = vec![b'a'; 65 * 1024];
        for given in [&b""[..], b"\n", b"two\nlines\n", b"\xff\xfe", b"a\0b", &long] {
            assert_eq!(read(given).unwrap_err(), "bad-secret", "{} bytes", given.len());
        }
    }
}
