//! Passkeys (`WebAuthn`, level 3): added by whoever is logged in, and enough to log in by themselves, since the device asks
//! for a finger, a face or a PIN.

use std::sync::Arc;

use domain::UserId;
use domain::user::{Authenticator, AuthenticatorKind, AuthenticatorName, User};
use journal::vault::{Ceremony, HeldAuthenticator, KeptAuthenticator};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::Commands;
use crate::actor::{Assurance, Context};
use crate::authenticator::AddedAuthenticator;
use crate::error::CommandError;
use crate::session::{Place, Session, SessionError};

/// Where passkeys are good; nowhere where the store has no name.
#[derive(Clone, Default)]
pub(crate) struct Passkeys(Option<Arc<Webauthn>>);

/// What a browser is asked, and what its answer is sent back with.
pub struct PasskeyRequest {
    /// Which request is answered.
    pub ceremony: Uuid,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`.
    pub options: Value,
}

impl Passkeys {
    /// Those of a store that is found at an address. On one's own machine any port will do.
    pub(crate) fn of_store(store: &Url) -> Self {
        let built = store.domain().and_then(|name| {
            let builder = WebauthnBuilder::new(name, store).ok()?;
            builder.rp_name("Ludoteca").allow_any_port(name == "localhost").build().ok()
        });
        Self(built.map(Arc::new))
    }

    fn known(&self) -> Result<&Webauthn, CommandError> {
        self.0.as_deref().ok_or(CommandError::PasskeysUnavailable)
    }
}

impl Commands {
    /// Begins to add a passkey.
    ///
    /// # Errors
    /// [`CommandError::PasskeysUnavailable`], [`CommandError::NotFound`] or [`CommandError::Forbidden`] to others, [`CommandError::ProofTooOld`], and those
    /// of every use case.
    pub async fn begin_passkey(&self, context: &Context, user: UserId) -> Result<PasskeyRequest, CommandError> {
        self.may_hold(context, user).await?;
        let (profile, _) = self.profile(user).await?.ok_or(CommandError::NotFound)?;
        let known = self.authenticators(context.actor, user).await?.authenticators;
        let known = known.iter().filter(|(kind, _)| *kind == AuthenticatorKind::Passkey);
        let known = known.filter_map(|(_, held)| read(held).ok()).map(|passkey| passkey.cred_id().clone()).collect();
        let (email, name) = (profile.email.as_str(), profile.name.as_str());
        let begun = self.passkeys.known()?.start_passkey_registration(user.as_uuid(), email, name, Some(known));
        let (asked, state) = begun.map_err(|_| CommandError::PasskeyNotMade)?;
        let mut options = json!(asked.public_key);
        // Only one that says whose it is opens an account alone.
        if let Some(wanted) = options.pointer_mut("/authenticatorSelection").and_then(Value::as_object_mut) {
            wanted.insert("residentKey".to_owned(), json!("required"));
            wanted.insert("requireResidentKey".to_owned(), json!(true));
        }
        let ceremony = context.command.as_uuid();
        self.vault.begin_ceremony(Ceremony::NewPasskey, ceremony, Some(user), &bytes(&state)?).await?;
        Ok(PasskeyRequest { ceremony, options })
    }

    /// Adds a passkey, as the browser has made it.
    ///
    /// # Errors
    /// [`CommandError::PasskeyNotMade`] where it is not what was asked for, [`CommandError::NotFound`] to others,
    /// [`CommandError::ProofTooOld`], and those of every use case.
    pub async fn add_passkey(
        &self,
        context: &Context,
        user: UserId,
        ceremony: Uuid,
        (name, made): (&AuthenticatorName, Value),
    ) -> Result<AddedAuthenticator, CommandError> {
        self.may_hold(context, user).await?;
        let made: RegisterPublicKeyCredential =
            serde_json::from_value(made).map_err(|_| CommandError::PasskeyNotMade)?;
        let begun = self.vault.take_ceremony(Ceremony::NewPasskey, ceremony, Some(user)).await?;
        let state = begun.and_then(|state| serde_json::from_slice::<PasskeyRegistration>(&state).ok());
        let state = state.ok_or(CommandError::PasskeyNotMade)?;
        let passkey = self.passkeys.known()?.finish_passkey_registration(&made, &state);
        let passkey = passkey.map_err(|_| CommandError::PasskeyNotMade)?;
        let kept = KeptAuthenticator { name: name.as_str().to_owned(), secret: bytes(&passkey)? };
        let kept = (kept, Some(passkey.cred_id().as_slice()));
        self.add_authenticator(context, user, AuthenticatorKind::Passkey, kept).await
    }

    /// Begins a login by passkey, of nobody in particular: the passkey says whose it is.
    ///
    /// # Errors
    /// [`CommandError::PasskeysUnavailable`], and when the vault does not answer.
    pub async fn begin_passkey_login(&self) -> Result<PasskeyRequest, CommandError> {
        let begun = self.passkeys.known()?.start_discoverable_authentication();
        let (asked, state) = begun.map_err(|_| CommandError::PasskeysUnavailable)?;
        let ceremony = self.clock.new_id();
        self.vault.begin_ceremony(Ceremony::PasskeyLogin, ceremony, None, &bytes(&state)?).await?;
        Ok(PasskeyRequest { ceremony, options: json!(asked.public_key) })
    }

    /// Logs somebody in by their passkey.
    ///
    /// # Errors
    /// [`SessionError::PasskeyRefused`], and those of every use case.
    pub async fn log_in_with_passkey(
        &self,
        ceremony: Uuid,
        answer: Value,
        place: &Place,
    ) -> Result<Session, SessionError> {
        let refused = || SessionError::PasskeyRefused;
        let answer: PublicKeyCredential = serde_json::from_value(answer).map_err(|_| refused())?;
        let begun = self.vault.take_ceremony(Ceremony::PasskeyLogin, ceremony, None).await?;
        let state = begun.and_then(|state| serde_json::from_slice::<DiscoverableAuthentication>(&state).ok());
        let (state, passkeys) = (state.ok_or_else(refused)?, self.passkeys.known()?);
        let (user, credential) = passkeys.identify_discoverable_authentication(&answer).map_err(|_| refused())?;
        let user = UserId::from_uuid(user);
        let id = self.vault.passkey(user, credential).await?.ok_or_else(refused)?;
        let held = self.vault.authenticators(user).await?.into_iter().find(|held| held.id == id);
        let mut held = held.ok_or_else(refused)?;
        let mut passkey = read(&held)?;
        let proven = passkeys.finish_discoverable_authentication_v2(&answer, state, &passkey).map_err(|_| refused())?;
        let account = self.load::<User>(user.as_uuid()).await?.aggregate;
        let counts = Authenticator { id, kind: AuthenticatorKind::Passkey };
        if !matches!(&account, User::Active { authenticators, .. } if authenticators.contains(counts)) {
            return Err(refused());
        }
        passkey.update_credential(&proven);
        held.kept.secret = bytes(&passkey)?;
        self.vault.passkey_used(user, &held).await?;
        self.open_session(user, &account, Assurance::TwoFactors, place).await
    }
}

fn read(held: &HeldAuthenticator) -> Result<Passkey, CommandError> {
    serde_json::from_slice(&held.kept.secret).map_err(|_| CommandError::PasskeyNotMade)
}

fn bytes(written: &impl serde::Serialize) -> Result<Vec<u8>, CommandError> {
    serde_json::to_vec(written).map_err(|_| CommandError::PasskeyNotMade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_need_a_store_that_has_a_name() {
        for (store, has) in [
            ("https://store.example", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
        ] {
            assert_eq!(Passkeys::of_store(&Url::parse(store).unwrap()).known().is_ok(), has, "{store}");
        }
    }
}
