//! What the README has people type.

use crate::support::TestApp;

#[tokio::test]
async fn the_walk_through_the_api_goes_as_the_readme_says() {
    let app = TestApp::start().await;
    app.game("Paper Lantern Parade", 2_490).await;
    crate::support::eventually("it is found", || async {
        app.visitor().get("/jogos/busca?q=lantrn").await.expect(200)["total"] == 1
    })
    .await;
    let readme = std::fs::read_to_string("README.md").unwrap();
    let walk = readme.split("## A walk through the API").nth(1).unwrap().split("```sh").nth(1).unwrap();
    let walk = walk.split("```").next().unwrap().replace("http://127.0.0.1:8080", &app.url);
    let said = tokio::process::Command::new("bash").args(["-ec", &walk]).output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(said.matches("HTTP/1.1 202").count(), 2, "bought, and the same again: {said}");
    let orders: Vec<&str> = said.split(r#""order_id":""#).skip(1).map(|rest| &rest[..36]).collect();
    assert_eq!(orders[0], orders[1], "both are one order: {said}");
    assert!(said.contains("acquired_at") && said.contains("empty_order"), "the library, and an error: {said}");
}
