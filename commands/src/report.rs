//! Answers that are about no single aggregate, and are kept for repeats as they were given.

use domain::UnreadableEvent;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actor::Context;
use crate::{CommandError, Commands};

impl Commands {
    /// What an equal request was answered with within the last day.
    ///
    /// # Errors
    /// [`CommandError::KeyReused`] where the earlier request under the key was another, and those of every use case.
    pub async fn first_report<R: DeserializeOwned>(&self, context: &Context) -> Result<Option<R>, CommandError> {
        let Some(request) = &context.repeatable else { return Ok(None) };
        let Some((fingerprint, report)) = self.journal.reported(request).await? else { return Ok(None) };
        if fingerprint != request.fingerprint {
            return Err(CommandError::KeyReused);
        }
        Ok(Some(serde_json::from_value(report).map_err(UnreadableEvent::from)?))
    }

    /// Keeps an answer; of two equal requests at once, the first one's.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn keep_report(&self, context: &Context, report: &impl Serialize) -> Result<(), CommandError> {
        let Some(request) = &context.repeatable else { return Ok(()) };
        let report = serde_json::to_value(report).map_err(UnreadableEvent::from)?;
        Ok(self.journal.keep_report(request, &report).await?)
    }
}
