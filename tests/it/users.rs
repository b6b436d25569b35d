use serde_json::json;

use crate::support::{Answer, TestApp, eventually};

#[tokio::test]
async fn a_visitor_opens_an_account_and_sees_it() {
    let app = TestApp::start().await;
    let person =
        json!({ "name": "Ana", "email": "Ana@Example.com", "password": "ana's password", "birth_date": "2001-05-17" });
    let created = app.visitor().post("/users", &person).await;
    let location = created.header("location");
    let body = created.expect(201);
    assert_eq!(location, format!("/users/{}", body["id"].as_str().unwrap()));
    assert_eq!(
        (&body["name"], &body["email"], &body["role"]),
        (&"Ana".into(), &"ana@example.com".into(), &"customer".into())
    );
    assert_eq!(body.get("password"), None);
    app.visitor().post("/users", &person).await.refused(409, "email_taken");
    assert_eq!(app.events("UserRegistered").await, 2, "the admin and Ana");
}

#[tokio::test]
async fn a_refused_registration_leaves_no_secrets_behind() {
    let app = TestApp::start().await;
    app.customer("ana").await;
    let rows = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from vault.credentials").fetch_one(app.pool()).await.unwrap()
    };
    let before = rows().await;
    let again =
        json!({ "name": "Eve", "email": "ana@example.com", "password": "eve's password", "birth_date": "1990-01-01" });
    app.visitor().post("/users", &again).await.refused(409, "email_taken");
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn a_person_changes_their_data_and_address() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    app.customer("ben").await;
    let change = |email: &str| json!({ "name": "Ana Maria", "email": email, "birth_date": "1990-05-17" });
    ana.put("/users/me", &change("ben@example.com")).await.refused(409, "email_taken");
    let changed = ana.put("/users/me", &change("ana.maria@example.com")).await;
    assert_eq!(changed.status, 204);
    let read =
        ana.request(reqwest::Method::GET, "/users/me").header("Consistency-Token", changed.header("consistency-token"));
    assert_eq!(Answer::of(read).await.expect(200)["name"], "Ana Maria");
    // The old address is free again, the new one is the login.
    app.customer("ana").await;
    let login = json!({ "email": "ana.maria@example.com", "password": ana.password });
    app.visitor().post("/login/auth", &login).await.expect(200);
}

#[tokio::test]
async fn an_admin_lists_accounts_and_gives_roles() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    ana.get("/users").await.refused(403, "forbidden");
    let list = app.admin.get("/users?limit=1").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let rest = app.admin.get(&format!("/users?cursor={}", list["next"].as_str().unwrap())).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);

    let role = format!("/users/{}/role", ana.id);
    ana.put(&role, &json!({ "role": "admin" })).await.refused(403, "forbidden");
    app.admin.put(&role, &json!({ "role": "analyst" })).await.expect(204);
    eventually("the role is shown", || async {
        (app.admin.get(&format!("/users/{}", ana.id)).await.body["role"].clone(), json!("analyst"))
    })
    .await;
}

#[tokio::test]
async fn another_persons_account_looks_like_none() {
    let app = TestApp::start().await;
    let (ana, eve) = (app.customer("ana").await, app.customer("eve").await);
    let path = format!("/users/{}", ana.id);
    let change = json!({ "name": "Eve", "email": "eve2@example.com", "birth_date": "1990-05-17" });
    eve.get(&path).await.refused(404, "not_found");
    eve.put(&path, &change).await.refused(404, "not_found");
    eve.delete(&path).await.refused(404, "not_found");
    let unknown = format!("/users/{}", journal::clock::new_id());
    eve.get(&unknown).await.refused(404, "not_found");
    app.admin.get(&path).await.expect(200);
}
