use anyhow::Result;
use chrono::NaiveDate;
use clap::Args;
use commands::{Actor, Commands, Password, Purchase, Registration};
use domain::payment::{MethodToken, PaymentMethod};
use domain::{BirthDate, Email, GameId, Language, OrderId, PersonName, Profile, Role, UserId};
use journal::{Clock, Journal, Vault};
use serde_json::json;

use super::Bench;
use super::append::{change, use_cases};
use crate::table::{Output, Table};

/// How many purchases each figure is the average of.
const PURCHASES: u32 = 20;

/// `ludoteca bench accept`
#[derive(Debug, Args)]
pub struct AcceptArgs {
    #[command(flatten)]
    output: Output,
}

/// Counts the round trips to Postgres until an order is accepted: of a buyer and games that the process has not seen
/// lately, and of such that it has.
///
/// # Errors
/// When Postgres does not start or refuses.
pub async fn run(args: &AcceptArgs) -> Result<()> {
    let bench = Bench::start_counting(4).await?;
    let mut table = Table::new(["games", "round_trips_not_seen_lately", "round_trips_seen_lately"]);
    for size in [1, 50] {
        let games = games(&process(&bench).await?, size).await?;
        table.row([json!(size), json!(unseen(&bench, &games).await?), json!(seen(&bench, &games).await?)]);
    }
    table.print(args.output);
    bench.stop().await
}

/// The use cases as a process that was just started has them.
async fn process(bench: &Bench) -> Result<Commands> {
    let pool = bench.journal.pool();
    let vault = Vault::open(pool.clone(), &bench.master_key, Clock::default()).await?;
    Ok(use_cases(Journal::open(pool.clone()).await?, vault))
}

/// Each order in a process of its own.
async fn unseen(bench: &Bench, games: &[GameId]) -> Result<f64> {
    let mut orders = Vec::new();
    for _ in 0..PURCHASES {
        let buyer = new_buyer(&process(bench).await?).await?;
        orders.push((process(bench).await?, buyer));
    }
    counted(bench, async {
        for (commands, buyer) in &orders {
            order(commands, *buyer, games).await?;
        }
        Ok(())
    })
    .await
}

/// All orders in one process, by people who bought something else before, of games that somebody else bought before.
async fn seen(bench: &Bench, bought: &[GameId]) -> Result<f64> {
    let commands = process(bench).await?;
    order(&commands, new_buyer(&commands).await?, bought).await?;
    let other = games(&commands, 1).await?;
    let mut buyers = Vec::new();
    for _ in 0..PURCHASES {
        let buyer = new_buyer(&commands).await?;
        order(&commands, buyer, &other).await?;
        buyers.push(buyer);
    }
    counted(bench, async {
        for buyer in &buyers {
            order(&commands, *buyer, bought).await?;
        }
        Ok(())
    })
    .await
}

/// How many statements each purchase took; each of them is a round trip.
async fn counted(bench: &Bench, purchases: impl Future<Output = Result<()>>) -> Result<f64> {
    sqlx::query("select pg_stat_statements_reset()").execute(&bench.owner).await?;
    purchases.await?;
    let count =
        "select coalesce(sum(calls), 0)::bigint from pg_stat_statements where query not like '%pg_stat_statements%'";
    let done: i64 = sqlx::query_scalar(count).fetch_one(&bench.owner).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of some hundreds fits a float")]
    Ok(done as f64 / f64::from(PURCHASES))
}

async fn order(commands: &Commands, buyer: UserId, games: &[GameId]) -> Result<()> {
    let context = commands.context(Actor::User {
        id: buyer,
        role: Role::Customer,
        proven_at: commands.clock().now(),
        assurance: commands::Assurance::OneFactor,
        lacks_second_factor: false,
        key: None,
    });
    let payment_method = PaymentMethod::Card { token: MethodToken::parse("pm_card_visa")? };
    let purchase = Purchase { games: games.to_vec(), payment_method, expected_total: None };
    commands.place_order(&context, OrderId::from_uuid(commands.clock().new_id()), purchase).await?;
    Ok(())
}

async fn games(commands: &Commands, size: u32) -> Result<Vec<GameId>> {
    let mut games = Vec::new();
    for _ in 0..size {
        let (context, game) = (commands.context(Actor::System("bench")), GameId::from_uuid(commands.clock().new_id()));
        commands.create_game(&context, game, change()?).await?;
        games.push(game);
    }
    Ok(games)
}

async fn new_buyer(commands: &Commands) -> Result<UserId> {
    let user = UserId::from_uuid(commands.clock().new_id());
    let profile = Profile {
        name: PersonName::parse("Ana")?,
        email: Email::parse(&format!("{user}@ludoteca.example"))?,
        birth_date: BirthDate::parse(NaiveDate::from_ymd_opt(1990, 1, 31).unwrap_or_default(), commands.today())?,
    };
    let registration =
        Registration { profile, password: Password::parse(&user.to_string(), &[])?, language: Language::English };
    commands.register(&commands.context(Actor::Anonymous), user, registration, Role::Customer).await?;
    Ok(user)
}
