//! Searches over a large catalogue, through the gateway on each engine, beside the same asked of Meilisearch itself.

mod sample;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use hdrhistogram::Histogram;
use projections::search::{SearchEngine, Side};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::sample::{Question, Sample};
use super::{Bench, per_second};
use crate::config::{GatewayConfig, MeiliOwnerConfig, SearchConfig, SecretsConfig, StoreConfig};
use crate::local::{NatsServer, free_port, new_secret};
use crate::roles::{Foundation, bind};
use crate::{client, progress, search};

/// `ludoteca bench search`
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// How many games are in the catalogue; made from it by a seeded generator
    #[arg(long, default_value_t = 100_000)]
    games: usize,
    /// How many searches of each kind
    #[arg(long, default_value_t = 1_000)]
    searches: usize,
    /// The seed of games and searches
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The catalogue that games are made from; the demo one without it
    #[arg(long)]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    meili: MeiliOwnerConfig,
}

/// Fills the index of each engine, then searches each, and prints what it took.
///
/// # Errors
/// When a server does not start or a search fails.
pub async fn run(args: &SearchArgs) -> Result<()> {
    let http = client::http()?;
    let mut sample = Sample::new(args.catalog.as_deref(), args.seed)?;
    let games = sample.games(args.games);
    let kinds = [
        ("words", sample.questions(&games, args.searches, false)),
        ("typo+facets", sample.questions(&games, args.searches, true)),
    ];
    println!("{} games, {} searches of each kind, one after the other", games.len(), args.searches);
    println!("{:<34} {:>12} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "", "p50", "p95", "p99", "max");

    let bench = Bench::start(16).await?;
    let mut nats = NatsServer::start(&bench.folder.join("nats"), free_port()?, &new_secret("p"), "unused").await?;
    let mut meili = args.meili.clone();
    meili.meili_index = new_secret("bench-");
    let with_meili = search::provision(&meili).await?;
    let mut engines = vec![SearchConfig::default()];
    if with_meili.meili_url.is_some() {
        engines.push(with_meili);
    } else {
        println!("SKIPPED: Meilisearch (MEILI_URL is not set)");
    }
    for config in engines {
        let engine = search::writing(&config, bench.journal.pool())?;
        let rate = fill(&engine, &games).await?;
        if config.meili_url.is_none() {
            sqlx::query("vacuum analyze").execute(&bench.owner).await?;
        }
        let url = serve(&bench, &nats, &config).await?;
        let direct = config.meili_url.as_deref().zip(config.meili_search_key.as_ref());
        for (kind, questions) in &kinds {
            let mut ways: Vec<Way> = vec![Box::new(|question| question.of_gateway(&http, &url))];
            if let Some((server, key)) = direct {
                let index = &config.meili_index;
                ways.push(Box::new(|question| question.of_meilisearch(&http, server, key.expose_secret(), index)));
            }
            let took = ask(questions, &ways).await?;
            for (by, took) in ["gateway", "direct"].into_iter().zip(&took) {
                row(engine.name(), by, kind, took);
            }
            if let [through, direct] = took.as_slice() {
                #[expect(clippy::cast_precision_loss, reason = "microseconds of a request fit a float")]
                let ratio = through.value_at_quantile(0.99) as f64 / direct.value_at_quantile(0.99) as f64;
                println!("{:<34} {:>12} {:>29.2}", format!("{} gateway / direct", engine.name()), kind, ratio);
            }
        }
        println!("{:<34} {:>12} {rate:>9.0} games per second", format!("{} indexing", engine.name()), "");
    }
    nats.stop().await?;
    bench.stop().await
}

/// As a reindex does it.
async fn fill(engine: &SearchEngine, games: &[projections::games::GameView]) -> Result<f64> {
    let bar = progress::bar("indexing", games.len() as u64);
    let begun = Instant::now();
    engine.begin().await?;
    for batch in games.chunks(engine.batch().into()) {
        engine.write(Side::Next, batch.to_vec()).await?;
        bar.inc(batch.len() as u64);
    }
    engine.swap(i64::try_from(games.len())?).await?;
    bar.finish_and_clear();
    Ok(per_second(games.len() as u64, begun.elapsed()))
}

/// A gateway that searches with this engine; it ends with the process.
async fn serve(bench: &Bench, nats: &NatsServer, search: &SearchConfig) -> Result<String> {
    let key_file = bench.folder.join("jwt.pem");
    std::fs::write(&key_file, gateway::generate_key()?.expose_secret())?;
    let store = StoreConfig {
        database_url: bench.app_url.clone(),
        database_connections: 8,
        nats_url: nats.url().into(),
        nats_replicas: 1,
        master_key: crate::up::new_master_key(),
        currency: domain::Currency::BRL,
        refund_window_days: 7,
        dispute_policy: domain::order::DisputePolicy::Suspend,
    };
    let foundation = Foundation::connect(&store, CancellationToken::new()).await?;
    let port = free_port()?;
    let config = GatewayConfig {
        listen: ([127, 0, 0, 1], port).into(),
        secrets: SecretsConfig {
            jwt_key_file: key_file,
            psp_webhook_secrets_file: None,
            psp_webhook_secret: vec![new_secret("whsec_").into()],
        },
        payment_stale: Duration::from_secs(10),
        login_per_account: std::num::NonZeroU32::MIN,
        login_per_address: std::num::NonZeroU32::MIN,
    };
    let acceptor = bind(config.listen).await?;
    let search = search.clone();
    tokio::spawn(async move { foundation.gateway(&config, &search, acceptor).await });
    Ok(format!("http://127.0.0.1:{port}"))
}

/// A way to ask a question.
type Way<'a> = Box<dyn Fn(&Question) -> reqwest::RequestBuilder + 'a>;

/// Asks each question in each way, so that all ways meet the same machine, and each is first as often as the others.
/// The first tenth is asked once more before, to warm up.
async fn ask(questions: &[Question], ways: &[Way<'_>]) -> Result<Vec<Histogram<u64>>> {
    for question in questions.iter().take(questions.len() / 10) {
        for way in ways {
            answered(way(question)).await?;
        }
    }
    let mut took = ways.iter().map(|_| Histogram::new(3)).collect::<Result<Vec<_>, _>>()?;
    for (turn, question) in questions.iter().enumerate() {
        let mut asked: Vec<_> = ways.iter().zip(&mut took).collect();
        if turn.is_multiple_of(2) {
            asked.reverse();
        }
        for (way, took) in asked {
            took.record(u64::try_from(answered(way(question)).await?.as_micros())?)?;
        }
    }
    Ok(took)
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Duration> {
    let begun = Instant::now();
    let response = request.send().await?.error_for_status()?;
    let _: Value = serde_json::from_slice(&response.bytes().await?).context("no JSON")?;
    Ok(begun.elapsed())
}

fn row(engine: &str, by: &str, kind: &str, took: &Histogram<u64>) {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a request fit a float")]
    let at = |quantile| took.value_at_quantile(quantile) as f64 / 1_000.0;
    let who = format!("{engine} {by}");
    println!("{who:<34} {kind:>12} {:>9.1} {:>9.1} {:>9.1} {:>9.1}", at(0.5), at(0.95), at(0.99), at(1.0));
}

impl Question {
    fn of_gateway(&self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        let request = http.get(format!("{url}/jogos/busca")).query(&[("q", &self.text)]);
        match &self.genre {
            Some(genre) => request.query(&[("genre", genre)]),
            None => request,
        }
    }

    /// The request that the gateway's engine makes of it.
    fn of_meilisearch(&self, http: &reqwest::Client, url: &str, key: &str, index: &str) -> reqwest::RequestBuilder {
        let filter = self.genre.as_ref().map(|genre| format!("genres IN [\"{genre}\"]"));
        let mut queries = vec![json!({
            "indexUid": index, "q": self.text, "filter": filter, "limit": 20, "offset": 0,
            "facets": ["genres", "tags", "platforms", "age_rating"], "attributesToHighlight": ["title"],
            "matchingStrategy": "all",
        })];
        if filter.is_some() {
            queries.push(json!({
                "indexUid": index, "q": self.text, "limit": 0, "facets": ["genres"], "matchingStrategy": "all",
            }));
        }
        http.post(format!("{url}/multi-search")).bearer_auth(key).json(&json!({ "queries": queries }))
    }
}
