use domain::Language;
use poem::handler;
use poem::http::StatusCode;
use poem::web::{Html, Path};

use crate::language::{self, Meaning};

/// The page that the `type` of a problem leads to (RFC 9457, 3.1.1): what its code means, in both languages.
#[handler]
pub(crate) fn explain(Path(code): Path<String>) -> Result<Html<String>, StatusCode> {
    let meaning = language::meaning(&code).ok_or(StatusCode::NOT_FOUND)?;
    let said =
        |language: Language, meaning: &Meaning| format!("<p lang=\"{}\">{}</p>", language.code(), meaning.to(language));
    let (english, portuguese) = (said(Language::English, meaning), said(Language::Portuguese, meaning));
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code}</title><h1>{code}</h1>{english}{portuguese}"
    );
    Ok(Html(page))
}
