//! Databases of the tests' own Postgres, one for each store.

use std::sync::atomic::{AtomicU32, Ordering};

use ludoteca::up::new_master_key;
use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

/// How the store logs in to its database.
const APP: &str = "ludoteca:papp";

pub fn server_url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("the tests need a Postgres of their own: run scripts/test")
}

/// The same server, another database and perhaps another role.
fn database_url(user: Option<&str>, database: &str) -> SecretString {
    let server = server_url();
    let (base, _) = server.rsplit_once('/').unwrap();
    let host = base.rsplit_once('@').unwrap().1;
    match user {
        Some(user) => format!("postgres://{user}@{host}/{database}").into(),
        None => format!("{base}/{database}").into(),
    }
}

/// A database with the store's schema, made from a template: its owner's URL and the store's own.
pub async fn new_database() -> (SecretString, SecretString) {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE
        .get_or_init(|| async {
            let name = format!("template_{}", std::process::id());
            admin(&format!("create database {name}")).await;
            journal::migrate(&database_url(None, &name), &database_url(Some(APP), &name)).await.unwrap();
            name
        })
        .await;
    database_like(template).await
}

/// A store to be: its database, and a master key.
pub async fn new_store() -> (SecretString, SecretString, SecretString) {
    let (owner_url, database_url) = new_database().await;
    (owner_url, database_url, new_master_key())
}

/// A database with nothing in it.
pub async fn empty_database() -> (SecretString, SecretString) {
    database_like("template1").await
}

async fn database_like(template: &str) -> (SecretString, SecretString) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("it_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    admin(&format!("create database {name} template {template}")).await;
    (database_url(None, &name), database_url(Some(APP), &name))
}

async fn admin(statement: &str) {
    // One at a time: two copies of one template at once are refused.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let mut server = PgConnection::connect(&server_url()).await.unwrap();
    server.execute(statement).await.unwrap();
    server.close().await.unwrap();
}
