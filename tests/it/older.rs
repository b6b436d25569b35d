//! What a store of an earlier version kept.

use std::borrow::Cow;

use domain::UserId;
use secrecy::SecretString;
use sqlx::migrate::Migrator;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{TestApp, Wishes, empty_database, eventually};

/// The last migration that the store of `store.sql` had.
const LAST: i64 = 20_261_125_000_012;
/// Its master key.
const MASTER_KEY: &str = "wvV5fb8AMplzXswrOMILbZ6ugo3nBzfeuhdm79kx4sk=";
/// Who bought in it.
const BUYER: &str = "01a213cb-1a23-72f1-8d03-a2522e7cfcb5";

/// A database as an earlier version left it.
async fn store_from_before() -> (SecretString, SecretString) {
    use secrecy::ExposeSecret;
    let (owner_url, app_url) = empty_database().await;
    let mut owner = PgConnection::connect(owner_url.expose_secret()).await.unwrap();
    let all = sqlx::migrate!("./migrations");
    let known = all.iter().filter(|migration| migration.version <= LAST).cloned().collect();
    Migrator { migrations: Cow::Owned(known), ..all }.run(&mut owner).await.unwrap();
    owner.execute(include_str!("older/store.sql")).await.unwrap();
    (owner_url, app_url)
}

#[tokio::test]
async fn a_store_from_before_is_migrated_and_nothing_of_it_is_misread() {
    let (owner_url, app_url) = store_from_before().await;
    journal::migrate(&owner_url, &app_url).await.unwrap();
    let owner = journal::connect(&owner_url, 2).await.unwrap();
    // Its transactions are those of another cluster.
    journal::rebase(&owner).await.unwrap();
    let store = Some((owner_url, app_url, MASTER_KEY.into()));
    let app = TestApp::start_with(Wishes { store, ..Wishes::default() }).await;

    let buyer = UserId::parse(BUYER).unwrap();
    let (profile, _) = app.foundation.shared.commands.profile(buyer).await.unwrap().unwrap();
    assert_eq!(profile.name.as_str(), "Demo Buyer");
    eventually("what was bought is in the library", || async {
        let owned = sqlx::query_scalar::<_, i64>("select count(*) from read.library where user_id = $1");
        (owned.bind(buyer.as_uuid()).fetch_one(app.pool()).await.unwrap(), 2)
    })
    .await;
    let (ana, game) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&game], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    app.verify().await;

    // Its first master key is the key of its hashes, and can be exchanged all the same.
    let new = ludoteca::up::new_master_key();
    app.foundation.vault.add_master(&owner, &new, false).await.unwrap();
    let vault = journal::Vault::open(owner.clone(), &new, journal::Clock::default()).await.unwrap();
    assert!(vault.rewrap(&owner, |_| ()).await.unwrap() >= 3);
    assert_eq!(vault.email_claim(&profile.email), app.foundation.vault.email_claim(&profile.email));
}
