//! The certificate that somebody was forgotten.

use std::path::{Path, PathBuf};
use std::process::Output;

use secrecy::ExposeSecret;
use serde_json::json;
use tokio::process::Command;

use crate::support::{Person, TestApp, eventually};

const KNOWN: &str = "Zenobia of Palmyra\nzenobia\n1987-03-29\n";

async fn ludoteca(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.env_clear().args(arguments).envs(app.environment());
    command.env("DATABASE_OWNER_URL", app.owner_url.expose_secret());
    command.env("TREE_HEAD_KEY", app.notary.tree_head_key.expose_secret());
    command.output().await.unwrap()
}

async fn certify(app: &TestApp, user: &str, folders: &[&Path]) -> Output {
    let known = app.folder().join("known");
    std::fs::write(&known, KNOWN).unwrap();
    let folders: Vec<_> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
    let mut arguments = vec!["certify-erasure", user, "--known", known.to_str().unwrap()];
    arguments.extend(folders.iter().flat_map(|folder| ["--folder", folder]));
    ludoteca(app, &arguments).await
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// An export of everything that happened so far.
async fn export(app: &TestApp) -> PathBuf {
    crate::archive::caught_up(app).await;
    let folder = app.folder().join("before");
    let done = ludoteca(app, &["export", "--to", folder.to_str().unwrap()]).await;
    assert!(done.status.success(), "{}", said(&done));
    folder
}

async fn zenobia(app: &TestApp) -> Person {
    let zenobia = Person::register(&app.url, "zenobia", "1987-03-29").await;
    let change = json!({ "name": "Zenobia of Palmyra", "email": zenobia.email, "birth_date": "1987-03-29" });
    zenobia.put_profile("/users/me", &change).await.expect(204);
    let summit = app.game("Summit", 5_990).await;
    let order = zenobia.buy(&[&summit], "pm_card_visa").await;
    zenobia.sees_order(&order, "completed").await;
    zenobia
}

#[tokio::test]
async fn whoever_was_erased_is_certified_to_be_in_no_place_and_an_export_from_before_holds_ciphertext_only() {
    let app = TestApp::start().await;
    let zenobia = zenobia(&app).await;
    let before = export(&app).await;
    let early = certify(&app, &zenobia.id, &[]).await;
    assert!(!early.status.success() && said(&early).contains("was not erased"), "{}", said(&early));

    zenobia.delete("/users/me").await.expect(204);
    let path = format!("/users/{}", zenobia.id);
    eventually("the read model forgets", || async { app.admin.get(&path).await.body["erased"] == true }).await;
    app.verify().await;
    let logs = app.payment.text_log_folder.clone();
    let certified = certify(&app, &zenobia.id, &[&before, &logs]).await;
    assert!(certified.status.success(), "{}", said(&certified));
    let text = String::from_utf8(certified.stdout.clone()).unwrap();
    for place in
        ["journal.events: ", "read.users: ", "vault.mail: ", "stream EVENTS: ", "stream DLQ: ", "exported events"]
    {
        assert!(text.contains(place), "{place} is not in\n{text}");
    }
    assert!(!text.to_lowercase().contains("palmyra"), "the certificate says nothing of the person itself");

    // An auditor believes it by the public key alone.
    let (certificate, keys) = (app.folder().join("certificate"), app.folder().join("keys"));
    std::fs::write(&keys, journal::HeadKey::parse(&app.notary.tree_head_key).unwrap().public()).unwrap();
    let check = async |text: &str| {
        std::fs::write(&certificate, text).unwrap();
        let (certificate, keys) = (certificate.to_str().unwrap(), keys.to_str().unwrap());
        ludoteca(&app, &["verify", "--offline", certificate, "--key", keys]).await
    };
    assert!(check(&text).await.status.success());
    assert!(!check(&text.replace("erased at 2", "erased at 3")).await.status.success(), "another text");
}

#[tokio::test]
async fn what_is_left_of_somebody_is_named_by_its_place_and_there_is_no_certificate() {
    let app = TestApp::start().await;
    let zenobia = zenobia(&app).await;
    // Mail that was sent is in clear, where the folder stands for a mail server.
    let is_to_her = |mail: &Path| std::fs::read_to_string(mail).is_ok_and(|text| text.contains("zenobia"));
    let has_mail = || {
        let mails = std::fs::read_dir(&app.mail.mail_folder).into_iter().flatten();
        mails.into_iter().any(|mail| is_to_her(&mail.unwrap().path()))
    };
    eventually("she was welcomed", || async { has_mail() }).await;
    zenobia.delete("/users/me").await.expect(204);
    eventually("the read model forgets", || async {
        app.admin.get(&format!("/users/{}", zenobia.id)).await.body["erased"] == true
    })
    .await;
    let found = certify(&app, &zenobia.id, &[&app.mail.mail_folder]).await;
    assert!(!found.status.success() && said(&found).contains("outbox"), "{}", said(&found));

    let folder = app.folder().join("notes");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("note"), "call ZENOBIA OF PALMYRA back").unwrap();
    let found = certify(&app, &zenobia.id, &[&folder]).await;
    assert!(!found.status.success() && said(&found).contains("notes: 1 times"), "{}", said(&found));
    assert_eq!(found.stdout, b"");
}
