//! The storefront's session: tokens in cookies that scripts cannot read.
//!
//! A cookie stands in for the `Authorization` header. Since browsers send cookies by themselves, a request that
//! changes something must also carry a header that other sites cannot send without asking us first, which we never
//! allow (OWASP: custom request headers against CSRF); and the cookies are `SameSite=Strict`.

use std::sync::Arc;
use std::time::Duration;

use commands::Commands;
use poem::http::StatusCode;
use poem::http::header::{AUTHORIZATION, HeaderValue};
use poem::web::cookie::{Cookie, CookieJar, SameSite};
use poem::{Endpoint, IntoResponse, Request, Response, Result};

use crate::auth::LIFETIME;
use crate::problem::Problem;

/// What a request must carry to change something by cookie.
const PROOF: &str = "X-Ludoteca-Storefront";
const ACCESS: &str = "__Host-ludoteca-access";
const REFRESH: &str = "__Secure-ludoteca-refresh";
/// The refresh token goes nowhere else.
const REFRESH_PATH: &str = "/login/session";
/// As long as a refresh token is good.
const REFRESH_LIFE: Duration = Duration::from_hours(14 * 24);

/// Lets a cookie speak where no `Authorization` header does. One that is not good any more is taken back, or its browser
/// would be refused what every stranger may see.
pub(crate) async fn from_cookie<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<Response> {
    let proven = request.method().is_safe() || request.headers().contains_key(PROOF);
    let jar = request.cookie().clone();
    // A key of a program is no session of the storefront.
    let is_session = |cookie: &Cookie| !Commands::is_api_key(cookie.value_str());
    let token = jar.get(ACCESS).filter(is_session);
    let token = token.filter(|_| proven && !request.headers().contains_key(AUTHORIZATION));
    let Some(Ok(value)) = token.map(|cookie| HeaderValue::from_str(&format!("Bearer {}", cookie.value_str()))) else {
        return endpoint.call(request).await.map(IntoResponse::into_response);
    };
    request.headers_mut().insert(AUTHORIZATION, value);
    match endpoint.call(request).await {
        Err(error) if error.status() == StatusCode::UNAUTHORIZED && !error.is_from_response() => {
            jar.add(no_access());
            Ok(Problem::of_framework(&error).to_response())
        }
        answered => answered.map(IntoResponse::into_response),
    }
}

/// Passes a request that uses the refresh cookie where it comes from the storefront.
pub(crate) fn must_be_proven(request: &Request) -> Result<(), Problem> {
    let refusal =
        || Problem::new(StatusCode::FORBIDDEN, "not_from_the_storefront", "only the storefront may use its session");
    request.headers().contains_key(PROOF).then_some(()).ok_or_else(refusal)
}

/// Keeps the tokens of a session.
pub(crate) fn keep(jar: &CookieJar, access: &str, refresh: &str) {
    jar.add(cookie(ACCESS, access, "/", Duration::from_secs(LIFETIME.unsigned_abs())));
    jar.add(cookie(REFRESH, refresh, REFRESH_PATH, REFRESH_LIFE));
}

/// The refresh token of a session.
pub(crate) fn refresh_token(jar: &CookieJar) -> Option<String> {
    jar.get(REFRESH).map(|cookie| cookie.value_str().to_owned())
}

/// Forgets the tokens of a session.
pub(crate) fn forget(jar: &CookieJar) {
    jar.add(no_access());
    jar.add(cookie(REFRESH, "", REFRESH_PATH, Duration::ZERO));
}

/// Takes an access token back.
fn no_access() -> Cookie {
    cookie(ACCESS, "", "/", Duration::ZERO)
}

pub(crate) fn cookie(name: &str, value: &str, path: &str, life: Duration) -> Cookie {
    let mut cookie = Cookie::new_with_str(name, value);
    cookie.set_path(path);
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_max_age(life);
    cookie
}
