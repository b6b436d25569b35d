#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use proptest::prelude::*;

use super::*;
use crate::money::{Currency, InvalidMoney, Money};
use crate::text::InvalidText;

fn game() -> TestFramework<Game> {
    TestFramework::with(())
}

fn details(title: &str) -> GameDetails {
    GameDetails {
        title: Title::parse(title).unwrap(),
        description: Description::parse("Climb.\nFall. Climb.").unwrap(),
        developer: Name::parse("Small Team").unwrap(),
        publisher: Name::parse("").unwrap(),
        genres: Labels::parse(["Platformer"]).unwrap(),
        tags: Labels::parse(["Hard", "Story Rich"]).unwrap(),
        platforms: Labels::parse(["linux", "windows"]).unwrap(),
        release_date: NaiveDate::from_ymd_opt(2024, 2, 29).and_then(|day| ReleaseDate::parse(day).ok()),
        age_rating: AgeRating::parse(10).unwrap(),
    }
}

fn price(amount: i64) -> Price {
    Price::parse(Money { amount, currency: Currency::BRL }, Currency::BRL).unwrap()
}

fn create() -> GameCommand {
    GameCommand::Create { details: details("Summit"), price: price(5990) }
}

fn created() -> GameEvent {
    GameEvent::GameCreated { details: details("Summit"), price: price(5990) }
}

fn retired() -> GameEvent {
    GameEvent::GameRetired {}
}

#[test]
fn a_game_is_created_once() {
    game().given_no_previous_events().when(create()).then_expect_events(vec![created()]);
    game().given(vec![created()]).when(create()).then_expect_error(GameError::AlreadyCreated);
}

#[test]
fn a_game_is_described_and_priced_anew() {
    game()
        .given(vec![created()])
        .when(GameCommand::Update { details: details("Summit II") })
        .then_expect_events(vec![GameEvent::GameUpdated { details: details("Summit II") }]);
    game()
        .given(vec![created()])
        .when(GameCommand::ChangePrice { price: price(0) })
        .then_expect_events(vec![GameEvent::GamePriceChanged { price: price(0) }]);
}

#[test]
fn saying_again_what_is_so_is_no_event() {
    game().given(vec![created()]).when(GameCommand::Update { details: details("Summit") }).then_expect_events(vec![]);
    game().given(vec![created()]).when(GameCommand::ChangePrice { price: price(5990) }).then_expect_events(vec![]);
    game().given(vec![created(), retired()]).when(GameCommand::Retire).then_expect_events(vec![]);
}

fn day(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(day * 86_400, 0).unwrap()
}

fn percent(percent: i32) -> Discount {
    Discount::Percent(Percent::try_from(percent).unwrap())
}

fn schedule(discount: Discount, from: i64, to: i64) -> GameCommand {
    GameCommand::SchedulePromotion { discount, starts_at: day(from), ends_at: day(to), now: day(0) }
}

fn scheduled(number: u32, from: i64, to: i64) -> GameEvent {
    let promotion = Promotion { number, discount: percent(25), starts_at: day(from), ends_at: day(to) };
    GameEvent::GamePromotionScheduled { promotion }
}

#[test]
fn a_promotion_begins_and_ends_by_the_clock() {
    let turn = |now| GameCommand::TurnPromotions { now: day(now) };
    game().given(vec![created()]).when(schedule(percent(25), 5, 10)).then_expect_events(vec![scheduled(1, 5, 10)]);
    let ahead = || vec![created(), scheduled(1, 5, 10)];
    game().given(ahead()).when(turn(4)).then_expect_events(vec![]);
    let started = GameEvent::GamePromotionStarted { number: 1 };
    game().given(ahead()).when(turn(5)).then_expect_events(vec![started.clone()]);
    let running = || [ahead(), vec![GameEvent::GamePromotionStarted { number: 1 }]].concat();
    game().given(running()).when(turn(6)).then_expect_events(vec![]);
    let ended = GameEvent::GamePromotionEnded { number: 1 };
    game().given(running()).when(turn(10)).then_expect_events(vec![ended.clone()]);
    game().given(ahead()).when(turn(11)).then_expect_events(vec![ended]);
    let now = vec![scheduled(1, -1, 10), started];
    game().given(vec![created()]).when(schedule(percent(25), -1, 10)).then_expect_events(now);
}

#[test]
fn a_promotion_must_lie_ahead_alone_and_make_the_game_cheaper() {
    let refused =
        |command, error| game().given(vec![created(), scheduled(1, 5, 10)]).when(command).then_expect_error(error);
    refused(schedule(percent(25), -5, 0), GameError::PromotionWindow);
    refused(schedule(percent(25), 20, 20), GameError::PromotionWindow);
    refused(schedule(percent(25), 20, 20 + MAX_DAYS + 1), GameError::PromotionWindow);
    refused(schedule(percent(25), 9, 12), GameError::PromotionsOverlap(1));
    refused(schedule(Discount::Price(price(5990)), 20, 21), GameError::PromotionWithoutDiscount);
    refused(GameCommand::CancelPromotion { number: 2 }, GameError::UnknownPromotion);
    let cancelled = GameEvent::GamePromotionCancelled { number: 1 };
    let cancel = GameCommand::CancelPromotion { number: 1 };
    game().given(vec![created(), scheduled(1, 5, 10)]).when(cancel).then_expect_events(vec![cancelled.clone()]);
    let again = vec![created(), scheduled(1, 5, 10), cancelled];
    game().given(again).when(schedule(percent(25), 5, 10)).then_expect_events(vec![scheduled(2, 5, 10)]);
}

#[test]
fn a_discount_never_makes_a_game_dearer_or_cheaper_than_free() {
    assert_eq!(percent(25).of(price(5990)), price(4492));
    assert_eq!(percent(100).of(price(5990)), price(0));
    assert_eq!(Discount::Price(price(100)).of(price(5990)), price(100));
    assert_eq!(Discount::Price(price(6000)).of(price(5990)), price(5990));
    for none in [0, 101, -1, 300] {
        assert_eq!(Percent::try_from(none), Err(InvalidPercent));
    }
}

#[test]
fn a_retired_game_cannot_be_changed() {
    game().given(vec![created()]).when(GameCommand::Retire).then_expect_events(vec![retired()]);
    for command in [GameCommand::Update { details: details("x") }, GameCommand::ChangePrice { price: price(1) }] {
        game().given(vec![created(), retired()]).when(command).then_expect_error(GameError::GameRetired);
    }
    game().given(vec![created(), retired()]).when(create()).then_expect_error(GameError::AlreadyCreated);
}

#[test]
fn an_unknown_game_cannot_be_changed() {
    for command in [
        GameCommand::Update { details: details("x") },
        GameCommand::ChangePrice { price: price(1) },
        GameCommand::Retire,
    ] {
        game().given_no_previous_events().when(command).then_expect_error(GameError::UnknownGame);
    }
}

#[test]
fn a_title_has_1_to_120_visible_characters() {
    assert_eq!(Title::parse("  "), Err(InvalidText::TooShort { min: 1 }));
    assert_eq!(Title::parse(&"x".repeat(121)), Err(InvalidText::TooLong { max: 120 }));
    assert_eq!(Title::parse("a\u{0}b"), Err(InvalidText::Control));
    assert_eq!(Title::parse("a\nb"), Err(InvalidText::Control));
    assert_eq!(Title::parse(&"é".repeat(120)).unwrap().as_str().chars().count(), 120);
}

#[test]
fn labels_are_distinct_and_not_too_many() {
    assert_eq!(Labels::parse(["RPG", " RPG "]).unwrap().iter().collect::<Vec<_>>(), ["RPG"]);
    let many = (0..=Labels::MAX).map(|n| n.to_string());
    assert_eq!(Labels::parse(many), Err(InvalidText::TooMany { max: Labels::MAX }));
}

#[test]
fn a_price_is_never_negative_too_large_or_foreign() {
    let parse = |amount, currency| Price::parse(Money { amount, currency }, Currency::BRL);
    assert_eq!(parse(-1, Currency::BRL), Err(InvalidMoney::Negative));
    assert_eq!(parse(Price::MAX + 1, Currency::BRL), Err(InvalidMoney::TooLarge));
    let dollar = Currency::parse("USD").unwrap();
    assert_eq!(parse(1, dollar), Err(InvalidMoney::Foreign { expected: Currency::BRL }));
    assert_eq!(Currency::parse("brl"), Err(InvalidMoney::Currency));
}

#[test]
fn an_age_rating_is_one_of_six() {
    for years in [0, 10, 12, 14, 16, 18] {
        assert_eq!(AgeRating::parse(years).unwrap().years(), years.unsigned_abs());
    }
    for years in [-1, 1, 17, 19, 256] {
        assert_eq!(AgeRating::parse(years), Err(InvalidAgeRating));
    }
}

fn any_command() -> impl Strategy<Value = GameCommand> {
    prop_oneof![
        Just(create()),
        "[a-c]".prop_map(|title| GameCommand::Update { details: details(&title) }),
        (0..3_i64).prop_map(|amount| GameCommand::ChangePrice { price: price(amount) }),
        (-3..9_i64, 1..5_i64).prop_map(|(from, days)| schedule(percent(50), from, from + days)),
        (1..4_u32).prop_map(|number| GameCommand::CancelPromotion { number }),
        (0..12_i64).prop_map(|now| GameCommand::TurnPromotions { now: day(now) }),
        Just(GameCommand::Retire),
    ]
}

proptest! {
    #[test]
    fn any_sequence_of_commands_is_refused_or_leaves_the_game_consistent(
        commands in proptest::collection::vec(any_command(), 0..20)
    ) {
        let mut game = Game::New;
        let mut retired = false;
        for command in commands {
            for event in game.decide(command).unwrap_or_default() {
                prop_assert!(!retired, "a retired game changed");
                let before = game.clone();
                retired |= event == GameEvent::GameRetired {};
                game.apply(event);
                prop_assert_ne!(&before, &game, "an event that changes nothing");
            }
            prop_assert_eq!(retired, game == Game::Retired);
        }
    }
}
