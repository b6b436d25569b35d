//! Keys for programs: each does a few things of what its owner may do, and until a day.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Role, UserError, UserEvent};
use crate::id::ApiKeyId;
use crate::text::Text;

/// How many an account may have that have not expired.
const MOST: usize = 20;
/// How long one may be good.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// What its owner calls it, such as the program that has it.
pub type ApiKeyName = Text<1, 60>;

/// A part of what the store can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Scope {
    /// To look for games and to read them.
    ReadCatalogue,
    /// To add, change, price and retire games, and to import catalogues.
    WriteCatalogue,
    /// To replay and follow the event streams.
    ReadEvents,
    /// To look at figures, and to work off dead letters.
    Operate,
}

impl Scope {
    /// Whether somebody with a role may do it.
    #[must_use]
    pub fn is_for(self, role: Role) -> bool {
        match self {
            Self::ReadCatalogue => true,
            Self::ReadEvents => matches!(role, Role::Analyst | Role::Admin),
            Self::WriteCatalogue | Self::Operate => role == Role::Admin,
        }
    }
}

/// A key, but for what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Which.
    pub id: ApiKeyId,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// The keys of an account that were not revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    /// In the order in which they were made, those that have expired as well.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter()
    }

    /// A key that is good still.
    #[must_use]
    pub fn good(&self, key: ApiKeyId, now: DateTime<Utc>) -> Option<&ApiKey> {
        self.0.iter().find(|known| known.id == key && now < known.expires_at)
    }

    pub(super) fn add(&self, role: Role, key: ApiKey, now: DateTime<Utc>) -> Result<Vec<UserEvent>, UserError> {
        if self.0.iter().any(|known| known.id == key.id) {
            return Ok(vec![]);
        }
        let latest = now.checked_add_signed(LONGEST).unwrap_or(now);
        if key.expires_at <= now || key.expires_at > latest {
            return Err(UserError::KeyExpiry);
        }
        let is_distinct =
            key.scopes.iter().enumerate().all(|(n, scope)| !key.scopes.iter().take(n).any(|other| other == scope));
        if key.scopes.is_empty() || !is_distinct || !key.scopes.iter().all(|scope| scope.is_for(role)) {
            return Err(UserError::KeyScopes);
        }
        if self.0.iter().filter(|known| now < known.expires_at).count() >= MOST {
            return Err(UserError::TooManyKeys);
        }
        let ApiKey { id: key, scopes, expires_at } = key;
        Ok(vec![UserEvent::UserApiKeyMade { key, scopes, expires_at }])
    }

    pub(super) fn revoke(&self, key: ApiKeyId) -> Vec<UserEvent> {
        let is_known = self.0.iter().any(|known| known.id == key);
        is_known.then_some(UserEvent::UserApiKeyRevoked { key }).into_iter().collect()
    }

    pub(super) fn revoke_all(&self) -> Vec<UserEvent> {
        self.0.iter().map(|key| UserEvent::UserApiKeyRevoked { key: key.id }).collect()
    }

    /// Where there are many, the one that expires first gives way: it has expired, for so many are never good at once.
    pub(super) fn note_made(&mut self, key: ApiKey) {
        if self.0.len() >= 2 * MOST {
            let first = self.0.iter().map(|known| known.expires_at).min();
            self.0.retain(|known| Some(known.expires_at) != first);
        }
        self.0.push(key);
    }

    pub(super) fn note_revoked(&mut self, key: ApiKeyId) {
        self.0.retain(|known| known.id != key);
    }
}
