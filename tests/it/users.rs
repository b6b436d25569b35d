use serde_json::json;

use crate::support::{Answer, Person, TestApp, all_mails, eventually};

#[tokio::test]
async fn a_visitor_opens_an_account_and_sees_it() {
    let app = TestApp::start().await;
    let person = json!({ "name": "Ana", "email": "Ana@Example.com", "password": "ana's umbrella kettle", "birth_date": "2001-05-17" });
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
async fn an_address_that_looks_like_anothers_is_no_account_of_its_own() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    for lookalike in ["ANA@example.com", "\u{ff41}na@example.com", "\u{430}na@example.com", "ana@ex\u{430}mple.com"] {
        let eve = json!({ "name": "Eve", "email": lookalike, "password": "eve's umbrella kettle", "birth_date": "1990-01-01" });
        app.visitor().post("/users", &eve).await.refused(409, "email_taken");
        let login = json!({ "email": lookalike, "password": ana.password });
        app.visitor().post("/login/auth", &login).await.expect(200);
    }
    let jose = json!({ "name": "Jos\u{e9}", "email": "an\u{e1}@example.com", "password": "jose's umbrella kettle", "birth_date": "1990-01-01" });
    app.visitor().post("/users", &jose).await.expect(201);
}

#[tokio::test]
async fn a_refused_registration_leaves_no_secrets_behind() {
    let app = TestApp::start().await;
    app.customer("ana").await;
    let rows = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from vault.credentials").fetch_one(app.pool()).await.unwrap()
    };
    let before = rows().await;
    let again = json!({ "name": "Eve", "email": "ana@example.com", "password": "eve's umbrella kettle", "birth_date": "1990-01-01" });
    app.visitor().post("/users", &again).await.refused(409, "email_taken");
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn a_person_changes_their_data_and_address() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    app.customer("ben").await;
    let change = |email: &str| json!({ "name": "Ana Maria", "email": email, "birth_date": "1990-05-17" });
    ana.put_profile("/users/me", &change("ben@example.com")).await.refused(409, "email_taken");
    let changed = ana.put_profile("/users/me", &change("ana.maria@example.com")).await;
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
async fn a_change_of_address_is_told_at_the_address_before() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let change = |name: &str, email: &str| json!({ "name": name, "email": email, "birth_date": "1990-05-17" });
    let told = || {
        let changed = |mail: &String| mail.contains("Subject: Your e-mail address was changed");
        all_mails(&app).into_iter().filter(changed).collect::<Vec<_>>()
    };
    ana.put_profile("/users/me", &change("Ana Maria", &ana.email)).await.expect(204);
    ana.put_profile("/users/me", &change("Ana Maria", "ana.maria@example.com")).await.expect(204);
    ana.put_profile("/users/me", &change("Ana", "ana.maria@example.com")).await.expect(204);
    ana.put_profile("/users/me", &change("Ana", "ana@elsewhere.example")).await.expect(204);
    eventually("both addresses before are told", || async { (told().len(), 2) }).await;
    for former in ["<ana@example.com>", "<ana.maria@example.com>"] {
        assert!(told().iter().any(|mail| mail.contains(former)), "{former}");
    }
    assert!(!told().iter().any(|mail| mail.contains("elsewhere")), "the new one is not named");
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
    eve.put_profile(&path, &change).await.refused(404, "not_found");
    eve.delete(&path).await.refused(404, "not_found");
    let unknown = format!("/users/{}", journal::Clock::default().new_id());
    eve.get(&unknown).await.refused(404, "not_found");
    app.admin.get(&path).await.expect(200);
}

async fn create_admin(app: &TestApp, email: &str, password: &str) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.arg("create-admin").envs(app.environment()).env("ADMIN_EMAIL", email).env("ADMIN_PASSWORD", password);
    let done = command.output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn create_admin_does_what_it_says_whatever_the_account_is() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let is_admin = |password: &'static str| {
        let (url, email) = (app.url.clone(), ana.email.clone());
        async move { Person::log_in(&url, &email, password).await.get("/users").await.status == 200 }
    };
    let said = create_admin(&app, &ana.email, "another umbrella kettle").await;
    assert!(said.contains("with this password now"), "{said}");
    assert!(is_admin("another umbrella kettle").await, "a customer's account is an admin's");
    let old = json!({ "refresh_token": ana.refresh_token });
    app.visitor().post("/login/refresh", &old).await.refused(401, "invalid_refresh_token");
    let said = create_admin(&app, &ana.email, "another umbrella kettle").await;
    assert!(said.contains("already"), "{said}");

    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "customer" })).await.expect(204);
    create_admin(&app, &ana.email, "another umbrella kettle").await;
    assert!(is_admin("another umbrella kettle").await, "a demoted one's too");

    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "customer" })).await.expect(204);
    app.admin.delete(&format!("/users/{}", ana.id)).await.expect(204);
    let said = create_admin(&app, &ana.email, "a third umbrella kettle").await;
    assert!(said.contains("Created"), "{said}");
    assert!(is_admin("a third umbrella kettle").await, "an erased person's address is free");
    app.verify().await;
}

#[tokio::test]
async fn there_is_always_an_admin() {
    let app = TestApp::start().await;
    let role = |id: &str| format!("/users/{id}/role");
    let customer = json!({ "role": "customer" });
    let me = app.admin.get("/users/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    app.admin.put(&role(&me), &customer).await.refused(409, "last_admin");
    app.admin.delete("/users/me").await.refused(409, "admin_cannot_be_erased");

    create_admin(&app, "second@ludoteca.example", "the second's umbrella kettle").await;
    let second = Person::log_in(&app.url, "second@ludoteca.example", "the second's umbrella kettle").await;
    let other = second.get("/users/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    // Each takes the other's role away at the same moment.
    let (there, back) = (role(&other), role(&me));
    let both = tokio::join!(app.admin.put(&there, &customer), second.put(&back, &customer));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 204, "{statuses:?}");
    assert!([403, 409].contains(&statuses[1]), "one of both is too late: {statuses:?}");
}

#[tokio::test]
async fn what_somebody_may_do_changes_at_every_gateway_whatever_their_token_says() {
    let app = TestApp::start().await;
    let elsewhere = app.second_gateway().await;
    let (ana, ben) = (app.customer("ana").await, app.customer("ben").await);
    let at = |person: &Person| Person { url: elsewhere.clone(), ..person.clone() };
    let status = |person: Person| async move { person.get("/users?limit=1").await.status };
    assert_eq!((status(ana.clone()).await, status(at(&ana)).await), (403, 403));

    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "admin" })).await.expect(204);

    assert_eq!(status(ana.clone()).await, 200, "at once where it was changed");
    eventually("and elsewhere", || async { (status(at(&ana)).await, 200) }).await;

    app.admin.put(&format!("/users/{}/role", ana.id), &json!({ "role": "customer" })).await.expect(204);
    app.admin.delete(&format!("/users/{}", ben.id)).await.expect(204);

    assert_eq!((status(ana.clone()).await, status(ben.clone()).await), (403, 401), "at once where it was changed");
    eventually("and elsewhere", || async { ((status(at(&ana)).await, status(at(&ben)).await), (403, 401)) }).await;
}

#[tokio::test]
async fn a_profile_is_changed_by_whoever_has_seen_its_current_version() {
    let app = TestApp::start().await;
    let ana = app.customer("ana").await;
    let seen = ana.get("/users/me").await.header("etag");
    let change = async |name: &str, seen: Option<&str>| {
        let body = json!({ "name": name, "email": ana.email, "birth_date": "1990-05-17" });
        let request = ana.request(reqwest::Method::PUT, "/users/me").json(&body);
        Answer::of(seen.into_iter().fold(request, |request, seen| request.header("If-Match", seen))).await
    };
    change("Ana Maria", None).await.refused(428, "if_match_required");
    let changed = change("Ana Maria", Some(&seen)).await;
    let current = changed.header("etag");
    changed.expect(204);
    change("Ana Clara", Some(&seen)).await.refused(412, "stale_version");
    change("Ana Clara", Some(&current)).await.expect(204);
    eventually("it is shown with its version", || async {
        let answer = ana.get("/users/me").await;
        (answer.header("etag"), answer.expect(200)["name"].clone()) == ("\"3\"".to_owned(), json!("Ana Clara"))
    })
    .await;
    app.verify().await;
}
