//! `ludoteca up`, `down` and `doctor` on one machine: what is wrong is said in one sentence, and what was killed is
//! picked up again.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use ludoteca::local::free_port;
use ludoteca::up::new_master_key;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::support::eventually;

/// A folder for a store, in a place that has spaces and letters beyond ASCII.
struct Machine {
    place: TempDir,
    data: PathBuf,
    port: u16,
}

/// What a command said, and whether it succeeded.
struct Said {
    ok: bool,
    text: String,
}

impl Machine {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        // Postgres runs as another user where we are root.
        std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let data = place.path().join("João's store");
        Self { place, data, port: free_port().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        command.args(arguments).current_dir(self.place.path()).env("LUDOTECA_DATA", &self.data);
        // Its search is its own.
        command.env_remove("MEILI_URL").env_remove("MEILI_MASTER_KEY");
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    fn up(&self, more: &[&str]) -> Said {
        let port = self.port.to_string();
        self.run(&[["up", "--detach", "--port", port.as_str()].as_slice(), more].concat())
    }

    fn doctor(&self) -> Said {
        self.run(&["doctor", "--port", &self.port.to_string()])
    }

    fn kill_up(&self) {
        let pid = std::fs::read_to_string(self.data.join("run/lock")).unwrap();
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }

    /// Both `doctor` and `up` say this sentence, and `up` starts nothing.
    fn is_refused(&self, sentence: &str) {
        for said in [self.doctor(), self.up(&[])] {
            assert!(!said.ok && said.text.contains(sentence), "`{sentence}` is not in: {}", said.text);
        }
        assert!(self.run(&["down"]).text.contains("Nothing runs"), "nothing was started");
    }

    /// Leaves what an earlier start would have left.
    fn left(&self, file: &str, text: &str) {
        let path = self.data.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

fn said(output: Output) -> Said {
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Said { ok: output.status.success(), text }
}

async fn health(port: u16) -> String {
    let health = ludoteca::client::http().unwrap().get(format!("http://127.0.0.1:{port}/health/ready"));
    match health.send().await {
        Ok(answer) => answer.text().await.unwrap(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_taken_port_is_named() {
    let machine = Machine::new();
    let _taken = TcpListener::bind(("127.0.0.1", machine.port)).unwrap();
    machine.is_refused(&format!("port {} is taken by another program; choose another with --port", machine.port));
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let machine = Machine::new();
    std::fs::write(&machine.data, "").unwrap();
    machine.is_refused("is a file; choose a folder with --data");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let machine = Machine::new();
    let mut doctor = machine.command(&["doctor"]);
    if Uid::effective().is_root() {
        // Root may write everywhere.
        doctor.uid(65_534).gid(65_534);
    } else {
        std::fs::set_permissions(machine.place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    }
    match doctor.output() {
        Ok(output) => {
            let said = said(output);
            assert!(!said.ok && said.text.contains("cannot be written; choose another folder"), "{}", said.text);
        }
        Err(error) => eprintln!("SKIPPED: a folder that cannot be written (nobody may not run the program: {error})"),
    }
}

#[test]
fn a_full_disk_is_named() {
    let machine = Machine::new();
    std::fs::create_dir(&machine.data).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&machine.data).status();
    if !mount(&["-t", "tmpfs", "-o", "size=16m", "none"]).is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a full disk (only root may mount a small one)");
        return;
    }
    let refused = std::panic::catch_unwind(|| machine.is_refused("make room for 256 MB"));
    Command::new("umount").arg(&machine.data).status().unwrap();
    refused.unwrap();
}

#[test]
fn missing_servers_are_named_with_what_installs_them() {
    let machine = Machine::new();
    let mut doctor = machine.command(&["doctor"]);
    let said = said(doctor.env("LUDOTECA_HOME", machine.place.path()).env("PATH", "/nowhere").output().unwrap());
    assert!(!said.ok && said.text.contains("nats-server is not installed; scripts/up installs it"), "{}", said.text);
}

#[test]
fn settings_that_are_gone_are_named_instead_of_a_wrong_password() {
    let machine = Machine::new();
    machine.left("postgres/data/PG_VERSION", "15\n");
    machine.is_refused("the settings are gone");
}

#[test]
fn settings_that_cannot_be_read_are_named() {
    let machine = Machine::new();
    machine.left("ludoteca.env", "MASTER_KEY='never closed\n");
    machine.is_refused("mend it or put the file back from a backup");
    let said = [machine.doctor(), machine.up(&[]), machine.run(&["verify"]), machine.run(&["setup"])];
    assert!(said.iter().all(|said| !said.ok && !said.text.contains("never closed")), "it may be a secret");
    let kept = std::fs::read_to_string(machine.data.join("ludoteca.env")).unwrap();
    assert_eq!(kept, "MASTER_KEY='never closed\n", "nothing is written over it");
}

#[test]
fn a_secret_of_another_store_in_the_environment_changes_nothing() {
    let machine = Machine::new();
    let ours = "MASTER_KEY=ours\nPOSTGRES_PASSWORD=ours\n";
    machine.left("ludoteca.env", ours);
    for name in ["MASTER_KEY", "POSTGRES_PASSWORD", "ADMIN_PASSWORD"] {
        machine.left("ludoteca.env", &format!("{ours}ADMIN_PASSWORD=ours\n"));
        let mut up = machine.command(&["--log", "info", "up", "--port", &machine.port.to_string()]);
        let said = said(up.env(name, "theirs").output().unwrap());
        assert!(!said.ok && said.text.contains(&format!("{name} is set, but differs")), "{}", said.text);
        assert!(std::fs::read_to_string(machine.data.join("ludoteca.env")).unwrap().starts_with(ours));
    }
}

#[test]
fn a_journal_that_is_gone_is_named() {
    let machine = Machine::new();
    machine.left("ludoteca.env", "MASTER_KEY=x\n");
    machine.left("nats/streams/jetstream/x", "");
    machine.is_refused("the journal is gone");
}

#[test]
fn data_of_another_postgres_is_named_with_its_version() {
    let machine = Machine::new();
    machine.left("ludoteca.env", "MASTER_KEY=x\n");
    machine.left("postgres/data/PG_VERSION", "99\n");
    machine.is_refused("the data was made by PostgreSQL 99");
}

#[test]
fn a_command_without_a_store_says_where_it_looked() {
    let machine = Machine::new();
    let said = machine.run(&["verify"]);
    assert!(!said.ok && said.text.contains("name its folder: LUDOTECA_DATA=FOLDER"), "{}", said.text);
}

#[tokio::test]
async fn a_store_survives_a_second_start_a_killed_start_and_a_move() {
    let mut machine = Machine::new();
    let started = machine.up(&[]);
    assert!(started.ok && started.text.contains("Ludoteca is ready"), "{}", started.text);

    // A second start, in whichever way, leaves the first alone.
    for second in [machine.up(&[]), machine.run(&["up", "--port", &machine.port.to_string()])] {
        assert!(!second.ok && second.text.contains("is running already"), "{}", second.text);
    }
    eventually("the first still runs", || async { health(machine.port).await.contains(r#""status":"ready""#) }).await;
    let doctor = machine.doctor();
    assert!(doctor.ok && doctor.text.contains("the master key fits"), "{}", doctor.text);

    // A wrong master key is noticed before it does any harm.
    let mut verify = machine.command(&["verify"]);
    let wrong = said(verify.env("MASTER_KEY", new_master_key().expose_secret()).output().unwrap());
    assert!(!wrong.ok && wrong.text.contains("MASTER_KEY does not match this store"), "{}", wrong.text);

    // Whoever stops reading is left in peace.
    let program = env!("CARGO_BIN_EXE_ludoteca");
    for command in ["replay", "verify"] {
        let mut unread = Command::new("bash");
        let script = format!("set -o pipefail; '{program}' {command} | true");
        let read =
            unread.args(["-c", &script]).env("LUDOTECA_DATA", &machine.data).env_remove("MEILI_URL").output().unwrap();
        assert!(matches!(read.status.code(), Some(0 | 141)), "{command}: {read:?}");
        let said = said(read);
        assert!(!said.text.contains("panicked") && !said.text.contains("error"), "{command}: {}", said.text);
    }

    // What a killed start leaves is named by doctor and ended by down.
    machine.kill_up();
    eventually("it is dead", || async { machine.doctor().text.contains("a killed start left") }).await;
    let doctor = machine.doctor().text;
    assert!(doctor.contains("nats-server, postgres running"), "{doctor}");
    let down = machine.run(&["down"]).text;
    assert!(down.contains("Stopped what a killed start had left running"), "{down}");
    assert!(machine.run(&["down"]).text.contains("Nothing runs"));

    // The folder is moved, and the next start is killed as well, roles and all.
    let moved = machine.place.path().join("elsewhere");
    std::fs::rename(&machine.data, &moved).unwrap();
    machine.data = moved;
    assert!(machine.up(&["--processes"]).ok);
    machine.kill_up();
    eventually("it is dead as well", || async { machine.doctor().text.contains("a killed start left") }).await;
    let again = machine.up(&[]);
    assert!(again.ok, "{}", again.text);
    let log = std::fs::read_to_string(machine.data.join("up.log")).unwrap();
    assert!(log.contains("Ended what a killed start had left running: gateway, relay"), "{log}");
    let verified = machine.run(&["verify"]);
    assert!(verified.ok, "nothing was lost: {}", verified.text);
    assert!(machine.run(&["down"]).text.contains("Stopped; the data stays in"));
    for command in ["verify", "demo", "replay"] {
        let stopped = machine.run(&[command]);
        assert!(!stopped.ok && stopped.text.contains("is not running; start it with scripts/up"), "{}", stopped.text);
    }

    // The mirror can be lost: the journal has it all.
    std::fs::remove_dir_all(machine.data.join("nats")).unwrap();
    assert!(machine.doctor().text.contains("a journal without its mirror"));
    assert!(machine.up(&[]).ok);
    let verified = machine.run(&["verify"]);
    assert!(verified.ok, "the mirror is whole again: {}", verified.text);
}

#[tokio::test]
async fn data_of_a_newer_version_is_left_alone() {
    let machine = Machine::new();
    // The last port there is: the servers find others.
    let port = if free(65_534) { "65534".to_owned() } else { machine.port.to_string() };
    // The roles' own settings are taken from the environment.
    let mut up = machine.command(&["up", "--detach", "--no-import", "--port", &port]);
    let started = said(up.env("CURRENCY", "JPY").output().unwrap());
    assert!(started.ok, "{}", started.text);
    let page = ludoteca::client::http().unwrap().get(format!("http://127.0.0.1:{port}/")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains(r#"<meta name="currency" content="JPY">"#));
    let settings = std::fs::read_to_string(machine.data.join("ludoteca.env")).unwrap();
    let owner = settings.lines().find_map(|line| line.strip_prefix("DATABASE_OWNER_URL=")).unwrap();
    let pool = sqlx::PgPool::connect(owner).await.unwrap();
    sqlx::query("insert into _sqlx_migrations select 20991231000000, 'later', now(), true, '', 0")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    assert!(machine.run(&["down"]).ok);
    let refused = machine.run(&["up", "--detach", "--port", &port]);
    let sentence = "the data was written by a newer version of Ludoteca (schema 20991231000000); run that version";
    assert!(!refused.ok && refused.text.contains(sentence), "{}", refused.text);
}

fn free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[test]
fn help_names_every_variable_and_completions_know_every_command() {
    let machine = Machine::new();
    let help = machine.run(&["--help"]).text;
    for name in ["LUDOTECA_DATA", "LUDOTECA_HOME", "LUDOTECA_PROFILE", "LOG_FORMAT", "RUST_LOG", "CARGO_TARGET_DIR"] {
        assert!(help.contains(name), "{name} is not in: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let completions = machine.run(&["completions", shell]).text;
        assert!(completions.contains("reindex") && completions.contains("doctor"), "{shell}");
    }
}

#[test]
fn a_path_that_is_relative_is_the_callers() {
    let machine = Machine::new();
    let here = machine.place.path().canonicalize().unwrap();
    let said = machine.run(&["up", "--catalog", "nowhere.csv"]);
    assert!(
        !said.ok && said.text.contains(&format!("there is no catalogue {}/nowhere.csv", here.display())),
        "{}",
        said.text
    );
    let said = machine.run(&["doctor", "--data", "there"]);
    assert!(said.text.contains(&format!("{}/there can be written", here.display())), "{}", said.text);
}

#[tokio::test]
async fn a_store_that_is_weak_of_descriptors_serves_all_the_same() {
    let machine = Machine::new();
    let port = machine.port.to_string();
    let mut up = Command::new("sh");
    up.args(["-c", "ulimit -n 256; exec \"$0\" up --detach --port \"$1\"", env!("CARGO_BIN_EXE_ludoteca"), &port]);
    up.current_dir(machine.place.path()).env("LUDOTECA_DATA", &machine.data).env_remove("MEILI_URL");
    let started = said(up.output().unwrap());
    assert!(started.ok, "{}", started.text);
    let silent: Vec<_> =
        (0..300).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", machine.port)).ok()).collect();
    assert!(silent.len() > 250, "{} connections were made", silent.len());
    assert!(health(machine.port).await.contains("\"status\":\"ready\""), "{}", health(machine.port).await);
}
