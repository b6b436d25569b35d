//! What others make of the OpenAPI document: linters find nothing, and clients that are generated from it compile, have a
//! method for every operation, and buy a game.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::TestApp;

/// The generators and linters, where `scripts/test` has installed them, and a folder to work in.
struct Workshop {
    tools: PathBuf,
    folder: TempDir,
}

impl Workshop {
    fn open() -> Option<Self> {
        let Some(tools) = std::env::var_os("CLIENTS").map(PathBuf::from) else {
            println!("SKIPPED: linters and generated clients (scripts/test installs them)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        std::os::unix::fs::symlink(tools.join("node_modules"), folder.path().join("node_modules")).unwrap();
        std::fs::write(folder.path().join("openapi.json"), gateway::openapi_document().to_string()).unwrap();
        std::fs::write(folder.path().join("asyncapi.json"), gateway::asyncapi_document().to_string()).unwrap();
        Some(Self { tools, folder })
    }

    /// What a tool says; the test fails with it where the tool does.
    async fn run(&self, tool: &str, arguments: &[&str]) -> String {
        let (is_well, said) = self.ask(tool, arguments).await;
        assert!(is_well, "{tool} {arguments:?}: {said}");
        said
    }

    /// Whether a tool is content, and what it says.
    async fn ask(&self, tool: &str, arguments: &[&str]) -> (bool, String) {
        let path = format!("{}:{}", self.tools.join("bin").display(), std::env::var("PATH").unwrap());
        let local = self.folder.path().join("node_modules/.bin").join(tool);
        let mut command = if local.exists() {
            let mut node = Command::new("node");
            node.arg(local.canonicalize().unwrap());
            node
        } else {
            Command::new(tool)
        };
        command.args(arguments).env("PATH", path).env("NO_COLOR", "1").env("REDOCLY_TELEMETRY", "off");
        let run = command.kill_on_drop(true).current_dir(self.folder.path()).output();
        let done = tokio::time::timeout(Duration::from_mins(3), run).await.expect(tool).unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.success(), said)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

fn operations() -> Vec<String> {
    let paths = gateway::openapi_document()["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
    operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// As Python writes it.
fn snake_case(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] }).collect()
}

/// A store that sells an ark.
async fn store() -> TestApp {
    let app = TestApp::start().await;
    app.game("Ark", 5_990).await;
    app
}

#[tokio::test]
async fn linters_find_nothing_in_the_documents() {
    let Some(workshop) = Workshop::open() else { return };
    let said = workshop.run("redocly", &["lint", "--format", "json", "openapi.json"]).await;
    assert!(said.contains(r#""errors": 0"#) && said.contains(r#""warnings": 0"#), "{said}");
    for (rules, document) in [("spectral.yaml", "openapi.json"), ("spectral-asyncapi.yaml", "asyncapi.json")] {
        workshop.run("spectral", &["lint", "--ruleset", rules, "--fail-severity", "hint", document]).await;
    }
}

/// The API as it was last released.
const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

#[tokio::test]
async fn no_client_of_the_last_release_breaks() {
    let Some(workshop) = Workshop::open() else { return };
    workshop.run("node", &["breaking.js", RELEASED, "openapi.json"]).await;
}

#[tokio::test]
async fn a_change_that_breaks_clients_is_found_and_one_that_does_not_is_let_pass() {
    let Some(workshop) = Workshop::open() else { return };
    let changed = |path: &str, change: fn(&mut Value)| {
        let mut document = gateway::openapi_document().clone();
        change(document.pointer_mut(path).unwrap());
        document
    };
    let schema = |name: &str| format!("/components/schemas/{name}");
    let (library, purchase, game) = ("/paths/~1biblioteca/get", schema("Purchase"), schema("Game"));
    for (what, breaks, document) in [
        ("an operation is gone", true, changed("/paths", |paths| remove(paths, "/biblioteca"))),
        ("an operation is called otherwise", true, changed(library, |it| it["operationId"] = json!("listShelf"))),
        ("a field has to be sent", true, changed(&purchase, |it| it["required"] = json!(["expected_total"]))),
        ("a field is refused", true, changed(&purchase, |it| remove(&mut it["properties"], "expected_total"))),
        ("a field is no longer told", true, changed(&game, |it| remove(&mut it["properties"], "title"))),
        ("a field may be sent", false, changed(&purchase, |it| it["properties"]["gift"] = json!({ "type": "string" }))),
        ("a field is told", false, changed(&game, |it| it["properties"]["demo"] = json!({ "type": "boolean" }))),
        ("nothing but words", false, changed(library, |it| it["summary"] = json!("The shelf"))),
    ] {
        std::fs::write(workshop.folder.path().join("changed.json"), document.to_string()).unwrap();
        let (passes, said) = workshop.ask("node", &["breaking.js", "openapi.json", "changed.json"]).await;
        assert_eq!(passes, !breaks, "{what}: {said}");
    }
}

/// The event streams as they were last released.
const RELEASED_EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.json");

/// The forms of events as answers of an API: what breaks readers of the one breaks readers of the other.
fn as_answers(events: &Value) -> String {
    let answer = |(name, schema): (&String, &Value)| {
        let content = json!({ "application/json": { "schema": schema } });
        let answers = json!({ "200": { "description": "", "content": content } });
        (format!("/{name}"), json!({ "get": { "operationId": name, "responses": answers } }))
    };
    let paths: serde_json::Map<_, _> =
        events["components"]["schemas"].as_object().unwrap().iter().map(answer).collect();
    json!({ "openapi": "3.1.0", "info": { "title": "Events", "version": "1" }, "paths": paths }).to_string()
}

#[tokio::test]
async fn no_reader_of_the_events_of_the_last_release_breaks() {
    let Some(workshop) = Workshop::open() else { return };
    let file = |name: &str| workshop.folder.path().join(name);
    let released = serde_json::from_str(&std::fs::read_to_string(RELEASED_EVENTS).unwrap()).unwrap();
    std::fs::write(file("released.json"), as_answers(&released)).unwrap();
    std::fs::write(file("today.json"), as_answers(gateway::asyncapi_document())).unwrap();
    workshop.run("node", &["breaking.js", "released.json", "today.json"]).await;

    for (what, breaks, change) in [
        ("a form is gone", true, (|forms| remove(forms, "OrderCreated.1")) as fn(&mut Value)),
        ("a field is gone", true, |forms| remove(&mut forms["OrderCreated.1"]["properties"], "total")),
        ("a field is of another type", true, |forms| {
            forms["OrderCreated.1"]["properties"]["buyer"]["type"] = json!("integer");
        }),
        ("a field may be missing", true, |forms| forms["OrderCreated.1"]["required"] = json!(["type"])),
        ("a field is added", false, |forms| {
            forms["OrderCreated.1"]["properties"]["gift"] = json!({ "type": "boolean" });
        }),
        ("another form is added", false, |forms| forms["OrderCreated.2"] = forms["OrderCreated.1"].clone()),
    ] {
        let mut changed = gateway::asyncapi_document().clone();
        change(&mut changed["components"]["schemas"]);
        std::fs::write(file("changed.json"), as_answers(&changed)).unwrap();
        let (passes, said) = workshop.ask("node", &["breaking.js", "today.json", "changed.json"]).await;
        assert_eq!(passes, !breaks, "{what}: {said}");
    }
}

fn remove(part: &mut Value, name: &str) {
    part.as_object_mut().unwrap().remove(name).unwrap();
}

#[tokio::test]
async fn clients_in_typescript_have_every_operation_and_buy_a_game() {
    let Some(workshop) = Workshop::open() else { return };
    let app = store().await;
    workshop.run("openapi-typescript", &["openapi.json", "-o", "schema.d.ts"]).await;
    workshop.run("openapi-ts", &[]).await;
    let made = workshop.read("hey/sdk.gen.ts");
    for operation in operations() {
        assert!(made.contains(&format!("export const {operation} = ")), "{operation}");
    }
    workshop.run("tsc", &["--project", "."]).await;
    for program in ["built/fetch.js", "built/hey.js"] {
        assert_eq!(workshop.run("node", &[program, &app.url]).await.trim(), "completed");
    }
}

#[tokio::test]
async fn a_client_in_python_has_every_operation_and_buys_a_game() {
    let Some(workshop) = Workshop::open() else { return };
    let app = store().await;
    let generate = ["generate", "--path", "openapi.json", "--meta", "none", "--config", "python.yaml"];
    let said = workshop.run("openapi-python-client", &generate).await;
    assert!(!said.contains("parsing") && !said.contains("Unable"), "{said}");
    let mut made = Vec::new();
    for tag in std::fs::read_dir(workshop.folder.path().join("ludoteca/api")).unwrap() {
        let modules = std::fs::read_dir(tag.unwrap().path()).into_iter().flatten();
        made.extend(modules.map(|module| module.unwrap().file_name().into_string().unwrap()));
    }
    for operation in operations() {
        assert!(made.contains(&format!("{}.py", snake_case(&operation))), "{operation}");
    }
    assert_eq!(workshop.run("python", &["buy.py", &app.url]).await.trim(), "completed");
}
