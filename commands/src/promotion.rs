use chrono::{DateTime, Utc};
use domain::game::{Discount, Game, GameCommand};
use domain::{GameId, Money, Price};
use journal::Loaded;

use crate::Commands;
use crate::actor::{Actor, Context};
use crate::error::CommandError;
use crate::executor::Receipt;
use crate::game::must_be;

impl Commands {
    /// A price as one that the store may ask.
    ///
    /// # Errors
    /// [`CommandError::Price`].
    pub fn price(&self, money: Money) -> Result<Price, CommandError> {
        Ok(Price::parse(money, self.rules.currency)?)
    }

    /// Asks less for a game for a time.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`] to all but admins, the game's refusal, and those of every use case.
    pub async fn schedule_promotion(
        &self,
        context: &Context,
        game: GameId,
        discount: Discount,
        (starts_at, ends_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Receipt<Game>, CommandError> {
        context.actor.must_be_admin()?;
        let now = self.clock.now();
        let command = || GameCommand::SchedulePromotion { discount, starts_at, ends_at, now };
        self.change_game(context, game, command).await
    }

    /// Takes a promotion back, whether it has begun or not.
    ///
    /// # Errors
    /// As [`Commands::schedule_promotion`].
    pub async fn cancel_promotion(
        &self,
        context: &Context,
        game: GameId,
        number: u32,
    ) -> Result<Receipt<Game>, CommandError> {
        context.actor.must_be_admin()?;
        self.change_game(context, game, || GameCommand::CancelPromotion { number }).await
    }

    /// Notes which promotions of a game began and which ended. Returns whether it was not known yet.
    ///
    /// # Errors
    /// The game's refusal, and those of every use case.
    pub async fn turn_promotions(&self, game: GameId) -> Result<bool, CommandError> {
        let (context, now) = (self.context(Actor::System("promotions")), self.clock.now());
        let receipt = self.change_game(&context, game, || GameCommand::TurnPromotions { now }).await?;
        Ok(receipt.position.is_some())
    }

    async fn change_game(
        &self,
        context: &Context,
        game: GameId,
        command: impl Fn() -> GameCommand,
    ) -> Result<Receipt<Game>, CommandError> {
        self.execute(context, game.as_uuid(), |loaded: &Loaded<Game>| {
            must_be(loaded, None)?;
            Ok::<_, CommandError>(vec![command()])
        })
        .await
    }
}
