//! The storefront's session: tokens in cookies that scripts cannot read.
//!
//! A cookie stands in for the `Authorization` header. Since browsers send cookies by themselves, a request that
//! changes something must also carry a header that other sites cannot send without asking us first, which we never
//! allow (OWASP: custom request headers against CSRF); and the cookies are `SameSite=Strict`.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header::{AUTHORIZATION, HeaderValue};
use poem::web::cookie::{Cookie, CookieJar, SameSite};
use poem::{Endpoint, Request, Result};

use crate::auth::LIFETIME;

/// What a request must carry to change something by cookie.
const PROOF: &str = "X-Ludoteca-Storefront";
const ACCESS: &str = "__Host-ludoteca-access";
const REFRESH: &str = "__Secure-ludoteca-refresh";
/// The refresh token goes nowhere else.
const REFRESH_PATH: &str = "/login/session";
/// As long as a refresh token is good.
const REFRESH_LIFE: Duration = Duration::from_hours(30 * 24);

/// Lets a cookie speak where no `Authorization` header does.
pub(crate) async fn from_cookie<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> Result<E::Output> {
    let proven = request.method().is_safe() || request.headers().contains_key(PROOF);
    if proven && !request.headers().contains_key(AUTHORIZATION) {
        let token = request.cookie().get(ACCESS).map(|cookie| format!("Bearer {}", cookie.value_str()));
        if let Some(Ok(value)) = token.map(|token| HeaderValue::from_str(&token)) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }
    endpoint.call(request).await
}

/// Whether a request that uses the refresh cookie comes from the storefront.
pub(crate) fn is_proven(request: &Request) -> bool {
    request.headers().contains_key(PROOF)
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
    jar.add(cookie(ACCESS, "", "/", Duration::ZERO));
    jar.add(cookie(REFRESH, "", REFRESH_PATH, Duration::ZERO));
}

fn cookie(name: &str, value: &str, path: &str, life: Duration) -> Cookie {
    let mut cookie = Cookie::new_with_str(name, value);
    cookie.set_path(path);
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_max_age(life);
    cookie
}
