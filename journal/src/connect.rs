//! Connections: which database, how many, and its schema brought up to date.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::JournalError;

/// How long a session may take, and how soon the server notices that its client's host vanished without a word: what it
/// held, such as the lead of the relay, is free within ten seconds.
const LIMITS: [(&str, &str); 6] = [
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "3"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "2"),
    ("tcp_user_timeout", "8s"),
];
/// For how long after its last use a connection is taken to be alive.
const FRESH: Duration = Duration::from_millis(100);

/// Opens a pool of at most `connections` to the database at `url`.
///
/// A connection that has idled for longer than a moment is pinged before use, so that a dead one is replaced and
/// nobody hears of it. One that was just used is not: that would double the cost of a command.
///
/// # Errors
/// When the URL is invalid or the database does not answer.
pub async fn connect(url: &SecretString, connections: u32) -> Result<PgPool, JournalError> {
    let options = PgConnectOptions::from_str(url.expose_secret())?
        .application_name("ludoteca")
        // Compiling a statement takes longer than running ours; facets are counted in memory.
        .options([("search_path", "read,public"), ("jit", "off"), ("work_mem", "32MB")])
        .options(LIMITS);
    Ok(pool_of(connections).connect_with(options).await?)
}

/// Connections beside a pool's for somebody who makes the same few statements again and again: those are planned once,
/// whatever they are given, and nobody else's turn is waited for. They are opened when they are needed.
#[must_use]
pub fn dedicated_pool(like: &PgPool, connections: u32) -> PgPool {
    let options = like.connect_options().as_ref().clone().options([("plan_cache_mode", "force_generic_plan")]);
    pool_of(connections).connect_lazy_with(options)
}

fn pool_of(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// A connection of its own for work on all there is, which takes as long as it takes.
///
/// # Errors
/// When the database does not answer.
pub async fn connect_patiently(like: &PgPool) -> sqlx::Result<PgConnection> {
    // A plan that was kept from when a table was empty would read all of it, again and again.
    let patient = [("statement_timeout", "0"), ("plan_cache_mode", "force_custom_plan")];
    PgConnection::connect_with(&like.connect_options().as_ref().clone().options(patient)).await
}

/// Applies the migrations as the database's owner and lets the login of `app_url` use what they made.
/// What is up to date stays as it is.
///
/// The application's login may insert and select events; it may not change or remove them.
///
/// # Errors
/// When the database does not answer, a migration fails, or `app_url` names no user.
pub async fn migrate(owner_url: &SecretString, app_url: &SecretString) -> Result<(), JournalError> {
    // Not over `connect`: its search path would put the list of migrations into a schema that they make.
    let mut owner = PgConnection::connect(owner_url.expose_secret()).await?;
    sqlx::migrate!("../migrations").run(&mut owner).await.map_err(|error| match error {
        MigrateError::VersionMissing(schema) => JournalError::NewerSchema { schema },
        other => JournalError::Migration(other),
    })?;
    let app = PgConnectOptions::from_str(app_url.expose_secret())?;
    let password = url_password(app_url.expose_secret());
    let statement: String = sqlx::query_scalar(
        "select case when exists (select from pg_roles where rolname = $1)
                then format('alter role %I login', $1)
                else format('create role %I login', $1) end
           || coalesce(format(' password %L', $2), '') || format('; grant ludoteca_app to %I', $1)",
    )
    .bind(app.get_username())
    .bind(password)
    .fetch_one(&mut owner)
    .await?;
    // Several databases of one cluster may be migrated at once, and roles belong to the cluster.
    let mut lock = owner.begin().await?;
    lock.execute("select pg_advisory_xact_lock(7000001)").await?;
    lock.execute(statement.as_str()).await?;
    lock.commit().await?;
    owner.close().await?;
    Ok(())
}

fn url_password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (user, _) = rest.split_once('@')?;
    user.split_once(':').map(|(_, password)| password.to_owned())
}

/// How many pooled connections may have died at once, at most.
pub const POOLED: usize = 32;

/// Asks once more for each pooled connection that turns out to be dead: after a restart of the server all of them are,
/// and each goes when it is found out. For queries that may be asked twice.
///
/// # Errors
/// What the database answered, or that it does not.
pub async fn once_more<T, Fut>(ask: impl Fn() -> Fut) -> sqlx::Result<T>
where
    Fut: Future<Output = sqlx::Result<T>>,
{
    for _ in 0..POOLED {
        match ask().await {
            Err(error) if broke_off(&error) => (),
            answered => return answered,
        }
    }
    ask().await
}

/// Whether what was asked for violates a constraint of a kind (its SQLSTATE).
pub(crate) fn is_violation(error: &sqlx::Error, state: &str) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == state)
}

/// Whether the connection was lost, or the server is restarting (SQLSTATE 57P01 to 57P03).
#[must_use]
pub fn broke_off(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::Io(_)) || code.is_some_and(|code| code.starts_with("57P0"))
}
