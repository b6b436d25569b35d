//! Keys and secrets that can be exchanged while the gateway runs: it reads their files again when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gateway::{Keys, Secrets};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::beside::beside;
use crate::config::SecretsConfig;

/// How often the files are looked at.
pub const RELOAD: Duration = Duration::from_secs(1);

/// The secrets as they are, and as they become.
///
/// # Errors
/// When they cannot be read at first; later the old ones stay until the new ones can be.
pub fn follow(config: &SecretsConfig, stop: CancellationToken) -> Result<watch::Receiver<Arc<Secrets>>> {
    let mut known = Files::read(config)?;
    let (changed, secrets) = watch::channel(Arc::new(known.parse(config)?));
    let config = config.clone();
    beside(stop.clone(), async move {
        while stop.run_until_cancelled(tokio::time::sleep(RELOAD)).await.is_some() {
            let read = Files::read(&config).and_then(|files| Ok((files.parse(&config)?, files)));
            match read {
                Ok((_, files)) if files == known => (),
                Ok((secrets, files)) => {
                    known = files;
                    changed.send_replace(Arc::new(secrets));
                    tracing::info!(target: "security", event = "key_change", "keys and secrets were read again");
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "Keys and secrets stay as they were"),
            }
        }
    });
    Ok(secrets)
}

#[derive(PartialEq, Eq)]
struct Files {
    keys: String,
    webhooks: Option<String>,
}

impl Files {
    fn read(config: &SecretsConfig) -> Result<Self> {
        let keys = read(&config.jwt_key_file)?;
        let webhooks = config.psp_webhook_secrets_file.as_deref().map(read).transpose()?;
        Ok(Self { keys, webhooks })
    }

    fn parse(&self, config: &SecretsConfig) -> Result<Secrets> {
        let keys = Keys::from_pem(&self.keys).with_context(|| config.jwt_key_file.display().to_string())?;
        let webhooks = match &self.webhooks {
            Some(file) => lines(file).map(Into::into).collect(),
            None => config.psp_webhook_secret.clone(),
        };
        ensure!(!webhooks.is_empty(), "there is no webhook secret; set PSP_WEBHOOK_SECRETS_FILE or PSP_WEBHOOK_SECRET");
        Ok(Secrets { keys, webhooks })
    }
}

/// The secrets of a file, one a line.
pub(crate) fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().map(str::trim).filter(|line| !line.is_empty())
}

pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}
