//! The PSP's lists, newest first, a page at a time.

use futures::Stream;
use futures::stream::try_unfold;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::PspClient;
use crate::dispute::Dispute;
use crate::error::PspError;
use crate::intent::Intent;
use crate::refund::Refund;

/// Some of the things of a list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Page<T> {
    /// Newest first.
    pub(crate) data: Vec<T>,
    /// Whether there are older ones.
    #[serde(default)]
    has_more: bool,
}

/// What the PSP keeps a list of.
pub trait Listed: DeserializeOwned {
    /// What its list is called.
    const LIST: &'static str;

    /// The PSP's id.
    fn id(&self) -> &str;
}

impl Listed for Intent {
    const LIST: &'static str = "payment_intents";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Refund {
    const LIST: &'static str = "refunds";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Dispute {
    const LIST: &'static str = "disputes";

    fn id(&self) -> &str {
        &self.id
    }
}

impl PspClient {
    /// The pages of what was made since `since` (seconds since 1970), newest first.
    pub fn list<T: Listed>(&self, since: i64) -> impl Stream<Item = Result<Vec<T>, PspError>> {
        /// Where the next page begins.
        enum Next {
            First,
            After(String),
            Nowhere,
        }
        try_unfold(Next::First, move |next| async move {
            let mut query = vec![("limit", "100".to_owned()), ("created[gte]", since.to_string())];
            match next {
                Next::First => (),
                Next::After(id) => query.push(("starting_after", id)),
                Next::Nowhere => return Ok(None),
            }
            let page: Page<T> = self.page(T::LIST, &query).await?;
            let last = page.data.last().filter(|_| page.has_more).map(|last| last.id().to_owned());
            Ok(Some((page.data, last.map_or(Next::Nowhere, Next::After))))
        })
    }
}
