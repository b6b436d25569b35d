//! What links in mails carry: enough to know what they are for, and the proof that the store made them, so that nobody
//! has to keep them.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::{CommandId, Email, UserId};
use journal::Vault;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// A link to choose another password: whose account, and what asked for it.
pub(crate) struct ResetLink {
    pub(crate) user: UserId,
    pub(crate) request: CommandId,
}

impl ResetLink {
    pub(crate) fn sign(&self, vault: &Vault) -> String {
        let carried = [self.user.as_uuid().into_bytes(), self.request.as_uuid().into_bytes()].concat();
        write(&carried, vault.keyed_hash("password reset", &carried))
    }

    pub(crate) fn read(link: &str, vault: &Vault) -> Option<Self> {
        let (carried, proven) = read::<32>(link)?;
        let (user, request) = carried.split_at(16);
        let link = Self { user: user_of(user)?, request: CommandId::from_uuid(Uuid::from_slice(request).ok()?) };
        bool::from(vault.keyed_hash("password reset", &carried).ct_eq(&proven)).then_some(link)
    }
}

/// A link to confirm an address, which it does not carry: whose account, and until when it is good.
pub(crate) struct ConfirmationLink {
    pub(crate) user: UserId,
    pub(crate) until: DateTime<Utc>,
    proven: [u8; 32],
}

impl ConfirmationLink {
    pub(crate) fn sign(vault: &Vault, user: UserId, until: DateTime<Utc>, address: &Email) -> String {
        let carried = Self::carried(user, until);
        write(&carried, Self::proof(vault, &carried, address))
    }

    /// Anybody may have made it up until it [confirms](Self::confirms) an address.
    pub(crate) fn read(link: &str) -> Option<Self> {
        let (carried, proven) = read::<24>(link)?;
        let (user, until) = carried.split_at(16);
        let until = i64::from_be_bytes(until.try_into().ok()?);
        Some(Self { user: user_of(user)?, until: DateTime::from_timestamp(until, 0)?, proven })
    }

    /// Whether it was sent to this address.
    pub(crate) fn confirms(&self, vault: &Vault, address: &Email) -> bool {
        let carried = Self::carried(self.user, self.until);
        Self::proof(vault, &carried, address).ct_eq(&self.proven).into()
    }

    fn carried(user: UserId, until: DateTime<Utc>) -> Vec<u8> {
        [user.as_uuid().as_bytes().as_slice(), &until.timestamp().to_be_bytes()].concat()
    }

    fn proof(vault: &Vault, carried: &[u8], address: &Email) -> [u8; 32] {
        // As it was written: another spelling may be another's mailbox, even where both count as one address.
        vault.keyed_hash("email confirmation", &[carried, address.as_str().as_bytes()].concat())
    }
}

fn write(carried: &[u8], proven: [u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([carried, &proven].concat())
}

fn read<const CARRIED: usize>(link: &str) -> Option<([u8; CARRIED], [u8; 32])> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(link.trim()).ok()?;
    let (carried, proven) = bytes.split_at_checked(CARRIED)?;
    Some((carried.try_into().ok()?, proven.try_into().ok()?))
}

fn user_of(bytes: &[u8]) -> Option<UserId> {
    Uuid::from_slice(bytes).ok().map(UserId::from_uuid)
}
