//! The mail outbox: which event's mail is to be sent, was sent, or was given up. No address, no text.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Language, UserId};
use uuid::Uuid;

use super::{Vault, interval};
use crate::JournalError;

/// A mail that waits for its turn.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct MailEntry {
    /// The event that it tells of.
    pub event_id: Uuid,
    /// The event's place in the mirror.
    pub sequence: i64,
    /// How often it was tried, this time included.
    pub attempts: i32,
    /// Since when it waits.
    pub noted_at: DateTime<Utc>,
}

impl Vault {
    /// Notes that events, each with its place in the mirror, call for a mail; a repeat changes nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_mail(&self, events: &[(Uuid, i64)]) -> Result<(), JournalError> {
        let (ids, sequences): (Vec<_>, Vec<_>) = events.iter().copied().unzip();
        sqlx::query("insert into vault.mail (event_id, sequence) select * from unnest($1, $2) on conflict do nothing")
            .bind(ids)
            .bind(sequences)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Takes the next mails that are due, at most `limit`; nobody else gets them during `lease`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_mails(&self, lease: Duration, limit: i64) -> Result<Vec<MailEntry>, JournalError> {
        let entries = sqlx::query_as(
            "with due as materialized (select event_id from vault.mail
                                       where sent_at is null and dead_at is null and due_at <= now() + $2
                                       order by due_at limit $3 for update skip locked)
             update vault.mail set attempts = attempts + 1, due_at = now() + $2 + $1
             from due where vault.mail.event_id = due.event_id
             returning vault.mail.event_id, sequence, attempts, noted_at",
        )
        .bind(interval(lease))
        .bind(self.ahead())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        Ok(entries)
    }

    /// Notes that the mails of events were handed over, or that there is nobody left to tell.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mails_sent(&self, events: &[Uuid]) -> Result<(), JournalError> {
        sqlx::query("update vault.mail set sent_at = now(), last_error = null where event_id = any($1)")
            .bind(events)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Puts a mail back until `wait` is over, with what went wrong; without a wait it is given up.
    ///
    /// # Errors
    /// When the database does not answer; it comes back after its lease all the same.
    pub async fn mail_failed(&self, event: Uuid, error: &str, wait: Option<Duration>) -> Result<(), JournalError> {
        sqlx::query(
            "update vault.mail set last_error = $2, due_at = now() + $4 + coalesce($3, interval '0'),
                                   dead_at = case when $3 is null then now() end
             where event_id = $1",
        )
        .bind(event)
        .bind(error)
        .bind(wait.map(interval))
        .bind(self.ahead())
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Tries a mail that was given up again, from the start.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn redrive_mail(&self, event: Uuid) -> Result<(), JournalError> {
        sqlx::query(
            "update vault.mail set dead_at = null, attempts = 0, due_at = now() where event_id = $1 and sent_at is null",
        )
        .bind(event)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Notes in which language somebody wants to be spoken to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_language(&self, user: UserId, language: Language) -> Result<(), JournalError> {
        sqlx::query(
            "insert into vault.preferences (user_id, language) values ($1, $2)
             on conflict (user_id) do update set language = excluded.language",
        )
        .bind(user.as_uuid())
        .bind(language.code())
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// In which language somebody wants to be spoken to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn language(&self, user: UserId) -> Result<Language, JournalError> {
        let code: Option<String> = sqlx::query_scalar("select language from vault.preferences where user_id = $1")
            .bind(user.as_uuid())
            .fetch_optional(self.pool())
            .await?;
        Ok(code.map_or(Language::English, |code| Language::preferred(&code)))
    }
}
