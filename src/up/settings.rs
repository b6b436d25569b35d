//! What a local store is set up with: made once, kept in `ludoteca.env`, read by roles, tools and people.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use journal::HeadKey;
use secrecy::{ExposeSecret, SecretString};

use super::env_file::{self, Values};
use super::{UpArgs, new_master_key};
use crate::config::{self, MeiliOwnerConfig, SearchConfig};
use crate::local::{default_data, free_ports, new_secret, write_private};
use crate::search;

pub(super) const DATABASE: &str = "ludoteca";

/// A local store's settings, by the names of their variables.
pub struct Settings {
    data: PathBuf,
    values: Values,
}

impl Settings {
    /// What an earlier start left, with the ports chosen anew; all that is missing is made. Writes it all down.
    pub(super) async fn prepare(args: &UpArgs) -> Result<Self> {
        let data = &args.data;
        let known = env_file::read(data)?;
        std::fs::create_dir_all(data.join("run")).with_context(|| format!("folder {}", data.display()))?;
        let mut settings = Self { data: data.clone(), values: Values::new() };
        settings.choose(args.port, &known)?;
        settings.choose_search(args, &known).await?;
        settings.keep_keys()?;
        env_file::write(data, &settings.values)?;
        Ok(settings)
    }

    /// What a store was set up with.
    pub(crate) fn read(data: &Path) -> Result<Self> {
        Ok(Self { data: data.to_path_buf(), values: env_file::read(data)? })
    }

    /// Makes the secrets that a store has whatever it runs on, where they are missing, and writes them down.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn make_secrets(data: &Path) -> Result<()> {
        let data = std::path::absolute(data)?;
        std::fs::create_dir_all(&data).with_context(|| format!("folder {}", data.display()))?;
        let mut values = env_file::read(&data)?;
        values.extend(secrets(&data, &values)?);
        env_file::write(&data, &values)?;
        env_file::lay_out(&values)?;
        Self { data, values }.keep_keys()
    }

    fn choose(&mut self, port: u16, known: &Values) -> Result<()> {
        let beside = |offset| port.checked_add(offset);
        let [postgres_port, nats_port, psp_port] = free_ports([beside(1), beside(2), beside(3)])?;
        let path = |name: &str| self.data.join(name).display().to_string();
        let url = format!("http://127.0.0.1:{port}");
        let psp_url = format!("http://127.0.0.1:{psp_port}");
        let secret = |name: &str, prefix: &str| kept(known, name, || new_secret(prefix));
        let (owner, app) = (secret("POSTGRES_PASSWORD", "p")?, secret("POSTGRES_APP_PASSWORD", "p")?);
        let (nats, analyst) = (secret("NATS_PASSWORD", "n")?, secret("NATS_ANALYST_PASSWORD", "n")?);
        let database =
            |role: &str, password: &str| format!("postgres://{role}:{password}@127.0.0.1:{postgres_port}/{DATABASE}");
        let server = |user: &str, password: &str| format!("nats://{user}:{password}@127.0.0.1:{nats_port}");
        let or = |name: &str, default: String| set(name).unwrap_or(default);
        let values = [
            ("LUDOTECA_URL", url.clone()),
            ("GATEWAY_LISTEN", format!("127.0.0.1:{port}")),
            ("DATABASE_URL", database("ludoteca", &app)),
            ("DATABASE_OWNER_URL", database("postgres", &owner)),
            ("NATS_URL", server("ludoteca", &nats)),
            ("NATS_ANALYST_URL", server("analyst", &analyst)),
            ("POSTGRES_PORT", postgres_port.to_string()),
            ("POSTGRES_PASSWORD", owner),
            ("POSTGRES_APP_PASSWORD", app),
            ("NATS_PORT", nats_port.to_string()),
            ("NATS_PASSWORD", nats),
            ("NATS_ANALYST_PASSWORD", analyst),
            ("ADMIN_EMAIL", kept(known, "ADMIN_EMAIL", || "admin@ludoteca.example".to_owned())?),
            ("ADMIN_PASSWORD", secret("ADMIN_PASSWORD", "")?),
            ("PSP_URL", or("PSP_URL", psp_url)),
            ("SANDBOX_LISTEN", format!("127.0.0.1:{psp_port}")),
            ("SANDBOX_WEBHOOK_URL", format!("{url}/webhooks/psp")),
            ("SANDBOX_FILE", path("psp-sandbox.jsonl")),
            ("TEXT_LOG_FOLDER", or("TEXT_LOG_FOLDER", path("logs"))),
            ("MAIL_FOLDER", or("MAIL_FOLDER", path("outbox"))),
            ("STORE_URL", or("STORE_URL", format!("http://localhost:{port}"))),
            // Whoever tries and measures a store of their own comes from one address.
            ("RATE_LIMITS", or("RATE_LIMITS", "every=1000000,account=10,device=10,mailbox=5,invitation=5".to_owned())),
        ];
        self.values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.values.extend(secrets(&self.data, known)?);
        Ok(())
    }

    /// The keys of Meilisearch that an earlier start made are kept, unless the master key is given again.
    async fn choose_search(&mut self, args: &UpArgs, known: &Values) -> Result<()> {
        let MeiliOwnerConfig { meili_url, meili_master_key, .. } = &args.meili;
        let keys = ["MEILI_SEARCH_KEY", "MEILI_INDEX_KEY"].map(|name| known.get(name).map(|key| (name, key.clone())));
        let same = meili_master_key.is_none() && meili_url.as_ref() == known.get("MEILI_URL");
        let mut found: Vec<(&str, String)> = Vec::new();
        if let (true, [Some(search), Some(index)]) = (same, keys) {
            found.extend([search, index]);
        } else {
            let made = search::provision(&args.meili).await?;
            let secret = |name, key: Option<SecretString>| Some((name, key?.expose_secret().to_owned()));
            found.extend(secret("MEILI_SEARCH_KEY", made.meili_search_key));
            found.extend(secret("MEILI_INDEX_KEY", made.meili_index_key));
        }
        if let Some(url) = meili_url.clone().filter(|url| !url.is_empty()) {
            found.extend([("MEILI_URL", url), ("MEILI_INDEX", args.meili.meili_index.clone())]);
        }
        found.extend(args.meili.search_words.as_ref().map(|file| ("SEARCH_WORDS", file.display().to_string())));
        self.values.extend(found.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(())
    }

    /// Makes the files of keys that are missing.
    fn keep_keys(&self) -> Result<()> {
        let key_file = PathBuf::from(self.get("JWT_KEY_FILE")?);
        if !key_file.is_file() {
            write_private(&key_file, gateway::generate_key()?.expose_secret())?;
        }
        let webhook_secrets = PathBuf::from(self.get("PSP_WEBHOOK_SECRETS_FILE")?);
        if !webhook_secrets.is_file() {
            write_private(&webhook_secrets, &format!("{}\n", self.get("PSP_WEBHOOK_SECRET")?))?;
        }
        Ok(())
    }

    /// A setting by its name.
    pub(super) fn get(&self, name: &str) -> Result<&str> {
        self.values.get(name).map(String::as_str).with_context(|| {
            format!("{name} is not in {}; has the store been started yet?", env_file::path(&self.data).display())
        })
    }

    /// A setting that is a secret.
    pub(crate) fn secret(&self, name: &str) -> Result<SecretString> {
        Ok(self.get(name)?.into())
    }

    /// A port by its name.
    pub(super) fn port(&self, name: &str) -> Result<u16> {
        self.get(name)?.parse().with_context(|| name.to_owned())
    }

    /// The configuration of a role that runs in a process of its own.
    pub(super) fn config<C: Args>(&self) -> Result<C> {
        Ok(config::from_settings(|name| self.values.get(name).cloned())?)
    }

    /// The configuration of what all roles lean on, where they share one process.
    pub(super) fn shared<C: Args>(&self) -> Result<C> {
        Ok(config::from_settings(|name| self.values.get(name).cloned().or_else(|| set(name)))?)
    }

    /// The search engine of this store.
    pub(super) fn search(&self) -> Result<SearchConfig> {
        self.config()
    }

    /// The server's own database, as its owner sees it.
    pub(super) fn server_url(&self) -> Result<SecretString> {
        Ok(self.get("DATABASE_OWNER_URL")?.replace(&format!("/{DATABASE}"), "/postgres").into())
    }

    /// Whether payments go to a sandbox of this store's own.
    pub(super) fn has_own_psp(&self) -> Result<bool> {
        Ok(self.get("PSP_URL")?.ends_with(self.get("SANDBOX_LISTEN")?))
    }

    /// The short page that a start ends with.
    pub(super) fn page(&self) -> Result<String> {
        let (url, prefix) = (self.get("LUDOTECA_URL")?, prefix(&self.data));
        let line = |name: &str, value: &str| format!("  {name:<12} {value}\n");
        let tip = |command: &str, what: &str| format!("  {prefix}{command:<46} {what}\n");
        Ok([
            "\nLudoteca is ready.\n\n".to_owned(),
            line("Shop", self.get("STORE_URL")?),
            line("Try the API", &format!("{url}/docs")),
            line("Health", &format!("{url}/health/ready")),
            line("Metrics", &format!("{url}/metrics")),
            line("Admin", &format!("{}  password {}", self.get("ADMIN_EMAIL")?, self.get("ADMIN_PASSWORD")?)),
            line("Settings", &env_file::path(&self.data).display().to_string()),
            line("Mail", self.get("MAIL_FOLDER")?),
            line("Payment log", self.get("TEXT_LOG_FOLDER")?),
            "\nTry next:\n".to_owned(),
            tip("scripts/demo", "buys by card and Pix and shows each event"),
            tip("scripts/ludoteca replay --type OrderCompleted", "replays events"),
            tip("scripts/ludoteca verify", "proves that nothing was lost or doubled"),
            tip("scripts/ludoteca doctor", "looks for what is wrong and says what to do"),
            format!("  curl '{url}/jogos/busca?q=lantern'\n\n"),
        ]
        .concat())
    }
}

/// A non-empty environment variable.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the data was made with: kept from the first start, or set for it, or new. It cannot be changed by a variable.
fn kept(known: &Values, name: &str, new: impl FnOnce() -> String) -> Result<String> {
    match (known.get(name), set(name)) {
        (Some(known), Some(set)) if *known != set => {
            bail!("{name} is set, but differs from the one in the store's ludoteca.env, which it goes by; unset it")
        }
        (Some(known), _) => Ok(known.clone()),
        (None, set) => Ok(set.unwrap_or_else(new)),
    }
}

/// Set for this start, or kept from an earlier one, or new.
fn changeable(known: &Values, name: &str, new: impl FnOnce() -> String) -> String {
    set(name).or_else(|| known.get(name).cloned()).unwrap_or_else(new)
}

/// Secrets that belong to the store's data, and to nobody's server.
fn secrets(data: &Path, known: &Values) -> Result<Values> {
    let path = |name: &str| data.join(name).display().to_string();
    let values = [
        ("MASTER_KEY", kept(known, "MASTER_KEY", || new_master_key().expose_secret().to_owned())?),
        ("JWT_KEY_FILE", set("JWT_KEY_FILE").unwrap_or_else(|| path("jwt-key.pem"))),
        ("TREE_HEAD_KEY", changeable(known, "TREE_HEAD_KEY", || HeadKey::generate().expose_secret().to_owned())),
        ("PSP_KEY", changeable(known, "PSP_KEY", || new_secret("sk_test_"))),
        ("PSP_WEBHOOK_SECRET", changeable(known, "PSP_WEBHOOK_SECRET", || new_secret("whsec_"))),
        ("PSP_WEBHOOK_SECRETS_FILE", set("PSP_WEBHOOK_SECRETS_FILE").unwrap_or_else(|| path("webhook-secrets"))),
    ];
    Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Prefix that points a command at another data folder.
pub(super) fn prefix(data: &Path) -> String {
    let is_default = std::path::absolute(default_data()).is_ok_and(|default| default == data);
    if is_default { String::new() } else { format!("LUDOTECA_DATA={} ", env_file::quoted(&data.display().to_string())) }
}
