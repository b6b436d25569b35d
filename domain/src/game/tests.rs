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
        release_date: NaiveDate::from_ymd_opt(2024, 2, 29),
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

#[test]
fn the_stored_form_of_every_event_is_pinned() {
    insta::assert_json_snapshot!([
        created(),
        GameEvent::GameUpdated { details: GameDetails { release_date: None, ..details("Summit II") } },
        GameEvent::GamePriceChanged { price: price(4990) },
        retired(),
    ]);
}

fn any_command() -> impl Strategy<Value = GameCommand> {
    prop_oneof![
        Just(create()),
        "[a-c]".prop_map(|title| GameCommand::Update { details: details(&title) }),
        (0..3_i64).prop_map(|amount| GameCommand::ChangePrice { price: price(amount) }),
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
