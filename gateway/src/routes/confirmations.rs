//! What is confirmed of a person: that mail arrives at their address, and when they were born.

use std::sync::Arc;

use chrono::NaiveDate;
use commands::Actor;
use domain::UserId;
use domain::user::Evidence;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract;
use crate::limits::{Class, Limits};
use crate::problem::Problem;
use crate::security_log;
use crate::strict::Str;

pub(crate) struct Confirmations;

#[derive(Object)]
#[oai(rename = "EmailConfirmation", deny_unknown_fields)]
struct Followed {
    /// What the link carries.
    token: Str,
}

/// What a member of the staff saw.
#[derive(Clone, Copy, Enum)]
#[oai(rename = "Evidence", rename_all = "snake_case")]
enum EvidenceDto {
    IdentityDocument,
    Guardian,
    StoreError,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ConfirmedBirthDate {
    birth_date: NaiveDate,
    evidence: EvidenceDto,
}

#[derive(ApiResponse)]
enum Confirmed {
    #[oai(status = 204)]
    NoContent(#[oai(header = "Consistency-Token")] Option<String>),
}

#[derive(ApiResponse)]
enum Asked {
    /// A link is on its way to the address, unless it is confirmed already.
    #[oai(status = 202)]
    Accepted,
}

#[OpenApi(tag = "Tag::Users")]
impl Confirmations {
    /// Have a link sent to one's address that confirms it. It is good for a day.
    #[oai(path = "/users/:id/email/confirmation", method = "post", operation_id = "requestEmailConfirmation")]
    async fn ask(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Asked, Problem> {
        let user = extract::account(actor, &id)?;
        actor.must_own(user)?;
        limits.admit(Class::Invitation, &user.to_string())?;
        store.commands.request_email_confirmation(&store.commands.context(actor), user).await?;
        Ok(Asked::Accepted)
    }

    /// Confirm the address that a link was sent to. An address that the account waits for becomes its own by that.
    #[oai(path = "/login/confirm", method = "post", operation_id = "confirmEmail")]
    async fn confirm(&self, store: Data<&Arc<Store>>, body: Json<Followed>) -> Result<Confirmed, Problem> {
        let context = store.commands.context(Actor::Anonymous);
        let receipt = store.commands.confirm_email(&context, &body.token).await?;
        security_log::confirmed(UserId::from_uuid(receipt.id));
        Ok(Confirmed::NoContent(extract::token(receipt.position)))
    }

    /// Let a birth date count that was proven, for admins: age ratings go by it from now on.
    #[oai(path = "/users/:id/birth-date", method = "put", operation_id = "confirmBirthDate")]
    async fn confirm_birth_date(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
        body: Json<ConfirmedBirthDate>,
    ) -> Result<Confirmed, Problem> {
        let user = extract::account(actor, &id)?;
        let birth_date = extract::birth_date(&store, body.birth_date);
        let birth_date = birth_date.map_err(|rule| Problem::field("birth_date", rule))?;
        let context = store.commands.context(actor);
        let receipt = store.commands.confirm_birth_date(&context, user, birth_date, body.evidence.into()).await?;
        Ok(Confirmed::NoContent(extract::token(receipt.position)))
    }
}

impl From<EvidenceDto> for Evidence {
    fn from(evidence: EvidenceDto) -> Self {
        match evidence {
            EvidenceDto::IdentityDocument => Self::IdentityDocument,
            EvidenceDto::Guardian => Self::Guardian,
            EvidenceDto::StoreError => Self::StoreError,
        }
    }
}
