//! Keys for programs: made by a person, shown once, kept as a hash.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::user::{ApiKey, ApiKeyName, Scope, User, UserCommand};
use domain::{ApiKeyId, Role, UserId};
use journal::Loaded;
use journal::vault::KeptKey;
use rand::RngCore;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Commands;
use crate::actor::{Actor, Assurance, Context};
use crate::error::CommandError;

/// What every key begins with, for secret scanners.
const PREFIX: &str = "ludo_";

/// A key that somebody wants made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: ApiKeyName,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Whom a key speaks for, and what for.
#[derive(Debug, Clone)]
pub struct KeyHolder {
    /// Whose it is.
    pub user: UserId,
    /// What its owner may do, by the journal.
    pub role: Role,
    /// Which.
    pub key: ApiKeyId,
    /// How well its owner had proven who they are when it was made.
    pub assurance: Assurance,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// How long it is good still.
    pub life: Duration,
}

impl Commands {
    /// Makes a key that does a few things of what its owner may do; it is returned, and shown never again.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] or [`CommandError::Forbidden`] to others, [`CommandError::ProofTooOld`], [`domain::user::UserError::KeyScopes`] beyond
    /// the owner's role, [`domain::user::UserError::KeyExpiry`], and those of every use case.
    pub async fn make_api_key(
        &self,
        context: &Context,
        user: UserId,
        new: NewKey,
    ) -> Result<(ApiKeyId, SecretString), CommandError> {
        self.may_hold(context, user).await?;
        let NewKey { name, scopes, expires_at } = new;
        let (id, now) = (ApiKeyId::from_uuid(context.command.as_uuid()), self.clock.now());
        let role = context.actor.role();
        if matches!(context.actor, Actor::User { lacks_second_factor: true, .. }) && scopes != [Scope::ReadCatalogue] {
            return Err(CommandError::SecondFactorMissing);
        }
        let make = || UserCommand::MakeApiKey { key: ApiKey { id, scopes: scopes.clone(), expires_at }, role, now };
        // Asked first: what would be refused is not kept.
        self.load::<User>(user.as_uuid()).await?.aggregate.decide(make())?;
        let mut nonce = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut nonce);
        let token = self.token_of(id, nonce);
        let kept = (name.as_str(), Sha256::digest(token).into());
        // It counts as the session that makes it.
        let two_factors = context.actor.assurance() == Assurance::TwoFactors;
        self.vault.keep_api_key(user, id, kept, two_factors).await?;
        let made = self.execute::<User, _>(context, user.as_uuid(), |_| Ok::<_, CommandError>(vec![make()])).await;
        if made.as_ref().is_err_and(|refusal| !refusal.is_passing()) {
            self.vault.drop_api_key(id).await?;
        }
        made?;
        Ok((id, format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(token)).into()))
    }

    /// A key's id, a nonce, and the proof that the store made both: one that somebody made up costs no question.
    fn token_of(&self, id: ApiKeyId, nonce: [u8; 16]) -> [u8; 48] {
        let mut token = [0; 48];
        let carried = [id.as_uuid().into_bytes(), nonce].concat();
        let proof = self.vault.keyed_hash("api key", &carried);
        carried.iter().chain(&proof).zip(&mut token).for_each(|(byte, place)| *place = *byte);
        token
    }

    /// The keys of an account that are not revoked, in the order in which they were made.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn api_keys(&self, actor: Actor, user: UserId) -> Result<Vec<(ApiKey, KeptKey)>, CommandError> {
        actor.must_own(user)?;
        let User::Active { api_keys, .. } = self.load::<User>(user.as_uuid()).await?.aggregate else {
            return Err(CommandError::NotFound);
        };
        let kept = self.vault.api_keys(user).await?;
        let with_kept = |key: &ApiKey| {
            let kept = kept.iter().find(|kept| kept.id == key.id)?;
            Some((key.clone(), kept.clone()))
        };
        Ok(api_keys.iter().filter_map(with_kept).collect())
    }

    /// Ends a key, at once.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, and those of every use case.
    pub async fn revoke_api_key(&self, context: &Context, user: UserId, key: ApiKeyId) -> Result<(), CommandError> {
        context.actor.must_own(user)?;
        let revoke = |loaded: &Loaded<User>| match &loaded.aggregate {
            User::Active { api_keys, .. } if api_keys.iter().any(|known| known.id == key) => {
                Ok(vec![UserCommand::RevokeApiKey { key }])
            }
            _ => Err(CommandError::NotFound),
        };
        self.execute(context, user.as_uuid(), revoke).await?;
        if let Err(error) = self.vault.drop_api_key(key).await {
            tracing::warn!(%error, "A key stays in the vault, and opens nothing any longer");
        }
        Ok(())
    }

    /// Whether a bearer token is a key, by its looks.
    #[must_use]
    pub fn is_api_key(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Whom a key speaks for; nobody where it is unknown, over or revoked.
    ///
    /// # Errors
    /// When the journal does not answer.
    pub async fn holder_of_key(&self, token: &str) -> Result<Option<KeyHolder>, CommandError> {
        let Some((id, token)) = self.read_key(token) else { return Ok(None) };
        let Some(shown) = self.vault.find_api_key(id, Sha256::digest(token).into()).await? else { return Ok(None) };
        let (user, now) = (UserId::from_uuid(shown.user_id), self.clock.now());
        let User::Active { role, api_keys, authenticators, .. } = self.load::<User>(user.as_uuid()).await?.aggregate
        else {
            return Ok(None);
        };
        let assurance = Assurance::of(shown.two_factors && authenticators.has_second_factor());
        Ok(api_keys.good(id, now).map(|key| KeyHolder {
            user,
            role,
            key: id,
            assurance,
            scopes: key.scopes.clone(),
            life: key.expires_at.signed_duration_since(now).to_std().unwrap_or_default(),
        }))
    }

    fn read_key(&self, token: &str) -> Option<(ApiKeyId, [u8; 48])> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let (id, nonce) = (bytes.get(..16)?, bytes.get(16..32)?.try_into().ok()?);
        let id = ApiKeyId::from_uuid(uuid::Uuid::from_slice(id).ok()?);
        let ours = self.token_of(id, nonce);
        bool::from(ours.as_slice().ct_eq(&bytes)).then_some((id, ours))
    }
}
