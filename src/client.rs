//! A client of the store's API, for the tools: demo, load, replay through the gateway.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::config::ClientConfig;

/// A password that nobody guesses.
#[must_use]
pub fn new_password() -> SecretString {
    format!("{:032x}", rand::random::<u128>()).into()
}

/// A visitor, or somebody who has logged in.
#[derive(Clone)]
pub struct Api {
    http: Client,
    base: String,
    token: Option<SecretString>,
}

/// A client of HTTP.
///
/// # Errors
/// When no TLS can be had.
pub fn http() -> Result<Client> {
    // Another one may have been installed already; any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().connect_timeout(Duration::from_secs(5)).build()?)
}

impl Api {
    /// A visitor of the store at `base`.
    ///
    /// # Errors
    /// When no TLS can be had.
    pub fn visit(base: &str) -> Result<Self> {
        Ok(Self { http: http()?, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same visitor, logged in.
    ///
    /// # Errors
    /// When the store does not let them in.
    pub async fn log_in(&self, email: &str, password: &SecretString) -> Result<Self> {
        self.log_in_with(email, password, None).await
    }

    /// The admin of a tool's settings: by their key, or logged in.
    ///
    /// # Errors
    /// When the store does not let them in.
    pub async fn log_in_admin(config: &ClientConfig) -> Result<Self> {
        let ClientConfig { url, api_key, admin_email, admin_password, admin_code } = config;
        let visitor = Self::visit(url)?;
        let api_key = api_key.as_ref().filter(|key| !key.expose_secret().is_empty());
        match (api_key, admin_email, admin_password) {
            (Some(key), _, _) => Ok(Self { token: Some(key.clone()), ..visitor }),
            (None, Some(email), Some(password)) => visitor.log_in_with(email, password, admin_code.as_ref()).await,
            (None, _, _) => bail!("LUDOTECA_API_KEY, or ADMIN_EMAIL and ADMIN_PASSWORD, must be given"),
        }
    }

    async fn log_in_with(&self, email: &str, password: &SecretString, code: Option<&SecretString>) -> Result<Self> {
        let code = code.map(ExposeSecret::expose_secret);
        let credentials = json!({ "email": email, "password": password.expose_secret(), "code": code });
        let tokens = self.post("/login/auth", &credentials).await?;
        self.with(&tokens)
    }

    /// The same visitor with the tokens that a login gave.
    ///
    /// # Errors
    /// When there is none.
    pub fn with(&self, tokens: &Value) -> Result<Self> {
        let token = tokens.get("access_token").and_then(Value::as_str).context("no access token")?;
        Ok(Self { token: Some(token.into()), ..self.clone() })
    }

    /// A new adult customer, registered and logged in.
    ///
    /// # Errors
    /// When the store does not take them.
    pub async fn register(&self, name: &str, email: &str) -> Result<Self> {
        self.register_with(name, email, &new_password()).await
    }

    /// The same with a password that the caller knows.
    ///
    /// # Errors
    /// When the store does not take them.
    pub async fn register_with(&self, name: &str, email: &str, password: &SecretString) -> Result<Self> {
        let person = json!({
            "name": name, "email": email, "password": password.expose_secret(), "birth_date": "1990-01-31",
        });
        self.post("/users", &person).await?;
        self.log_in(email, password).await
    }

    /// A request, not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// What is answered to a request.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn send(request: RequestBuilder) -> Result<Value> {
        accepted(request.send().await?).await
    }

    /// What a GET answers.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Self::send(self.request(Method::GET, path)).await
    }

    /// The ids of games that cost something; at most a hundred.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn priced_games(&self) -> Result<Vec<String>> {
        let page = self.get("/jogos?limit=100").await?;
        let games = page.get("items").and_then(Value::as_array).context("no catalogue")?;
        let priced = games.iter().filter(|game| game.pointer("/price/amount").and_then(Value::as_i64) > Some(0));
        Ok(priced.filter_map(|game| Some(game.get("id")?.as_str()?.to_owned())).collect())
    }

    /// What a POST answers.
    ///
    /// # Errors
    /// When the store does not answer, or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Self::send(self.request(Method::POST, path).json(body)).await
    }
}

async fn accepted(response: Response) -> Result<Value> {
    let (status, url) = (response.status(), response.url().path().to_owned());
    let body = response.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {body}");
    }
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}
