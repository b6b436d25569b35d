use domain::game::{Game, GameCommand, GameDetails};
use domain::{GameId, Money, Price};
use journal::Loaded;

use crate::Commands;
use crate::actor::Context;
use crate::error::CommandError;
use crate::executor::{Read, Receipt};

/// What a game is to be.
#[derive(Debug, Clone)]
pub struct GameChange {
    /// Everything but the price.
    pub details: GameDetails,
    /// In the store's currency.
    pub price: Money,
}

impl Commands {
    /// Puts a game into the catalogue.
    ///
    /// # Errors
    /// [`CommandError::Forbidden`] to all but admins, [`CommandError::Price`], and those of every use case.
    pub async fn create_game(
        &self,
        context: &Context,
        game: GameId,
        change: GameChange,
    ) -> Result<Receipt<Game>, CommandError> {
        context.actor.must_be_admin()?;
        let GameChange { details, price } = change;
        let price = Price::parse(price, self.rules.currency)?;
        self.execute_on(context, game.as_uuid(), (&[], Read::New), |_, _| {
            Ok::<_, CommandError>(vec![GameCommand::Create { details: details.clone(), price }])
        })
        .await
    }

    /// Describes and prices a game anew, if the caller has seen its current version.
    ///
    /// # Errors
    /// [`CommandError::Stale`] if not, [`CommandError::Forbidden`] to all but admins, and those of every use case.
    pub async fn update_game(
        &self,
        context: &Context,
        game: GameId,
        seen: Option<usize>,
        change: GameChange,
    ) -> Result<Receipt<Game>, CommandError> {
        context.actor.must_be_admin()?;
        let GameChange { details, price } = change;
        let price = Price::parse(price, self.rules.currency)?;
        self.execute(context, game.as_uuid(), |loaded| {
            must_be(loaded, seen)?;
            let commands = vec![GameCommand::Update { details: details.clone() }, GameCommand::ChangePrice { price }];
            Ok::<_, CommandError>(commands)
        })
        .await
    }

    /// Takes a game off sale, if the caller has seen its current version.
    ///
    /// # Errors
    /// As [`Commands::update_game`].
    pub async fn retire_game(
        &self,
        context: &Context,
        game: GameId,
        seen: Option<usize>,
    ) -> Result<Receipt<Game>, CommandError> {
        context.actor.must_be_admin()?;
        self.execute(context, game.as_uuid(), |loaded| {
            must_be(loaded, seen)?;
            Ok::<_, CommandError>(vec![GameCommand::Retire])
        })
        .await
    }
}

/// Passes a caller who has seen the current version of what exists, or asks regardless of it.
pub(crate) fn must_be<A>(loaded: &Loaded<A>, seen: Option<usize>) -> Result<(), CommandError> {
    match seen {
        _ if loaded.version() == 0 => Err(CommandError::NotFound),
        Some(seen) if seen != loaded.version() => Err(CommandError::Stale { current: loaded.version() }),
        Some(_) | None => Ok(()),
    }
}
