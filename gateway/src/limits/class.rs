use std::time::Duration;

use poem::http::Method;

/// What counts together. Who does too much of one thing may still do another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Class {
    /// To log in.
    Login,
    /// To open an account.
    Registration,
    /// To go on with a session, or to end it.
    Session,
    /// To get another password, or to have an address confirmed.
    Reset,
    /// To search.
    Search,
    /// To buy, to pay, or to want the money back.
    Purchase,
    /// To open a stream of notices.
    Stream,
    /// To read everything at once: a person's data, or events.
    Export,
    /// To change anything else.
    Change,
    /// To read anything else.
    Read,
    /// To have what is the same for all: files of the shop, documents.
    Page,
    /// To show an access token that is not good.
    Token,
    /// To log in to one account, from all devices together that it does not know.
    Account,
    /// To log in to one account from one device that it knows.
    Device,
    /// To have a link to another password sent to one address.
    Mailbox,
    /// To have any other mail sent to one address: a welcome, or a link to confirm it.
    Invitation,
}

impl Class {
    /// The class of a request; none for the PSP, whose signature counts, and for who asks whether the process lives and is ready.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        Some(match (method, parts.as_slice()) {
            (_, ["webhooks" | "metrics", ..] | ["health", "live" | "ready"]) => return None,
            (
                _,
                ["" | "loja" | "docs" | "problems" | "schemas" | "openapi.json" | "asyncapi.json" | ".well-known", ..],
            ) => Self::Page,
            (&Method::POST, ["login", "auth" | "session" | "passkey", ..]) => Self::Login,
            (_, ["login", "forgotten" | "reset" | "confirm"] | ["users", _, "email", "confirmation"])
            | (&Method::PUT, ["users", _, "password"]) => Self::Reset,
            (_, ["login", "strength"]) => Self::Search,
            (_, ["login", ..]) => Self::Session,
            (&Method::POST, ["users"]) => Self::Registration,
            (&Method::GET, ["jogos", "busca"]) => Self::Search,
            (&Method::GET, ["notificacoes"] | ["pedidos", _, "eventos"]) => Self::Stream,
            (&Method::GET, ["users", _, "export"] | ["eventos"]) => Self::Export,
            (&Method::POST, ["jogos", "compra"] | ["pagamento"] | ["pedidos", _, "reembolso"]) => Self::Purchase,
            (&Method::GET | &Method::HEAD, _) => Self::Read,
            _ => Self::Change,
        })
    }

    /// How many are allowed in its window unless the store says otherwise.
    pub(crate) const fn usual(self) -> u32 {
        match self {
            Self::Login | Self::Session | Self::Change | Self::Token => 300,
            Self::Registration | Self::Purchase | Self::Stream => 60,
            Self::Reset | Self::Export => 30,
            Self::Search => 600,
            Self::Read => 1_200,
            Self::Page => 6_000,
            Self::Account | Self::Device => 10,
            Self::Mailbox | Self::Invitation => 5,
        }
    }

    /// The time in which they are.
    pub(crate) const fn window(self) -> Duration {
        match self {
            Self::Mailbox | Self::Invitation => Duration::from_hours(1),
            _ => Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_with_its_like() {
        for (method, path, class) in [
            (Method::POST, "/login/session", Some(Class::Login)),
            (Method::PUT, "/login/session", Some(Class::Session)),
            (Method::POST, "/login/session/passkey", Some(Class::Login)),
            (Method::POST, "/login/passkey/options", Some(Class::Login)),
            (Method::POST, "/users", Some(Class::Registration)),
            (Method::GET, "/users", Some(Class::Read)),
            (Method::PUT, "/users/me/password", Some(Class::Reset)),
            (Method::GET, "/jogos/busca", Some(Class::Search)),
            (Method::GET, "/jogos/7", Some(Class::Read)),
            (Method::POST, "/jogos/compra", Some(Class::Purchase)),
            (Method::POST, "/jogos", Some(Class::Change)),
            (Method::GET, "/pedidos/7/eventos", Some(Class::Stream)),
            (Method::GET, "/users/me/export", Some(Class::Export)),
            (Method::GET, "/loja/main.js", Some(Class::Page)),
            (Method::GET, "/", Some(Class::Page)),
            (Method::GET, "/asyncapi.json", Some(Class::Page)),
            (Method::GET, "/health/ready", None),
            (Method::POST, "/webhooks/psp", None),
        ] {
            assert_eq!(Class::of(&method, path), class, "{method} {path}");
        }
    }
}
