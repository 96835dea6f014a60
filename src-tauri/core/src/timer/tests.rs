use std::process::Command;

use super::*;

fn tick(program: &str, data_dir: Option<&str>) -> Tick {
    Tick { program: program.into(), data_dir: data_dir.map(PathBuf::from) }
}

fn at(home: &Path) -> impl Fn(&str) -> Option<PathBuf> {
    move |name| ["XDG_CONFIG_HOME", "HOME", "LOCALAPPDATA"].contains(&name).then(|| home.to_owned())
}

fn content(parts: &Parts, name: &str) -> String {
    let file = parts.files.iter().find(|file| file.path.ends_with(name)).unwrap();
    String::from_utf8(file.bytes.clone()).unwrap()
}

#[test]
fn the_service_runs_this_program_on_this_data_directory_whatever_they_are_called() {
    let home = Path::new("/home/ana/.config");
    let odd = tick("/opt/my \"tools\" 100%/$x/keywheel", Some("/srv/50% $HOME \\ vault"));
    let service = content(&systemd::parts(&odd, at(home)).unwrap(), "systemd/user/keywheel.service");
    let expected =
        r#"ExecStart="/opt/my \"tools\" 100%%/$x/keywheel" "--data-dir" "/srv/50%% $$HOME \\ vault" "rotate" "--due""#;
    assert!(service.lines().any(|line| line == expected), "{service}");
    let plain = content(&systemd::parts(&tick("/usr/bin/keywheel", None), at(home)).unwrap(), "keywheel.service");
    assert!(plain.contains("ExecStart=\"/usr/bin/keywheel\" \"rotate\" \"--due\"\n"), "{plain}");
}

#[test]
fn an_agent_and_a_task_name_the_same_command() {
    let odd = tick("/opt/a & b/keywheel", Some("/srv/<my> vault"));
    let plist = launchd::plist(&odd);
    let words = ["/opt/a &amp; b/keywheel", "--data-dir", "/srv/&lt;my&gt; vault", "rotate", "--due"];
    let found: Vec<&str> =
        plist.lines().filter_map(|line| line.strip_prefix("        <string>")?.strip_suffix("</string>")).collect();
    assert_eq!(found, words, "{plist}");
    let task = task_scheduler::task(&odd);
    assert!(task.contains("<Command>/opt/a &amp; b/keywheel</Command>"), "{task}");
    assert!(task.contains("<Arguments>--data-dir \"/srv/&lt;my&gt; vault\" rotate --due</Arguments>"), "{task}");
    assert_eq!(task_scheduler::quoted(r#"C:\my "vault\"#), r#""C:\my \"vault\\""#);
    for parts in [launchd::parts(&odd, at(Path::new("/h"))), task_scheduler::parts(&odd, at(Path::new("/h")))] {
        assert!(is_ours(&parts.unwrap().files[0].bytes), "it could not be removed again");
    }
}

#[test]
fn a_file_that_somebody_else_wrote_is_neither_replaced_nor_removed() {
    let home = tempfile::tempdir().unwrap();
    let parts = systemd::parts(&tick("/usr/bin/keywheel", None), at(home.path())).unwrap();
    let service = &parts.files[0];
    write(service).unwrap();
    refuse_foreign(service).unwrap();
    fs::write(&service.path, "[Service]\nExecStart=/usr/local/bin/mine\n").unwrap();
    let error = refuse_foreign(service).unwrap_err();
    assert!(matches!(&error, TimerError::Foreign { path } if *path == service.path), "{error}");
}

#[test]
fn what_could_not_be_run_is_told_from_the_first_that_failed_on() {
    let commands = ["true", "false now", "true later"].map(words);
    assert_eq!(run_all(&commands), ["false now", "true later"]);
    assert_eq!(run_all(&commands[..1]), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_itself_finds_nothing_wrong_with_the_timer() {
    let home = tempfile::tempdir().unwrap();
    // A program with an odd name that is there, since systemd looks for it.
    let program = home.path().join("my 100% tools/keywheel");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy("/bin/true", &program).unwrap();
    let tick = Tick { program, data_dir: Some(home.path().join("a $vault")) };
    let parts = systemd::parts(&tick, at(home.path())).unwrap();
    parts.files.iter().for_each(|file| write(file).unwrap());
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user"]).args(parts.files.iter().map(|file| &file.path));
    verify.env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path()).env_remove("DBUS_SESSION_BUS_ADDRESS");
    let Ok(output) = verify.output() else {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("keywheel")).collect();
    assert!(output.status.success() && ours.is_empty(), "{}: {told}", output.status);
}
