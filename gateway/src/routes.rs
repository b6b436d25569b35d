mod accesses;
mod api_keys;
mod authenticators;
mod confirmations;
mod dead_letters;
mod disputes;
mod events;
mod export;
mod games;
mod health;
mod library;
mod live;
mod login;
mod orders;
mod passkeys;
mod password;
mod payments;
mod promotions;
mod search;
mod sessions;
mod users;
mod webhooks;

pub(crate) use dead_letters::WORK;
use poem_openapi::{OpenApi, Tags};

#[derive(Tags)]
enum Tag {
    /// Accounts.
    Users,
    /// Sessions.
    Login,
    /// The catalogue.
    Games,
    /// Purchases.
    Orders,
    /// Payment attempts.
    Payments,
    /// One's own games.
    Library,
    /// Event streams.
    Events,
    /// Work that could not be done.
    DeadLetters,
    /// The PSP's way in.
    Webhooks,
    /// Health and keys.
    Operations,
}

/// All routes that the OpenAPI document describes.
pub(crate) fn all() -> impl OpenApi {
    (
        (users::Users, sessions::Sessions, password::Passwords, confirmations::Confirmations),
        (
            login::Login,
            authenticators::AuthenticatorRoutes,
            passkeys::Passkeys,
            api_keys::ApiKeyRoutes,
            export::Exports,
        ),
        search::Search,
        orders::Orders,
        (games::Games, promotions::Promotions),
        payments::Payments,
        disputes::Disputes,
        library::Library,
        live::LiveUpdates,
        events::Events,
        dead_letters::DeadLetters,
        webhooks::Webhooks,
        (health::Health, accesses::Accesses),
    )
}
