use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::user::UserError;
use domain::{CommandId, UserId};
use journal::Vault;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What a link to choose another password carries: whose account, what asked for it, and the proof that the store made it.
pub(crate) struct ResetLink {
    pub(crate) user: UserId,
    pub(crate) request: CommandId,
}

impl ResetLink {
    fn bytes(&self) -> Vec<u8> {
        [self.user.as_uuid().into_bytes(), self.request.as_uuid().into_bytes()].concat()
    }

    fn proof(&self, vault: &Vault) -> [u8; 32] {
        vault.keyed_hash("password reset", &self.bytes())
    }

    pub(crate) fn sign(&self, vault: &Vault) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([self.bytes(), self.proof(vault).to_vec()].concat())
    }

    pub(crate) fn read(link: &str, vault: &Vault) -> Result<Self, UserError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(link.trim()).map_err(|_| UserError::ResetOver)?;
        let (ids, proof) = bytes.split_at_checked(32).ok_or(UserError::ResetOver)?;
        let (user, request) = ids.split_at(16);
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| UserError::ResetOver);
        let link = Self { user: UserId::from_uuid(id(user)?), request: CommandId::from_uuid(id(request)?) };
        if bool::from(link.proof(vault).ct_eq(proof)) { Ok(link) } else { Err(UserError::ResetOver) }
    }
}
