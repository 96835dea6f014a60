//! `keywheel rotate --due`.

use keywheel_core::lock::LockError;
use keywheel_core::rotation::decide::Outcome;
use keywheel_core::rotation::{DueRun, Patience};
use keywheel_core::schedule::due::{Start, What};
use keywheel_core::schedule::{Reason, ScheduleError};
use keywheel_core::{Error, Keywheel};

use super::signals::Stop;
use super::{
    Asked, Ending, ErrorLine, Failure, Progress, Shell, credential, emergency, ending_of, tell_end, watched_by,
};
use crate::error::ShellError;
use crate::output::time;

/// Begins all that is due, or lists it.
pub(super) async fn rotate(shell: &Shell, keywheel: &Keywheel, dry_run: bool) -> Result<Ending, Failure> {
    if dry_run {
        return list(shell, keywheel).await;
    }
    let stop = Stop::on_signals();
    let progress = Progress::of_several(shell.output().clone(), shell.is_verbose());
    let begun = |events: tokio::sync::mpsc::UnboundedSender<_>| async move {
        keywheel.run_due(&keywheel.clock().zone(), stop.asked(), move |_| events.clone()).await
    };
    let (done, _) = watched_by(progress, begun).await;
    let DueRun { ended, waits } = done?;
    let mut endings = Vec::new();
    for (start, done) in &ended {
        endings.extend(tell(shell, keywheel, start, done).await);
    }
    emergency::let_go(shell, keywheel, Patience::Leaves, &Stop::on_signals()).await;
    if let Some(report) = waits {
        let error = ShellError::WaitsForKeyring { reason: report.message };
        shell.tell(&error);
        shell.output().error(&ErrorLine::of(&error));
        endings.push(Ending::of(&error));
    } else if ended.is_empty() {
        shell.output().message("Nothing is due.");
    }
    Ok(Ending::together(&endings))
}

/// Tells how one of them ended; nothing where another process was faster.
async fn tell(
    shell: &Shell,
    keywheel: &Keywheel,
    start: &Start,
    done: &Result<keywheel_core::rotation::Finished, Error>,
) -> Option<Ending> {
    match done {
        Ok(finished) => {
            let details = keywheel.change_details(finished.change).await.ok();
            let seconds = details.and_then(|details| details.change.seconds).unwrap_or_default();
            tell_end(shell, keywheel, finished, seconds).await;
            if finished.outcome == Outcome::Changed {
                credential::destroy_due(shell, keywheel, start.credential_id).await;
            }
            let asked = if matches!(start.what, What::RollBack { .. }) { Asked::RollBack } else { Asked::Change };
            Some(Ending::of_outcome(finished.outcome, asked))
        }
        Err(Error::Lock(LockError::Busy { .. }) | Error::Schedule(ScheduleError::NoLongerDue { .. })) => {
            shell.output().message(&format!("\"{}\": another process works on it.", start.credential));
            None
        }
        Err(error) => {
            shell.tell(error);
            shell.output().error(&ErrorLine::of(error));
            Some(ending_of(keywheel, error).await)
        }
    }
}

async fn list(shell: &Shell, keywheel: &Keywheel) -> Result<Ending, Failure> {
    let due = keywheel.all_due(&keywheel.clock().zone()).await?;
    let row = |start: &Start| vec![start.credential.clone(), what(&start.what), time(&since(start)), why(&start.what)];
    shell.output().table(&due.starts, &["credential", "would", "due since", "why"], row, "Nothing is due.");
    match due.waits {
        Some(report) => Err(ShellError::WaitsForKeyring { reason: report.message }.into()),
        None => Ok(Ending::Done),
    }
}

fn since(start: &Start) -> String {
    start.due.to_string()
}

fn what(what: &What) -> String {
    match what {
        What::Resume { change } => format!("resume the change {change}"),
        What::RollBack { change } => format!("roll the change {change} back"),
        What::Retry { change } => format!("retry the change {change}"),
        What::Run { change } => format!("run the change {change}"),
        What::Rotate { .. } => "change the key".to_owned(),
    }
}

fn why(what: &What) -> String {
    match what {
        What::Resume { .. } | What::RollBack { .. } => "it was interrupted".to_owned(),
        What::Retry { .. } => "some devices did not get through".to_owned(),
        What::Run { .. } => "it was asked for at that time".to_owned(),
        What::Rotate { next } => match &next.reason {
            Reason::Age { days, since } => format!("{days} days after {}", time(&since.to_string())),
            Reason::Reveal { hours, since } => {
                format!("{hours} hours after it was revealed at {}", time(&since.to_string()))
            }
            Reason::Retry { attempt, of } => format!("retry {attempt} of {of}"),
            Reason::NextSeries { attempts } => format!("{attempts} attempts failed before today"),
        },
    }
}
