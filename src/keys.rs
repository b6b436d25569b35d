//! `ludoteca keys`: exchanges what the gateway signs with and believes, without a restart and without logging anybody
//! out. A new key is believed everywhere before it signs anywhere; an old one is retired when its last token has run out.
//! The master key as well: another opens the store beside it before everything is wrapped by that.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use gateway::{LIFETIME, generate_key, key_id, split_keys};
use journal::{Clock, Vault, connect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::config::{OwnerConfig, SecretsConfig};
use crate::local::{new_secret, write_private};
use crate::progress;
use crate::reload::{RELOAD, read};
use crate::secrets::{everybody_knows, lines};
use crate::table::{Output, Table};
use crate::up::new_master_key;

/// Which keys, and what to do with them.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(flatten)]
    secrets: SecretsConfig,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Show what there is, by id; never the secrets themselves
    Ls(Output),
    /// Make a new key for access tokens; once all gateways know it, sign with it
    Rotate,
    /// Believe no token of a key any more
    Retire {
        /// Its id, as `ls` shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Believe webhooks that are signed with one more secret
    AddSecret {
        /// The secret that the PSP gave; a new one is made and printed without it
        #[arg(long, env = "NEW_WEBHOOK_SECRET", hide_env_values = true)]
        secret: Option<SecretString>,
    },
    /// Let another master key open the store as well; people's keys stay wrapped by the old one
    AddMaster {
        #[command(flatten)]
        vault: VaultConfig,
        /// The new master key, 32 bytes in base64; one is made and printed without it
        #[arg(long, env = "NEW_MASTER_KEY", hide_env_values = true)]
        new: Option<SecretString>,
        /// The one that was added last got lost before any role had it; the new one takes its place
        #[arg(long)]
        lost: bool,
    },
    /// Wrap every person's key by the master key that is set, and forget the one before
    RewrapMaster(VaultConfig),
    /// Believe no webhook of a secret any more
    RetireSecret {
        /// Its id, as `ls` shows it
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

/// The vault as the database's owner opens it.
#[derive(Debug, Args)]
struct VaultConfig {
    #[command(flatten)]
    owner: OwnerConfig,
    /// The store's master key
    #[arg(long, env = "MASTER_KEY", hide_env_values = true)]
    master_key: SecretString,
}

impl VaultConfig {
    async fn open(&self) -> Result<(Vault, PgPool)> {
        let owner = connect(&self.owner.database_owner_url, 2).await?;
        Ok((Vault::open(owner.clone(), &self.master_key, Clock::default()).await?, owner))
    }
}

/// Does what is asked, and says what to do next.
///
/// # Errors
/// When a file cannot be read or written, or nothing would be left.
pub async fn run(args: &KeysArgs) -> Result<()> {
    let keys_file = args.secrets.jwt_key_file.as_path();
    let secrets_file = || args.secrets.psp_webhook_secrets_file.as_deref().context("set PSP_WEBHOOK_SECRETS_FILE");
    match &args.command {
        KeysCommand::Ls(output) => list(keys_file, args.secrets.psp_webhook_secrets_file.as_deref(), *output),
        KeysCommand::Rotate => rotate(keys_file).await,
        KeysCommand::Retire { id } => {
            let keys = split_keys(&read(keys_file)?);
            let left = keys.iter().filter(|key| key_id(key).ok().as_ref() != Some(id)).collect::<Vec<_>>();
            ensure!(left.len() < keys.len(), "there is no key {id}");
            ensure!(!left.is_empty(), "the only key cannot be retired; rotate first");
            write_keys(keys_file, left)?;
            println!("Key {id} is retired; its tokens are refused.");
            Ok(())
        }
        KeysCommand::AddMaster { vault, new, lost } => add_master(vault, new.as_ref(), *lost).await,
        KeysCommand::RewrapMaster(vault) => rewrap_master(vault).await,
        KeysCommand::AddSecret { secret } => add_secret(secrets_file()?, secret.as_ref()),
        KeysCommand::RetireSecret { id } => {
            let (file, known) = (secrets_file()?, read(secrets_file()?)?);
            let left: Vec<&str> = lines(&known).filter(|secret| secret_id(secret) != *id).collect();
            ensure!(left.len() < lines(&known).count(), "there is no secret {id}");
            ensure!(!left.is_empty(), "the only secret cannot be retired; add another first");
            write_private(file, &(left.join("\n") + "\n"))?;
            println!("Secret {id} is retired; webhooks signed with it are refused.");
            Ok(())
        }
    }
}

fn list(keys_file: &Path, secrets_file: Option<&Path>, output: Output) -> Result<()> {
    let mut table = Table::new(["kind", "id", "use"]);
    for (index, key) in split_keys(&read(keys_file)?).iter().enumerate() {
        table.row([json!("key"), json!(key_id(key)?), json!(if index == 0 { "signs" } else { "is believed" })]);
    }
    let secrets = secrets_file.map(read).transpose()?.unwrap_or_default();
    for secret in lines(&secrets) {
        table.row([json!("secret"), json!(secret_id(secret)), json!("is believed")]);
    }
    table.print(output);
    Ok(())
}

async fn rotate(file: &Path) -> Result<()> {
    let mut keys = split_keys(&read(file)?);
    let (old, new) = (keys.first().map(key_id).transpose()?, generate_key()?);
    let id = key_id(&new)?;
    keys.push(new.clone());
    write_keys(file, &keys)?;
    println!("Key {id} is published. Waiting until every gateway believes it");
    tokio::time::sleep(RELOAD.saturating_mul(3)).await;
    keys.rotate_right(1);
    write_keys(file, &keys)?;
    println!("Key {id} signs.");
    if let Some(old) = old {
        println!(
            "Next, in {} minutes, when the last token of the old one has run out: ludoteca keys retire {old}",
            LIFETIME / 60
        );
    }
    Ok(())
}

async fn add_master(config: &VaultConfig, given: Option<&SecretString>, lost: bool) -> Result<()> {
    let made = given.is_none().then(new_master_key);
    let new = given.or(made.as_ref()).context("no key")?;
    let (vault, owner) = config.open().await?;
    let id = vault.add_master(&owner, new, lost).await?;
    tracing::info!(target: "security", event = "key_change", outcome = "success", key = %id, "a master key was added");
    println!("Master key {id} opens the store as well.");
    if let Some(made) = &made {
        println!("It is {}", made.expose_secret());
    }
    println!(
        "Next: keep it where the old one is kept; give it to gateway, projector and notifier as MASTER_KEY (for `up`, in its ludoteca.env) and \
         restart them, one after another; then, with MASTER_KEY set to it: ludoteca keys rewrap-master"
    );
    Ok(())
}

async fn rewrap_master(config: &VaultConfig) -> Result<()> {
    let (vault, owner) = config.open().await?;
    let people: i64 = sqlx::query_scalar("select count(*) from vault.subject_keys where wrapped_key is not null")
        .fetch_one(&owner)
        .await?;
    let bar = progress::bar("wrapping keys", people.unsigned_abs());
    let wrapped = vault.rewrap(&owner, |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    let key = vault.master_id();
    tracing::info!(target: "security", event = "key_change", outcome = "success", %key, "only one master key is left");
    println!("{wrapped} keys are wrapped by master key {}; no other opens the store any more.", vault.master_id());
    Ok(())
}

/// How many characters a secret has at least that nobody is to guess.
const SHORTEST: usize = 16;

fn add_secret(file: &Path, given: Option<&SecretString>) -> Result<()> {
    let made = given.is_none().then(|| new_secret("whsec_"));
    let secret = given.map(ExposeSecret::expose_secret).or(made.as_deref()).unwrap_or_default().trim();
    ensure!(
        secret.len() >= SHORTEST && !everybody_knows(secret),
        "a secret has at least {SHORTEST} characters, and is known to nobody else; without --secret one is made"
    );
    let known = if file.exists() { read(file)? } else { String::new() };
    ensure!(!lines(&known).any(|other| other == secret), "this secret is believed already");
    let all: Vec<&str> = lines(&known).chain([secret]).collect();
    write_private(file, &(all.join("\n") + "\n"))?;
    println!("Secret {} is believed as well.", secret_id(secret));
    if let Some(made) = &made {
        println!("It is {made}");
    }
    println!("Next: let the PSP sign with it, then ludoteca keys retire-secret ID of the old one.");
    Ok(())
}

fn write_keys<'a>(file: &Path, keys: impl IntoIterator<Item = &'a SecretString>) -> Result<()> {
    write_private(file, &keys.into_iter().map(ExposeSecret::expose_secret).collect::<String>())
}

/// What a secret is called where it must not be shown.
fn secret_id(secret: &str) -> String {
    Sha256::digest(secret).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
