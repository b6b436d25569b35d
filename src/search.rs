//! The search engine that the configuration names, its setup, and its index built anew.

use anyhow::{Context as _, Result};
use journal::Journal;
use projections::search::reindex::{Progress, reindex};
use projections::search::{Meili, MeiliKeys, PostgresSearch, SearchEngine, Words, words};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use crate::config::{MeiliOwnerConfig, SearchConfig};
use crate::progress;

/// The engine as the gateway uses it.
///
/// # Errors
/// When the file of words cannot be read, or the key cannot be sent.
pub fn reading(config: &SearchConfig, pool: &PgPool) -> Result<SearchEngine> {
    engine(config, config.meili_search_key.as_ref(), pool)
}

/// The engine as the indexer uses it.
///
/// # Errors
/// When the file of words cannot be read, or the key cannot be sent.
pub fn writing(config: &SearchConfig, pool: &PgPool) -> Result<SearchEngine> {
    engine(config, config.meili_index_key.as_ref(), pool)
}

fn engine(config: &SearchConfig, key: Option<&SecretString>, pool: &PgPool) -> Result<SearchEngine> {
    let words = read_words(config.search_words.as_deref())?;
    Ok(match config.meili_url.as_deref().filter(|url| !url.is_empty()) {
        None => SearchEngine::Postgres(PostgresSearch::new(pool.clone(), words)),
        Some(url) => {
            let key = key.map(ExposeSecret::expose_secret);
            SearchEngine::Meili(Meili::new(url, key, &config.meili_index, words)?)
        }
    })
}

fn read_words(file: Option<&std::path::Path>) -> Result<Words> {
    let Some(file) = file else { return Ok(Words::parse(words::DEFAULT)?) };
    let name = || format!("search words {}", file.display());
    Words::parse(&std::fs::read_to_string(file).with_context(name)?).with_context(name)
}

/// Makes the index of Meilisearch with its settings and keys, where there is a Meilisearch; what is there stays.
///
/// # Errors
/// When it does not answer, or does not take the master key.
pub async fn provision(owner: &MeiliOwnerConfig) -> Result<SearchConfig> {
    let search_words = owner.search_words.clone();
    let Some(url) = owner.meili_url.clone().filter(|url| !url.is_empty()) else {
        return Ok(SearchConfig { search_words, ..SearchConfig::default() });
    };
    let master = owner.meili_master_key.as_ref().map(ExposeSecret::expose_secret);
    let meili = Meili::new(&url, master, &owner.meili_index, read_words(search_words.as_deref())?)?;
    let MeiliKeys { search, index } = meili.provision().await.context("Meilisearch was not provisioned")?;
    Ok(SearchConfig {
        meili_url: Some(url),
        meili_search_key: Some(search),
        meili_index_key: Some(index),
        meili_index: owner.meili_index.clone(),
        search_words,
    })
}

/// Builds the index anew beside the live one, and swaps it in.
///
/// # Errors
/// When the journal or the engine does not answer; the live index is as it was.
pub async fn rebuild(journal: &Journal, config: &SearchConfig) -> Result<()> {
    let begun = std::time::Instant::now();
    let engine = writing(config, journal.pool())?;
    let bar = progress::count("events folded, games indexed");
    let indexed = reindex(journal, &engine, |progress| match progress {
        Progress::Folded(events) => bar.set_position(events.unsigned_abs()),
        Progress::Indexed(games, total) => {
            bar.set_length(total.unsigned_abs());
            bar.set_position(games.unsigned_abs());
        }
    })
    .await?;
    bar.finish_and_clear();
    println!("Indexed {indexed} games on {} in {:.1} s", engine.name(), begun.elapsed().as_secs_f64());
    Ok(())
}
