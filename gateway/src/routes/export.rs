use std::sync::Arc;

use commands::Held;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::api_keys::Known;
use super::authenticators::Authenticator;
use super::library::Shelf;
use super::orders::Order;
use super::users::User;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract;
use crate::problem::Problem;

pub(crate) struct Exports;

/// How many entries an export reads at once.
const EXPORT_PAGE: i64 = 500;

/// Everything that the store knows of a person.
#[derive(Object)]
struct Export {
    profile: User,
    orders: Vec<Order>,
    library: Vec<Shelf>,
    /// What opens the account beside the password.
    authenticators: Vec<Authenticator>,
    /// How many recovery codes are left.
    recovery_codes: i64,
    api_keys: Vec<Known>,
}

#[OpenApi(tag = "Tag::Users")]
impl Exports {
    /// Everything that the store knows of a person, as one document (LGPD art. 18, GDPR art. 20).
    #[oai(path = "/users/:id/export", method = "get", operation_id = "exportUser")]
    async fn export(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        id: Path<String>,
    ) -> Result<Json<Export>, Problem> {
        let user = extract::account(actor, &id)?;
        actor.must_own(user)?;
        actor.must_be_proven(store.commands.clock().now())?;
        let view = projections::users::find(store.pool(), user).await?.ok_or_else(Problem::not_found)?;
        let (mut orders, mut after) = (Vec::new(), None);
        loop {
            let page = projections::orders::page(store.pool(), Some(user), None, EXPORT_PAGE, after).await?;
            orders.extend(page.items.into_iter().map(Order::from));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let (mut library, mut after) = (Vec::new(), None);
        loop {
            let page = projections::library::page(store.pool(), user, EXPORT_PAGE, after).await?;
            library.extend(page.items.into_iter().map(Shelf::from));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let Held { authenticators, recovery_codes } = store.commands.authenticators(actor, user).await?;
        let authenticators = authenticators.into_iter().filter_map(Authenticator::of).collect();
        let api_keys = store.commands.api_keys(actor, user).await?.into_iter().map(Known::from).collect();
        Ok(Json(Export { profile: view.into(), orders, library, authenticators, recovery_codes, api_keys }))
    }
}
