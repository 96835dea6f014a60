//! Runs a program's real command line as sshd does: `SHELL -c COMMAND`.

use super::*;

/// The login shells of this machine, each with the words before the command; missing ones are told and left out.
pub(super) fn login_shells() -> Vec<Vec<&'static str>> {
    let mut shells = Vec::new();
    for words in [
        vec!["sh"],
        vec!["dash"],
        vec!["bash"],
        vec!["rbash"],
        vec!["zsh"],
        vec!["fish"],
        vec!["tcsh"],
        vec!["csh"],
        vec!["ksh"],
        vec!["mksh"],
        vec!["busybox", "ash"],
    ] {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(words[0]).exists()));
        if found {
            shells.push(words);
        } else {
            println!("skipped: {} is not installed", words[0]);
        }
    }
    shells
}

pub(super) fn command(shell: &[&str], line: &str) -> Command {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg("-c").arg(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a program to its end, sending what the conversation says, and returns standard output.
pub(super) fn run_by(mut command: Command, program: &Program) -> Vec<u8> {
    let mut child = command.spawn().unwrap();
    talk(&mut child, program)
}

pub(super) fn run(shell: &[&str], program: &Program) -> Vec<u8> {
    run_by(command(shell, program.command()), program)
}

pub(super) fn talk(child: &mut Child, program: &Program) -> Vec<u8> {
    let mut stdin = child.stdin.take();
    let mut stdout = child.stdout.take().unwrap();
    let (mut conversation, mut say) = Conversation::begin(program, None);
    let mut buffer = [0; 65536];
    loop {
        for what in say.drain(..) {
            match what {
                // The program may have ended already: then its answer says why.
                Say::Bytes(bytes) => {
                    let _ = stdin.as_mut().map(|stdin| stdin.write_all(&bytes));
                }
                Say::End => drop(stdin.take()),
            }
        }
        let length = stdout.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        say = conversation.hear(Stream::Out, &buffer[..length]);
    }
    let mut errors = Vec::new();
    child.stderr.take().map(|mut stderr| stderr.read_to_end(&mut errors).unwrap());
    child.wait().unwrap();
    if !errors.is_empty() {
        println!("standard error: {}", String::from_utf8_lossy(&errors));
    }
    conversation.finish().unwrap()
}

/// Names in a folder that are ours.
pub(super) fn left_over(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".kw-"))
        .collect()
}

pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) file: std::path::PathBuf,
}

impl Place {
    /// A folder under its resolved path with one file in it.
    pub(super) fn with(text: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("authorized_keys");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, file }
    }

    pub(super) fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    pub(super) fn text(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap()
    }

    pub(super) fn write(&self, id: &str, expected: &[u8], new: &[u8]) -> Program {
        let what = Write { path: self.path(), expected, new, deadline_seconds: 30, mark: "0a1b2c3d-7" };
        write(id, &what).unwrap()
    }
}
