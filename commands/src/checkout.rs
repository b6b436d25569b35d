use domain::checkout::{Errand, FollowUp, follow_ups};
use domain::order::{CancelReason, Order, OrderError, RefundReason};
use domain::{OrderId, Payment, PaymentId, User, UserId};
use journal::{AggregateKey, Histories, Loaded, Position};

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::Read;

impl Commands {
    /// Has everything done that follows from where an order and its payments stand; returns what is left for the PSP.
    ///
    /// # Errors
    /// A refusal where somebody else changed the order meanwhile, and those of every use case; asking again is safe.
    pub async fn follow_up(&self, context: &Context, order: OrderId) -> Result<Vec<(PaymentId, Errand)>, CommandError> {
        let (mut known, payments, read) = self.read_order(order).await?;
        let mut read = Some(read);
        loop {
            let (mut told, mut errands) = (false, vec![]);
            for next in follow_ups(order, &known, &payments, self.rules.dispute_policy) {
                match next {
                    FollowUp::Tell(command) => {
                        let tell = |_: &Loaded<Order>, _: &Histories| Ok::<_, CommandError>(vec![command.clone()]);
                        let read = read.take().map_or(Read::All, Read::Given);
                        known = self.execute_on(context, order.as_uuid(), (&[], read), tell).await?.aggregate;
                        told = true;
                    }
                    FollowUp::Send(payment, errand) => errands.push((payment, errand)),
                }
            }
            if !told {
                return Ok(errands);
            }
        }
    }

    /// Whether this process knows that a payment completed its order. What happens to either afterwards is news of its own.
    #[must_use]
    pub fn is_completed_by(&self, order: OrderId, payment: PaymentId) -> bool {
        let known = self.journal.cached_aggregate::<Order>(order.as_uuid());
        matches!(known, Some(Order::Completed { payment: Some(by), .. }) if by == payment)
    }

    /// Gives up what somebody who was erased has not paid yet, and pays back what they paid since: nobody could reach
    /// what it buys.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn give_up_orders_of(&self, context: &Context, buyer: UserId) -> Result<(), CommandError> {
        let account = self.load::<User>(buyer.as_uuid()).await?;
        let Some(erased) = account.first("UserErased").map(|erased| erased.position) else { return Ok(()) };
        for order in self.journal.orders_of(buyer).await? {
            match self.cancel_order(context, order, CancelReason::BuyerErased).await {
                Err(CommandError::Order(OrderError::OrderCompleted)) => self.pay_back(context, order, erased).await?,
                Ok(_) | Err(CommandError::Order(_)) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same for the buyer of an order.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn give_up_orders_like(&self, context: &Context, order: OrderId) -> Result<(), CommandError> {
        match self.order(order).await?.buyer() {
            Some(buyer) => self.give_up_orders_of(context, buyer).await,
            None => Ok(()),
        }
    }

    /// Pays an order back that was completed after a position.
    async fn pay_back(&self, context: &Context, order: OrderId, after: Position) -> Result<(), CommandError> {
        let known = self.load::<Order>(order.as_uuid()).await?;
        if known.first("OrderCompleted").is_none_or(|completed| completed.position < after) {
            return Ok(());
        }
        let reason = RefundReason::parse("the buyer was erased while paying").ok();
        match self.request_refund(context, order, vec![], reason).await {
            // On its way back already, or back; or the bank has it, and this is asked again when it has decided.
            Ok(_) | Err(CommandError::Order(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An order and its payments, by attempt, as the journal knows them.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn order_with_payments(&self, order: OrderId) -> Result<(Order, Vec<Payment>), CommandError> {
        self.read_order(order).await.map(|(order, payments, _)| (order, payments))
    }

    async fn read_order(&self, order: OrderId) -> Result<(Order, Vec<Payment>, Histories), CommandError> {
        let payment = |attempt| PaymentId::for_attempt(order, attempt).as_uuid();
        let key = |attempt| AggregateKey::of::<Payment>(payment(attempt));
        let read = self.journal.histories(&[AggregateKey::of::<Order>(order.as_uuid()), key(1)]).await?;
        let known: Order = read.aggregate(order.as_uuid())?;
        let mut payments = vec![read.aggregate::<Payment>(payment(1))?];
        if known.attempts() > 1 {
            let more: Vec<_> = (2..=known.attempts()).map(key).collect();
            let more = self.journal.histories(&more).await?;
            for attempt in 2..=known.attempts() {
                payments.push(more.aggregate(payment(attempt))?);
            }
        }
        Ok((known, payments, read))
    }
}
