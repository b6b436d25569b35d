//! Private servers for one machine: a Postgres cluster and a nats-server in a folder, on loopback.
//! For `ludoteca up`, the tests and the benchmarks; production brings its own.

mod nats_cluster;
mod nats_server;
mod postgres;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use nats_cluster::{NatsCluster, SERVERS};
pub use nats_server::NatsServer;
pub use postgres::Postgres;

/// `preferred` if nobody listens there, else any free port.
///
/// # Errors
/// When no port can be had.
pub fn free_port(preferred: u16) -> Result<u16> {
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = at(preferred).or_else(|_| at(0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// A password or key of 128 random bits that no configuration file can mistake for a number.
#[must_use]
pub fn new_secret(prefix: &str) -> String {
    format!("{prefix}{:032x}", rand::random::<u128>())
}

/// Finds a program in `PATH` and in the folders that it is installed to here.
fn find_program(name: &str, more: &[PathBuf]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = more.iter().cloned().chain(std::env::split_paths(&path));
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
