//! The money: paid orders have their games, games have paid orders, and the PSP holds what is recorded.

use std::collections::HashMap;
use std::pin::pin;

use anyhow::Result;
use futures::TryStreamExt;
use journal::Journal;
use projections::payments::{Charge, charged};
use psp::{Intent, IntentStatus, PspClient, Refund, RefundStatus};
use tokio::time::{Instant, sleep};

use super::{Finding, PATIENCE, PAUSE};

/// No paid order without its games, no games without a paid (or free) order, one payment per completed order.
pub(crate) async fn recorded_alone(journal: &Journal) -> Result<Vec<Finding>> {
    let checks = [
        (
            "paid orders have games",
            "select count(*) from read.orders o where o.status = 'completed' and o.standing <> 'revoked' and exists (
               select from jsonb_array_elements(o.lines) line
               where not exists (select from read.library l
                                 where l.order_id = o.order_id and l.game_id = (line ->> 'game')::uuid)
               and not exists (select from jsonb_array_elements(o.refunds) refund
                               where refund ->> 'status' = 'refunded' and refund -> 'games' ? (line ->> 'game')))",
        ),
        (
            "games have paid orders",
            "select count(*) from read.library l left join read.orders o using (order_id)
             where o.order_id is null or o.status <> 'completed'",
        ),
        (
            "completed orders are paid",
            "select count(*) from read.orders o left join read.payments p using (payment_id)
             where o.status = 'completed' and o.total > 0
             and (p.status is null or p.status not in ('succeeded', 'refunded'))",
        ),
        (
            "paid orders are complete",
            "select count(*) from read.payments p join read.orders o using (order_id)
             where p.status = 'succeeded' and o.status in ('awaiting_payment', 'payment_failed')",
        ),
        (
            "suspensions are disputed",
            "select count(*) from read.orders o where (o.standing = 'suspended' and not exists (
               select from read.disputes d where d.payment_id = o.payment_id and d.status = 'open'))
             or (o.standing = 'revoked' and not exists (
               select from read.disputes d where d.payment_id = o.payment_id and d.status = 'lost'))",
        ),
        (
            "one success per order",
            "select count(*) from (select order_id from read.payments where status = 'succeeded'
                                   group by order_id having count(*) > 1) as doubled",
        ),
        (
            "unowed money went back",
            "select count(*) from read.payments p join read.orders o using (order_id)
             where p.status = 'succeeded' and o.status = 'cancelled' and not exists (
               select from read.disputes d where d.payment_id = p.payment_id and d.status in ('open', 'lost'))",
        ),
        (
            "refunds are as agreed",
            "select count(*) from read.orders o join read.payments p using (payment_id)
             where o.status in ('completed', 'refunded') and o.standing <> 'revoked' and p.refunded <>
               (select coalesce(sum((refund ->> 'amount')::bigint), 0) from jsonb_array_elements(o.refunds) refund
                where refund ->> 'status' = 'refunded')",
        ),
    ];
    let mut findings = Vec::new();
    for (what, query) in checks {
        let differences = sqlx::query_scalar(query).fetch_one(journal.pool()).await?;
        findings.push(Finding { what: what.to_owned(), compared: String::new(), differences });
    }
    Ok(findings)
}

/// What the PSP charged and sent back beside what is recorded. What is on its way is waited for.
pub(crate) async fn psp(journal: &Journal, psp: &PspClient) -> Result<Vec<Finding>> {
    let deadline = Instant::now().checked_add(PATIENCE);
    loop {
        let (held, recorded) = (held_by(psp).await?, recorded(journal).await?);
        let charges = differing(&held, &recorded, |charge| charge.amount);
        let refunds = differing(&held, &recorded, |charge| charge.refunded);
        if charges.saturating_add(refunds) == 0 || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            let of = |what: &str, differences| Finding {
                what: what.to_owned(),
                compared: format!("{} charges", held.len()),
                differences,
            };
            return Ok(vec![
                of("charges of the PSP = payments", charges),
                of("refunds of the PSP = payments", refunds),
            ]);
        }
        sleep(PAUSE).await;
    }
}

/// Charges by the PSP's id.
type Charges = HashMap<String, Charge>;

fn differing(held: &Charges, recorded: &Charges, of: fn(&Charge) -> i64) -> i64 {
    let ids = held.keys().chain(recorded.keys().filter(|id| !held.contains_key(*id)));
    let differ = ids.filter(|id| held.get(*id).map(of) != recorded.get(*id).map(of));
    i64::try_from(differ.count()).unwrap_or(i64::MAX)
}

/// The charges of this store's payments that the PSP lists, with what of them went back.
async fn held_by(psp: &PspClient) -> Result<Charges> {
    let mut charges = Charges::new();
    let mut intents = pin!(psp.list::<Intent>(0));
    while let Some(page) = intents.try_next().await? {
        for intent in page {
            if intent.status == IntentStatus::Succeeded && intent.metadata.contains_key("payment_id") {
                let amount = intent.amount_received.unwrap_or(intent.amount);
                charges.insert(intent.id.clone(), Charge { psp_reference: intent.id, amount, refunded: 0 });
            }
        }
    }
    let mut refunds = pin!(psp.list::<Refund>(0));
    while let Some(page) = refunds.try_next().await? {
        for refund in page.into_iter().filter(|refund| refund.status == RefundStatus::Succeeded) {
            if let Some(charge) = charges.get_mut(&refund.payment_intent) {
                charge.refunded = charge.refunded.saturating_add(refund.amount);
            }
        }
    }
    Ok(charges)
}

async fn recorded(journal: &Journal) -> Result<Charges> {
    let charges = charged(journal.pool(), None).await?;
    Ok(charges.into_iter().map(|charge| (charge.psp_reference.clone(), charge)).collect())
}
