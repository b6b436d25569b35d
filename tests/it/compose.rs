//! `docker-compose.yml` without Docker: the file is read, and each service's own command and environment is run as a
//! process on loopback beside real servers, to a purchase.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use ludoteca::client::{Api, http};
use ludoteca::local::{NatsServer, Postgres, free_port};
use ludoteca::roles::ROLES;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::eventually;

type Settings = HashMap<String, String>;

/// The sample with every password changed.
fn sample() -> Settings {
    let settings = dotenvy::from_path_iter(".env.example").unwrap().map(Result::unwrap);
    settings.map(|(name, value)| (name, value.replace("change-me", "changed"))).collect()
}

/// `${NAME:?}` and `${NAME:-default}`, as compose reads them.
fn interpolated(text: &str, settings: &Settings) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |done, part| {
        let (name, rest) = part.split_once('}').unwrap();
        let (name, default) = name.split_once(":-").unwrap_or((name.trim_end_matches(":?"), ""));
        let value = settings.get(name).filter(|value| !value.is_empty()).map_or(default, String::as_str);
        assert!(
            !value.is_empty() || ["SMTP", "TRUSTED"].iter().any(|may| name.starts_with(may)),
            "{name} has no value in .env.example"
        );
        format!("{done}{value}{rest}")
    })
}

fn services() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string("docker-compose.yml").unwrap();
    let mut file: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    // Merged maps have maps to merge.
    for _ in 0..4 {
        file.apply_merge().unwrap();
    }
    let file: Value = serde_json::to_value(file).unwrap();
    serde_json::from_value(file["services"].clone()).unwrap()
}

#[test]
fn every_service_is_pinned_hardened_and_knows_what_it_needs() {
    let services = services();
    let settings = sample();
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        assert!(image == "ludoteca" || image.contains(':') && !image.ends_with(":latest"), "{name}: {image}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(
            (&service["cap_drop"], &service["security_opt"]),
            (&json!(["ALL"]), &json!(["no-new-privileges:true"]))
        );
        assert!(image != "ludoteca" || service["user"] == "10001:10001", "{name} runs as a number");
        for needed in service["depends_on"].as_object().into_iter().flatten().map(|(needed, _)| needed) {
            assert!(services.contains_key(needed), "{name} needs {needed}");
        }
        for value in service["environment"].as_object().into_iter().flatten().map(|(_, value)| value) {
            interpolated(value.as_str().unwrap(), &settings);
        }
    }
    let roles = ROLES.into_iter().chain(["psp-sandbox"]);
    assert!(roles.into_iter().all(|role| services[role]["command"] == json!([role])), "a service for each role");
    // `nats:2` itself has neither a shell nor wget.
    let nats = &services["nats"];
    assert!(nats["image"].as_str().unwrap().ends_with("-alpine") && nats["healthcheck"]["test"][1] == "wget");
    assert!(std::fs::read_to_string("Dockerfile").unwrap().contains("USER 10001:10001"));
}

/// Where the store's services have their volumes.
const HOME: &str = "/var/lib/ludoteca/";

/// A volume of a service.
struct Mount {
    volume: String,
    place: String,
    writable: bool,
}

fn mounts(service: &Value) -> Vec<Mount> {
    let volumes = service["volumes"].as_array().into_iter().flatten().map(|volume| volume.as_str().unwrap());
    let mount = |text: &str| match *text.split(':').collect::<Vec<_>>() {
        [volume, place] => Mount { volume: volume.to_owned(), place: place.to_owned(), writable: true },
        [volume, place, "ro"] => Mount { volume: volume.to_owned(), place: place.to_owned(), writable: false },
        _ => panic!("{text}"),
    };
    volumes.map(mount).collect()
}

/// The files of secrets that a service is told of.
fn secret_files(service: &Value) -> Vec<String> {
    let settings = service["environment"].as_object().unwrap().iter();
    let files = settings.filter(|(name, _)| name.ends_with("_FILE")).map(|(_, file)| file.as_str().unwrap().to_owned());
    files.filter(|file| file.starts_with(&format!("{HOME}keys/"))).collect()
}

#[test]
fn a_service_mounts_the_keys_that_it_uses_and_no_others() {
    let services = services();
    let dockerfile = std::fs::read_to_string("Dockerfile").unwrap();
    for (name, service) in services.iter().filter(|(_, service)| service["image"] == "ludoteca") {
        let (files, mounts) = (secret_files(service), mounts(service));
        let makes_secrets = ["setup", "provision"].contains(&name.as_str());
        for file in &files {
            let holds = |mount: &&Mount| file.strip_prefix(&mount.place).is_some_and(|rest| rest.starts_with('/'));
            let mount = mounts.iter().find(holds).unwrap_or_else(|| panic!("{name} has no volume for {file}"));
            assert_eq!(mount.writable, makes_secrets, "{name}: {file}");
        }
        for Mount { volume, place, .. } in &mounts {
            assert!(
                dockerfile.contains(&format!(" {}", place.strip_prefix(HOME).unwrap())),
                "the image has no {place}"
            );
            let is_used = files.iter().any(|file| file.starts_with(&format!("{place}/")));
            assert!(is_used || !volume.starts_with("keys-"), "{name} has no use for {volume}");
            assert!(volume != "settings" || makes_secrets, "{name} has all secrets");
        }
    }
    let holders = services.iter().filter(|(_, service)| mounts(service).iter().any(|it| it.volume == "keys-master"));
    let holders: Vec<&str> = holders.map(|(name, _)| name.as_str()).collect();
    assert_eq!(holders, ["create-admin", "gateway", "notifier", "projector", "setup"]);
}

/// Servers as the file describes them, and the services that were started beside them.
struct Compose {
    services: BTreeMap<String, Value>,
    folder: TempDir,
    postgres: Postgres,
    postgres_port: u16,
    _nats: NatsServer,
    nats_port: u16,
    ports: HashMap<String, u16>,
    meili: Option<(String, String)>,
    running: HashMap<String, Child>,
}

impl Compose {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let (settings, services) = (sample(), services());
        let (postgres_port, nats_port) = (free_port().unwrap(), free_port().unwrap());
        let password = &settings["POSTGRES_PASSWORD"];
        let postgres = Postgres::start(&folder.path().join("postgres"), postgres_port, password, false).await.unwrap();
        let owner = sqlx::PgPool::connect(&postgres.url("postgres", password, "postgres")).await.unwrap();
        let database = services["postgres"]["environment"]["POSTGRES_DB"].as_str().unwrap();
        sqlx::query(&format!("create database {database}")).execute(&owner).await.unwrap();
        owner.close().await;
        let (store, analyst) = (&settings["NATS_PASSWORD"], &settings["NATS_ANALYST_PASSWORD"]);
        let nats = NatsServer::start(&folder.path().join("nats"), nats_port, store, analyst).await.unwrap();
        let ports = services.keys().map(|name| (name.clone(), free_port().unwrap())).collect();
        let meili = std::env::var("MEILI_URL").ok().zip(std::env::var("MEILI_MASTER_KEY").ok());
        for place in services.values().filter(|it| it["image"] == "ludoteca").flat_map(mounts).map(|mount| mount.place)
        {
            std::fs::create_dir_all(folder.path().join(place.strip_prefix(HOME).unwrap())).unwrap();
        }
        let running = HashMap::new();
        Self { services, folder, postgres, postgres_port, _nats: nats, nats_port, ports, meili, running }
    }

    /// What a service's variable is outside of containers.
    fn here(&self, service: &str, value: &str) -> String {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let folder = format!("{}/", self.folder.path().display());
        let meili = self.meili.as_ref().map_or("", |(url, _)| url);
        interpolated(value, &sample())
            .replace("postgres:5432", &at(self.postgres_port))
            .replace("nats:4222", &at(self.nats_port))
            .replace("http://meilisearch:7700", meili)
            .replace("psp-sandbox:8083", &at(self.ports["psp-sandbox"]))
            .replace("gateway:8080", &at(self.ports["gateway"]))
            .replace("0.0.0.0:8083", &at(self.ports["psp-sandbox"]))
            .replace("0.0.0.0:8080", &at(self.ports["gateway"]))
            // Roles have this port each in a container of their own; the gateway serves health by its own routes.
            .replace("0.0.0.0:9100", &at(if service == "gateway" { 0 } else { self.ports[service] }))
            .replace(HOME, &folder)
    }

    fn command(&self, name: &str) -> Command {
        let service = &self.services[name];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ludoteca"));
        command.env_clear().current_dir(self.folder.path()).kill_on_drop(true);
        command.args(service["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
        for (variable, value) in service["environment"].as_object().unwrap() {
            if self.meili.is_none() && variable.starts_with("MEILI_") {
                continue;
            }
            let value = match (variable.as_str(), &self.meili) {
                ("MEILI_MASTER_KEY", Some((_, key))) => key.clone(),
                _ => self.here(name, value.as_str().unwrap()),
            };
            command.env(variable, value);
        }
        command
    }

    /// Starts a service once what it depends on is there.
    async fn bring_up(&mut self, name: &str) {
        if self.running.contains_key(name) || self.services[name]["image"] != "ludoteca" {
            return;
        }
        let needed: Vec<String> = match self.services[name]["depends_on"].as_object() {
            Some(needed) => needed.keys().cloned().collect(),
            None => vec![],
        };
        for needed in needed {
            Box::pin(self.bring_up(&needed)).await;
        }
        let log = std::fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let mut child = self.command(name).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        if self.services[name]["restart"] == "no" {
            let ended = tokio::time::timeout(Duration::from_mins(1), child.wait()).await.expect(name).unwrap();
            let said = std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap();
            assert!(ended.success(), "{name}: {said}");
        } else if name != "psp-sandbox" {
            let ready = format!("http://127.0.0.1:{}/health/ready", self.ports[name]);
            eventually(name, || async { http().unwrap().get(&ready).send().await.is_ok_and(|it| it.status() == 200) })
                .await;
        }
        self.running.insert(name.to_owned(), child);
    }

    fn entries(&self, volume: &str) -> usize {
        std::fs::read_dir(self.folder.path().join(volume)).unwrap().count()
    }
}

#[tokio::test]
async fn the_services_of_the_compose_file_sell_a_game() {
    eprintln!("SKIPPED: images, users, read-only roots and health checks of containers (they need a Docker engine)");
    let mut compose = Compose::start().await;
    if compose.meili.is_none() {
        eprintln!("SKIPPED: Meilisearch as the compose file has it (MEILI_URL is not set)");
    }
    for name in compose.services.keys().cloned().collect::<Vec<_>>() {
        compose.bring_up(&name).await;
    }
    // At the next start all secrets are there.
    compose.running.remove("setup");
    compose.bring_up("setup").await;
    let visitor = Api::visit(&format!("http://127.0.0.1:{}", compose.ports["gateway"])).unwrap();
    let games = visitor.priced_games().await.unwrap();
    assert!(games.len() > 30, "the demo catalogue is there");
    let ana = visitor.register("Ana", "ana@ludoteca.example").await.unwrap();
    let purchase = json!({ "games": [games[0]], "payment_method": { "type": "card", "token": "pm_card_visa" } });
    ana.post("/jogos/compra", &purchase).await.unwrap();
    eventually("the game is in the library", || async {
        ana.get("/biblioteca").await.unwrap()["items"].as_array().unwrap().len() == 1
    })
    .await;
    eventually("her mail is in a volume", || async { compose.entries("outbox") > 0 }).await;
    assert!(compose.entries("psp") > 0 && compose.entries("logs") > 0, "ledger and text log are in volumes");
    let sample = sample();
    visitor.log_in(&sample["ADMIN_EMAIL"], &sample["ADMIN_PASSWORD"].as_str().into()).await.unwrap();
    let secrets = std::fs::metadata(Path::new(compose.folder.path()).join("keys/tokens/jwt-key.pem")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&secrets.permissions()) & 0o777, 0o600);
    compose.running.clear();
    compose.postgres.stop().await.unwrap();
}
