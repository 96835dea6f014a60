//! Commands: a real `sh -c` in the home, whose input and output go through the channel, with faults at exact places.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};

use super::fault::Moment;
use super::hook::{Edge, Passing};
use super::record::Event;
use super::{Line, MARK, Shared};

/// How long bytes that were given to the network may take to reach a client on this machine.
pub(super) const ON_THEIR_WAY: Duration = Duration::from_millis(100);
/// How long a client may take to close its side of a finished channel.
const CLOSING: Duration = Duration::from_secs(2);

/// How often a command that is held looks whether it still is.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A command that was asked for.
pub(crate) struct Command {
    /// Its number since the faults were set.
    pub(crate) number: u32,
    /// Its text.
    pub(crate) text: String,
    /// What is run in its place.
    pub(crate) forced: Option<String>,
    /// What goes wrong.
    pub(crate) moment: Option<Moment>,
}

/// Runs a command to its end, also when its connection is lost meanwhile, as sshd does.
pub(crate) async fn run(line: Line, channel: Channel<Msg>, handle: Handle, command: Command) {
    let shared = line.shared.clone();
    if command.moment == Some(Moment::Hang) {
        return shared.hang().await;
    }
    if command.moment == Some(Moment::Held) && !released(&line).await {
        return;
    }
    let id = channel.id();
    let (mut reading, writing) = channel.split();
    shared.used.store(true, Ordering::SeqCst);
    if shared.busy.fetch_add(1, Ordering::SeqCst) == 0 {
        // What changed while nothing ran was changed by the test.
        shared.records.take_as_known(&shared.home);
    }
    let spawned = process(&shared, &command).spawn();
    let ended = match spawned {
        Ok(child) => attend(&line, &mut reading, &writing, child, command.moment.as_ref()).await,
        Err(_) => None,
    };
    shared.records.look(&shared.home);
    shared.busy.fetch_sub(1, Ordering::SeqCst);
    let status = ended.and_then(|status| status.code());
    shared.records.add(Event::Finished { number: command.number, status });
    shared.hooks.reach(Edge::After, Passing::Command(&command.text));
    match command.moment {
        Some(Moment::CutUnanswered) => return line.cut(),
        Some(Moment::HangAfter) => return shared.hang().await,
        Some(Moment::AnswerLost) => {
            let _ = writing.close().await;
            return;
        }
        _ => {}
    }
    let signal = ended.and_then(|status| status.signal());
    let _ = writing.eof().await;
    let _ = match (status, signal) {
        (Some(code), _) => writing.exit_status(code.unsigned_abs()).await.map_err(|_| ()),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("UNKNOWN", |signal| signal.as_str());
            let signal = Sig::Custom(name.trim_start_matches("SIG").to_owned());
            handle.exit_signal_request(id, signal, false, String::new(), String::new()).await
        }
        // The shell could not be started at all; 127 is what a shell says for "not found".
        (None, None) => writing.exit_status(127).await.map_err(|_| ()),
    };
    let _ = writing.close().await;
    if command.moment == Some(Moment::CutAfter) {
        let closed = async {
            while let Some(message) = reading.wait().await {
                if matches!(message, ChannelMsg::Close) {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(CLOSING, closed).await;
        line.cut();
    }
}

/// Waits until commands are no longer held; answers whether somebody still waits for this one.
async fn released(line: &Line) -> bool {
    while line.shared.faults.holds() && !line.relay.is_finished() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    !line.relay.is_finished()
}

fn process(shared: &Shared, command: &Command) -> tokio::process::Command {
    let config = &shared.config;
    let mut process = tokio::process::Command::new(&config.shell);
    process.arg("-c").arg(inside(command.forced.as_ref().unwrap_or(&command.text)));
    process.env_clear().current_dir(&shared.home).env("HOME", &shared.home).env("SHELL", &config.shell);
    process.env("USER", &config.account).env("LOGNAME", &config.account);
    process.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env(MARK, &shared.mark);
    if command.forced.is_some() {
        process.env("SSH_ORIGINAL_COMMAND", &command.text);
    }
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    process
}

/// Makes a command look at the device's own `/etc`, which lies beside the home that commands begin in.
///
/// Otherwise it would find the accounts, and with them the home, of whoever runs the tests, and the `sshd_config` of this
/// machine. Paths relative to the home need no quotes.
fn inside(text: &str) -> String {
    text.replace("getent passwd ", "false ").replace(" /etc/", " ../etc/").replace(" /usr/local/etc/", " ../etc/local/")
}

/// Passes input and output on until the process has ended and nobody holds its output open any more.
async fn attend(
    line: &Line,
    reading: &mut ChannelReadHalf,
    writing: &ChannelWriteHalf<Msg>,
    mut child: Child,
    moment: Option<&Moment>,
) -> Option<std::process::ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let sent = AtomicU64::new(0);
    let work = async {
        let (_, _, ended) = tokio::join!(
            pass_output(line, writing, stdout, None, moment, &sent),
            pass_output(line, writing, stderr, Some(1), moment, &sent),
            child.wait()
        );
        ended.ok()
    };
    let cut = async {
        match moment {
            Some(Moment::CutDuring(delay)) => {
                tokio::time::sleep(*delay).await;
                line.cut();
            }
            Some(Moment::PowerLost(delay)) => {
                tokio::time::sleep(*delay).await;
                line.cut();
                line.shared.kill_processes();
            }
            _ => {}
        }
    };
    // Input is passed on while there is somebody to read it, and no longer.
    let input = async {
        pass_input(line, reading, stdin, moment).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ((), ended) = async { tokio::join!(cut, work) } => ended,
        () = input => None,
    }
}

async fn pass_input(
    line: &Line,
    reading: &mut ChannelReadHalf,
    mut stdin: Option<ChildStdin>,
    moment: Option<&Moment>,
) {
    let mut left = match moment {
        Some(Moment::CutAfterInput(limit)) => Some(*limit),
        _ => None,
    };
    if left == Some(0) {
        return line.cut();
    }
    while let Some(message) = reading.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let wanted =
                    left.map_or(data.len(), |left| data.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                let part = data.get(..wanted).unwrap_or_default();
                if let Some(pipe) = stdin.as_mut()
                    && (pipe.write_all(part).await.is_err() || pipe.flush().await.is_err())
                {
                    // The process reads no more.
                    stdin = None;
                }
                if let Some(left) = left.as_mut() {
                    *left -= wanted as u64;
                    if *left == 0 {
                        return line.cut();
                    }
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

async fn pass_output(
    line: &Line,
    writing: &ChannelWriteHalf<Msg>,
    pipe: Option<impl AsyncRead + Unpin>,
    extended: Option<u32>,
    moment: Option<&Moment>,
    sent: &AtomicU64,
) {
    let Some(mut pipe) = pipe else { return };
    let lost = matches!(
        moment,
        Some(
            Moment::CutUnanswered
                | Moment::AnswerLost
                | Moment::HangAfter
                | Moment::CutDuring(_)
                | Moment::PowerLost(_)
        )
    );
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = pipe.read(&mut buffer).await {
        let mut part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            return;
        }
        if lost {
            continue;
        }
        let mut last = false;
        if let Some(Moment::CutAfterOutput(limit)) = moment {
            let already = sent.fetch_add(part.len() as u64, Ordering::SeqCst);
            let room = usize::try_from(limit.saturating_sub(already)).unwrap_or(usize::MAX);
            last = part.len() >= room;
            part = part.get(..room.min(part.len())).unwrap_or_default();
        }
        let passed = match extended {
            None => writing.data_bytes(part.to_vec()).await,
            Some(kind) => writing.extended_data_bytes(kind, part.to_vec()).await,
        };
        if last {
            tokio::time::sleep(ON_THEIR_WAY).await;
            return line.cut();
        }
        if passed.is_err() {
            // With its connection gone sshd closes the pipe, and the process learns it when it writes again.
            return;
        }
    }
}
