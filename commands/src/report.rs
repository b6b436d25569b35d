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

    /// Keeps an answer, and returns it; of two equal requests at once, the first one's.
    ///
    /// # Errors
    /// As [`Commands::first_report`].
    pub async fn keep_report<R: Serialize + DeserializeOwned>(
        &self,
        context: &Context,
        report: R,
    ) -> Result<R, CommandError> {
        let Some(request) = &context.repeatable else { return Ok(report) };
        let kept = serde_json::to_value(&report).map_err(UnreadableEvent::from)?;
        if self.journal.keep_report(request, &kept).await? {
            return Ok(report);
        }
        Ok(self.first_report(context).await?.unwrap_or(report))
    }
}
