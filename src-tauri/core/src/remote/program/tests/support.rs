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
pub(super) fn run_by(command: Command, program: &Program) -> Vec<u8> {
    talk(command, program, None).unwrap()
}

pub(super) fn run(shell: &[&str], program: &Program) -> Vec<u8> {
    run_by(command(shell, program.command()), program)
}

/// Talks with a program as `remote` does: both streams are heard as they come.
pub(super) fn talk(
    mut command: Command,
    program: &Program,
    password: Option<SecretString>,
) -> Result<Vec<u8>, ElevationError> {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take();
    let (sender, receiver) = std::sync::mpsc::channel();
    let streams: [(Stream, Box<dyn Read + Send>); 2] = [
        (Stream::Out, Box::new(child.stdout.take().unwrap())),
        (Stream::Error, Box::new(child.stderr.take().unwrap())),
    ];
    for (stream, mut source) in streams {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                let _ = sender.send((stream, buffer[..length].to_vec()));
            }
        });
    }
    drop(sender);
    let (mut conversation, mut say) = Conversation::begin(program, password);
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
        let Ok((stream, bytes)) = receiver.recv() else { break };
        if stream == Stream::Error {
            println!("standard error: {}", String::from_utf8_lossy(&bytes));
        }
        say = conversation.hear(stream, &bytes);
    }
    child.wait().unwrap();
    conversation.finish()
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

/// Whether these tests may do what only root may, told where not.
pub(super) fn is_root(for_what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("skipped: {for_what} needs root");
    }
    is_root
}

/// Whether a utility is there, told where not.
pub(super) fn is_installed(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()));
    if !found {
        println!("skipped: {name} is not installed");
    }
    found
}

/// Runs a utility that has to succeed.
pub(super) fn must(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An account that is not root; root's tests act as it where rights matter.
pub(super) const NOBODY: u32 = 65534;

/// The command as an account that is not root, whoever runs the tests.
pub(super) fn as_account(line: &str) -> Command {
    let mut command = command(&["sh"], line);
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::process::CommandExt as _;
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

impl Place {
    /// Gives folder and file to the account of [`as_account`].
    pub(super) fn of_account(self) -> Self {
        if nix::unistd::geteuid().is_root() {
            for path in [self.folder.path(), &self.file] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        self
    }

    /// Runs a program whose text is changed at one place, to make something happen just there.
    pub(super) fn run_with(&self, program: &Program, at: &str, inserted: &str) -> Vec<u8> {
        assert!(program.command().matches(at).count() == 1, "the place {at:?} must stand once in the program");
        let line = program.command().replace(at, &format!("{inserted}{at}"));
        run_by(command(&["sh"], &line), program)
    }

    pub(super) fn assert_untouched(&self, text: &[u8]) {
        assert!(self.text() == text, "the file must hold what it held");
        assert_eq!(left_over(self.file.parent().unwrap()), Vec::<String>::new(), "no temporary file may stay");
    }
}

/// The line of a program with the system's folders replaced by one.
pub(super) fn with_path(program: &Program, folder: &str) -> String {
    let path = "/usr/xpg4/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin${PATH:+:$PATH}";
    assert!(program.command().contains(path), "the program sets its own search path");
    program.command().replace(path, folder)
}

/// A folder that holds the utilities of busybox and nothing else.
pub(super) fn busybox_folder() -> Option<tempfile::TempDir> {
    if !is_installed("busybox") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("busybox").arg("--install").arg("-s").arg(folder.path()).output().unwrap();
    if !output.status.success() {
        let list = Command::new("busybox").arg("--list").output().unwrap();
        let busybox = std::fs::canonicalize("/usr/bin/busybox").unwrap();
        for name in String::from_utf8(list.stdout).unwrap().lines() {
            let _ = std::os::unix::fs::symlink(&busybox, folder.path().join(name));
        }
    }
    Some(folder)
}
