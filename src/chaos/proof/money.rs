use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Proof, different};
use crate::chaos::buyer::Tally;
use crate::chaos::stage::Stage;
use crate::verify::Finding;

/// What the PSP holds, by payment.
pub(super) struct Kept {
    charges: HashMap<String, u64>,
    money: HashMap<String, i64>,
}

impl Kept {
    pub(super) async fn read(stage: &Stage) -> Result<Self> {
        let mut kept = Self { charges: HashMap::new(), money: HashMap::new() };
        let amount = |thing: &Value| thing.get("amount").and_then(Value::as_i64).unwrap_or_default();
        let mut gone: HashMap<String, i64> = HashMap::new();
        let refunds = stage.psp_list("/v1/refunds?limit=100").await?;
        let disputes = stage.psp_list("/v1/disputes?limit=100").await?;
        let lost = disputes.iter().filter(|dispute| dispute.get("status") == Some(&json!("lost")));
        for thing in refunds.iter().chain(lost) {
            let intent = thing.get("payment_intent").and_then(Value::as_str).unwrap_or_default().to_owned();
            let sum = gone.entry(intent).or_default();
            *sum = sum.saturating_add(amount(thing));
        }
        for intent in stage.psp_list("/v1/payment_intents?limit=100").await? {
            let text = |pointer| intent.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if text("/status") != "succeeded" {
                continue;
            }
            let (id, payment) = (text("/id"), text("/metadata/payment_id"));
            let back = gone.get(&id).copied().unwrap_or_default();
            let charges = kept.charges.entry(payment.clone()).or_default();
            *charges = charges.saturating_add(1);
            let money = kept.money.entry(payment).or_default();
            *money = money.saturating_add(amount(&intent).saturating_sub(back));
        }
        Ok(kept)
    }

    pub(super) async fn one_charge_each(&self, tally: &Tally, pool: &PgPool) -> Result<Proof> {
        let doubled = self.charges.iter().filter(|(_, charges)| **charges != 1);
        let mut violations: Vec<String> =
            doubled.map(|(payment, charges)| format!("payment {payment} was charged {charges} times")).collect();
        let known: Vec<(String, i64)> = sqlx::query_as(
            "select aggregate_id, count(*) from journal.events where event_type = 'PaymentSucceeded' group by 1",
        )
        .fetch_all(pool)
        .await?;
        let known: HashMap<String, i64> = known.into_iter().collect();
        let unheard = self.charges.keys().filter(|payment| known.get(*payment) != Some(&1));
        violations.extend(unheard.map(|payment| format!("the charge of payment {payment} is not recorded just once")));
        let unfounded = known.keys().filter(|payment| !self.charges.contains_key(*payment));
        violations.extend(unfounded.map(|payment| format!("payment {payment} was never charged")));
        violations.extend((0..tally.doubled).map(|_| "one idempotency key made two orders".to_owned()));
        let counted = format!("{} charges, {} requests sent twice", self.charges.len(), tally.repeats);
        let what = "one charge per payment, one library entry per game";
        Ok(Proof { invariant: 3, what, counted, violations })
    }

    /// For each order, the money that the PSP kept is what the games cost that the buyer has.
    pub(super) async fn money_for_games(&self, pool: &PgPool, findings: &[Finding]) -> Result<Proof> {
        let worth: Vec<(String, i64)> = sqlx::query_as(
            "select o.order_id::text,
                    coalesce(sum((line -> 'price' ->> 'amount')::bigint) filter (where l.game_id is not null), 0)::bigint
             from read.orders o cross join jsonb_array_elements(o.lines) line
             left join read.library l on l.order_id = o.order_id and l.game_id = (line ->> 'game')::uuid group by 1",
        )
        .fetch_all(pool)
        .await?;
        let payments: Vec<(String, String)> =
            sqlx::query_as("select payment_id::text, order_id::text from read.payments").fetch_all(pool).await?;
        let mut paid: HashMap<&str, i64> = HashMap::new();
        for (payment, order) in &payments {
            let money = paid.entry(order).or_default();
            *money = money.saturating_add(self.money.get(payment).copied().unwrap_or_default());
        }
        let mut violations = different(findings);
        for (order, worth) in &worth {
            let kept = paid.get(order.as_str()).copied().unwrap_or_default();
            if kept != *worth {
                violations.push(format!("order {order}: the PSP kept {kept} for games worth {worth}"));
            }
        }
        let total: i64 = self.money.values().sum();
        let what = "the money kept is that of the games handed over";
        Ok(Proof { invariant: 4, what, counted: format!("{} orders, {total} minor units", worth.len()), violations })
    }
}
