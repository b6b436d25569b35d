//! Where the store's data is, and what it has settled for itself.

use std::str::FromStr;

use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::Args;
use commands::Rules;
use domain::Currency;
use domain::order::DisputePolicy;
use domain::user::Requirement;
use secrecy::SecretString;

/// Where the journal and its mirror are: all that a role needs that looks into no one's data.
#[derive(Debug, Clone, Args)]
pub struct JournalConfig {
    /// The Postgres database, as the store's own role, which may not change or remove events
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// How many connections one process may hold; whoever appends opens up to eight more, a relay two, a projector one. Few are faster:
    /// they take turns, and Postgres is quickest on a connection that was used just before
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 10)]
    pub database_connections: u32,
    /// The NATS server, with user and password; those of a cluster are separated by commas
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    pub nats_url: SecretString,
    /// On how many servers of a NATS cluster each stream is kept
    #[arg(long, env = "NATS_REPLICAS", default_value_t = 1)]
    pub nats_replicas: usize,
}

/// What roles need that carry orders and payments on: where the data is, and what the store has settled about trade.
#[derive(Debug, Clone, Args)]
pub struct TradeConfig {
    /// Journal and mirror.
    #[command(flatten)]
    pub journal: JournalConfig,
    /// The one currency that the store trades in (ISO 4217)
    #[arg(long, env = "CURRENCY", default_value = "BRL", value_parser = Currency::parse)]
    pub currency: Currency,
    /// For how many days a buyer may return games without a reason (Brazil: 7, CDC art. 49)
    #[arg(long, env = "REFUND_WINDOW_DAYS", default_value_t = 7)]
    pub refund_window_days: u16,
    /// What becomes of games whose payment is disputed: suspend (until the bank decides), revoke-when-lost, or keep
    #[arg(long, env = "DISPUTE_POLICY", default_value = "suspend", value_parser = DisputePolicy::from_str)]
    pub dispute_policy: DisputePolicy,
    /// Where the store is, by its name in the tz database: the day there decides how old a buyer is
    #[arg(long, env = "STORE_TIME_ZONE", default_value = "America/Sao_Paulo")]
    pub time_zone: Tz,
}

impl TradeConfig {
    /// The store's rules, as they are where nothing else was settled about accounts.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let Self { currency, dispute_policy, time_zone, .. } = *self;
        let refund_window = TimeDelta::days(self.refund_window_days.into());
        let (email_confirmation, staff_second_factor) = (Requirement::Optional, Requirement::Optional);
        Rules { currency, refund_window, dispute_policy, time_zone, email_confirmation, staff_second_factor }
    }
}

/// What roles need that deal with people as well: the key to what is sealed, and what the store has settled about accounts.
#[derive(Debug, Clone, Args)]
pub struct StoreConfig {
    /// Data and trade.
    #[command(flatten)]
    pub trade: TradeConfig,
    /// 32 bytes in base64; wraps the keys of personal data
    #[arg(long, env = "MASTER_KEY", hide_env_values = true)]
    pub master_key: SecretString,
    /// Whether an account opens, and an address counts, only once a link that was mailed there is followed: optional, or
    /// required
    #[arg(long, env = "EMAIL_CONFIRMATION", default_value = "optional", value_parser = Requirement::from_str)]
    pub email_confirmation: Requirement,
    /// Whether admins and analysts are what they are only in sessions that were opened with a second factor: optional, or
    /// required
    #[arg(long, env = "STAFF_SECOND_FACTOR", default_value = "optional", value_parser = Requirement::from_str)]
    pub staff_second_factor: Requirement,
    /// Where people find the storefront: for links in mail, and what passkeys are bound to, so it needs a name
    #[arg(long, env = "STORE_URL", default_value = "http://localhost:8080")]
    pub store_url: reqwest::Url,
}
