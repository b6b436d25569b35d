//! What a process remembers of aggregates may be out of date: what it decides then holds all the same.

use chrono_tz::Tz;
use commands::{Actor, CommandError, Commands, GameChange, Purchase, Rules};
use domain::game::{AgeRating, GameDetails};
use domain::order::{DisputePolicy, OrderError};
use domain::payment::{MethodToken, PaymentMethod};
use domain::user::{Requirement, UserError};
use domain::{Currency, Description, GameId, Labels, Money, Name, OrderId, Role, Title, UserId};
use journal::{Clock, Journal, Vault};

use crate::support::{Person, TestApp};

/// The use cases as another process of the store has them: with a cache of its own.
async fn another_process(app: &TestApp) -> Commands {
    let clock = Clock::default();
    let journal = Journal::open(app.pool().clone()).await.unwrap();
    let vault = Vault::open(app.pool().clone(), &app.store.master_key, clock.clone()).await.unwrap();
    let rules = Rules {
        currency: Currency::BRL,
        refund_window: chrono::TimeDelta::days(7),
        dispute_policy: DisputePolicy::Suspend,
        time_zone: Tz::UTC,
        email_confirmation: Requirement::Optional,
        staff_second_factor: Requirement::Optional,
    };
    Commands::new(journal, vault, rules, clock)
}

async fn buy(commands: &Commands, buyer: &Person, game: &str) -> Result<i64, CommandError> {
    let id = UserId::parse(&buyer.id).unwrap();
    let context = commands.context(Actor::User {
        id,
        role: Role::Customer,
        proven_at: commands.clock().now(),
        assurance: commands::Assurance::OneFactor,
        lacks_second_factor: false,
        key: None,
    });
    let (order, game) = (OrderId::from_uuid(commands.clock().new_id()), GameId::parse(game).unwrap());
    let payment_method = PaymentMethod::Card { token: MethodToken::parse("pm_card_visa").unwrap() };
    let purchase = Purchase { games: vec![game], payment_method, expected_total: None };
    Ok(commands.place_order(&context, order, purchase).await?.total.amount)
}

fn offered(amount: i64, age_rating: u8) -> GameChange {
    let details = GameDetails {
        title: Title::parse("Quiet Comet").unwrap(),
        description: Description::parse("").unwrap(),
        developer: Name::parse("").unwrap(),
        publisher: Name::parse("").unwrap(),
        genres: Labels::default(),
        tags: Labels::default(),
        platforms: Labels::default(),
        release_date: None,
        age_rating: AgeRating::parse(age_rating.into()).unwrap(),
    };
    GameChange { details, price: Money { amount, currency: Currency::BRL } }
}

async fn change(commands: &Commands, game: &str, to: GameChange) {
    let context = commands.context(Actor::System("test"));
    commands.update_game(&context, GameId::parse(game).unwrap(), None, to).await.unwrap();
}

#[tokio::test]
async fn a_price_that_another_process_changed_is_the_one_that_is_charged() {
    let app = TestApp::start().await;
    let (first, second) = (another_process(&app).await, another_process(&app).await);
    let game = app.game("Quiet Comet", 4_990).await;
    for (n, price) in [4_990, 3_990, 2_990].into_iter().enumerate() {
        if n > 0 {
            change(&second, &game, offered(price, 0)).await;
        }
        let buyer = app.customer(&format!("buyer-{n}")).await;
        assert_eq!(buy(&first, &buyer, &game).await.unwrap(), price, "the price of round {n}");
    }
}

#[tokio::test]
async fn nobody_is_refused_for_what_is_no_longer_so() {
    let app = TestApp::start().await;
    let (first, second) = (another_process(&app).await, another_process(&app).await);
    let game = app.admin.create_game("Quiet Comet", 4_990, 18).await;
    let young = Person::register(&app.url, "young", "2012-01-01").await;
    buy(&first, &app.customer("adult").await, &game).await.unwrap();
    let refused = buy(&first, &young, &game).await;
    assert!(matches!(refused, Err(CommandError::Order(OrderError::BuyerTooYoung { .. }))), "{refused:?}");

    change(&second, &game, offered(4_990, 0)).await;

    buy(&first, &young, &game).await.unwrap();
}

#[tokio::test]
async fn somebody_whom_another_process_erased_buys_nothing() {
    let app = TestApp::start().await;
    let (first, second) = (another_process(&app).await, another_process(&app).await);
    let (quiet, saltglass) = (app.game("Quiet Comet", 4_990).await, app.game("Saltglass", 4_990).await);
    let ana = app.customer("ana").await;
    buy(&first, &ana, &quiet).await.unwrap();

    second.erase(&second.context(Actor::System("test")), UserId::parse(&ana.id).unwrap()).await.unwrap();

    let refused = buy(&first, &ana, &saltglass).await;
    assert!(matches!(refused, Err(CommandError::User(UserError::UserErased))), "{refused:?}");
}
