//! Keys and secrets that can be exchanged while the gateway runs: it reads their files again when they change.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use gateway::{Keys, Secrets, Tls, tls_config};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{GatewayConfig, SecretsConfig};
use crate::reload::{self, read};

/// The secrets as they are, and as they become.
///
/// # Errors
/// When they cannot be read at first; later the old ones stay until the new ones can be.
pub fn follow(config: &SecretsConfig, stop: CancellationToken) -> Result<watch::Receiver<Arc<Secrets>>> {
    let (reading, parsing) = (config.clone(), config.clone());
    let (files, parse) = (move || Files::read(&reading), move |files: &Files| files.parse(&parsing));
    reload::follow("Keys and secrets", files, parse, stop)
}

/// How TLS is spoken, where a certificate is given.
///
/// # Errors
/// When certificate or key cannot be read at first, or do not fit.
pub fn follow_tls(config: &GatewayConfig, stop: CancellationToken) -> Result<Option<Tls>> {
    let (chain, key) = match (&config.tls_cert, &config.tls_key) {
        (Some(chain), Some(key)) => (chain.clone(), key.clone()),
        (None, None) => return Ok(None),
        _ => bail!("TLS_CERT and TLS_KEY go together"),
    };
    let files = move || Ok((read(&chain)?, read(&key)?));
    let parse = |(chain, key): &(String, String)| Ok(tls_config(chain.as_bytes(), key.as_bytes())?);
    let followed = reload::follow("Certificate and key", files, parse, stop)?;
    Ok(Some(followed))
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
