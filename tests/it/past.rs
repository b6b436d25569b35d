//! Read models as they once were.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::TestApp;

async fn rebuild(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
    command.arg("rebuild").args(arguments).envs(app.environment()).output().await.unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_read_model_as_of_any_position_or_time_stands_beside_the_one_of_now_and_tells_how_they_differ() {
    let app = TestApp::start().await;
    let (ana, summit) = (app.customer("ana").await, app.game("Summit", 5_990).await);
    let order = ana.buy(&[&summit], "pm_card_visa").await;
    ana.sees_order(&order, "completed").await;
    app.verify().await;
    let position = app.events("%").await.to_string();
    let time: String =
        sqlx::query_scalar("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            .fetch_one(app.pool())
            .await
            .unwrap();
    assert_eq!(
        lines(&rebuild(&app, &["all", "--at", &position, "--diff"]).await),
        Vec::<Value>::new(),
        "it is as of now"
    );

    app.game("Tetris", 100).await;
    ana.post(&format!("/pedidos/{order}/reembolso"), &json!({ "games": [summit] })).await.expect(202);
    ana.sees_order(&order, "refunded").await;
    ana.owns(&[]).await;
    app.verify().await;
    for at in [&position, &time] {
        let orders = lines(&rebuild(&app, &["orders", "--at", at, "--diff"]).await);
        assert_eq!(orders.len(), 1, "{orders:?}");
        assert_eq!(
            (&orders[0]["then"]["status"], &orders[0]["now"]["status"]),
            (&json!("completed"), &json!("refunded"))
        );
        let library = lines(&rebuild(&app, &["library", "--at", at, "--diff"]).await);
        assert_eq!((library[0]["then"]["title"].as_str(), &library[0]["now"]), (Some("Summit"), &Value::Null));
        let games = lines(&rebuild(&app, &["games", "--at", at, "--diff"]).await);
        let tetris = games.iter().find(|game| game["now"]["title"] == "Tetris").unwrap();
        assert_eq!(tetris["then"], Value::Null);
    }
    let kept: String = sqlx::query_scalar("select status from past.orders").fetch_one(app.pool()).await.unwrap();
    assert_eq!(kept, "completed");
}

#[tokio::test]
async fn the_past_has_the_columns_of_now() {
    let app = TestApp::start().await;
    let columns = "select table_name || '.' || column_name || ' ' || data_type from information_schema.columns
                   where table_schema = $1 and table_name = any($2) order by 1";
    let of = async |schema: &str| -> Vec<String> {
        let tables = ["games", "orders", "payments", "library", "disputes"].as_slice();
        sqlx::query_scalar(columns).bind(schema).bind(tables).fetch_all(app.pool()).await.unwrap()
    };
    let now = of("read").await;
    assert_eq!(of("past").await, now);
    assert!(now.len() > 40);
}

#[tokio::test]
async fn people_have_no_past_and_what_has_not_happened_has_none_either() {
    let app = TestApp::start().await;
    app.customer("ana").await;
    for (arguments, why) in [
        (&["users", "--at", "1"][..], "ludoteca state user ID"),
        (&["claims", "--at", "1"], "claims are only those of now"),
        (&["orders", "--at", "1000000"], "events so far"),
        (&["orders", "--at", "yesterday"], "must be a position"),
        (&["orders", "--diff"], "--at"),
    ] {
        let refused = rebuild(&app, arguments).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
    assert!(rebuild(&app, &["all", "--at", "1"]).await.status.success());
    let people: Option<String> =
        sqlx::query_scalar("select to_regclass('past.users')::text").fetch_one(app.pool()).await.unwrap();
    assert_eq!(people, None);
}
