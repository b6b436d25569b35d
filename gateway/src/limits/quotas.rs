use std::collections::HashMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::Class;

/// How many requests of each class each caller has.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    every: Option<NonZeroU32>,
    own: HashMap<Class, NonZeroU32>,
}

impl Quotas {
    /// The quota of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> NonZeroU32 {
        let usual = || NonZeroU32::new(class.usual()).unwrap_or(NonZeroU32::MIN);
        self.own.get(&class).copied().or(self.every).unwrap_or_else(usual)
    }
}

/// Reads `search=1000,login=50`; `every` stands for all that are not named.
impl FromStr for Quotas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut quotas = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, number) =
                part.split_once('=').ok_or_else(|| format!("{part} must be a class, = and a number"))?;
            let number = number.parse().map_err(|_| format!("{number} must be a number from 1"))?;
            if name == "every" {
                quotas.every = Some(number);
            } else {
                quotas.own.insert(name.parse().map_err(|_| format!("there is no class {name}"))?, number);
            }
        }
        Ok(quotas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_what_was_said_then_what_holds_for_every_class_then_the_usual_ones() {
        let quota = |text: &str, class| text.parse::<Quotas>().unwrap().of(class).get();
        assert_eq!(quota("", Class::Search), Class::Search.usual());
        assert_eq!(quota("search=7, login=3", Class::Search), 7);
        assert_eq!(quota("every=9,login=3", Class::Search), 9);
        assert_eq!(quota("every=9,login=3", Class::Login), 3);
        for wrong in ["search", "search=0", "search=many", "searches=1"] {
            assert!(wrong.parse::<Quotas>().is_err(), "{wrong}");
        }
    }
}
