use std::sync::OnceLock;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, eventually};

/// Somebody in front of the store.
#[derive(Clone, Debug)]
pub struct Person {
    pub url: String,
    pub id: String,
    pub email: String,
    pub password: String,
    pub token: Option<String>,
    pub refresh_token: String,
}

impl Person {
    /// Somebody who has not logged in.
    pub fn nobody(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            id: String::new(),
            email: String::new(),
            password: String::new(),
            token: None,
            refresh_token: String::new(),
        }
    }

    pub async fn log_in(url: &str, email: &str, password: &str) -> Self {
        let nobody = Self::nobody(url);
        let tokens = nobody.post("/login/auth", &json!({ "email": email, "password": password })).await.expect(200);
        let mut person = Self {
            email: email.to_owned(),
            password: password.to_owned(),
            token: Some(tokens["access_token"].as_str().unwrap().to_owned()),
            refresh_token: tokens["refresh_token"].as_str().unwrap().to_owned(),
            ..nobody
        };
        eventually("the account is projected", || async { person.get("/users/me").await.status == 200 }).await;
        let me = person.get("/users/me").await.expect(200);
        me["id"].as_str().unwrap().clone_into(&mut person.id);
        person
    }

    pub async fn register(url: &str, name: &str, birth_date: &str) -> Self {
        let email = format!("{name}@example.com");
        let password = format!("{name}'s umbrella kettle");
        let person = json!({ "name": name, "email": email, "password": password, "birth_date": birth_date });
        Self::nobody(url).post("/users", &person).await.expect(201);
        Self::log_in(url, &email, &password).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        static HTTP: OnceLock<Client> = OnceLock::new();
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Each test has a runtime of its own, so connections cannot be kept between them.
        let client = || Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let request = HTTP.get_or_init(client).request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }

    /// Changes a profile, whatever it was before.
    pub async fn put_profile(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).header("If-Match", "*").json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// A game on sale, once it is projected.
    pub async fn create_game(&self, title: &str, amount: i64, age_rating: i32) -> String {
        let created = self.post("/jogos", &game(title, amount, age_rating)).await.expect(201);
        let id = created["id"].as_str().unwrap().to_owned();
        eventually("the game is projected", || async { self.get(&format!("/jogos/{id}")).await.status == 200 }).await;
        id
    }

    /// Buys games; answers with the order's id once it was accepted.
    pub async fn buy(&self, games: &[&str], method: &str) -> String {
        let accepted = self.try_buy(games, method).await.expect(202);
        accepted["order_id"].as_str().unwrap().to_owned()
    }

    pub async fn try_buy(&self, games: &[&str], method: &str) -> Answer {
        self.post("/jogos/compra", &json!({ "games": games, "payment_method": payment_method(method) })).await
    }

    /// The order as it stands; nothing while it is not projected.
    pub async fn order(&self, id: &str) -> Option<Value> {
        let answer = self.get(&format!("/pedidos/{id}")).await;
        (answer.status == 200).then_some(answer.body)
    }

    /// Waits until the order has a status.
    pub async fn sees_order(&self, id: &str, status: &str) {
        eventually(&format!("order {id} is {status}"), || async {
            let seen = self.order(id).await.map(|order| order["status"].as_str().unwrap().to_owned());
            (seen, Some(status.to_owned()))
        })
        .await;
    }

    /// The titles of the library, sorted.
    pub async fn library(&self) -> Vec<String> {
        let shelves = self.get("/biblioteca").await.expect(200);
        let titles = shelves["items"].as_array().unwrap().iter();
        let mut titles: Vec<_> = titles.map(|shelf| shelf["game"]["title"].as_str().unwrap().to_owned()).collect();
        titles.sort();
        titles
    }

    /// Waits until the library holds just these titles.
    pub async fn owns(&self, titles: &[&str]) {
        let expected: Vec<String> = titles.iter().map(ToString::to_string).collect();
        eventually("the library", || async { (self.library().await, expected.clone()) }).await;
    }
}

/// The body of a new game.
pub fn game(title: &str, amount: i64, age_rating: i32) -> Value {
    json!({
        "title": title, "description": "A game.", "developer": "Small Team", "publisher": "", "genres": ["Puzzle"],
        "tags": ["Short"], "platforms": ["linux"], "release_date": "2024-02-29", "age_rating": age_rating,
        "price": { "amount": amount, "currency": "BRL" },
    })
}

pub fn payment_method(method: &str) -> Value {
    if method == "pix" { json!({ "type": "pix" }) } else { json!({ "type": "card", "token": method }) }
}

impl Person {
    /// Changes something whose current version the caller has seen.
    pub async fn put_matching(&self, path: &str, body: &Value) -> Answer {
        let etag = self.get(path).await.header("etag");
        Answer::of(self.request(Method::PUT, path).header("If-Match", etag).json(body)).await
    }
}
