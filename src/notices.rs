//! A person's live notices, as a client hears them: server-sent events of `GET /notificacoes`.

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::client::Api;

/// What is heard; it ends when the gateway does.
pub struct Notices {
    response: Response,
    unread: Vec<u8>,
}

impl Notices {
    /// Listens to what happens to somebody's orders from now on.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn of(person: &Api) -> Result<Self> {
        let response = person.request(Method::GET, "/notificacoes").send().await?.error_for_status()?;
        let mut notices = Self { response, unread: Vec::new() };
        // The first says that it listens.
        notices.next().await?;
        Ok(notices)
    }

    /// Waits for a notice of a kind about an order; returns the token that what follows can be read with.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn of_order(&mut self, kind: &str, order: &str) -> Result<String> {
        loop {
            let notice = self.next().await?;
            let text = |name| notice.get(name).and_then(Value::as_str);
            if text("type") == Some(kind) && text("order_id") == Some(order) {
                return Ok(text("token").unwrap_or_default().to_owned());
            }
        }
    }

    async fn next(&mut self) -> Result<Value> {
        loop {
            // An event ends with an empty line: <https://html.spec.whatwg.org/multipage/server-sent-events.html>
            while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end.saturating_add(2)).collect();
                let event = String::from_utf8(event).context("a notice is no text")?;
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                    return Ok(serde_json::from_str(data)?);
                }
            }
            match self.response.chunk().await? {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => bail!("the notices ended"),
            }
        }
    }
}
