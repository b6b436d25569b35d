//! Games and searches from a seed: the same seed gives the same ones.

use std::path::Path;

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate};
use commands::GameChange;
use projections::games::GameView;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// What somebody searches for.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) genre: Option<String>,
}

pub(super) struct Sample {
    catalogue: Vec<GameChange>,
    /// One of them, so that there is always one to choose.
    first: GameChange,
    rng: StdRng,
}

impl Sample {
    pub(super) fn new(catalog: Option<&Path>, seed: u64) -> Result<Self> {
        let catalogue: Vec<GameChange> = crate::catalog::read(catalog)?.games().collect();
        let first = catalogue.first().context("the catalogue has no games")?.clone();
        Ok(Self { catalogue, first, rng: StdRng::seed_from_u64(seed) })
    }

    /// Games whose parts come from different games of the catalogue.
    pub(super) fn games(&mut self, count: usize) -> Vec<GameView> {
        (1..=count).map(|n| self.game(i64::try_from(n).unwrap_or(i64::MAX))).collect()
    }

    fn game(&mut self, n: i64) -> GameView {
        let (begin, end) = (self.any().details.title.as_str().to_owned(), self.any().details.title.as_str().to_owned());
        let half = |title: &str| title.split_whitespace().count().div_ceil(2);
        let begin_words: Vec<&str> = begin.split_whitespace().take(half(&begin)).collect();
        let end_words: Vec<&str> = end.split_whitespace().skip(half(&end)).collect();
        let title: String = [begin_words.join(" "), end_words.join(" ")].join(" ").trim().chars().take(120).collect();
        let (labels, other) = (self.any().clone(), self.any().clone());
        let texts = |labels: &domain::Labels| labels.iter().map(str::to_owned).collect::<Vec<_>>();
        GameView {
            game_id: Uuid::from_bytes(self.rng.r#gen()),
            title,
            description: format!("{begin}. {end}."),
            developer: other.details.developer.as_str().to_owned(),
            publisher: other.details.publisher.as_str().to_owned(),
            genres: texts(&labels.details.genres),
            tags: texts(&labels.details.tags),
            platforms: texts(&other.details.platforms),
            release_date: NaiveDate::from_num_days_from_ce_opt(self.rng.gen_range(733_000..738_700)),
            age_rating: other.details.age_rating.into(),
            price: other.price.amount,
            list_price: other.price.amount,
            promotion: None,
            currency: other.price.currency.to_string(),
            retired: false,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            sales: self.rng.gen_range(0..1_000),
            sequence: n,
        }
    }

    fn any(&mut self) -> &GameChange {
        self.catalogue.choose(&mut self.rng).unwrap_or(&self.first)
    }

    /// Searches for words of these games; misspelt and within a genre, or plain with the last word half typed.
    pub(super) fn questions(&mut self, games: &[GameView], count: usize, misspelt: bool) -> Vec<Question> {
        let mut questions = Vec::with_capacity(count);
        while questions.len() < count {
            let Some(game) = games.choose(&mut self.rng) else { break };
            let long = |word: &&str| word.chars().count() >= 6 && word.chars().all(char::is_alphabetic);
            let words: Vec<&str> = game.title.split_whitespace().filter(long).collect();
            let Some(word) = words.choose(&mut self.rng) else { continue };
            let letters: Vec<char> = word.to_lowercase().chars().collect();
            let at = self.rng.gen_range(1..letters.len().saturating_sub(1));
            let text = if misspelt {
                letters.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, letter)| letter).collect()
            } else {
                letters.iter().take(at.saturating_add(3)).collect()
            };
            let genre = if misspelt { game.genres.first().or(game.genres.last()).cloned() } else { None };
            questions.push(Question { text, genre });
        }
        questions
    }
}
