//! `keywheel rotate`, `install` and `uninstall`: changes, and following them to their end.

mod due;
pub(crate) mod emergency;
mod signals;

use std::sync::{Arc, mpsc};

use clap::{Args, builder::PossibleValuesParser};
use keywheel_core::error::Report;
use keywheel_core::journal::{ChangeId, ChangeState, DeviceState};
use keywheel_core::rotation::changes::Step;
use keywheel_core::rotation::decide::Outcome;
use keywheel_core::rotation::event::Event;
use keywheel_core::rotation::{
    ConnectWith, Finished, Install, Patience, Rotate, RotationError, Strategy, Uninstall, Watch,
};
use keywheel_core::schedule;
use keywheel_core::{Error, Keywheel};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use self::signals::Stop;
use crate::error::{Asked, Ending, ErrorLine, Failure, ShellError};
use crate::output::{Form, printable, time};
use crate::progress::Progress;
use crate::prompt;
use crate::shell::Shell;
use crate::{change, check, credential};

/// The arguments of `rotate`.
#[derive(Debug, Args)]
#[command(
    after_help = "The new key is added and proven by a login on every device before the old one is removed anywhere
(two-phase), or device after device (device-by-device). Several credentials are changed one after the other.

Where the key is compromised (emergency), the change goes device after device past every failure, and never back: no
device gets the old key back, and there is no undo. The old private key is kept only to remove itself, and destroyed once
every device refuses it. The other keys in each file are listed, since a thief adds his own. Open sessions survive.

Examples:
  keywheel rotate deploy --dry-run
  keywheel rotate deploy
  keywheel rotate deploy --auth-with admin --on-failure continue --at-once 8
  keywheel rotate deploy --strategy emergency --at-once 8
  keywheel rotate deploy --at 22:30          (`keywheel rotate --due` or the window begins it then)
  keywheel rotate --due                      (what `keywheel timer install` has done regularly)

Exit status: 0 every device changed; 1 nothing is changed, or all was rolled back; 3 some devices
changed, some not; 4 interrupted (`keywheel change resume` goes on)."
)]
pub(crate) struct RotateArguments {
    /// The credentials
    #[arg(required_unless_present = "due", value_name = "CREDENTIAL")]
    credentials: Vec<String>,
    /// Begin all that is due: changes whose time has come, and what policies ask for; with --dry-run, list it
    #[arg(long, conflicts_with_all = ["credentials", "auth_with", "algorithm", "strategy", "on_failure", "at_once", "at"])]
    due: bool,
    /// Check every device and show what would be written; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Connect with this credential [default: as the credential says, else with the key itself]
    #[arg(long, value_name = "CREDENTIAL")]
    auth_with: Option<String>,
    /// The new key's algorithm [default: as the current key's]
    #[arg(long, value_name = "ALGORITHM", value_parser = credential::ALGORITHMS)]
    algorithm: Option<String>,
    /// In which order
    #[arg(long, value_name = "STRATEGY", default_value = "two-phase")]
    #[arg(value_parser = PossibleValuesParser::new(["two-phase", "device-by-device", "emergency"]))]
    strategy: String,
    /// What a device that fails leads to [default: roll-back; an emergency always goes on]
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(["roll-back", "continue"]))]
    on_failure: Option<String>,
    /// How many devices' files may be written at once
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = at_once)]
    at_once: usize,
    /// Begin at this time: RFC 3339, or local as 2026-11-24T22:30 or 22:30, which is the next such time
    #[arg(long, value_name = "TIME", conflicts_with = "dry_run")]
    at: Option<String>,
}

/// The arguments of `install`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  keywheel install deploy --auth-with admin --options 'from=\"10.0.0.0/8\",no-agent-forwarding'")]
pub(crate) struct InstallArguments {
    /// The credential whose public key is installed
    credential: String,
    /// The credential to connect with
    #[arg(long, value_name = "CREDENTIAL")]
    auth_with: String,
    /// Options for the line in authorized_keys (sshd(8))
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    options: Option<String>,
}

/// The arguments of `uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keywheel uninstall deploy
  keywheel uninstall deploy --device web-1")]
pub(crate) struct UninstallArguments {
    /// The credential whose public key is taken off
    credential: String,
    /// Only from this device; can be given several times
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
}

fn at_once(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err("give a number from 1 to 10000".to_owned()),
    }
}

pub(crate) async fn rotate(shell: &Shell, arguments: RotateArguments) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    if arguments.due {
        return due::rotate(shell, &keywheel, arguments.dry_run).await;
    }
    let requests = requests(&keywheel, &arguments).await?;
    if arguments.dry_run {
        return plan(shell, &keywheel, &requests).await;
    }
    if let Some(at) = &arguments.at {
        return request_at(shell, &keywheel, requests, at).await;
    }
    let emergency = requests.iter().any(|request| request.strategy == Some(Strategy::Emergency));
    if emergency {
        for request in &requests {
            emergency::confirm(shell, &request.credential)?;
        }
    }
    let stop = Stop::on_signals();
    let patience = if emergency { Patience::Waits } else { Patience::Leaves };
    let done = rotate_all(shell, &keywheel, &requests, &stop).await;
    emergency::let_go(shell, &keywheel, patience, &stop).await;
    done
}

async fn rotate_all(shell: &Shell, keywheel: &Keywheel, requests: &[Rotate], stop: &Stop) -> Result<Ending, Failure> {
    if let [request] = requests {
        let watched = |watch| keywheel.rotate(request, watch);
        return follow_until(shell, keywheel, Asked::Change, stop, watched).await;
    }
    let mut endings = Vec::new();
    for request in requests {
        let ended = if stop.is_asked() {
            Err(ShellError::NotBegun { credential: request.credential.clone() }.into())
        } else {
            let watched = |watch| keywheel.rotate(request, watch);
            follow_until(shell, keywheel, Asked::Change, stop, watched).await
        };
        endings.push(ended.unwrap_or_else(|failure| {
            shell.tell(failure.explain());
            shell.output().error(&ErrorLine::of(failure.explain()));
            failure.ending()
        }));
    }
    Ok(Ending::together(&endings))
}

/// Asks for changes at a time.
async fn request_at(shell: &Shell, keywheel: &Keywheel, requests: Vec<Rotate>, at: &str) -> Result<Ending, Failure> {
    let at = schedule::time::parse(at, keywheel.now(), &keywheel.clock().zone())?;
    let mut endings = Vec::new();
    for request in requests {
        let done = match keywheel.request_change(request, at).await {
            Ok(id) => keywheel.change_details(id).await,
            Err(error) => Err(error),
        };
        endings.push(match done {
            Ok(details) => {
                shell.output().item(&details.change, |change| {
                    let at = change.scheduled_for.as_deref().map(time).unwrap_or_default();
                    format!("\"{}\": the change {} waits for {at}.", change.credential, change.id)
                });
                Ending::Done
            }
            Err(error) => {
                shell.tell(&error);
                shell.output().error(&ErrorLine::of(&error));
                Ending::of(&error)
            }
        });
    }
    Ok(Ending::together(&endings))
}

/// A request for each credential, once each. A name that nothing has is found before anything is begun.
async fn requests(keywheel: &Keywheel, arguments: &RotateArguments) -> Result<Vec<Rotate>, Failure> {
    let mut requests: Vec<Rotate> = Vec::new();
    // The parser lets only these words through.
    let strategy: Option<Strategy> = arguments.strategy.parse().ok();
    if strategy == Some(Strategy::Emergency) && arguments.on_failure.is_some() {
        return Err(Error::from(RotationError::EmergencyGoesOn).into());
    }
    let algorithm = arguments.algorithm.as_deref().map(str::parse).transpose()?;
    if let Some(name) = &arguments.auth_with {
        keywheel.find_credential(name).await?;
    }
    for name in &arguments.credentials {
        let credential = keywheel.find_credential(name).await?.name;
        if requests.iter().any(|known| known.credential == credential) {
            continue;
        }
        requests.push(Rotate {
            credential,
            connect_with: arguments.auth_with.clone().map_or(ConnectWith::AsStored, ConnectWith::Credential),
            algorithm,
            strategy,
            on_failure: arguments.on_failure.as_deref().and_then(|word| word.parse().ok()),
            at_once: Some(arguments.at_once),
            leave_out: Vec::new(),
        });
    }
    Ok(requests)
}

/// Shows what changes would write.
async fn plan(shell: &Shell, keywheel: &Keywheel, requests: &[Rotate]) -> Result<Ending, Failure> {
    let mut endings = Vec::new();
    for request in requests {
        let (planned, _) = watched(shell, |events| async move { keywheel.plan(request, &events).await }).await;
        let findings = planned?;
        if shell.output().form() == Form::Text {
            for finding in findings.iter().filter(|finding| !finding.ready || !finding.warnings.is_empty()) {
                shell.output().data(&check::text(finding));
            }
        }
        shell.output().message(&format!("\"{}\": {}", request.credential, check::summary(&findings)));
        endings.push(check::ending(&findings));
    }
    Ok(if endings.contains(&Ending::NotDone) { Ending::NotDone } else { Ending::Done })
}

pub(crate) async fn install(shell: &Shell, arguments: InstallArguments) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    let request =
        Install { credential: arguments.credential, auth_with: arguments.auth_with, options: arguments.options };
    follow(shell, &keywheel, Asked::Change, |watch| keywheel.install(&request, watch)).await
}

pub(crate) async fn uninstall(shell: &Shell, arguments: UninstallArguments) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    let credential = keywheel.find_credential(&arguments.credential).await?;
    let from = if arguments.devices.is_empty() { "all its devices".to_owned() } else { arguments.devices.join(", ") };
    let question = format!("Take the public key of \"{}\" off {from}? It no longer logs in there.", credential.name);
    prompt::confirm(shell, &question)?;
    take_off(shell, &keywheel, &credential.name, arguments.devices).await
}

/// Takes a credential's public key off devices; none named: off all.
pub(crate) async fn take_off(
    shell: &Shell,
    keywheel: &Keywheel,
    credential: &str,
    devices: Vec<String>,
) -> Result<Ending, Failure> {
    let request = Uninstall { credential: credential.to_owned(), devices };
    follow(shell, keywheel, Asked::Change, |watch| keywheel.uninstall(&request, watch)).await
}

/// Follows a change to its end; the first signal finishes the device in hand, a second one ends at once.
pub(crate) async fn follow<F: Future<Output = Result<Finished, Error>>>(
    shell: &Shell,
    keywheel: &Keywheel,
    asked: Asked,
    begin: impl FnOnce(Watch) -> F,
) -> Result<Ending, Failure> {
    follow_patiently(shell, keywheel, asked, Patience::Leaves, begin).await
}

/// As [`follow`], for what may go on with an emergency: whether to wait until the old key may be destroyed.
pub(crate) async fn follow_patiently<F: Future<Output = Result<Finished, Error>>>(
    shell: &Shell,
    keywheel: &Keywheel,
    asked: Asked,
    patience: Patience,
    begin: impl FnOnce(Watch) -> F,
) -> Result<Ending, Failure> {
    let stop = Stop::on_signals();
    let done = follow_until(shell, keywheel, asked, &stop, begin).await;
    emergency::let_go(shell, keywheel, patience, &stop).await;
    done
}

async fn follow_until<F: Future<Output = Result<Finished, Error>>>(
    shell: &Shell,
    keywheel: &Keywheel,
    asked: Asked,
    stop: &Stop,
    begin: impl FnOnce(Watch) -> F,
) -> Result<Ending, Failure> {
    let (done, told) = watched(shell, |events| begin(Watch { events, stop: stop.asked() })).await;
    match done {
        Ok(finished) => {
            tell_end(shell, keywheel, &finished, told.seconds).await;
            if finished.outcome == Outcome::Changed
                && let Ok(change) = keywheel.find_change(finished.change).await
            {
                credential::destroy_due(shell, keywheel, change.credential).await;
            }
            Ok(Ending::of_outcome(finished.outcome, asked))
        }
        Err(error) => {
            let ending = ending_of(keywheel, &error).await;
            if told.finished {
                // `finished` is the last line then.
                shell.tell(&error);
                return Ok(ending);
            }
            Err(error.into())
        }
    }
}

/// How a change ends that was broken off: where it ended before anything was written, nothing is to be resumed.
async fn ending_of(keywheel: &Keywheel, error: &Error) -> Ending {
    if let Error::Rotation(RotationError::Interrupted { id, .. }) = error
        && let Ok(change) = keywheel.find_change(*id).await
        && change.state == ChangeState::Failed
    {
        return Ending::NotDone;
    }
    Ending::of(error)
}

/// What those who watched have seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    /// Whether the change's end was among the events.
    pub(crate) finished: bool,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Runs an operation while its events are shown on a thread of their own: a slow reader must not hold up a change.
async fn watched<T, F: Future<Output = T>>(
    shell: &Shell,
    begin: impl FnOnce(UnboundedSender<Event>) -> F,
) -> (T, Told) {
    watched_by(Progress::new(Arc::clone(shell.output()), shell.is_verbose()), begin).await
}

async fn watched_by<T, F: Future<Output = T>>(
    mut progress: Progress,
    begin: impl FnOnce(UnboundedSender<Event>) -> F,
) -> (T, Told) {
    let (events, watching) = unbounded_channel();
    let (over, is_over) = oneshot::channel();
    let (to_show, shown) = mpsc::channel();
    let showing = tokio::task::spawn_blocking(move || {
        shown.iter().for_each(|event| progress.show(&event));
        progress.end()
    });
    let forwarding = tokio::spawn(forward(watching, is_over, to_show));
    let done = begin(events).await;
    // Where the receiver is gone, everything is forwarded already.
    let _ = over.send(());
    let _ = forwarding.await;
    // Only a panic keeps it from answering, and that is told by itself; what the change came to counts more.
    (done, showing.await.unwrap_or_default())
}

/// Hands events on until the operation is over, whoever still holds a sender.
async fn forward(mut watching: UnboundedReceiver<Event>, over: oneshot::Receiver<()>, to_show: mpsc::Sender<Event>) {
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            event = watching.recv() => match event {
                Some(event) => drop(to_show.send(event)),
                None => return,
            },
            _ = &mut over => {
                while let Ok(event) = watching.try_recv() {
                    drop(to_show.send(event));
                }
                return;
            }
        }
    }
}

/// Tells the end in one sentence with numbers, the exceptions with their causes, and what may be done next.
async fn tell_end(shell: &Shell, keywheel: &Keywheel, finished: &Finished, seconds: f64) {
    let details = keywheel.change_details(finished.change).await.ok();
    let name = details.as_ref().map_or("", |details| details.change.credential.as_str());
    let kind = details.as_ref().map(|details| details.change.kind);
    if shell.output().form() == Form::Text {
        let mut text = format!("{}\n", sentence(finished, name, kind, seconds));
        for device in &finished.devices {
            match &device.error {
                Some(error) => text.push_str(&exception(&device.device, device.state, error)),
                None if device.state != DeviceState::Changed => {
                    text.push_str(&format!("  {}: {}\n", device.device, device.state));
                }
                None => {}
            }
        }
        if let Some(details) = details.as_ref().filter(|details| details.change.strategy == Strategy::Emergency) {
            text.push_str(&emergency::aftermath(details));
        }
        shell.output().data(&printable(&text));
    }
    if let Some(steps) = details.map(|details| details.possible).filter(|steps| !steps.is_empty()) {
        let word = if steps == [Step::Undo] { "Back" } else { "Go on" };
        shell.output().message(&format!("{word} with {}.", change::next_steps(finished.change, &steps)));
    }
}

fn exception(device: &str, state: DeviceState, error: &Report) -> String {
    change::problem(&format!("{device} ({state}):"), error)
}

fn sentence(finished: &Finished, name: &str, kind: Option<keywheel_core::journal::Kind>, seconds: f64) -> String {
    use keywheel_core::journal::Kind;
    let id: ChangeId = finished.change;
    let all = finished.devices.len();
    let changed = finished.devices.iter().filter(|device| device.state == DeviceState::Changed).count();
    let proof = match kind {
        Some(Kind::Install) => "accept the key",
        Some(Kind::Uninstall) => "refuse the key",
        _ => "accept the new key and refuse the old",
    };
    match finished.outcome {
        Outcome::Changed => format!("\"{name}\": {changed} of {all} devices {proof} ({seconds:.1} s)."),
        Outcome::PartlyChanged => {
            format!("\"{name}\": only {changed} of {all} devices {proof} (change {id}, {seconds:.1} s).")
        }
        Outcome::RolledBack => {
            format!("\"{name}\": everything was taken back; the devices are as before (change {id}, {seconds:.1} s).")
        }
        Outcome::Failed => format!("\"{name}\": nothing was changed (change {id}, {seconds:.1} s)."),
        Outcome::Interrupted => {
            format!("\"{name}\": interrupted; {changed} of {all} devices {proof} (change {id}, {seconds:.1} s).")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_never_told_as_more_than_it_is() {
        let device = |state| keywheel_core::rotation::event::DeviceEnd {
            device: "web-1".to_owned(),
            state,
            accepts: Vec::new(),
            error: None,
        };
        let told = |outcome, states: &[DeviceState]| {
            let devices = states.iter().copied().map(device).collect();
            sentence(&Finished { change: ChangeId(7), outcome, devices }, "deploy", None, 1.25)
        };
        let (changed, left) = (DeviceState::Changed, DeviceState::Unchanged);
        assert_eq!(
            told(Outcome::Changed, &[changed, changed]),
            "\"deploy\": 2 of 2 devices accept the new key and refuse the old (1.2 s)."
        );
        assert!(told(Outcome::PartlyChanged, &[changed, left]).contains("only 1 of 2"));
        assert!(told(Outcome::Interrupted, &[left, left]).contains("interrupted; 0 of 2"));
        assert!(told(Outcome::RolledBack, &[left]).contains("as before"));
        assert!(told(Outcome::Failed, &[left]).contains("nothing was changed"));
    }

    #[tokio::test]
    async fn events_are_handed_on_also_when_a_sender_is_left_over() {
        let (events, watching) = unbounded_channel();
        let (over, is_over) = oneshot::channel();
        let (to_show, shown) = mpsc::channel();
        let what = keywheel_core::rotation::event::What::RolledBack {
            device: "web-1".to_owned(),
            state: keywheel_core::rotation::event::StageState::Done,
        };
        events.send(Event { change: 7, at: "now".to_owned(), what }).unwrap();
        over.send(()).unwrap();
        forward(watching, is_over, to_show).await;
        assert_eq!(shown.iter().count(), 1, "an event would be lost, or the command would wait for ever");
        drop(events);
    }
}
