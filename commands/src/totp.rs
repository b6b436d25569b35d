//! Apps that show one-time passwords (RFC 6238): SHA-1, six digits, half a minute, as every app takes them.

use domain::UserId;
use domain::user::{AuthenticatorKind, AuthenticatorName, Authenticators};
use journal::vault::{Ceremony, KeptAuthenticator};
use qrcode::QrCode;
use qrcode::render::svg;
use rand::RngCore;
use totp_rs::{Builder, Secret, Totp};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::authenticator::AddedAuthenticator;
use crate::error::CommandError;

/// What an app is set up with; shown once.
pub struct NewTotp {
    /// What the code that the app shows is sent back with.
    pub ceremony: Uuid,
    /// For typing, in base 32.
    pub secret: String,
    /// For a link on the same device, `otpauth://…`.
    pub uri: String,
    /// For a camera, as SVG.
    pub qr_code: String,
}

impl Commands {
    /// Begins to set an app up; it counts once it has shown a code.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] or [`CommandError::Forbidden`] to others, [`CommandError::ProofTooOld`], and those of every use case.
    pub async fn begin_totp(&self, context: &Context, user: UserId) -> Result<NewTotp, CommandError> {
        self.may_hold(context, user).await?;
        let (profile, _) = self.profile(user).await?.ok_or(CommandError::NotFound)?;
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        let mut secret = [0; 20];
        rand::rngs::OsRng.fill_bytes(&mut secret);
        let ceremony = context.command.as_uuid();
        self.vault.begin_ceremony(Ceremony::NewTotp, ceremony, Some(user), &key.seal_bytes(ceremony, &secret)?).await?;
        // A colon would end the account's name.
        let totp = totp(&secret, &profile.email.as_str().replace(':', " ")).ok_or(CommandError::Conflict)?;
        let uri = totp.to_url().map_err(|_| CommandError::Conflict)?;
        let qr_code = QrCode::new(&uri).map_err(|_| CommandError::Conflict)?;
        let qr_code = qr_code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
        Ok(NewTotp { ceremony, secret: Secret::from(secret).to_base32(), uri, qr_code })
    }

    /// Lets an app count that shows the right code.
    ///
    /// # Errors
    /// [`CommandError::WrongSetupCode`], [`CommandError::NotFound`] or [`CommandError::Forbidden`] to others, [`CommandError::ProofTooOld`], and those of
    /// every use case.
    pub async fn add_totp(
        &self,
        context: &Context,
        user: UserId,
        ceremony: Uuid,
        (name, code): (&AuthenticatorName, &str),
    ) -> Result<AddedAuthenticator, CommandError> {
        self.may_hold(context, user).await?;
        let key = self.vault.subject(user).await?.ok_or(CommandError::NotFound)?;
        let begun =
            self.vault.ceremony(Ceremony::NewTotp, ceremony, user).await?.ok_or(CommandError::WrongSetupCode)?;
        let secret = key.open_bytes(ceremony, &begun)?;
        let step = self.step_of(&secret, code).ok_or(CommandError::WrongSetupCode)?;
        let taken = self.vault.take_ceremony(Ceremony::NewTotp, ceremony, Some(user)).await?;
        taken.ok_or(CommandError::WrongSetupCode)?;
        let kept = KeptAuthenticator { name: name.as_str().to_owned(), secret };
        let added = self.add_authenticator(context, user, AuthenticatorKind::Totp, (kept, None)).await?;
        // The code that was shown now opens nothing more.
        self.vault.accept_code(added.id, Some(step)).await?;
        Ok(added)
    }

    /// Whether somebody's app shows a code now, and nobody has used it yet.
    pub(crate) async fn accept_totp(
        &self,
        user: UserId,
        held: &Authenticators,
        code: &str,
    ) -> Result<bool, CommandError> {
        let Some(app) = held.of_kind(AuthenticatorKind::Totp) else { return Ok(false) };
        let kept = self.vault.authenticators(user).await?.into_iter().find(|kept| kept.id == app);
        let step = kept.and_then(|kept| self.step_of(&kept.kept.secret, code));
        Ok(self.vault.accept_code(app, step).await?)
    }

    /// The half minute that a code is of: this one, the one before or the next, as clocks go wrong.
    fn step_of(&self, secret: &[u8], code: &str) -> Option<u64> {
        let now = u64::try_from(self.clock.now().timestamp()).ok()?;
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        totp(secret, "")?.check(&code, now)
    }
}

fn totp(secret: &[u8], account: &str) -> Option<Totp> {
    let app = Builder::new().with_secret(secret.to_vec()).with_account_name(account).with_issuer(Some("Ludoteca"));
    app.build().ok()
}
