use std::sync::Arc;

use commands::Actor;
use domain::Email;
use poem::web::Data;
use poem::web::cookie::CookieJar;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use tokio::time::Instant;

use super::Tag;
use crate::Store;
use crate::auth::{Identity, SignedIn};
use crate::device::DeviceCookie;
use crate::even::until_even;
use crate::extract;
use crate::limits::{Class, Limits};
use crate::problem::Problem;
use crate::strict::Str;

pub(crate) struct Passwords;

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewPassword {
    /// The password until now.
    current_password: Str,
    /// 15 to 128 characters, or 8 beside a second factor, and not easy to guess.
    password: Str,
}

#[derive(Object)]
#[oai(rename = "ForgottenPassword", deny_unknown_fields)]
struct Forgotten {
    email: Str,
}

#[derive(Object)]
#[oai(rename = "PasswordReset", deny_unknown_fields)]
struct Chosen {
    /// What the link carries.
    token: Str,
    /// 15 to 128 characters, or 8 beside a second factor, and not easy to guess.
    password: Str,
}

#[derive(Object)]
#[oai(rename = "TypedPassword", deny_unknown_fields)]
struct Typed {
    password: Str,
    /// What its owner is known by, such as a name and an address; it does not make it any better.
    #[oai(default, validator(max_items = 8))]
    known: Vec<Str>,
}

#[derive(Object)]
struct Strength {
    /// From 0, guessed at once, to 4; a password of 15 characters is accepted from 3 on.
    score: u8,
}

#[derive(ApiResponse)]
enum Changed {
    #[oai(status = 204)]
    NoContent,
}

#[derive(ApiResponse)]
enum Asked {
    /// If the address has an account, a link is on its way to it.
    #[oai(status = 202)]
    Accepted,
}

#[OpenApi(tag = "Tag::Users")]
impl Passwords {
    /// Choose another password. All other sessions end; the one that asks goes on with its refresh token.
    #[oai(path = "/users/:id/password", method = "put", operation_id = "changePassword")]
    async fn change(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        SignedIn(actor): SignedIn,
        identity: Data<&Identity>,
        id: Path<String>,
        body: Json<NewPassword>,
    ) -> Result<Changed, Problem> {
        let user = extract::account(actor, &id)?;
        limits.admit(Class::Account, &user.to_string())?;
        let NewPassword { current_password, password } = body.0;
        let passwords = (current_password.0.into(), password.0.as_str());
        let context = store.commands.context(actor);
        store.commands.change_password(&context, user, identity.session, passwords).await?;
        store.authority.refresh().await;
        Ok(Changed::NoContent)
    }

    /// Ask for a link to choose another password. It comes by mail, and is good once and for half an hour; the answer is
    /// the same whether the address has an account or not.
    #[oai(path = "/login/forgotten", method = "post", operation_id = "requestPasswordReset")]
    async fn forgotten(
        &self,
        store: Data<&Arc<Store>>,
        limits: Data<&Arc<Limits>>,
        jar: &CookieJar,
        body: Json<Forgotten>,
    ) -> Result<Asked, Problem> {
        let begun = Instant::now();
        let email = Email::parse(&body.email).map_err(|rule| Problem::field("email", rule))?;
        // Strangers who ask again and again do not keep a device that has logged in before from asking.
        let device = DeviceCookie::read(jar, store.commands.vault(), &email);
        limits.admit(Class::Mailbox, device.as_deref().unwrap_or(email.normal_form()))?;
        if let Some(user) = store.commands.account_of(&email).await? {
            // Nobody waits for it, or its time and its failure would tell that there is an account.
            let store = store.clone();
            tokio::spawn(async move {
                let context = store.commands.context(Actor::Anonymous);
                if let Err(error) = store.commands.request_password_reset(&context, user).await {
                    tracing::error!(%error, user.id = %user, "A link to choose another password was not asked for");
                }
            });
        }
        until_even(begun).await;
        Ok(Asked::Accepted)
    }

    /// Choose another password with what a link carries. All sessions end.
    #[oai(path = "/login/reset", method = "post", operation_id = "resetPassword")]
    async fn reset(&self, store: Data<&Arc<Store>>, body: Json<Chosen>) -> Result<Changed, Problem> {
        let Chosen { token, password } = body.0;
        store.commands.reset_password(&store.commands.context(Actor::Anonymous), &token, &password).await?;
        store.authority.refresh().await;
        Ok(Changed::NoContent)
    }

    /// How hard a password is to guess. Nothing of it is kept.
    #[oai(path = "/login/strength", method = "post", operation_id = "measurePassword")]
    async fn strength(&self, store: Data<&Arc<Store>>, body: Json<Typed>) -> Result<Json<Strength>, Problem> {
        let Typed { password, known } = body.0;
        let known = known.into_iter().map(|word| word.0).collect();
        Ok(Json(Strength { score: store.commands.strength(password.0, known).await? }))
    }
}
