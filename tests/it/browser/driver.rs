//! A Chromium of one's own, by way of chromedriver.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::eventually;

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--accept-lang=en-US,en",
    "--force-prefers-reduced-motion",
];
const PHONE: (i64, i64) = (390, 844);
const DESKTOP: (i64, i64) = (1280, 900);
/// WCAG 2.2, levels A and AA.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

pub struct Browser {
    client: Client,
    axe: String,
    group: Pid,
    _driver: Child,
    _folder: TempDir,
}

/// A command beyond W3C's.
#[derive(Debug)]
struct Post(&'static str, Value);

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium would outlive chromedriver; both are of one group.
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

impl Browser {
    /// Nothing where there is no chromedriver or no axe-core; `scripts/test` installs both.
    pub async fn start() -> Option<Self> {
        let Some(axe) = std::env::var_os("AXE").and_then(|file| std::fs::read_to_string(file).ok()) else {
            eprintln!("SKIPPED: the storefront in a browser (AXE names no axe-core; scripts/test sets it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .env("TMPDIR", folder.path())
            .args(["--port=0", "--log-level=WARNING"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver");
        let group = Pid::from_raw(i32::try_from(driver.id().unwrap()).unwrap());
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver ended");
            if let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": ARGUMENTS },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 30_000, "pageLoad": 30_000, "implicit": 0 },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let browser = Self { client, axe, group, _driver: driver, _folder: folder };
        browser.look("desktop", "light").await;
        Some(browser)
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let call = Post("goog/cdp/execute", json!({ "cmd": command, "params": parameters }));
        self.client.issue_cmd(call).await.unwrap();
    }

    async fn look(&self, device: &str, scheme: &str) {
        let mobile = device == "phone";
        let (width, height) = if mobile { PHONE } else { DESKTOP };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// A device with a fingerprint sensor, always touched by the right finger, that keeps passkeys.
    pub async fn have_a_passkey_device(&self) {
        let device = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "isUserConsenting": true,
        });
        self.client.issue_cmd(Post("webauthn/authenticator", device)).await.unwrap();
    }

    /// Loads the storefront of a store.
    pub async fn visit(&self, url: &str) {
        self.client.goto(&format!("{url}/")).await.unwrap();
        self.client.refresh().await.unwrap();
        self.see("main h1").await;
    }

    /// Goes to another page of the storefront, by a link.
    pub async fn open(&self, place: &str) {
        self.run("location.hash = arguments[0]", json!([place])).await;
        eventually("the page is there", || async { self.address().await.ends_with(place) }).await;
        self.see("main h1").await;
    }

    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.client.execute(script, arguments.as_array().unwrap().clone()).await.unwrap()
    }

    /// Waits until something is on the page.
    pub async fn see(&self, css: &str) {
        let seen = self.client.wait().at_most(PATIENCE).every(Duration::from_millis(50)).for_element(Locator::Css(css));
        if let Err(error) = seen.await {
            let shown = self.text("body").await;
            panic!("{css} is not on the page ({error}), but:\n{shown}\n{:?}", self.complaints().await);
        }
    }

    /// Clicks something as soon as it can be clicked.
    pub async fn click(&self, css: &str) {
        self.see(css).await;
        for _ in 0..20 {
            match self.try_click(css).await {
                Ok(()) => return,
                // The page was drawn anew between finding and clicking.
                Err(error) if error.is_stale_element_reference() || error.is_no_such_element() => self.see(css).await,
                Err(error) => panic!("{css} cannot be clicked: {error}"),
            }
        }
        panic!("{css} cannot be clicked");
    }

    async fn try_click(&self, css: &str) -> Result<(), CmdError> {
        self.client.find(Locator::Css(css)).await?.click().await
    }

    /// Whether something has the focus.
    pub async fn has_focus(&self, css: &str) -> bool {
        self.run("return document.activeElement?.matches(arguments[0])", json!([css])).await == true
    }

    pub async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub async fn type_into(&self, css: &str, text: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// Sets a field of the page's form.
    pub async fn fill(&self, name: &str, value: &str) {
        self.fill_into(&format!("main [name={name}]"), value).await;
    }

    /// Sets one of several fields of a name.
    pub async fn fill_into(&self, css: &str, value: &str) {
        self.see(css).await;
        let script = "const field = document.querySelector(arguments[0]); field.value = arguments[1];
                      field.dispatchEvent(new Event('input', { bubbles: true }));";
        self.run(script, json!([css, value])).await;
    }

    pub async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    pub async fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText || ''";
        self.run(script, json!([css])).await.as_str().unwrap().to_owned()
    }

    /// Leaves a mark that a reload would wipe away.
    pub async fn mark_page(&self) {
        self.run("window.marked = true", json!([])).await;
    }

    pub async fn is_marked_page(&self) -> bool {
        self.run("return window.marked === true", json!([])).await == true
    }

    /// What the browser logged as wrong. Refused requests are logged too; those are answers like others.
    async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Post("se/log", json!({ "type": "browser" }))).await.unwrap();
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| format!("{} {}", entry["source"], entry["message"])).collect()
    }

    /// Fails the test if a script failed, or something was blocked or missing.
    pub async fn has_no_complaints(&self) {
        let expected = |complaint: &String| complaint.contains("status of 4") && !complaint.contains("/loja/");
        let complaints: Vec<String> = self.complaints().await.into_iter().filter(|it| !expected(it)).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Shows a page on phone and desktop, by day and night, keeps a picture of each, and has axe-core read it.
    pub async fn inspect(&self, name: &str, place: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        for (device, scheme) in [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")] {
            self.look(device, scheme).await;
            self.open(place).await;
            eventually("everything is loaded", || async { (self.count(".waiting").await, 0) }).await;
            let picture = self.client.screenshot().await.unwrap();
            std::fs::write(folder.join(format!("{name}-{device}-{scheme}.png")), picture).unwrap();
            let wide = self.run("return document.documentElement.scrollWidth", json!([])).await;
            let most = if device == "phone" { PHONE.0 } else { DESKTOP.0 };
            assert!(wide.as_i64() <= Some(most), "{name} is {wide} pixels wide, a {device} {most}");
            self.is_accessible(&format!("{name} ({device}, {scheme})")).await;
        }
        self.look("desktop", "light").await;
    }

    /// A phone, or a desktop.
    pub async fn hold(&self, device: &str) {
        self.look(device, "light").await;
    }

    /// How much of the page moved by itself while it was loaded: 0 is nothing, below 0.1 is good (web.dev, CLS).
    pub async fn layout_shift(&self) -> f64 {
        let script = "const done = arguments[0]; let sum = 0;
            const seen = (list) => list.getEntries().forEach((entry) => { if (!entry.hadRecentInput) sum += entry.value; });
            new PerformanceObserver(seen).observe({ type: 'layout-shift', buffered: true });
            setTimeout(() => done(sum), 200);";
        self.client.execute_async(script, vec![]).await.unwrap().as_f64().unwrap()
    }

    async fn is_accessible(&self, page: &str) {
        self.client.execute(&self.axe, vec![]).await.unwrap();
        let script = "const [tags, done] = arguments;
            axe.run(document, { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] }).then(
              (result) => done(result.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)),
              (error) => done([String(error)]));";
        let found = self.client.execute_async(script, vec![json!(RULES)]).await.unwrap();
        let found = found.as_array().unwrap();
        assert!(found.is_empty(), "axe-core on {page}: {found:#?}");
    }
}
