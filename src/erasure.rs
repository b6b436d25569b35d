//! `ludoteca certify-erasure`: that somebody was forgotten, when, and that nothing of what was known of them is left in any
//! place that was searched; signed by the key of tree heads.

mod known;
mod places;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use chrono::SecondsFormat;
use clap::Args;
use journal::{AggregateKey, Clock, HeadKey, Journal, connect};
use nats::Nats;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use self::known::Known;
use self::places::Searched;

/// The first line of a certificate.
pub const CERTIFICATE: &str = "ludoteca/erasure";

/// Whose, and where to look.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints the certificate, a signed note (C2SP). ludoteca verify --offline CERTIFICATE --key JWKS checks it"
)]
pub struct ErasureArgs {
    /// The account
    pub user: Uuid,
    /// A file with what was known of the person, a value a line: names, addresses, birth dates. It is not kept
    #[arg(long, value_name = "FILE")]
    pub known: PathBuf,
    /// A folder to search as well: exports, text logs, mail. Give it again for each
    #[arg(long, value_name = "FOLDER")]
    pub folder: Vec<PathBuf>,
    /// The Postgres database, as the role that owns it and reads all of it
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub database_owner_url: SecretString,
    /// The NATS server, with the store's user and password
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: SecretString,
    /// The key that tree heads are signed with
    #[arg(long, env = "TREE_HEAD_KEY", hide_env_values = true)]
    pub tree_head_key: SecretString,
}

/// Searches, and prints the certificate.
///
/// # Errors
/// When the person was not erased, something of theirs is found, or a place cannot be searched.
pub async fn run(args: &ErasureArgs) -> Result<()> {
    let text = std::fs::read_to_string(&args.known).with_context(|| args.known.display().to_string())?;
    let (known, key) = (Known::parse(&text)?, HeadKey::parse(&args.tree_head_key).context("TREE_HEAD_KEY")?);
    let owner = connect(&args.database_owner_url, 1).await?;
    let journal = Journal::open(owner.clone()).await?;
    let erased = erasure(&journal, args.user).await?;
    let mut searched = places::database(&owner, &known).await?;
    searched.extend(places::streams(&Nats::connect(args.nats_url.expose_secret()).await?, &known).await?);
    for folder in &args.folder {
        searched.push(places::folder(folder, &known)?);
    }
    let found: Vec<_> = searched.iter().filter(|place| place.found > 0).collect();
    for Searched { place, found, .. } in &found {
        eprintln!("{place}: {found} times");
    }
    ensure!(found.is_empty(), "something of the person is left; there is no certificate");
    let now = Clock::default().now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let places = searched.iter().map(|Searched { place, extent, .. }| format!("nothing in {place}: {extent}\n"));
    let text = format!(
        "{CERTIFICATE}\nuser {}\n{erased}searched for {} values at {now}\n{}",
        args.user,
        known.values,
        places.collect::<String>()
    );
    print!("{}", key.sign_text(&text)?);
    Ok(())
}

/// When the person was forgotten, and that their key is gone, as lines.
async fn erasure(journal: &Journal, user: Uuid) -> Result<String> {
    let key = AggregateKey::of_kind("user", user).context("no kind of aggregates is called user")?;
    let histories = journal.histories(&[key]).await?;
    let erased = histories.of(key).iter().find(|event| event.event_type == "UserErased");
    let erased = erased.with_context(|| format!("{user} was not erased"))?;
    let gone = "select exists (select from vault.subject_keys where user_id = $1 and wrapped_key is null)";
    let gone: bool = sqlx::query_scalar(gone).bind(user).fetch_one(journal.pool()).await?;
    ensure!(gone, "the key of {user} is not destroyed; erase the account again");
    let metadata: Value = serde_json::from_str(erased.metadata.get())?;
    let by = metadata.get("actor").map(ToString::to_string).unwrap_or_default();
    Ok(format!(
        "erased at {} by {by}, event {}\nits key is destroyed: what it sealed can be read by nobody\n",
        erased.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        erased.event_id,
    ))
}
