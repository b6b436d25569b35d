//! Commands that are appended together.

use domain::{ClaimKind, Order};
use futures::future::join_all;
use journal::{
    AggregateKey, Append, AppendError, ClaimKey, Claims, Clock, FirstAnswer, Journal, NewEvent, Position, Release,
};
use uuid::Uuid;

use super::{append, change, event, of, open};
use crate::support::eventually;

/// Commands that wait while both of the writer's batches are held up, and so share the next.
async fn at_once(journal: &Journal, appends: Vec<Append>) -> Vec<Result<Position, AppendError>> {
    let mut holder = journal.pool().acquire().await.unwrap();
    let held = [Clock::default().new_id(), Clock::default().new_id()];
    for id in held {
        let lock = "select pg_advisory_lock(hashtextextended('order ' || $1, 0))";
        sqlx::query(lock).bind(id.to_string()).execute(&mut *holder).await.unwrap();
    }
    let append_all = |appends: Vec<Append>| {
        appends.into_iter().map(|append| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(append).await })
        })
    };
    let mut first = vec![];
    for (n, id) in (1..).zip(held) {
        first.extend(append_all(vec![of(id, event(1))]));
        let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                       where not granted and locktype = 'advisory' and datname = current_database()";
        let waiting = || async { sqlx::query_scalar::<_, i64>(waiting).fetch_one(journal.pool()).await.unwrap() };
        eventually("the batch is held up", || async { (waiting().await, n) }).await;
    }
    let outcomes: Vec<_> = append_all(appends).collect();
    // On the one thread of a test each of them runs until it waits.
    tokio::task::yield_now().await;
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut *holder).await.unwrap();
    for first in join_all(first).await {
        first.unwrap().unwrap();
    }
    join_all(outcomes).await.into_iter().map(Result::unwrap).collect()
}

fn with(claims: Claims, id: Uuid, event: NewEvent) -> Append {
    Append::of(change(id, event, claims))
}

#[tokio::test]
async fn commands_that_share_a_transaction_win_and_lose_each_for_itself() {
    let (journal, _) = open(6).await;
    let new = || Clock::default().new_id();
    let claim = |key: &str| ClaimKey { kind: ClaimKind::Ownership, key: key.to_owned() };
    let takes = |key: &str| Claims { taken: vec![claim(key)], released: vec![] };
    let (known, holder) = (new(), new());
    append(&journal, known, event(1), Claims::default()).await.unwrap();
    append(&journal, holder, event(1), takes("held")).await.unwrap();
    let answer = |n| Some(FirstAnswer { key: [n; 32], fingerprint: [0; 32], caller: None });

    let outcomes = at_once(
        &journal,
        vec![
            of(new(), event(1)),
            of(known, event(1)),
            Append { answer: answer(1), ..with(takes("held"), new(), event(1)) },
            Append { leans_on: vec![(AggregateKey::of::<Order>(known), 0)], ..of(new(), event(1)) },
            Append { answer: answer(2), ..with(takes("free"), new(), event(1)) },
            with(Claims { taken: vec![], released: vec![Release::One(claim("held"))] }, holder, event(2)),
            with(takes("twins"), new(), event(1)),
            with(takes("twins"), new(), event(1)),
            Append { answer: answer(3), ..of(new(), event(1)) },
            Append { answer: answer(3), ..of(new(), event(1)) },
        ],
    )
    .await;

    let seen = |outcome: &Result<_, _>| match outcome {
        Ok(_) => "appended",
        Err(AppendError::Conflict) => "conflict",
        Err(AppendError::Claimed(_)) => "claimed",
        Err(AppendError::Journal(error)) => panic!("{error}"),
    };
    let mut seen: Vec<_> = outcomes.iter().map(seen).collect();
    // Of two that want the same, whichever comes first.
    seen[6..8].sort_unstable();
    seen[8..].sort_unstable();
    assert_eq!(seen[..6], ["appended", "conflict", "claimed", "conflict", "appended", "appended"]);
    assert_eq!(seen[6..], ["appended", "claimed", "appended", "conflict"]);
    let together = |n: usize| outcomes[n].as_ref().unwrap().tx_id;
    assert!([4, 5].iter().all(|n| together(*n) == together(0)), "{outcomes:?}");
    assert_eq!(journal.holder(&claim("held")).await.unwrap(), None);
    assert_eq!(journal.extent().await.unwrap().0, 2 + 2 + 5);
}

#[tokio::test]
async fn what_happens_to_several_aggregates_at_once_stands_in_its_order_or_not_at_all() {
    let (journal, _) = open(4).await;
    let new = || Clock::default().new_id();
    let (order, payment) = (new(), new());
    append(&journal, order, event(1), Claims::default()).await.unwrap();
    let both = |sequence| {
        let (paid, done) = (of(payment, event(1)).changes, of(order, event(sequence)).changes);
        Append { changes: [paid, done].concat(), leans_on: vec![], answer: None }
    };

    // Once alone, and once among neighbours.
    assert!(matches!(journal.append(both(1)).await, Err(AppendError::Conflict)));
    let outcomes = at_once(&journal, vec![of(new(), event(1)), both(1), both(2), of(new(), event(1))]).await;

    let appended: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(appended, [true, false, true, true], "{outcomes:?}");
    let keys = [payment, order].map(AggregateKey::of::<Order>);
    let histories = journal.histories(&keys).await.unwrap();
    let (paid, done) = (&histories.of(keys[0])[0], &histories.of(keys[1])[1]);
    assert_eq!(paid.position.tx_id, done.position.tx_id);
    assert!(paid.position < done.position);
    assert_eq!(outcomes[2].as_ref().unwrap(), &paid.position, "what it was about is told");
}

#[tokio::test]
async fn baskets_in_opposite_order_wait_for_one_another_and_never_in_a_circle() {
    let (journal, _) = open(16).await;
    for round in 0..20 {
        let claim = |n: usize| ClaimKey { kind: ClaimKind::Ownership, key: format!("user:game-{round}-{n}") };
        let buyers =
            (0..8).map(|buyer| {
                let journal = journal.clone();
                let mut taken: Vec<ClaimKey> = (0..50).map(claim).collect();
                if buyer % 2 == 0 {
                    taken.reverse();
                }
                async move {
                    append(&journal, Clock::default().new_id(), event(1), Claims { taken, released: vec![] }).await
                }
            });
        let outcomes = join_all(buyers).await;
        // A deadlock would be a conflict.
        let refused = |outcome: &&Result<_, _>| matches!(outcome, Err(AppendError::Claimed(_)));
        assert_eq!(outcomes.iter().filter(refused).count(), 7, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn a_thousand_racing_writers_give_each_sequence_exactly_one_winner() {
    let (journal, _) = open(16).await;
    let id = Clock::default().new_id();
    for sequence in 1..=4 {
        let racers = (0..250).map(|_| {
            let journal = journal.clone();
            async move { append(&journal, id, event(sequence), Claims::default()).await }
        });
        let outcomes = join_all(racers).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Conflict))).count();
        assert_eq!((won, conflicts), (1, 249), "sequence {sequence}");
    }
    assert_eq!(journal.extent().await.unwrap().0, 4);
}
