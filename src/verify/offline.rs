//! `ludoteca verify --offline`: whether the events of an export, or of a file that `replay` wrote, are those that the store
//! has signed. Needs no store: the files, the keys, and at best a tree head that was kept elsewhere.

mod audit;
mod copy;

use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use journal::HeadKeys;
use serde_json::json;

use self::audit::{Audit, Claim};
use self::copy::Copy;
use crate::erasure::CERTIFICATE;
use crate::progress;
use crate::table::Output;

/// What is verified without a store.
#[derive(Debug, Args)]
pub struct OfflineArgs {
    /// Without a store: prove that the events in FILES are those that the store has signed. The folder of an export, or a
    /// file that `replay` wrote; or that a certificate of `certify-erasure` is
    #[arg(long, value_name = "FILES", requires = "key", conflicts_with = "export")]
    pub offline: Option<PathBuf>,
    /// A file with the keys that tree heads are believed by: what the store has at /.well-known/jwks.json
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub key: Option<PathBuf>,
    /// A file with a tree head (a checkpoint) from elsewhere, which the files must reach and agree with besides
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub head: Option<PathBuf>,
    /// The last position that has to be proved; all of them without it
    #[arg(long, requires = "offline", value_parser = clap::value_parser!(u64).range(1..))]
    pub to: Option<u64>,
}

/// Proves it, and says what is proved.
///
/// # Errors
/// When the files are not what was signed, are not signed as far as asked, or cannot be read.
pub fn run(args: &OfflineArgs, output: Output) -> Result<()> {
    let begun = Instant::now();
    let files = args.offline.as_deref().context("--offline is missing")?;
    let key = args.key.as_deref().context("--key is missing")?;
    let keys = HeadKeys::parse(&read(key)?).with_context(|| format!("--key {}", key.display()))?;
    if let Some(certificate) = certificate(files) {
        let text = keys.open_text(&certificate).with_context(|| files.display().to_string())?;
        print!("Signed by a key that is believed:\n\n{text}");
        return Ok(());
    }
    let copy = Copy::open(files)?;
    let mut audit = Audit::default();
    let bar = progress::bar("bytes", copy.bytes());
    copy.flaws(|bytes| bar.inc(bytes))?.into_iter().for_each(|flaw| audit.flaw(flaw));
    bar.finish_and_clear();
    let head =
        args.head.as_deref().map(|file| keys.open(&read(file)?).with_context(|| format!("--head {}", file.display())));
    let head = head.transpose()?;
    // What is not the file that it should be, is not read.
    if !audit.is_flawed() {
        if let Some((size, root)) = head {
            audit.expect(size, root);
        }
        read_all(&copy, &keys, &mut audit)?;
    }
    let claim = args.to.map_or(Claim::All, Claim::To);
    let verdict = audit.finish(claim, head.map_or(0, |(size, _)| size));
    if !output.json {
        super::tell_rate(verdict.events, begun.elapsed());
    }
    tell(&verdict, output)
}

/// Reads the tree heads, and then every event, which is held to them.
fn read_all(copy: &Copy, keys: &HeadKeys, audit: &mut Audit) -> Result<()> {
    let bar = progress::bar("events", copy.events()?);
    // The library for Parquet panics on some files that are damaged.
    let read = catch_unwind(AssertUnwindSafe(|| {
        copy.heads(|position, body| audit.believe(keys, position, body));
        copy.read(|position, body| {
            bar.inc(1);
            audit.take(position, body)
        })
    }));
    bar.finish_and_clear();
    match read {
        Ok(Ok(())) => (),
        Ok(Err(error)) => audit.flaw(format!("{error:#}; what follows was not looked at")),
        Err(_) => audit.flaw("a part is damaged so that it cannot be read as Parquet".to_owned()),
    }
    Ok(())
}

/// A certificate of an erasure, if the file is one.
fn certificate(file: &Path) -> Option<String> {
    let mut start = [0; CERTIFICATE.len()];
    File::open(file).ok()?.read_exact(&mut start).ok()?;
    if start == *CERTIFICATE.as_bytes() { read(file).ok() } else { None }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn tell(verdict: &audit::Verdict, output: Output) -> Result<()> {
    let audit::Verdict { proved, root, events, flaws, flawed, unproved } = verdict;
    if output.json {
        let told = json!({ "proved": proved, "root": root, "events": events, "flaws": flaws, "unproved": unproved });
        println!("{told}");
    } else {
        for flaw in flaws {
            println!("FLAW  {flaw}");
        }
        if let Some(why) = unproved {
            println!("UNPROVED  {why}");
        }
        if *proved > 0 {
            println!("Events 1 to {proved} are as they were signed; root {root}");
        }
        if events > proved && *flawed == 0 {
            println!("WARNING  event {} to {events}: not proved by any tree head", proved.saturating_add(1));
        }
    }
    ensure!(*flawed == 0, "these files are not what was signed; flaws: {flawed}");
    ensure!(unproved.is_none(), "not all of it is proved");
    Ok(())
}
