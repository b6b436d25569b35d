//! Mail is sent once per event: whoever begins first sends, and only a sender that died is replaced.

use uuid::Uuid;

use super::Vault;
use crate::JournalError;

/// Whose turn it is to send an event's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTurn {
    /// Ours.
    Send,
    /// Nobody's: it was sent.
    Sent,
    /// Somebody else's, who has not finished.
    Wait,
}

impl Vault {
    /// Asks for the turn to send an event's mail; it is ours for a minute.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_mail(&self, event: Uuid) -> Result<MailTurn, JournalError> {
        let ours = sqlx::query(
            "insert into vault.mail (event_id, begun_at) values ($1, now())
             on conflict (event_id) do update set begun_at = now()
             where mail.sent_at is null and mail.begun_at < now() - interval '1 minute'",
        )
        .bind(event)
        .execute(self.pool())
        .await?;
        if ours.rows_affected() > 0 {
            return Ok(MailTurn::Send);
        }
        let sent = sqlx::query_scalar("select sent_at is not null from vault.mail where event_id = $1")
            .bind(event)
            .fetch_one(self.pool())
            .await?;
        Ok(if sent { MailTurn::Sent } else { MailTurn::Wait })
    }

    /// Notes that an event's mail was handed over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mail_sent(&self, event: Uuid) -> Result<(), JournalError> {
        sqlx::query("update vault.mail set sent_at = now() where event_id = $1")
            .bind(event)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Gives the turn back after a failure.
    ///
    /// # Errors
    /// When the database does not answer; the turn ends after a minute all the same.
    pub async fn mail_failed(&self, event: Uuid) -> Result<(), JournalError> {
        sqlx::query("delete from vault.mail where event_id = $1 and sent_at is null")
            .bind(event)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
