//! What is known of a request wherever it is answered: its id, by which its client, the log and its problem know it, and
//! the language that its client reads.

use std::sync::Arc;

use domain::Language;
use poem::http::header::{ACCEPT_LANGUAGE, HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use tracing::Instrument;

use crate::{Store, language};

const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// As long as an id of anybody's is.
const LONGEST: usize = 128;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request that is being answered.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// Takes the client's id, or makes one, and returns it.
pub(crate) async fn identified<E: Endpoint>(endpoint: Arc<E>, request: Request) -> Result<Response> {
    let given = request.header(NAME).filter(|id| is_fit(id));
    let id: Arc<str> = match (given, request.data::<Arc<Store>>()) {
        (Some(id), _) => id.into(),
        (None, Some(store)) => store.commands.clock().new_id().to_string().into(),
        (None, None) => "".into(),
    };
    let language = Language::preferred(request.header(ACCEPT_LANGUAGE).unwrap_or_default());
    let span = tracing::error_span!("request", request.id = %id);
    let answer = CURRENT.scope(id.clone(), language::speaking(language, endpoint.call(request))).instrument(span).await;
    let mut response = answer.map_or_else(poem::Error::into_response, IntoResponse::into_response);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(NAME, value);
    }
    Ok(response)
}

/// Nothing that could be taken for something else in a log.
fn is_fit(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:+/=".contains(c);
    !id.is_empty() && id.len() <= LONGEST && id.chars().all(fits)
}
