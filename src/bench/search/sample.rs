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

use super::question::{Kind, Question};

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

    /// The games of the catalogue.
    pub(super) fn catalogue(&mut self) -> Vec<GameView> {
        let games = self.catalogue.clone();
        games.iter().map(|game| self.view(game.details.title.as_str().to_owned(), game, game)).collect()
    }

    /// These games, and others whose parts come from different games of the catalogue.
    pub(super) fn enlarged(&mut self, mut games: Vec<GameView>, count: usize) -> Vec<GameView> {
        while games.len() < count {
            let (labels, other) = (self.any().clone(), self.any().clone());
            let title = self.title();
            games.push(self.view(title, &labels, &other));
        }
        games.truncate(count);
        games
    }

    /// The first half of a title, and the second of another.
    fn title(&mut self) -> String {
        let (begin, end) = (self.any().details.title.as_str().to_owned(), self.any().details.title.as_str().to_owned());
        let half = |title: &str| title.split_whitespace().count().div_ceil(2);
        let begin_words: Vec<&str> = begin.split_whitespace().take(half(&begin)).collect();
        let end_words: Vec<&str> = end.split_whitespace().skip(half(&end)).collect();
        [begin_words.join(" "), end_words.join(" ")].join(" ").trim().chars().take(120).collect()
    }

    fn view(&mut self, title: String, labels: &GameChange, other: &GameChange) -> GameView {
        let texts = |labels: &domain::Labels| labels.iter().map(str::to_owned).collect::<Vec<_>>();
        GameView {
            game_id: Uuid::from_bytes(self.rng.r#gen()),
            description: format!("{}. {}.", self.any().details.title.as_str(), other.details.title.as_str()),
            title,
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
            sequence: 1,
        }
    }

    fn any(&mut self) -> &GameChange {
        self.catalogue.choose(&mut self.rng).unwrap_or(&self.first)
    }

    /// Searches of a kind for some of these games.
    pub(super) fn questions(&mut self, kind: Kind, games: &[GameView], count: usize) -> Vec<Question> {
        // Some titles are too short for some kinds.
        let mut questions = Vec::new();
        for _ in 0..count.saturating_mul(50) {
            let game = games.choose(&mut self.rng);
            questions.extend(game.and_then(|game| self.question(kind, game)));
            if questions.len() == count {
                break;
            }
        }
        questions
    }

    fn question(&mut self, kind: Kind, game: &GameView) -> Option<Question> {
        let letters: Vec<char> = game.title.chars().collect();
        let within_word = |n: &usize| {
            let near = letters.get(n.saturating_sub(1)..n.saturating_add(2)).unwrap_or_default();
            *n > 0 && near.len() == 3 && near.iter().all(|c| c.is_alphanumeric())
        };
        let places: Vec<usize> = (0..letters.len()).filter(within_word).collect();
        let spaces = || letters.iter().enumerate().filter(|(_, c)| **c == ' ').map(|(n, _)| n).collect::<Vec<_>>();
        let mut text = letters.clone();
        match kind {
            Kind::HalfWord | Kind::TypoInGenre => return self.word(kind, game),
            Kind::Exact => (),
            Kind::TwoThirds => text.truncate(letters.len().saturating_mul(2).div_ceil(3)),
            Kind::LeftOut => drop(text.remove(*places.choose(&mut self.rng)?)),
            Kind::Doubled => {
                let at = *places.choose(&mut self.rng)?;
                text.insert(at, *letters.get(at)?);
            }
            Kind::Swapped => {
                let at = *places.choose(&mut self.rng)?;
                text.swap(at, at.saturating_add(1));
            }
            Kind::Wrong => *text.get_mut(*places.choose(&mut self.rng)?)? = self.rng.gen_range('a'..='z'),
            Kind::SpaceLost => drop(text.remove(*spaces().choose(&mut self.rng)?)),
            Kind::SpaceAdded => text.insert(*places.choose(&mut self.rng)?, ' '),
        }
        Some(Question { text: text.into_iter().collect(), genre: None, wanted: Some(game.title.clone()) })
    }

    /// A long word of a title, half typed or misspelt.
    fn word(&mut self, kind: Kind, game: &GameView) -> Option<Question> {
        let long = |word: &&str| word.chars().count() >= 6 && word.chars().all(char::is_alphabetic);
        let words: Vec<&str> = game.title.split_whitespace().filter(long).collect();
        let letters: Vec<char> = words.choose(&mut self.rng)?.to_lowercase().chars().collect();
        let at = self.rng.gen_range(1..letters.len().saturating_sub(1));
        if kind == Kind::HalfWord {
            let text = letters.iter().take(at.saturating_add(3)).collect();
            return Some(Question { text, genre: None, wanted: None });
        }
        let text = letters.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, letter)| letter).collect();
        Some(Question { text, genre: game.genres.first().cloned(), wanted: None })
    }
}
