use chrono::{DateTime, Utc};
use domain::game::Game;
use domain::order::{CancelReason, Line, MAX_GAMES, Offer, Order, OrderCommand, OrderError};
use domain::payment::{PaymentCommand, PaymentMethod};
use domain::user::{AgeSignal, UserError};
use domain::{GameId, Money, OrderId, Payment, PaymentId, User};
use journal::{AggregateKey, Histories};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};

/// What somebody wants to buy.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// The games.
    pub games: Vec<GameId>,
    /// How they will pay.
    pub payment_method: PaymentMethod,
    /// What the buyer has seen that it costs; any price will do without it.
    pub expected_total: Option<Money>,
}

/// An order as the buyer hears of it.
#[derive(Debug, Clone)]
pub struct PlacedOrder {
    /// Which.
    pub order: OrderId,
    /// The payment that was begun; nothing for a free order.
    pub payment: Option<PaymentId>,
    /// Where it stands.
    pub state: OrderState,
    /// For how much.
    pub total: Money,
    /// Where its events stand in the journal.
    pub position: Option<journal::Position>,
    /// Whether an earlier, equal request placed it.
    pub replayed: bool,
}

/// Where an order stands once it is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Waits for the first payment.
    AwaitingPayment,
    /// It was free: the games are the buyer's.
    Completed,
}

impl Commands {
    /// Buys games, at the prices and age ratings that the journal knows, not at any the client sent.
    ///
    /// # Errors
    /// [`CommandError::UnknownGame`], [`CommandError::GameNotSold`], [`CommandError::GameTaken`],
    /// [`CommandError::TotalChanged`], the refusals of an order, and those of every use case.
    pub async fn place_order(
        &self,
        context: &Context,
        order: OrderId,
        purchase: Purchase,
    ) -> Result<PlacedOrder, CommandError> {
        let Purchase { games, payment_method, expected_total } = purchase;
        let buyer = context.actor.user().ok_or(CommandError::Forbidden)?;
        if games.len() > MAX_GAMES {
            return Err(OrderError::TooManyGames.into());
        }
        let key = self.vault.cached_subject(buyer).await?.ok_or(UserError::UserErased)?;
        let mut leans_on = vec![AggregateKey::of::<User>(buyer.as_uuid())];
        leans_on.extend(games.iter().map(|game| AggregateKey::of::<Game>(game.as_uuid())));
        leans_on.sort_unstable();
        leans_on.dedup();
        let now = self.clock.now();
        let receipt = self
            .execute_with::<_, Payment, _>(
                context,
                order.as_uuid(),
                (&leans_on, Read::New),
                |_, others| {
                    let account = others.aggregate::<User>(buyer.as_uuid())?;
                    let User::Active { mailbox, .. } = &account else { return Err(UserError::UserErased.into()) };
                    self.must_be_confirmed(mailbox)?;
                    let (gate, source) = account.age_gate().ok_or(UserError::UserErased)?;
                    let age = AgeSignal { years: key.open(gate)?.birth_date.age_on(self.today()), source };
                    let offers = games.iter().map(|game| offer(others, *game, now)).collect::<Result<Vec<_>, _>>()?;
                    must_cost(&offers, expected_total)?;
                    let payment_method = payment_method.clone();
                    Ok::<_, CommandError>(vec![OrderCommand::Place { buyer, age, offers, payment_method }])
                },
                |placed: &Order, _| {
                    let payment = PaymentId::for_attempt(order, 1).as_uuid();
                    Ok(placed.first_terms(order).map(|terms| (payment, PaymentCommand::Initiate(terms))))
                },
            )
            .await?;
        placed(receipt)
    }

    /// Gives an unpaid order up; its games can be ordered again.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] to others, the order's refusal when it is paid, and those of every use case.
    pub async fn cancel_order(
        &self,
        context: &Context,
        order: OrderId,
        reason: CancelReason,
    ) -> Result<Receipt<Order>, CommandError> {
        self.execute::<Order, CommandError>(context, order.as_uuid(), |loaded| {
            context.actor.must_own(loaded.aggregate.buyer().ok_or(CommandError::NotFound)?)?;
            Ok(vec![OrderCommand::Cancel { reason }])
        })
        .await
    }

    /// The games of an order, which never change.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn ordered(&self, order: OrderId) -> Result<Vec<Line>, CommandError> {
        let known = self.journal.cached(&[AggregateKey::of::<Order>(order.as_uuid())]).await?;
        Ok(known.aggregate::<Order>(order.as_uuid())?.lines().to_vec())
    }

    /// An order as the journal knows it.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn order(&self, order: OrderId) -> Result<Order, CommandError> {
        Ok(self.load::<Order>(order.as_uuid()).await?.aggregate)
    }

    /// An order, with what its history belongs to.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such order, and those of every use case.
    pub async fn order_with_correlation(&self, order: OrderId) -> Result<(Order, Uuid), CommandError> {
        let loaded = self.load::<Order>(order.as_uuid()).await?;
        let correlation = loaded.correlation().ok_or(CommandError::NotFound)?;
        Ok((loaded.aggregate, correlation))
    }
}

/// Refuses to sell at another total than the buyer has seen.
fn must_cost(offers: &[Offer], expected: Option<Money>) -> Result<(), CommandError> {
    let mut prices = offers.iter().map(|offer| offer.price.money());
    // Without a game there is nothing to compare; the order refuses that.
    let (Some(expected), Some(first)) = (expected, prices.next()) else { return Ok(()) };
    let total = prices.try_fold(first, Money::plus)?;
    if total == expected { Ok(()) } else { Err(CommandError::TotalChanged(total)) }
}

fn offer(others: &Histories, game: GameId, now: DateTime<Utc>) -> Result<Offer, CommandError> {
    match others.aggregate::<Game>(game.as_uuid())? {
        Game::New => Err(CommandError::UnknownGame(game)),
        Game::Retired => Err(CommandError::GameNotSold(game)),
        Game::Listed { details, price, promotions } => {
            let promoted = promotions.at(now).map(|promotion| promotion.discount.of(price));
            let price_before = promoted.filter(|promoted| *promoted != price).map(|_| price);
            let (title, age_rating) = (details.title.clone(), details.age_rating);
            Ok(Offer { game, title, price: promoted.unwrap_or(price), price_before, age_rating })
        }
    }
}

/// An order that was just placed, as its buyer hears of it.
fn placed(receipt: Receipt<Order>) -> Result<PlacedOrder, CommandError> {
    let Receipt { id, position, aggregate, replayed, .. } = receipt;
    let order = OrderId::from_uuid(id);
    let (state, payment, total) = match aggregate {
        Order::Open { total, .. } => (OrderState::AwaitingPayment, Some(PaymentId::for_attempt(order, 1)), total),
        Order::Completed { lines, payment, .. } => {
            let mut prices = lines.iter().map(|line| line.price.money());
            let first = prices.next().ok_or(CommandError::NotFound)?;
            (OrderState::Completed, payment, prices.try_fold(first, Money::plus)?)
        }
        Order::New | Order::Cancelled { .. } | Order::Refunded { .. } => return Err(CommandError::NotFound),
    };
    Ok(PlacedOrder { order, payment, state, total, position, replayed })
}
