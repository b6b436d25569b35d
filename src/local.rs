//! Private servers for one machine: a Postgres cluster and a nats-server in a folder, on loopback.
//! For `ludoteca up`, the tests and the benchmarks; production brings its own.

mod nats_cluster;
mod nats_server;
mod postgres;
mod postgres_pair;
mod process;
mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use nats_cluster::{NatsCluster, SERVERS};
pub use nats_server::NatsServer;
pub(crate) use nats_server::nats_pid_file;
pub use postgres::Postgres;
pub(crate) use postgres::{cluster_version, postgres_pid_file, programs, server_user};
pub(crate) use postgres_pair::PostgresPair;
pub use process::Process;
pub use wire::{Line, Wire};

/// Where the store is installed: its tools and its default data are there, whatever the working directory.
///
/// `LUDOTECA_HOME`, which `scripts/ludoteca` sets; else the repository that this program was built in; else the
/// working directory.
#[must_use]
pub fn home() -> PathBuf {
    let set = std::env::var_os("LUDOTECA_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let built_in = || {
        let program = std::env::current_exe().ok()?;
        program.ancestors().find(|folder| folder.join("scripts/ludoteca").is_file()).map(Path::to_path_buf)
    };
    set.or_else(built_in).unwrap_or_else(|| PathBuf::from("."))
}

/// The folder of the store that is meant where nobody names another.
#[must_use]
pub fn default_data() -> PathBuf {
    home().join(".local")
}

/// Any free port of loopback.
///
/// # Errors
/// When no port can be had.
pub fn free_port() -> Result<u16> {
    Ok(listener(0).context("no free port")?.local_addr()?.port())
}

/// A free port for each of `preferred`: itself if nobody listens there, else any. All are different.
///
/// # Errors
/// When no port can be had.
pub fn free_ports<const N: usize>(preferred: [Option<u16>; N]) -> Result<[u16; N]> {
    // Each stays taken until the last was chosen.
    let chosen = preferred.map(|port| listener(port.unwrap_or(0)).or_else(|_| listener(0)));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(chosen) {
        *port = listener.context("no free port")?.local_addr()?.port();
    }
    Ok(ports)
}

/// Whether a port of loopback can be listened on.
#[must_use]
pub(crate) fn is_free(port: u16) -> bool {
    listener(port).is_ok()
}

fn listener(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// A password or key of 128 random bits that no configuration file can mistake for a number.
#[must_use]
pub fn new_secret(prefix: &str) -> String {
    format!("{prefix}{:032x}", rand::random::<u128>())
}

/// Finds a program among the store's own tools, in the given folders, and in `PATH`.
pub(crate) fn find_program(name: &str, more: &[PathBuf]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = home().join(".local/tools/bin");
    let folders = std::iter::once(own).chain(more.iter().cloned()).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file());
    found.with_context(|| format!("{name} is not installed; scripts/up installs it"))
}

/// A folder that only its owner can read.
fn private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path).with_context(|| format!("folder {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// A log to write to, for its owner only.
///
/// # Errors
/// When it cannot be opened.
pub fn private_log(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::fs::PermissionsExt;
    let name = || path.display().to_string();
    let log = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).with_context(name)?;
    // One that was there may be open to others.
    log.set_permissions(std::fs::Permissions::from_mode(0o600)).with_context(name)?;
    Ok(log)
}

/// Writes a file that only its owner can read, in one step: whoever reads it sees the old text or the new one.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let name = || path.display().to_string();
    let fresh = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(name)?;
    file.write_all(text.as_bytes()).with_context(name)?;
    file.sync_all().with_context(name)?;
    std::fs::rename(&fresh, path).with_context(name)
}
