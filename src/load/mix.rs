//! What the clients do, and how often: `purchase=8,search=2`.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use rand::Rng;
use strum::{Display, EnumString, IntoEnumIterator, VariantNames};

/// Something that a client does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, VariantNames, strum::EnumIter,
)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Action {
    /// Reads the first page of the catalogue and one game.
    Browse,
    /// Searches for the beginning of a title.
    Search,
    /// Buys a game and waits until it is in the library.
    Purchase,
    /// Tries to pay with a card that is declined, and gives the order up.
    Decline,
    /// Buys a game, gives it back and waits for the refund.
    Refund,
}

/// The actions of a run, each as often as it weighs.
#[derive(Debug, Clone)]
pub(super) struct Mix(Vec<(Action, u32)>);

impl Mix {
    /// The next thing to do.
    pub(super) fn choose(&self) -> Action {
        let total = self.0.iter().fold(0_u32, |sum, (_, weight)| sum.saturating_add(*weight));
        let mut left = rand::thread_rng().gen_range(0..total.max(1));
        for (action, weight) in &self.0 {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *action,
            }
        }
        Action::Purchase
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut mix = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.trim().split_once('=').unwrap_or((part.trim(), "1"));
            let Ok(action) = name.parse::<Action>() else {
                bail!("{name:?} is none of {}", Action::VARIANTS.join(", "));
            };
            ensure!(mix.iter().all(|(known, _)| *known != action), "{name} is named twice");
            mix.push((action, weight.parse().with_context(|| format!("the weight of {name} is no whole number"))?));
        }
        ensure!(mix.iter().any(|(_, weight)| *weight > 0), "nothing is to be done");
        Ok(Self(mix))
    }
}

/// All that can be done.
pub(super) fn actions() -> impl Iterator<Item = Action> {
    Action::iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_does_what_it_names_and_nothing_else() {
        let mix: Mix = "search=1, purchase=3,refund=0".parse().unwrap();
        let chosen: Vec<_> = (0..1_000).map(|_| mix.choose()).collect();
        assert!(chosen.iter().all(|action| matches!(action, Action::Search | Action::Purchase)), "{chosen:?}");
        assert!(chosen.contains(&Action::Search) && chosen.contains(&Action::Purchase));
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused_with_what_is_wrong() {
        for (text, said) in [
            ("buy=1", "none of browse"),
            ("search=often", "weight of search"),
            ("search=1,search=2", "twice"),
            ("search=0", "nothing"),
        ] {
            let error = text.parse::<Mix>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
