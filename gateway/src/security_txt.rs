//! Whom to tell of a hole in the store (RFC 9116).

use std::sync::Arc;

use chrono::{SecondsFormat, TimeDelta};
use poem::web::Data;
use poem::{IntoResponse, Response, handler};

use crate::Store;
use crate::problem::Problem;

/// For how long what it says is good; it is said anew each time.
const GOOD_FOR: TimeDelta = TimeDelta::days(30);

#[handler]
pub(crate) fn tell(store: Data<&Arc<Store>>) -> Response {
    let Some(contact) = &store.security_contact else { return Problem::not_found().to_response() };
    let now = store.commands.clock().now();
    let expires = now.checked_add_signed(GOOD_FOR).unwrap_or(now).to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en, pt\n")
        .with_content_type("text/plain; charset=utf-8")
        .into_response()
}
