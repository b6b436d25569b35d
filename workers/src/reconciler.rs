//! The reconciler: the net under everything that may get lost between the store and the PSP.
//!
//! It asks about payments that stay unsettled, gives up orders that were not paid in time (at the PSP first: money
//! that came after all completes the order), has done what nobody did after a payment was settled, and goes through the
//! PSP's own lists for charges and refunds that the store does not know. A question that fails changes nothing; it is asked again later.
//! What is worth asking about comes from the read models and may be out of date; the journal decides.
//! It notes as well which promotions began and ended, and removes what is old, for it is the part of the store that
//! acts by the clock.
//! It keeps only how far the lists were compared: two of them ask twice, which changes nothing.

mod lists;
mod schedule;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::CommandError;
use domain::order::{CancelReason, Order};
use domain::payment::Payment;
use domain::{OrderId, PaymentId};
use futures::{StreamExt, stream};
use nats::{DLQ, PAYMENT_QUESTION, PAYMENTS};
use projections::payments::Unsettled;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::schedule::{Looks, Schedule};
use crate::metrics::RECONCILED;
use crate::obstacle::Obstacle;
use crate::settlement::{Case, Settled};
use crate::{PaymentDesk, Shared};

/// How many questions are asked at once.
const SLOTS: usize = 8;
/// What its events and its lines of the text log are signed with.
const BY: &str = "reconciler";
/// How often it is looked for what is old.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// When the reconciler acts.
#[derive(Debug, Clone, Copy)]
pub struct Vigilance {
    /// How often it looks for what is due.
    pub every: Duration,
    /// How long a payment may be unsettled before the PSP is asked; longer with each question.
    pub ask_after: Duration,
    /// How long an order may be unpaid.
    pub order_expiry: Duration,
    /// How often it goes through the PSP's lists, and looks for money that nothing came of.
    pub lists_every: Duration,
}

/// The reconciler.
#[derive(Clone)]
pub struct Reconciler {
    /// Use cases and server.
    pub shared: Shared,
    /// PSP and settlement.
    pub desk: PaymentDesk,
    /// When it acts.
    pub vigilance: Vigilance,
}

impl Reconciler {
    /// Works until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let pause = self.vigilance.ask_after;
        let (mut asked, mut unused) = (Schedule::new(pause), Schedule::new(pause));
        let (mut expired, mut looks) = (Schedule::new(pause), Looks::default());
        let (mut lists_at, mut prune_at) = (Instant::now(), Instant::now());
        let mut round = tokio::time::interval(self.vigilance.every);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            let Ok(mut questions) = self.shared.nats.questions(PAYMENT_QUESTION).await else {
                stop.run_until_cancelled(round.tick()).await;
                continue;
            };
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    question = questions.next() => match question.map(|id| PaymentId::parse(&id)) {
                        Some(Ok(payment)) if looks.look(payment) => _ = told(payment, self.ask(payment).await),
                        Some(_) => (),
                        None => break,
                    },
                    _ = round.tick() => {
                        self.turn_promotions().await;
                        self.expire_unpaid(&mut expired).await;
                        self.ask_those(self.unsettled().await, &mut asked).await;
                        if Instant::now() >= prune_at {
                            self.prune().await;
                            prune_at = Instant::now().checked_add(PRUNE_EVERY).unwrap_or(prune_at);
                        }
                        if Instant::now() >= lists_at {
                            self.compare_lists().await;
                            self.ask_those(self.unused().await, &mut unused).await;
                            lists_at = Instant::now().checked_add(self.vigilance.lists_every).unwrap_or(lists_at);
                        }
                    }
                }
            }
        }
    }

    /// Removes what only grows and is needed for a time.
    async fn prune(&self) {
        match self.shared.commands.vault().prune().await {
            Ok(0) => (),
            Ok(gone) => tracing::info!(gone, "Removed {gone} old rows"),
            Err(error) => tracing::warn!(%error, "Old rows stay"),
        }
        self.desk.settlement.prune_log();
    }

    fn before(&self, ago: Duration) -> DateTime<Utc> {
        earlier(self.shared.commands.clock().now(), ago)
    }

    fn pool(&self) -> &PgPool {
        self.shared.commands.journal().pool()
    }

    /// What a game costs follows from the clock; that it does is noted, so that catalogue and index show it.
    async fn turn_promotions(&self) {
        match projections::games::promotions_due(self.pool(), self.shared.commands.clock().now()).await {
            Ok(games) => {
                let each = |game| async move {
                    let turned = self.shared.commands.turn_promotions(game).await;
                    told(game, turned.map(|news| if news { "promotion" } else { "known" }).map_err(Obstacle::from));
                };
                stream::iter(games).for_each_concurrent(SLOTS, each).await;
            }
            Err(error) => tracing::warn!(%error, "The reconciler cannot see which promotions begin or end"),
        }
    }

    async fn expire_unpaid(&self, schedule: &mut Schedule<OrderId>) {
        let unpaid = projections::orders::unpaid_since(self.pool(), self.before(self.vigilance.order_expiry)).await;
        match unpaid {
            Ok(orders) => {
                let due = schedule.due(orders.into_iter().map(|order| (order, false)));
                let each = |order| async move { _ = told(order, self.expire(order).await) };
                stream::iter(due).for_each_concurrent(SLOTS, each).await;
            }
            Err(error) => tracing::warn!(%error, "The reconciler cannot see which orders are unpaid"),
        }
    }

    /// Gives an order up that was not paid in time, unless the PSP says that it was.
    async fn expire(&self, order: OrderId) -> Result<&'static str, Obstacle> {
        let commands = &self.shared.commands;
        let (known, correlation) = commands.order_with_correlation(order).await?;
        let Order::Open { failed_attempts, total, .. } = known else { return Ok("known") };
        let context = self.shared.commands.because(BY, order.as_uuid(), correlation);
        let payment = PaymentId::for_attempt(order, failed_attempts.saturating_add(1));
        let case = Case { by: BY, context, payment, order, asked: Some(total) };
        match commands.payment(payment).await.map(|state| state.payment) {
            Ok(Payment::Succeeded { .. }) => return Ok("known"),
            Ok(paying) if !paying.is_settled() => match paying.reference() {
                Some(psp) => {
                    let key = format!("{payment}:expire:{}", self.shared.commands.clock().new_id());
                    match self.desk.cancel_or_retrieve(psp.as_str(), &key).await? {
                        Some(intent) => match self.desk.settlement.apply(&case, &intent).await? {
                            Settled::Cancelled | Settled::Declined(_) => (),
                            Settled::Paid => return Ok("paid"),
                            Settled::Differs if self.desk.is_over(&case, &intent.id).await? => (),
                            // The bank is at it and cannot be stopped, or people have to look at it.
                            Settled::Waiting | Settled::Open | Settled::Differs => return Ok("waiting"),
                        },
                        None => self.desk.settlement.give_up(&case).await?,
                    }
                }
                // Without a reference nothing was ever confirmed, so nothing can have been charged.
                None => self.desk.settlement.give_up(&case).await?,
            },
            Ok(_) | Err(CommandError::NotFound) => (),
            Err(error) => return Err(error.into()),
        }
        commands.cancel_order(&case.context, order, CancelReason::Expired).await?;
        self.desk.settlement.note(&case, None, "order expired");
        Ok("expired")
    }

    async fn ask_those(&self, payments: sqlx::Result<Vec<Unsettled>>, schedule: &mut Schedule<PaymentId>) {
        match payments {
            Ok(payments) => {
                let found =
                    payments.iter().map(|found| (PaymentId::from_uuid(found.payment_id), found.status == "pending"));
                let each = |payment| async move { _ = told(payment, self.ask(payment).await) };
                stream::iter(schedule.due(found)).for_each_concurrent(SLOTS, each).await;
            }
            Err(error) => tracing::warn!(%error, "The reconciler cannot see which payments are unsettled"),
        }
    }

    async fn unsettled(&self) -> sqlx::Result<Vec<Unsettled>> {
        let since = self.before(self.vigilance.ask_after);
        let mut unsettled = projections::payments::unsettled_since(self.pool(), since).await?;
        unsettled.extend(projections::orders::refunding_since(self.pool(), since).await?);
        Ok(unsettled)
    }

    async fn unused(&self) -> sqlx::Result<Vec<Unsettled>> {
        projections::payments::unused_since(self.pool(), self.before(self.vigilance.ask_after)).await
    }

    /// Asks the PSP about a payment; puts its work back into the queue where it got lost.
    async fn ask(&self, payment: PaymentId) -> Result<&'static str, Obstacle> {
        let (state, case) = self.shared.case((BY, payment.as_uuid()), payment).await?;
        if state.payment.is_settled() {
            return self.catch_up(&case).await;
        }
        let settled = match state.payment.reference() {
            Some(psp) => {
                let intent = self.desk.psp.retrieve(psp.as_str()).await?;
                self.desk.settlement.apply(&case, &intent).await?
            }
            None => Settled::Open,
        };
        match settled {
            Settled::Open => self.look_again(payment, case.order).await,
            Settled::Waiting => Ok("waiting"),
            Settled::Paid => Ok("paid"),
            Settled::Differs => {
                let over = match state.payment.reference() {
                    Some(psp) => self.desk.is_over(&case, psp.as_str()).await?,
                    None => false,
                };
                Ok(if over { "failed" } else { "differs" })
            }
            Settled::Declined(_) | Settled::Cancelled => Ok("failed"),
        }
    }

    /// Has done what should have followed from a settled payment: its order completed, or its money sent back.
    async fn catch_up(&self, case: &Case) -> Result<&'static str, Obstacle> {
        let errands = self.shared.commands.follow_up(&case.context, case.order).await?;
        if errands.iter().any(|(payment, _)| *payment == case.payment) {
            return self.look_again(case.payment, case.order).await;
        }
        Ok("known")
    }

    /// Puts the work of a payment into the queue that is neither there nor dead: its stream was lost or never reached,
    /// or a refund takes its time.
    async fn look_again(&self, payment: PaymentId, order: OrderId) -> Result<&'static str, Obstacle> {
        let nats = &self.shared.nats;
        if nats.holds(PAYMENTS, &format!("payments.process.{payment}")).await?
            || nats.holds(DLQ, &format!("dlq.payments.exhausted.{payment}")).await?
        {
            return Ok("queued");
        }
        self.shared.enqueue(payment, order, &format!("restore:{}", self.shared.commands.clock().new_id())).await?;
        tracing::info!(payment.id = %payment, "The work of payment {payment} is queued again");
        Ok("restored")
    }
}

fn earlier(than: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    than.checked_sub_signed(by).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Whose question, and what came of it: whether it need not be asked again.
fn told(about: impl std::fmt::Display, outcome: Result<&'static str, Obstacle>) -> bool {
    match outcome {
        Ok(outcome) => RECONCILED.with_label_values(&[outcome]).inc(),
        // Others were faster, or the PSP knows no such thing: asking again would say no more.
        Err(refusal) if refusal.is_final() => {
            tracing::info!(%about, %refusal, "The reconciler changes nothing");
        }
        Err(error) => {
            RECONCILED.with_label_values(&["unanswered"]).inc();
            tracing::warn!(%about, %error, "The reconciler asks again later");
            return false;
        }
    }
    true
}
