use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::{find_program, home, new_secret, private_folder};

/// Fallback for clusters in a folder that the server's user cannot reach, such as one below root's home.
const REACHABLE: &str = "/var/lib/ludoteca";

/// A running cluster in a folder. Stop it with [`Postgres::stop`]; it survives its handle.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    port: u16,
}

impl Postgres {
    /// Starts the cluster in `folder`, made first where there is none. Its owner is `postgres` with `password`.
    /// With `durable` false it may lose data with the machine's power: for tests.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start(folder: &Path, port: u16, password: &str, durable: bool) -> Result<Self> {
        let programs = programs(cluster_version(folder).as_deref())?;
        let user = server_user()?;
        let folder = place(folder, user.as_ref()).await?;
        let cluster = Self { programs, folder, user, port };
        if !cluster.data().join("PG_VERSION").is_file() {
            cluster.init(password).await?;
        }
        // A cluster whose starter was killed is still there; it is stopped, so that the port is ours to choose.
        if cluster.control(&["status"]).await.is_ok() {
            cluster.stop().await?;
        }
        cluster.launch(durable).await?;
        Ok(cluster)
    }

    /// Starts a copy of a running cluster in `folder`, which follows it and can take its place. `primary` is where its
    /// superuser reaches it; what was in `folder` is gone.
    ///
    /// # Errors
    /// When the primary cannot be copied, or the copy does not start.
    pub async fn follow(folder: &Path, port: u16, primary: &str) -> Result<Self> {
        let user = server_user()?;
        let folder = place(folder, user.as_ref()).await?;
        let copy = Self { programs: programs(None)?, folder, user, port };
        if copy.data().exists() {
            std::fs::remove_dir_all(copy.data())?;
        }
        copy.run("pg_basebackup", &copy.data(), &["-R", "-c", "fast", "-X", "stream", "-d", primary]).await?;
        copy.launch(true).await?;
        Ok(copy)
    }

    /// Makes a copy that follows a cluster one of its own; it takes writes from now on.
    ///
    /// # Errors
    /// When it does not.
    pub async fn promote(&self) -> Result<()> {
        self.control(&["promote", "-w", "-t", "30"]).await
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn launch(&self, durable: bool) -> Result<()> {
        let port = self.port;
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 \
             -c shared_buffers=128MB -c max_wal_size=2GB -c fsync={0} -c synchronous_commit={0}",
            if durable { "on" } else { "off" }
        );
        let log = self.folder.join("postgres.log");
        // What it said at earlier starts would be taken for the cause.
        let said_before = std::fs::metadata(&log).map_or(0, |log| log.len());
        if self.control(&["start", "-w", "-t", "30", "-l", &log.to_string_lossy(), "-o", &options]).await.is_err() {
            bail!("PostgreSQL did not start ({}); see {}", cause(&log, said_before), log.display());
        }
        Ok(())
    }

    /// The URL of a database for a role.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends the cluster, after its transactions were rolled back.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> Result<()> {
        self.control(&["stop", "-m", "fast", "-t", "30"]).await
    }

    /// Ends the cluster as a crash would: it recovers at its next start.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn crash(&self) -> Result<()> {
        self.control(&["stop", "-m", "immediate", "-t", "30"]).await
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    async fn init(&self, password: &str) -> Result<()> {
        let file = self.folder.join("password");
        std::fs::write(&file, password)?;
        if let Some(user) = &self.user {
            nix::unistd::chown(&file, Some(user.uid), Some(user.gid))?;
        }
        let (data, file_arg) = (self.data(), format!("--pwfile={}", file.display()));
        let arguments =
            ["-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", &file_arg];
        let made = self.run("initdb", &data, &arguments).await;
        std::fs::remove_file(&file)?;
        made
    }

    async fn control(&self, arguments: &[&str]) -> Result<()> {
        self.run("pg_ctl", &self.data(), arguments).await
    }

    async fn run(&self, program: &str, data: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = as_user(self.programs.join(program), self.user.as_ref());
        command.arg("-D").arg(data).args(arguments).current_dir(&self.folder);
        // The server that pg_ctl leaves behind must not hold our pipes open, so its output goes nowhere.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).status().await;
        let status = status.with_context(|| format!("cannot run {program}"))?;
        ensure!(status.success(), "{program} {} failed ({status})", arguments.first().copied().unwrap_or_default());
        Ok(())
    }
}

/// A command that runs as the server's user.
fn as_user(program: PathBuf, user: Option<&User>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Makes the cluster's folder, for the server's user alone; in a place that the user can reach, with a link to it,
/// where its own is not.
async fn place(folder: &Path, user: Option<&User>) -> Result<PathBuf> {
    private_folder(folder)?;
    let Some(user) = user else { return Ok(folder.canonicalize()?) };
    let owned = |folder: &Path| {
        nix::unistd::chown(folder, Some(user.uid), Some(user.gid)).with_context(|| folder.display().to_string())
    };
    let place = folder.canonicalize()?;
    owned(&place)?;
    if reaches(user, &place).await? {
        return Ok(place);
    }
    let is_new = std::fs::read_dir(&place)?.next().is_none();
    ensure!(
        is_new,
        "PostgreSQL runs as user {}, which cannot reach {}; move the store's folder to where it can",
        user.name,
        place.display()
    );
    let elsewhere = Path::new(REACHABLE).join(new_secret(""));
    std::fs::create_dir_all(REACHABLE).with_context(|| REACHABLE.to_owned())?;
    std::fs::set_permissions(REACHABLE, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    private_folder(&elsewhere)?;
    owned(&elsewhere)?;
    ensure!(reaches(user, &elsewhere).await?, "user {} cannot reach {}", user.name, elsewhere.display());
    std::fs::remove_dir(&place)?;
    std::os::unix::fs::symlink(&elsewhere, &place)?;
    Ok(elsewhere)
}

async fn reaches(user: &User, folder: &Path) -> Result<bool> {
    Ok(as_user("test".into(), Some(user)).arg("-w").arg(folder).status().await?.success())
}

/// PostgreSQL refuses to run as root: the user it runs as then.
pub(crate) fn server_user() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    Ok(Some(
        user.context("PostgreSQL refuses to run as root, and there is no user postgres; add one: useradd postgres")?,
    ))
}

/// The major version that a cluster was made by; nothing where there is none yet.
pub(crate) fn cluster_version(folder: &Path) -> Option<String> {
    Some(std::fs::read_to_string(folder.join("data/PG_VERSION")).ok()?.trim().to_owned())
}

/// Where the server of a folder writes its process id.
pub(crate) fn postgres_pid_file(folder: &Path) -> PathBuf {
    folder.join("data/postmaster.pid")
}

/// Where the server's programs are: those of `version` where a cluster asks for it, the newest otherwise.
pub(crate) fn programs(version: Option<&str>) -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = installed.map(|version| version.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let own = home().join(".local/tools/postgres/bin");
    let folders: Vec<PathBuf> = versions.iter().map(|path| path.join("bin")).chain([own]).collect();
    let any = || {
        let found = find_program("pg_ctl", &folders)?;
        Ok(found.parent().context("pg_ctl has no folder")?.to_path_buf())
    };
    let Some(version) = version else { return any() };
    let same = folders.iter().find(|folder| is_of(folder, version)).cloned();
    match same.map_or_else(any, Ok)? {
        folder if is_of(&folder, version) => Ok(folder),
        folder => bail!(
            "the data was made by PostgreSQL {version}, but {} is another version; install PostgreSQL {version} \
             (Debian: apt-get install postgresql-{version})",
            folder.display()
        ),
    }
}

fn is_of(folder: &Path, version: &str) -> bool {
    let said = std::process::Command::new(folder.join("postgres")).arg("--version").output();
    // Such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    said.is_ok_and(|said| {
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        said.split_whitespace().nth(2).and_then(|full| full.split('.').next()) == Some(version)
    })
}

/// The last complaint in a log from an offset on.
fn cause(log: &Path, offset: u64) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let fresh = text.get(usize::try_from(offset).unwrap_or(0)..).unwrap_or_default();
    let fresh = String::from_utf8_lossy(fresh).into_owned();
    let complaint = fresh.lines().rev().find_map(|line| {
        ["PANIC:", "FATAL:", "could not"].iter().find_map(|word| line.find(word).and_then(|at| line.get(at..)))
    });
    complaint.unwrap_or("it said nothing").to_owned()
}
