//! Keys and secrets that can be exchanged while the gateway runs: it reads their files again when they change.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gateway::{Keys, Secrets, Tls, tls_config};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{GatewayConfig, SecretsConfig};
use crate::reload::{self, read};

/// What stands in `.env.example`, to be replaced.
const PLACEHOLDER: &str = "change-me";
/// The key of 32 bytes that every tutorial uses, and what examples sign webhooks with.
const KNOWN: [&str; 2] = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_test"];

/// Whether a secret protects nothing: a placeholder, one from documents and examples, or the same byte over and over.
#[must_use]
pub fn everybody_knows(secret: &str) -> bool {
    let bytes = BASE64_STANDARD.decode(secret).unwrap_or_default();
    let is_one_byte = bytes.len() >= 16 && bytes.iter().all(|byte| Some(byte) == bytes.first());
    secret.contains(PLACEHOLDER) || KNOWN.contains(&secret) || is_one_byte
}

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
        // Arguments are looked at where they are read.
        let in_file = self.webhooks.iter().flat_map(|file| lines(file));
        ensure!(
            !in_file.into_iter().any(everybody_knows),
            "a webhook secret is one that everybody knows; choose your own"
        );
        ensure!(!webhooks.is_empty(), "there is no webhook secret; set PSP_WEBHOOK_SECRETS_FILE or PSP_WEBHOOK_SECRET");
        Ok(Secrets { keys, webhooks })
    }
}

/// The secrets of a file, one a line.
pub(crate) fn lines(file: &str) -> impl Iterator<Item = &str> {
    file.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_secret_that_everybody_knows_is_refused_in_a_file_as_well() {
        let keys = secrecy::ExposeSecret::expose_secret(&gateway::generate_key().unwrap()).to_owned();
        let config =
            SecretsConfig { jwt_key_file: "keys".into(), psp_webhook_secrets_file: None, psp_webhook_secret: vec![] };
        let with = |secrets: &str| Files { keys: keys.clone(), webhooks: Some(secrets.to_owned()) }.parse(&config);
        assert!(with("whsec_own\n").is_ok());
        assert!(with("whsec_own\nwhsec_test\n").is_err() && with("change-me").is_err());
    }
}
