//! Who asks, and what they may do. Every check of role and ownership is here, and refuses by default.

use chrono::{DateTime, TimeDelta, Utc};
use domain::user::Requirement;
use domain::{ApiKeyId, CommandId, Role, UserId};
use journal::FirstAnswer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::CommandError;

/// For how long somebody who has just logged in may change what opens their account, or what cannot be undone.
pub const PROVEN_FOR: TimeDelta = TimeDelta::minutes(5);

/// How well somebody has proven who they are: the levels that NIST SP 800-63B-4 calls AAL1 and AAL2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assurance {
    /// By their password.
    #[serde(rename = "aal1")]
    OneFactor,
    /// By their password and something that they hold, or by a passkey, which asks for a finger, a face or a PIN.
    #[serde(rename = "aal2")]
    TwoFactors,
}

impl Assurance {
    /// By the number of factors.
    pub(crate) fn of(two_factors: bool) -> Self {
        if two_factors { Self::TwoFactors } else { Self::OneFactor }
    }
}

/// Who asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who has not logged in.
    Anonymous,
    /// Somebody with an account.
    User {
        /// Who.
        id: UserId,
        /// What they may do.
        role: Role,
        /// When they proved who they are.
        proven_at: DateTime<Utc>,
        /// How well.
        assurance: Assurance,
        /// Whether they would be staff, had they shown a second factor.
        lacks_second_factor: bool,
        /// The key by which a program speaks for them.
        key: Option<ApiKeyId>,
    },
    /// A part of the store itself, by name.
    System(&'static str),
}

impl Actor {
    /// Somebody with an account. Where the store wants a second factor of its staff, whoever has shown none is a customer.
    #[must_use]
    pub fn of_user(
        id: UserId,
        role: Role,
        (assurance, wanted): (Assurance, Requirement),
        proven_at: DateTime<Utc>,
    ) -> Self {
        let is_weak = wanted == Requirement::Required && assurance == Assurance::OneFactor;
        let lacks_second_factor = is_weak && role != Role::Customer;
        let role = if lacks_second_factor { Role::Customer } else { role };
        Self::User { id, role, proven_at, assurance, lacks_second_factor, key: None }
    }

    /// A program that speaks for somebody; it has never proven who they are.
    #[must_use]
    pub fn of_key(key: ApiKeyId, id: UserId, role: Role, assurance: (Assurance, Requirement)) -> Self {
        match Self::of_user(id, role, assurance, DateTime::UNIX_EPOCH) {
            Self::User { id, role, proven_at, assurance, lacks_second_factor, .. } => {
                Self::User { id, role, proven_at, assurance, lacks_second_factor, key: Some(key) }
            }
            other => other,
        }
    }

    /// What somebody with an account may do; nothing that others may not, without one.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::User { role, .. } => role,
            Self::Anonymous | Self::System(_) => Role::Customer,
        }
    }

    /// Passes whoever owns the thing, admins, and the store itself. To others it does not exist.
    ///
    /// # Errors
    /// [`CommandError::NotFound`], so that nobody learns what there is; [`CommandError::SecondFactorMissing`] to staff,
    /// whatever there is.
    pub fn must_own(self, owner: UserId) -> Result<(), CommandError> {
        match self {
            Self::System(_) | Self::User { role: Role::Admin, .. } => Ok(()),
            Self::User { id, .. } if id == owner => Ok(()),
            Self::User { lacks_second_factor: true, .. } => Err(CommandError::SecondFactorMissing),
            Self::User { .. } | Self::Anonymous => Err(CommandError::NotFound),
        }
    }

    /// Passes nobody but the person.
    ///
    /// # Errors
    /// [`CommandError::NotFound`].
    pub fn must_be(self, user: UserId) -> Result<(), CommandError> {
        if self.user() == Some(user) { Ok(()) } else { Err(CommandError::NotFound) }
    }

    /// Passes admins and the store itself.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`], or [`CommandError::SecondFactorMissing`] where that is all that stands in the way.
    pub fn must_be_admin(self) -> Result<(), CommandError> {
        match self {
            Self::System(_) | Self::User { role: Role::Admin, .. } => Ok(()),
            Self::User { lacks_second_factor: true, .. } => Err(CommandError::SecondFactorMissing),
            Self::User { .. } | Self::Anonymous => Err(CommandError::Forbidden),
        }
    }

    /// Passes analysts, admins and the store itself.
    ///
    /// # Errors
    /// As [`Actor::must_be_admin`].
    pub fn may_read_events(self) -> Result<(), CommandError> {
        match self {
            Self::User { role: Role::Analyst, .. } => Ok(()),
            other => other.must_be_admin(),
        }
    }

    /// Passes whoever proved within the last five minutes who they are, and the store itself: an open session may have
    /// been found by somebody else (OWASP ASVS 5.0, 7.5.1).
    ///
    /// # Errors
    /// [`CommandError::ProofTooOld`].
    pub fn must_be_proven(self, now: DateTime<Utc>) -> Result<(), CommandError> {
        match self {
            Self::User { proven_at, .. } if now.signed_duration_since(proven_at) <= PROVEN_FOR => Ok(()),
            Self::System(_) => Ok(()),
            Self::User { .. } | Self::Anonymous => Err(CommandError::ProofTooOld),
        }
    }

    /// Passes whoever has proven who they are by all that the account asks for, and the store itself: a session from before
    /// the second factor, or of somebody who has found out the password, is not to take it away.
    ///
    /// # Errors
    /// [`CommandError::ProofTooOld`].
    pub fn must_have_shown(self, has_second_factor: bool) -> Result<(), CommandError> {
        match self {
            Self::User { assurance: Assurance::OneFactor, .. } if has_second_factor => Err(CommandError::ProofTooOld),
            _ => Ok(()),
        }
    }

    /// Whose account asks, if it is one.
    #[must_use]
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(id),
            Self::Anonymous | Self::System(_) => None,
        }
    }

    /// How well they have proven who they are.
    #[must_use]
    pub fn assurance(self) -> Assurance {
        match self {
            Self::User { assurance, .. } => assurance,
            Self::Anonymous | Self::System(_) => Assurance::OneFactor,
        }
    }

    /// The key by which a program asks, if it is one.
    #[must_use]
    pub fn key(self) -> Option<ApiKeyId> {
        match self {
            Self::User { key, .. } => key,
            Self::Anonymous | Self::System(_) => None,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { id, key: Some(key), .. } => format!("user:{id} key:{key}"),
            Self::User { id, .. } => format!("user:{id}"),
            Self::System(part) => format!("system:{part}"),
        }
    }
}

/// One request: who asks, and how its events are tied to what came before.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub actor: Actor,
    /// The request itself.
    pub command: CommandId,
    /// The same for everything that follows from one wish of a person.
    pub correlation: Uuid,
    /// The event that made the store ask for this, if one did.
    pub causation: Option<Uuid>,
    /// The W3C trace that it belongs to.
    pub traceparent: Option<String>,
    /// How a repeat of it is known, where it carried an idempotency key.
    pub repeatable: Option<FirstAnswer>,
}

impl Context {
    pub(crate) fn new(actor: Actor, id: Uuid) -> Self {
        Self {
            actor,
            command: CommandId::from_uuid(id),
            correlation: id,
            causation: None,
            traceparent: None,
            repeatable: None,
        }
    }

    /// What is written beside each event: a flat map of texts.
    pub(crate) fn metadata(&self, partition: Uuid) -> Value {
        let fields = [
            ("actor", Some(self.actor.name())),
            ("command_id", Some(self.command.to_string())),
            ("correlation_id", Some(self.correlation.to_string())),
            ("causation_id", self.causation.map(|id| id.to_string())),
            ("traceparent", self.traceparent.clone()),
            ("partition_key", Some(partition.to_string())),
        ];
        let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
        Value::Object(present.collect::<Map<_, _>>())
    }
}
