//! Searches over a large catalogue, through the gateway on each engine, beside the same asked of Meilisearch itself:
//! how long they take, and how often the title that was meant is found.

mod question;
mod sample;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use hdrhistogram::Histogram;
use projections::games::GameView;
use projections::search::{SearchEngine, Side};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::question::{Kind, Question};
use self::sample::Sample;
use super::Bench;
use crate::config::{GatewayConfig, MeiliOwnerConfig, SearchConfig, StoreConfig, from_settings};
use crate::local::{NatsServer, free_port, new_secret};
use crate::progress::per_second;
use crate::roles::{Foundation, bind};
use crate::table::{Output, Table};
use crate::{client, progress, provision, search};

/// `ludoteca bench search`
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// How many games are in the catalogue: those of the file, and more made from them by a seeded generator
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
    /// Search for titles with a typo as well, in the catalogue as it is and in the large one, and tell how often the
    /// title that was meant comes first, and among the first ten
    #[arg(long)]
    recall: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    meili: MeiliOwnerConfig,
}

/// Fills the index of each engine, then searches each, and prints what it took.
///
/// # Errors
/// When a server does not start or a search fails.
pub async fn run(args: &SearchArgs) -> Result<()> {
    let mut sample = Sample::new(args.catalog.as_deref(), args.seed)?;
    let catalogue = sample.catalogue();
    let large = sample.enlarged(catalogue.clone(), args.games);
    let plain: Vec<(Kind, Vec<Question>)> =
        Kind::PLAIN.iter().map(|kind| (*kind, sample.questions(*kind, &large, args.searches))).collect();
    let titles: Vec<(Kind, Vec<Question>)> = Kind::TITLES
        .iter()
        .filter(|_| args.recall)
        .map(|kind| (*kind, sample.questions(*kind, &catalogue, args.searches)))
        .collect();

    let bench = Bench::start(16).await?;
    let mut nats = NatsServer::start(&bench.folder.join("nats"), free_port()?, &new_secret("p"), "unused").await?;
    let mut meili = args.meili.clone();
    meili.meili_index = new_secret("bench-");
    let with_meili = search::provision(&meili).await?;
    let mut engines = vec![SearchConfig { meili_index: meili.meili_index.clone(), ..SearchConfig::default() }];
    if with_meili.meili_url.is_some() {
        engines.push(with_meili);
    } else {
        eprintln!("SKIPPED: Meilisearch (MEILI_URL is not set)");
    }
    let mut table = Table::new([
        "engine",
        "games",
        "search",
        "asked_of",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "max_ms",
        "first_percent",
        "ten_percent",
    ]);
    let mut indexing = Table::new(["engine", "games", "games_per_second"]);
    for config in &engines {
        let engine = search::writing(config, bench.journal.pool())?;
        let (http, url) = (client::http()?, serve(&bench, &nats, config).await?);
        let direct = config.meili_url.as_deref().zip(config.meili_search_key.as_ref());
        let mut rounds = vec![(&large, [plain.as_slice(), titles.as_slice()])];
        if args.recall {
            rounds.insert(0, (&catalogue, [[].as_slice(), titles.as_slice()]));
        }
        for (games, kinds) in rounds {
            let rate = fill(&engine, games).await?;
            indexing.row([json!(engine.name()), json!(games.len()), json!(rate.round())]);
            sqlx::query("vacuum analyze").execute(&bench.owner).await?;
            for (kind, questions) in kinds.into_iter().flatten() {
                let mut ways: Vec<(&str, Way)> = vec![("gateway", Box::new(|it| it.of_gateway(&http, &url)))];
                if let Some((server, key)) = direct.filter(|_| Kind::PLAIN.contains(kind)) {
                    let index = &config.meili_index;
                    ways.push(("engine", Box::new(|it| it.of_meilisearch(&http, server, key.expose_secret(), index))));
                }
                for (name, asked) in ask(*kind, questions, &ways).await? {
                    table.row(asked.row(engine.name(), games.len(), *kind, name));
                }
            }
        }
    }
    table.print(args.output);
    indexing.print(args.output);
    nats.stop().await?;
    bench.stop().await
}

/// As a reindex does it.
async fn fill(engine: &SearchEngine, games: &[GameView]) -> Result<f64> {
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
    let port = free_port()?;
    let setting = |name: &str| match name {
        "DATABASE_URL" => Some(bench.app_url.expose_secret().to_owned()),
        "NATS_URL" => Some(nats.url()),
        "MASTER_KEY" => Some(bench.master_key.expose_secret().to_owned()),
        "JWT_KEY_FILE" => Some(key_file.display().to_string()),
        "PSP_WEBHOOK_SECRET" => Some("whsec_bench".to_owned()),
        "GATEWAY_LISTEN" => Some(format!("127.0.0.1:{port}")),
        _ => None,
    };
    let (store, config): (StoreConfig, GatewayConfig) = (from_settings(setting)?, from_settings(setting)?);
    let foundation = Foundation::connect(&store, CancellationToken::new()).await?;
    provision::run(&foundation.carriers, &from_settings(setting)?).await?;
    let acceptor = bind(config.listen).await?;
    let search = search.clone();
    tokio::spawn(async move { foundation.gateway(&config, &search, acceptor).await });
    Ok(format!("http://127.0.0.1:{port}"))
}

/// A way to ask a question.
type Way<'a> = Box<dyn Fn(&Question) -> reqwest::RequestBuilder + 'a>;

/// What came of asking questions in one way.
struct Asked {
    took: Histogram<u64>,
    first: u64,
    ten: u64,
    meant: u64,
}

impl Asked {
    fn new() -> Result<Self> {
        Ok(Self { took: Histogram::new(3)?, first: 0, ten: 0, meant: 0 })
    }

    fn note(&mut self, question: &Question, took: Duration, answer: &Value) -> Result<()> {
        self.took.record(u64::try_from(took.as_micros())?)?;
        if let Some(wanted) = &question.wanted {
            let place = question::place(answer, wanted);
            self.meant = self.meant.saturating_add(1);
            self.first = self.first.saturating_add(u64::from(place == Some(0)));
            self.ten = self.ten.saturating_add(u64::from(place.is_some_and(|place| place < 10)));
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a benchmark fit a float")]
    fn row(&self, engine: &str, games: usize, kind: Kind, by: &str) -> [Value; 10] {
        let at = |quantile| json!(self.took.value_at_quantile(quantile) as f64 / 1_000.0);
        let share = |of: u64| if self.meant == 0 { Value::Null } else { json!(of as f64 * 100.0 / self.meant as f64) };
        let (first, ten) = (share(self.first), share(self.ten));
        let kind = kind.to_string();
        [json!(engine), json!(games), json!(kind), json!(by), at(0.5), at(0.95), at(0.99), at(1.0), first, ten]
    }
}

/// Asks each question in each way, so that all ways meet the same machine, and each is first as often as the others.
/// The first tenth is asked once more before, to warm up.
async fn ask<'a>(kind: Kind, questions: &[Question], ways: &[(&'a str, Way<'_>)]) -> Result<Vec<(&'a str, Asked)>> {
    for question in questions.iter().take(questions.len() / 10) {
        for (_, way) in ways {
            answered(way(question)).await?;
        }
    }
    let bar = progress::bar("searching", questions.len() as u64);
    bar.set_prefix(kind.to_string());
    let mut asked = ways.iter().map(|(name, _)| Ok((*name, Asked::new()?))).collect::<Result<Vec<_>>>()?;
    for (turn, question) in questions.iter().enumerate() {
        let mut pairs: Vec<_> = ways.iter().zip(&mut asked).collect();
        if turn.is_multiple_of(2) {
            pairs.reverse();
        }
        for ((_, way), (_, asked)) in pairs {
            let (took, answer) = answered(way(question)).await?;
            asked.note(question, took, &answer)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(asked)
}

async fn answered(request: reqwest::RequestBuilder) -> Result<(Duration, Value)> {
    let begun = Instant::now();
    let response = request.send().await?.error_for_status()?;
    let body = response.bytes().await?;
    let took = begun.elapsed();
    Ok((took, serde_json::from_slice(&body).context("no JSON")?))
}
