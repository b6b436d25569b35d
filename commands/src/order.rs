use domain::game::Game;
use domain::order::{CancelReason, MAX_GAMES, Offer, Order, OrderCommand, OrderError};
use domain::payment::{Failure, PaymentMethod};
use domain::user::UserError;
use domain::{GameId, Money, OrderId, PaymentId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use journal::{Claim, ClaimKind, Claims, Release, clock};
use uuid::Uuid;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Receipt, Wish};

/// How many of an order's games are looked up at once.
const LOOKUPS: usize = 8;

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
    /// Where its events stand in the journal; nothing for a repeated request.
    pub position: Option<journal::Position>,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Waits for the first payment.
    AwaitingPayment,
    /// Waits for another payment.
    PaymentFailed,
    /// The games are the buyer's.
    Completed,
    /// Given up.
    Cancelled,
    /// Everything went back.
    Refunded,
}

impl Commands {
    /// Buys games, at the prices and age ratings that the journal knows, not at any the client sent.
    ///
    /// # Errors
    /// [`CommandError::UnknownGame`], [`CommandError::GameNotSold`], [`CommandError::GameTaken`],
    /// the refusals of an order, and those of every use case.
    pub async fn place_order(
        &self,
        context: &Context,
        order: OrderId,
        games: Vec<GameId>,
        payment_method: PaymentMethod,
    ) -> Result<PlacedOrder, CommandError> {
        let buyer = context.actor.user().ok_or(CommandError::Forbidden)?;
        if let Some(known) = self.was_done::<Order>(context, order.as_uuid()).await? {
            return placed(order, &known, None);
        }
        if games.len() > MAX_GAMES {
            return Err(OrderError::TooManyGames.into());
        }
        let buyer_age = self.age(buyer).await?;
        let offers: Vec<Offer> =
            stream::iter(games).map(|game| self.offer(game)).buffered(LOOKUPS).try_collect().await?;
        let taken: Vec<Claim> = offers.iter().map(|offer| ownership(buyer, offer.game)).collect();
        let receipt = self
            .execute_or(
                context,
                order.as_uuid(),
                |_| {
                    let place = OrderCommand::Place {
                        buyer,
                        buyer_age,
                        offers: offers.clone(),
                        payment_method: payment_method.clone(),
                    };
                    let claims = Claims { taken: taken.clone(), released: vec![] };
                    Ok::<_, CommandError>(Wish { commands: vec![place], claims })
                },
                |claim| game_of(&claim).map_or(CommandError::Conflict, CommandError::GameTaken),
            )
            .await?;
        placed(order, &receipt.aggregate, receipt.position)
    }

    /// Notes that a payment of an order failed.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn record_payment_failure(
        &self,
        context: &Context,
        order: OrderId,
        attempt: u32,
        failure: Failure,
    ) -> Result<(), CommandError> {
        let payment = PaymentId::for_attempt(order, attempt);
        let command = || OrderCommand::RecordPaymentFailure { payment, attempt, failure: failure.clone() };
        self.execute::<Order, CommandError>(context, order.as_uuid(), |_| Ok(Wish::of(command()))).await?;
        Ok(())
    }

    /// Hands the games of a paid order over.
    ///
    /// # Errors
    /// The order's refusal when it was cancelled or paid otherwise, and those of every use case.
    pub async fn complete_order(
        &self,
        context: &Context,
        order: OrderId,
        payment: PaymentId,
    ) -> Result<(), CommandError> {
        let command = || OrderCommand::Complete { payment };
        self.execute::<Order, CommandError>(context, order.as_uuid(), |_| Ok(Wish::of(command()))).await?;
        Ok(())
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
            let claims = Claims { taken: vec![], released: vec![Release::All(ClaimKind::Ownership)] };
            Ok(Wish { commands: vec![OrderCommand::Cancel { reason }], claims })
        })
        .await
    }

    /// An order as the journal knows it.
    ///
    /// # Errors
    /// Those of every use case.
    pub async fn order(&self, order: OrderId) -> Result<Order, CommandError> {
        Ok(self.load::<Order>(order.as_uuid()).await?.aggregate)
    }

    /// The same, with what its history belongs to.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] where there is no such order, and those of every use case.
    pub async fn order_with_correlation(&self, order: OrderId) -> Result<(Order, Uuid), CommandError> {
        let loaded = self.load::<Order>(order.as_uuid()).await?;
        let correlation = loaded.correlation().ok_or(CommandError::NotFound)?;
        Ok((loaded.aggregate, correlation))
    }

    async fn age(&self, buyer: UserId) -> Result<u32, CommandError> {
        let (profile, _) = self.profile(buyer).await?.ok_or(CommandError::User(UserError::UserErased))?;
        Ok(profile.birth_date.age_on(clock::now().date_naive()))
    }

    async fn offer(&self, game: GameId) -> Result<Offer, CommandError> {
        match self.load::<Game>(game.as_uuid()).await?.aggregate {
            Game::New => Err(CommandError::UnknownGame(game)),
            Game::Retired => Err(CommandError::GameNotSold(game)),
            Game::Listed { details, price, promotions } => {
                let promoted = promotions.at(clock::now()).map(|promotion| promotion.discount.of(price));
                let price_before = promoted.filter(|promoted| *promoted != price).map(|_| price);
                let (title, age_rating) = (details.title.clone(), details.age_rating);
                Ok(Offer { game, title, price: promoted.unwrap_or(price), price_before, age_rating })
            }
        }
    }
}

fn placed(id: OrderId, order: &Order, position: Option<journal::Position>) -> Result<PlacedOrder, CommandError> {
    let placed = |state, payment, total| Ok(PlacedOrder { order: id, payment, state, total, position });
    let first_payment = Some(PaymentId::for_attempt(id, 1));
    let sum = |lines: &[domain::order::Line]| {
        let mut prices = lines.iter().map(|line| line.price.money());
        let first = prices.next().ok_or(CommandError::NotFound)?;
        Ok::<_, CommandError>(prices.try_fold(first, Money::plus)?)
    };
    match order {
        Order::New => Err(CommandError::NotFound),
        Order::Open { failed_attempts: 0, total, .. } => placed(OrderState::AwaitingPayment, first_payment, *total),
        Order::Open { failed_attempts, total, .. } => {
            placed(OrderState::PaymentFailed, Some(PaymentId::for_attempt(id, *failed_attempts)), *total)
        }
        Order::Completed { lines, payment, .. } => placed(OrderState::Completed, *payment, sum(lines)?),
        Order::Cancelled { .. } => Err(OrderError::OrderCancelled.into()),
        Order::Refunded { .. } => Err(OrderError::OrderRefunded.into()),
    }
}

pub(crate) fn ownership(buyer: UserId, game: GameId) -> Claim {
    Claim { kind: ClaimKind::Ownership, key: format!("{buyer}:{game}") }
}

fn game_of(claim: &Claim) -> Option<GameId> {
    let (_, game) = claim.key.split_once(':')?;
    GameId::parse(game).ok()
}
