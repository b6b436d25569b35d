//! What is known of people, where it is, and how it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::TestApp;
use crate::{api_keys, second_factor};

/// How a table stands to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Nothing of anybody; ids at most, which name nobody once their key is gone.
    Nobody,
    /// What only a person's key opens, or a keyed hash.
    Sealed,
    /// What `Vault::forget` removes.
    UntilForgotten,
    /// What the projection of `UserErased` overwrites.
    UntilProjected,
}

use Holds::{Nobody, Sealed, UntilForgotten, UntilProjected};

/// Every column of the store. A new one must say here how it goes when its person does.
const COLUMNS: [(&str, Holds, &str); 40] = [
    (
        "journal.answers",
        UntilForgotten,
        "aggregate_id answered_at caller epoch fingerprint key position report tx_id version",
    ),
    ("journal.claims", Sealed, "holder key kind"),
    ("journal.consumers", Nobody, "name sequence"),
    (
        "journal.events",
        Sealed,
        "aggregate_id aggregate_type epoch event_id event_type event_version metadata payload position recorded_at \
         sequence tx_id",
    ),
    ("journal.head_keys", Nobody, "public_key published_at"),
    ("journal.lists", Nobody, "compared_until list"),
    ("past.disputes", Nobody, "amount currency dispute opened_at order_id payment_id reason status updated_at user_id"),
    (
        "past.games",
        Nobody,
        "age_rating created_at currency description developer game_id genres list_price platforms price promotion \
         promotions publisher release_date retired sales sequence tags title version",
    ),
    ("past.library", Nobody, "acquired_at game_id order_id suspended title user_id"),
    (
        "past.orders",
        Nobody,
        "age_source created_at currency lines order_id payment_id refunds standing status total updated_at user_id",
    ),
    (
        "past.payments",
        Nobody,
        "amount attempt created_at currency failure next_action order_id payment_id psp_reference refunded status \
         updated_at user_id",
    ),
    ("past.moments", Nobody, "events parked projection"),
    ("public._sqlx_migrations", Nobody, "checksum description execution_time installed_on success version"),
    ("read.checkpoints", Nobody, "epoch position projection sequence tx_id"),
    ("read.disputes", Nobody, "amount currency dispute opened_at order_id payment_id reason status updated_at user_id"),
    (
        "read.games",
        Nobody,
        "age_rating created_at currency description developer game_id genres list_price platforms price promotion \
         promotions publisher release_date retired sales sequence tags title version",
    ),
    ("read.library", Nobody, "acquired_at game_id order_id suspended title user_id"),
    (
        "read.orders",
        Nobody,
        "age_source created_at currency lines order_id payment_id refunds standing status total updated_at user_id",
    ),
    ("read.parked", Nobody, "aggregate_id error event_id event_type parked_at projection sequence"),
    (
        "read.payments",
        Nobody,
        "amount attempt created_at currency failure next_action order_id payment_id psp_reference refunded status \
         updated_at user_id",
    ),
    (
        "read.search_a",
        Nobody,
        "age_rating compact folded_title game_id genres letters platforms price release_date sales sequence tags \
         title_words words",
    ),
    ("read.search_a_documents", Nobody, "document game_id"),
    (
        "read.search_b",
        Nobody,
        "age_rating compact folded_title game_id genres letters platforms price release_date sales sequence tags \
         title_words words",
    ),
    ("read.search_b_documents", Nobody, "document game_id"),
    ("read.search_live", Nobody, "one side"),
    ("read.search_words", Nobody, "n word"),
    (
        "read.users",
        UntilProjected,
        "birth_date birth_date_corrected counted_birth_date email email_confirmed erased name pending_email \
         registered_at revision role user_id version",
    ),
    ("vault.access_log", Nobody, "about_id accessed_at entry key_id path query request_id staff_id"),
    ("vault.api_keys", UntilForgotten, "key_id made_at sealed token_hash two_factors used_at user_id"),
    (
        "vault.authenticators",
        UntilForgotten,
        "added_at authenticator_id credential_hash failures last_step sealed used_at user_id",
    ),
    ("vault.ceremonies", UntilForgotten, "ceremony_id expires_at kind state user_id"),
    ("vault.credentials", UntilForgotten, "credential_id is_weak kept_at password_hash user_id"),
    ("vault.mail", Nobody, "attempts dead_at due_at event_id last_error noted_at sent_at sequence"),
    ("vault.master_key", Nobody, "fingerprint hash_key id predecessor wraps"),
    ("vault.devices", UntilForgotten, "device_hash used_at user_id"),
    ("vault.recovery_codes", UntilForgotten, "authenticator_id code_hash user_id"),
    ("vault.preferences", UntilForgotten, "language user_id"),
    (
        "vault.sessions",
        UntilForgotten,
        "current device ended_at ends_at expires_at family generation kept_by network opened_at previous rotated_at \
         two_factors user_id",
    ),
    ("vault.subject_keys", UntilForgotten, "user_id wrapped_by wrapped_key"),
    ("vault.webhook_inbox", Nobody, "attempts due_at event_id handled_at kind last_error payload received_at"),
];

#[tokio::test]
async fn every_column_says_how_it_goes_when_its_person_does() {
    let app = TestApp::start().await;
    let found: Vec<(String, String)> = sqlx::query_as(
        "select table_schema || '.' || table_name, string_agg(column_name, ' ' order by column_name collate \"C\")
         from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema') group by 1",
    )
    .fetch_all(&journal::connect(&app.owner_url, 1).await.unwrap())
    .await
    .unwrap();
    let found: BTreeMap<String, String> = found.into_iter().collect();
    let known = COLUMNS.map(|(table, _, columns)| (table.to_owned(), columns.to_owned())).into();
    assert_eq!(found, known);
}

#[tokio::test]
async fn what_is_kept_until_somebody_is_forgotten_goes_with_them() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let game = app.game("Summit", 5_990).await;
    for buyer in [&ana, &ben] {
        let body = json!({ "games": [game], "payment_method": { "type": "pix" } });
        let buy = buyer.request(reqwest::Method::POST, "/jogos/compra").header("Idempotency-Key", "once").json(&body);
        assert_eq!(buy.send().await.unwrap().status(), 202);
        api_keys::program(&app, buyer, &["read_catalogue"]).await;
        let secret = second_factor::set_up(&app, buyer).await;
        app.pass(Duration::from_secs(30));
        let strong = second_factor::log_in_with(&app, buyer, &secret).await;
        strong.post("/users/me/passkeys/options", &json!({})).await.expect(200);
    }
    ana.delete("/users/me").await.expect(204);
    for (table, ..) in COLUMNS.iter().filter(|(_, holds, _)| *holds == UntilForgotten) {
        let owner = if *table == "journal.answers" { "caller" } else { "user_id" };
        let kept = if *table == "vault.subject_keys" { "and wrapped_key is not null" } else { "" };
        let count = format!("select count(*) from {table} where {owner} = $1::uuid {kept}");
        let of = async |person: &str| -> i64 {
            sqlx::query_scalar(&count).bind(person).fetch_one(app.pool()).await.unwrap()
        };
        assert!(of(&ben.id).await > 0, "the control: {table} holds something of Ben");
        assert_eq!(of(&ana.id).await, 0, "{table} holds something of Ana");
    }
}
