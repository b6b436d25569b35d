//! What staff looked at of people, as staff can read it and nobody can change it.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::TestApp;

async fn log(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.admin.get(&format!("/acessos{query}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_staff_are_shown_of_others_is_noted_and_what_is_their_own_is_not() {
    let app = TestApp::start().await;
    let (ana, summit) = (app.customer("ana").await, app.game("Summit", 100).await);
    let order = ana.buy(&[&summit], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;

    ana.get("/users/me").await.expect(200);
    ana.get(&format!("/pedidos/{order}")).await.expect(200);
    ana.get("/users").await.refused(403, "forbidden");
    app.admin.get("/users/me").await.expect(200);
    app.admin.get("/jogos").await.expect(200);
    app.admin.get(&format!("/users/{}", Uuid::nil())).await.refused(404, "not_found");
    assert_eq!(log(&app, "").await, Vec::<Value>::new(), "nobody was shown what is another's");

    app.admin.get(&format!("/users/{}", ana.id)).await.expect(200);
    app.admin.get(&format!("/pedidos/{order}")).await.expect(200);
    app.admin.get(&format!("/pedidos?user={}&note=ana@example.com", ana.id)).await.expect(200);
    let of_ana = log(&app, &format!("?about={}", ana.id)).await;
    let told: Vec<_> = of_ana.iter().map(|entry| (&entry["path"], &entry["query"])).collect();
    let (list, query) = (json!("/pedidos"), json!(format!("user={}", ana.id)));
    assert_eq!(told, [(&list, &query), (&json!(format!("/users/{}", ana.id)), &Value::Null)]);
    assert_eq!(log(&app, &format!("?about={order}")).await.len(), 1);
    assert_eq!(log(&app, &format!("?staff={}", ana.id)).await, Vec::<Value>::new());
    assert!(of_ana.iter().all(|entry| entry["staff_id"] == json!(app.admin.id) && entry["request_id"].is_string()));
}

#[tokio::test]
async fn the_log_is_for_admins_in_pages_and_reading_it_is_noted_as_well() {
    let app = TestApp::start().await;
    app.customer("ana").await.get("/acessos").await.refused(403, "forbidden");
    for _ in 0..3 {
        app.admin.get("/users").await.expect(200);
    }
    let first = app.admin.get("/acessos?limit=2").await.expect(200);
    let next = first["next"].as_str().unwrap();
    let second = app.admin.get(&format!("/acessos?limit=2&cursor={next}")).await.expect(200);
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert_eq!(log(&app, "").await[0]["path"], "/acessos");
    app.admin.get("/acessos?about=somebody").await.refused(422, "invalid_field");
}

#[tokio::test]
async fn nobody_of_the_store_changes_the_log_and_nothing_is_shown_where_it_cannot_be_written() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    app.admin.get(&format!("/users/{}", ana.id)).await.expect(200);
    for change in ["update vault.access_log set path = ''", "delete from vault.access_log", "truncate vault.access_log"]
    {
        let refused = sqlx::query(change).execute(app.pool()).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{change}: {refused}");
    }
    let owner = PgPool::connect(secrecy::ExposeSecret::expose_secret(&app.owner_url)).await.unwrap();
    sqlx::query("revoke insert on vault.access_log from ludoteca_app").execute(&owner).await.unwrap();
    let unseen = app.admin.get(&format!("/users/{}", ana.id)).await;
    unseen.refused(503, "unavailable");
}
