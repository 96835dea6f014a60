//! `keywheel check`.

use clap::Args;
use keywheel_core::error::Report;
use keywheel_core::rotation::{ConnectWith, Finding};

use crate::error::{Ending, Failure};
use crate::output::{list, printable};
use crate::shell::Shell;

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 every device is ready; 1 one is not.

Example:
  keywheel check deploy")]
pub(crate) struct CheckArguments {
    /// The credential
    credential: String,
}

pub(crate) async fn run(shell: &Shell, arguments: &CheckArguments) -> Result<Ending, Failure> {
    let keywheel = shell.open()?;
    let findings = keywheel.check(&arguments.credential, &ConnectWith::AsStored).await?;
    for finding in &findings {
        shell.output().item(finding, text);
    }
    shell.output().message(&summary(&findings));
    Ok(ending(&findings))
}

/// How a command ends that found this.
pub(crate) fn ending(findings: &[Finding]) -> Ending {
    if findings.iter().all(|finding| finding.ready) { Ending::Done } else { Ending::NotDone }
}

/// One sentence with the numbers.
pub(crate) fn summary(findings: &[Finding]) -> String {
    let ready = findings.iter().filter(|finding| finding.ready).count();
    format!("{ready} of {} devices are ready.", findings.len())
}

/// A device with what stands in the way.
pub(crate) fn text(finding: &Finding) -> String {
    let mut text = if finding.ready {
        let lines = if finding.old_key_lines == 1 { "1 line" } else { &format!("{} lines", finding.old_key_lines) };
        let method = finding.method.as_deref().unwrap_or("-");
        format!("{}: ready ({lines} in {}, by {method})\n", finding.device, list(&finding.files))
    } else {
        format!("{}: not ready\n", finding.device)
    };
    for problem in &finding.problems {
        text.push_str(&reported("problem", problem));
    }
    for warning in &finding.warnings {
        text.push_str(&reported("warning", warning));
    }
    printable(&text)
}

/// A problem with its code and its remedy.
pub(crate) fn reported(kind: &str, report: &Report) -> String {
    format!("  {kind} {}: {}\n    {}\n", report.code, report.message, report.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(ready: bool) -> Finding {
        let problem = Report::new("old-key-missing", "The key stands nowhere.".to_owned(), "Install it.");
        Finding {
            device: "web-1".to_owned(),
            ready,
            method: Some("shell".to_owned()),
            files: vec!["/home/deploy/.ssh/authorized_keys".to_owned()],
            old_key_lines: usize::from(ready),
            problems: if ready { Vec::new() } else { vec![problem] },
            warnings: Vec::new(),
            other_keys: Vec::new(),
        }
    }

    #[test]
    fn a_finding_has_the_shape_of_the_design() {
        let line = serde_json::to_value(finding(true)).unwrap();
        let design = serde_json::json!({
            "device": "web-1", "ready": true, "method": "shell", "files": ["/home/deploy/.ssh/authorized_keys"],
            "old_key_lines": 1, "problems": [], "warnings": [], "other_keys": []
        });
        assert_eq!(line, design);
        let problem = &serde_json::to_value(finding(false)).unwrap()["problems"][0];
        assert_eq!((&problem["code"], &problem["hint"]), (&"old-key-missing".into(), &"Install it.".into()));
    }

    #[test]
    fn one_device_that_is_not_ready_decides() {
        assert_eq!(ending(&[finding(true), finding(true)]).status(), 0);
        assert_eq!(ending(&[finding(true), finding(false)]).status(), 1);
        assert_eq!(summary(&[finding(true), finding(false)]), "1 of 2 devices are ready.");
        assert!(text(&finding(false)).contains("old-key-missing"), "the problem must be named");
    }
}
