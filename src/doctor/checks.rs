//! What can be seen without a running store.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Finding;
use crate::local::{cluster_version, find_program, is_free, programs, server_user};
use crate::up::{env_file, left_over as processes};

/// What a start needs on disk: an empty cluster with its first log segments takes about 80 MB.
const LEAST_DISK_MB: u64 = 256;
/// Below this people should make room.
const LITTLE_DISK_MB: u64 = 1024;

/// The machine and the store's folder.
pub(super) fn machine(data: &Path) -> Vec<Finding> {
    let mut findings = vec![
        Finding::of("folder", folder(data)),
        disk(data),
        Finding::of("nats-server", nats_server()),
        Finding::of("postgres", postgres(data)),
        Finding::of("data", whole(data)),
    ];
    if let Err(error) = env_file::read(data) {
        findings.push(Finding::of("settings", Err(error)));
    }
    findings
}

/// The part of a path that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

fn folder(data: &Path) -> Result<String> {
    let place = existing(data);
    ensure!(place.is_dir(), "{} is a file; choose a folder with --data", place.display());
    access(&place, AccessFlags::W_OK | AccessFlags::X_OK).with_context(|| {
        format!("{} cannot be written; choose another folder with --data, or change its owner", place.display())
    })?;
    let settings = env_file::path(data);
    if settings.exists() {
        access(&settings, AccessFlags::R_OK)
            .with_context(|| format!("{} cannot be read; run as its owner", settings.display()))?;
    }
    Ok(format!("{} can be written", data.display()))
}

fn disk(data: &Path) -> Finding {
    let place = existing(data);
    let free = match statvfs(&place) {
        Ok(disk) => disk.blocks_available().saturating_mul(disk.fragment_size()) >> 20,
        Err(error) => return Finding::of("disk", Err(error).with_context(|| place.display().to_string())),
    };
    let left = format!("{free} MB are free where {} is", data.display());
    if free < LEAST_DISK_MB {
        let problem = format!("only {left}; make room for {LEAST_DISK_MB} MB, or choose another folder with --data");
        return Finding::of("disk", Err(anyhow::Error::msg(problem)));
    }
    if free < LITTLE_DISK_MB {
        Finding::warning("disk", format!("only {left}; make room"))
    } else {
        Finding::of("disk", Ok(left))
    }
}

fn nats_server() -> Result<String> {
    let program = find_program("nats-server", &[])?;
    Ok(program.display().to_string())
}

fn postgres(data: &Path) -> Result<String> {
    let user = server_user()?.map_or_else(String::new, |user| format!(", run as user {}", user.name));
    let programs = programs(cluster_version(&data.join("postgres")).as_deref())?;
    Ok(format!("{}{user}", programs.display()))
}

/// Whether all parts of an earlier start are there, or none.
fn whole(data: &Path) -> Result<String> {
    let settings = env_file::path(data);
    let (known, shown) = (env_file::read(data).is_ok_and(|known| known.contains_key("MASTER_KEY")), data.display());
    let journal = cluster_version(&data.join("postgres")).is_some();
    let mirror = data.join("nats/streams/jetstream").is_dir();
    if journal && !known {
        bail!(
            "the settings are gone ({}), and with them the master key of the data in {shown}/postgres; put the file \
             back from a backup, or remove {shown} to begin anew",
            settings.display()
        );
    }
    if mirror && !journal {
        bail!(
            "the journal is gone ({shown}/postgres) but its mirror is there ({shown}/nats); put the journal back from \
             a backup, or remove {shown} to begin anew"
        );
    }
    Ok(match (journal, mirror) {
        (true, true) => format!("{shown} has a store"),
        (true, false) => format!("{shown} has a journal without its mirror, which is built anew at the next start"),
        (false, _) => format!("{shown} has no store yet"),
    })
}

/// Whether the gateway could listen.
pub(super) fn port(port: u16) -> Finding {
    let free = || {
        ensure!(is_free(port), "port {port} is taken by another program; choose another with --port");
        Ok(format!("{port} is free"))
    };
    Finding::of("port", free())
}

/// What a killed start left running.
pub(super) fn left_over(data: &Path) -> Option<Finding> {
    let names = processes(data);
    let list = names.join(", ");
    (!names.is_empty()).then(|| {
        Finding::warning(
            "processes",
            format!("a killed start left {list} running; scripts/down or the next start stops them"),
        )
    })
}
