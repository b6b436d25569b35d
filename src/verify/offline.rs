//! `ludoteca verify --offline`: whether the events of an export, or of a file that `replay` wrote, are those that the store
//! has signed. Needs no store: the files, the keys, and at best a tree head that was kept elsewhere.

mod audit;
mod copy;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use journal::HeadKeys;
use serde_json::json;

use self::audit::{Audit, Claim};
use self::copy::Copy;
use crate::progress;
use crate::table::Output;

/// What is verified without a store.
#[derive(Debug, Args)]
pub struct OfflineArgs {
    /// Without a store: prove that the events in FILES are those that the store has signed. The folder of an export, or a
    /// file that `replay` wrote
    #[arg(long, value_name = "FILES", requires = "key", conflicts_with = "export")]
    pub offline: Option<PathBuf>,
    /// A file with the keys that tree heads are believed by: what the store has at /.well-known/jwks.json
    #[arg(long, value_name = "FILE", requires = "offline")]
    pub key: Option<PathBuf>,
    /// A file with a tree head (a checkpoint) from elsewhere, which the files must reach and agree with
    #[arg(long, value_name = "FILE", requires = "offline", conflicts_with = "to")]
    pub head: Option<PathBuf>,
    /// The last position that has to be proved; all of them without it, or those of --head
    #[arg(long, requires = "offline", value_parser = clap::value_parser!(u64).range(1..))]
    pub to: Option<u64>,
}

/// Proves it, and says what is proved.
///
/// # Errors
/// When the files are not what was signed, are not signed as far as asked, or cannot be read.
pub fn run(args: &OfflineArgs, output: Output) -> Result<()> {
    let files = args.offline.as_deref().context("--offline is missing")?;
    let key = args.key.as_deref().context("--key is missing")?;
    let keys = HeadKeys::parse(&read(key)?).with_context(|| format!("--key {}", key.display()))?;
    let copy = Copy::open(files)?;
    let mut audit = Audit::default();
    let bar = progress::bar("bytes", copy.bytes());
    copy.flaws(|bytes| bar.inc(bytes))?.into_iter().for_each(|flaw| audit.flaw(flaw));
    bar.finish_and_clear();
    copy.heads(|position, body| audit.believe(&keys, position, body));
    let elsewhere =
        args.head.as_deref().map(|file| keys.open(&read(file)?).with_context(|| format!("--head {}", file.display())));
    let claim = match (elsewhere.transpose()?, args.to) {
        (Some((size, root)), _) => audit.expect(size, root),
        (None, Some(to)) => Claim::To(to),
        (None, None) => Claim::All,
    };
    let bar = progress::bar("events", copy.events()?);
    let read = copy.read(|position, body| {
        bar.inc(1);
        audit.take(position, body)
    });
    bar.finish_and_clear();
    if let Err(error) = read {
        audit.flaw(format!("{error:#}"));
    }
    tell(&audit.finish(claim), output)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn tell(verdict: &audit::Verdict, output: Output) -> Result<()> {
    let audit::Verdict { proved, root, events, flaws, flawed } = verdict;
    if output.json {
        println!("{}", json!({ "proved": proved, "root": root, "events": events, "flaws": flaws }));
    } else {
        for flaw in flaws {
            println!("FLAW  {flaw}");
        }
        if *proved > 0 {
            println!("Events 1 to {proved} are as they were signed; root {root}");
        }
        if events > proved {
            println!("No tree head proves the events from {} to {events}", proved.saturating_add(1));
        }
    }
    ensure!(*flawed == 0, "{flawed} flaws: these files are not proved to be what was signed");
    Ok(())
}
