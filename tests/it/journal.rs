use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use domain::{ClaimKind, Order};
use futures::future::join_all;
use journal::{
    AggregateKey, Append, AppendError, Change, ClaimKey, Claims, Clock, Journal, JournalError, NewEvent, Position,
    Recorded, Release,
};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::support::{TestApp, eventually, new_database};

mod batches;

async fn open(connections: u32) -> (Journal, secrecy::SecretString) {
    let (owner, app) = new_database().await;
    (Journal::open(journal::connect(&app, connections).await.unwrap()).await.unwrap(), owner)
}

/// The first events after a position, once there are as many: other tests' transactions hold the reader back.
async fn read(journal: &Journal, after: Position, count: usize) -> Vec<Recorded> {
    let seen = || async { (journal.committed_after(after, 10).await.unwrap().len(), count) };
    eventually("the events can be read", seen).await;
    journal.committed_after(after, 10).await.unwrap()
}

async fn owner(url: &secrecy::SecretString) -> PgConnection {
    PgConnection::connect(secrecy::ExposeSecret::expose_secret(url)).await.unwrap()
}

fn event(sequence: i64) -> NewEvent {
    NewEvent {
        event_id: Clock::default().new_id(),
        sequence,
        event_type: "Tested".to_owned(),
        event_version: "1".to_owned(),
        payload: json!({ "type": "Tested" }),
        metadata: json!({ "actor": "test" }),
    }
}

async fn append(journal: &Journal, id: Uuid, event: NewEvent, claims: Claims) -> Result<Position, AppendError> {
    journal.append(Append::of(change(id, event, claims))).await
}

fn change(id: Uuid, event: NewEvent, claims: Claims) -> Change {
    Change { aggregate: AggregateKey::of::<Order>(id), events: vec![event], claims }
}

#[tokio::test]
async fn postgres_es_reads_what_we_append_and_we_read_what_it_appends() {
    let (journal, _) = open(4).await;
    let id = Clock::default().new_id();
    append(&journal, id, event(1), Claims::default()).await.unwrap();

    let theirs = SerializedEvent::new(
        id.to_string(),
        2,
        "order".to_owned(),
        "Tested".to_owned(),
        "1".to_owned(),
        json!({ "type": "Tested" }),
        json!({}),
    );
    journal.stock().persist::<Order>(std::slice::from_ref(&theirs), None).await.unwrap();

    let theirs = journal.stock().get_events::<Order>(&id.to_string()).await.unwrap();
    assert_eq!(theirs.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    let key = AggregateKey::of::<Order>(id);
    let histories = journal.histories(&[key]).await.unwrap();
    assert_eq!(histories.of(key).iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    read(&journal, Position::default(), 2).await;
}

#[tokio::test]
async fn the_histories_of_many_aggregates_are_read_at_once_in_their_order() {
    let (journal, _) = open(4).await;
    let ids = [Clock::default().new_id(), Clock::default().new_id(), Clock::default().new_id()];
    for sequence in 1..=3 {
        for id in &ids[..2] {
            append(&journal, *id, event(sequence), Claims::default()).await.unwrap();
        }
    }

    let keys = ids.map(AggregateKey::of::<Order>);
    let histories = journal.histories(&keys).await.unwrap();

    for (key, expected) in keys.iter().zip([&[1, 2, 3][..], &[1, 2, 3], &[]]) {
        assert_eq!(histories.of(*key).iter().map(|event| event.sequence).collect::<Vec<_>>(), expected);
    }
    assert!(histories.of(keys[0])[0].position < histories.of(keys[0])[2].position);
}

#[tokio::test]
async fn an_append_that_leans_on_what_has_moved_is_a_conflict_and_writes_nothing() {
    let (journal, _) = open(4).await;
    let (game, order) = (Clock::default().new_id(), Clock::default().new_id());
    append(&journal, game, event(1), Claims::default()).await.unwrap();
    let lean = |version| {
        let journal = journal.clone();
        async move {
            let leans_on = vec![(AggregateKey::of::<Order>(game), version)];
            journal.append(Append { leans_on, ..of(order, event(1)) }).await
        }
    };

    append(&journal, game, event(2), Claims::default()).await.unwrap();

    assert!(matches!(lean(1).await, Err(AppendError::Conflict)));
    let key = AggregateKey::of::<Order>(order);
    assert!(journal.histories(&[key]).await.unwrap().of(key).is_empty());
    lean(2).await.unwrap();
}

/// Whoever leans on an aggregate stands in the journal before whatever changed it afterwards, however both race.
#[tokio::test]
async fn what_leans_on_an_aggregate_never_stands_behind_the_change_that_ended_it() {
    let (journal, _) = open(16).await;
    let game = Clock::default().new_id();
    append(&journal, game, event(1), Claims::default()).await.unwrap();
    for round in 1..=20_usize {
        let leaning = (0..8).map(|_| {
            let journal = journal.clone();
            async move {
                let leans_on = vec![(AggregateKey::of::<Order>(game), round)];
                journal.append(Append { leans_on, ..of(Clock::default().new_id(), event(1)) }).await
            }
        });
        let change = append(&journal, game, event(i64::try_from(round).unwrap() + 1), Claims::default());
        let (leant, changed) = futures::join!(join_all(leaning), change);
        let changed = changed.unwrap();
        for outcome in leant {
            match outcome {
                Ok(position) => assert!(position < changed, "{position} leans on what ended at {changed}"),
                Err(AppendError::Conflict) => (),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn the_store_cannot_say_itself_where_an_event_stands_or_when_it_was_recorded() {
    let (journal, _) = open(4).await;
    for (column, value) in [("tx_id", "'1'"), ("epoch", "0"), ("recorded_at", "now()"), ("position", "1")] {
        let insert = format!(
            "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
                                         metadata, {column})
             overriding system value values ('order', gen_random_uuid()::text, 1, 'Tested', '1', '{{}}', '{{}}', {value})"
        );
        let refused = journal.pool().execute(insert.as_str()).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"), "{column}: {refused}");
    }
}

fn of(id: Uuid, event: NewEvent) -> Append {
    Append::of(change(id, event, Claims::default()))
}

#[tokio::test]
async fn two_racing_buyers_of_one_game_for_one_user_give_one_order() {
    let app = TestApp::start().await;
    let (ana, game) = (app.customer("ana").await, app.game("Saltglass", 9_990).await);
    let basket = [game.as_str()];
    let answers = join_all((0..16).map(|_| ana.try_buy(&basket, "pm_card_visa"))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 202) {
        answer.refused(409, "game_owned_or_pending");
    }
    assert_eq!(app.events("OrderCreated").await, 1);
}

#[tokio::test]
async fn a_slow_transaction_with_a_lower_id_is_never_skipped() {
    let (journal, url) = open(4).await;
    let mut slow = owner(&url).await;
    slow.execute("begin").await.unwrap();
    slow.execute("select pg_current_xact_id()").await.unwrap();
    let fast = append(&journal, Clock::default().new_id(), event(1), Claims::default()).await.unwrap();

    assert!(
        journal.committed_after(Position::default(), 10).await.unwrap().is_empty(),
        "read past a running transaction"
    );

    sqlx::query(
        "insert into journal.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', $1, 1, 'Tested', '1', '{}', '{}')",
    )
    .bind(Uuid::nil().to_string())
    .execute(&mut slow)
    .await
    .unwrap();
    slow.execute("commit").await.unwrap();

    let read = read(&journal, Position::default(), 2).await;
    assert_eq!(read[0].aggregate_id, Uuid::nil().to_string(), "the lower transaction comes first");
    assert_eq!(read[1].position, fast);
    assert!(read[0].position.position > read[1].position.position, "though its serial number is higher");
}

#[tokio::test]
async fn transaction_ids_are_ordered_as_numbers() {
    let (journal, url) = open(4).await;
    let mut owner = owner(&url).await;
    for tx_id in ["99", "100", "9"] {
        let insert = sqlx::query(
            "insert into journal.events
               (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, tx_id)
             values ('order', $1, 1, 'Tested', '1', '{}', '{}', $1::xid8)",
        );
        insert.bind(tx_id).execute(&mut owner).await.unwrap();
    }
    let read = read(&journal, Position::default(), 3).await;
    assert_eq!(read.iter().map(|event| event.position.tx_id).collect::<Vec<_>>(), [9, 99, 100]);
    assert_eq!(journal.extent().await.unwrap().1.tx_id, 100);
}

#[tokio::test]
async fn a_claim_has_one_holder_until_it_is_released() {
    let (journal, _) = open(4).await;
    let claim = || ClaimKey { kind: ClaimKind::Ownership, key: "user:game".to_owned() };
    let take = || Claims { taken: vec![claim()], released: vec![] };
    let release = Claims { taken: vec![], released: vec![Release::All(ClaimKind::Ownership)] };
    let (first, second) = (Clock::default().new_id(), Clock::default().new_id());

    append(&journal, first, event(1), take()).await.unwrap();
    let refused = append(&journal, second, event(1), take()).await;
    assert!(matches!(refused, Err(AppendError::Claimed(taken)) if taken == claim()));
    assert_eq!(journal.extent().await.unwrap().0, 1, "nothing is written by an append whose claim is taken");

    append(&journal, first, event(2), release).await.unwrap();
    append(&journal, second, event(1), take()).await.unwrap();
    assert_eq!(journal.holder(&claim()).await.unwrap(), Some(second));
}

#[tokio::test]
async fn the_stores_own_role_can_neither_change_nor_remove_events() {
    let (journal, _) = open(2).await;
    append(&journal, Clock::default().new_id(), event(1), Claims::default()).await.unwrap();
    for statement in [
        "update journal.events set event_type = 'Forged'",
        "delete from journal.events",
        "truncate journal.events",
        "drop table journal.events",
        "alter table journal.events alter column epoch set default 7",
    ] {
        let error = journal.pool().execute(statement).await.unwrap_err();
        let code =
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
        assert_eq!(code, "42501", "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_journal_restored_into_another_cluster_waits_for_a_new_epoch() {
    let (journal, url) = open(4).await;
    append(&journal, Clock::default().new_id(), event(1), Claims::default()).await.unwrap();
    // What a dump of an older cluster holds: transaction ids far ahead of this cluster's.
    let mut connection = owner(&url).await;
    connection.execute("update journal.events set tx_id = '99999999'").await.unwrap();
    let refused = Journal::open(journal.pool().clone()).await;
    assert!(matches!(refused, Err(JournalError::NeedsRebase { stored: 99_999_999, .. })));

    let pool = journal::connect(&url, 1).await.unwrap();
    assert_eq!(journal::rebase(&pool).await.unwrap(), 2);

    let journal = Journal::open(journal.pool().clone()).await.unwrap();
    append(&journal, Clock::default().new_id(), event(1), Claims::default()).await.unwrap();
    let all = read(&journal, Position::default(), 2).await;
    assert_eq!(all.iter().map(|event| event.position.epoch).collect::<Vec<_>>(), [1, 2]);
    // A checkpoint of the old epoch goes on with the new one.
    read(&journal, all[0].position, 1).await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let (owner, app) = new_database().await;
    let journal = Journal::open(journal::connect(&app, 2).await.unwrap()).await.unwrap();
    append(&journal, Clock::default().new_id(), event(1), Claims::default()).await.unwrap();
    for _ in 0..2 {
        journal::migrate(&owner, &app).await.unwrap();
    }
    assert_eq!(journal.extent().await.unwrap().0, 1);
}
