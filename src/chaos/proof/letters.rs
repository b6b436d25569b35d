use std::collections::{HashMap, HashSet};

use anyhow::Result;
use nats::DeadLetter;
use sqlx::PgPool;

use super::Proof;
use crate::chaos::stage::Stage;

/// A bank that says no.
const DECLINED: &str = "pm_card_chargeCustomerFail";
/// A PSP that never says anything.
const UNANSWERED: &str = "pm_card_timeout";

/// Failed payment work is in one place, and nothing is there that did not fail.
pub(super) async fn one_place(stage: &Stage, pool: &PgPool) -> Result<Proof> {
    let nats = &stage.foundation.shared.nats;
    let unsettled: Vec<String> = sqlx::query_scalar(
        "select payment_id::text from read.payments where status in ('initiated', 'submitted', 'pending')",
    )
    .fetch_all(pool)
    .await?;
    let letters = nats.dead_letters(&["declined", "exhausted", "difference", "undeliverable"], 1, usize::MAX).await?;
    let (queued, _) = nats.extent(nats::PAYMENTS).await?;
    let tokens = tokens(pool).await?;
    let dead: HashSet<&str> = letters.iter().map(|(_, letter)| letter.key.as_str()).collect();
    let nowhere = unsettled.iter().filter(|payment| !dead.contains(payment.as_str()));
    let mut violations: Vec<String> = nowhere.map(|payment| format!("payment {payment} is nowhere")).collect();
    let wrong = letters.iter().map(|(_, letter)| letter).filter(|letter| !is_deserved(letter, &tokens));
    violations.extend(wrong.map(|letter| format!("{} {} is dead wrongly: {}", letter.class, letter.key, letter.cause)));
    if queued > 0 {
        violations.push(format!("{queued} pieces of work are still queued"));
    }
    let counted = format!("{} dead letters, {} of unsettled payments", letters.len(), unsettled.len());
    Ok(Proof { invariant: 5, what: "failed payment work is in exactly one place", counted, violations })
}

/// The card that each payment was made with, as the PSP knows it.
async fn tokens(pool: &PgPool) -> Result<HashMap<String, String>> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "select aggregate_id, payload #>> '{method,token}' from journal.events where event_type = 'PaymentInitiated'",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(|(payment, token)| Some((payment, token?))).collect())
}

/// Whether no fault of ours made it one: only two cards are made to fail.
fn is_deserved(letter: &DeadLetter, tokens: &HashMap<String, String>) -> bool {
    let token = tokens.get(&letter.key).map(String::as_str);
    match letter.class.as_str() {
        "declined" => token == Some(DECLINED),
        "exhausted" => token == Some(UNANSWERED),
        _ => false,
    }
}
