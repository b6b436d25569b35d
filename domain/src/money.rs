//! Money: whole minor units and a currency, added with checks. There are no floats in the store.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(with = "String", extend("pattern" = "^[A-Z]{3}$")))]
pub struct Currency([u8; 3]);

/// What is wrong with an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not three capital letters.
    #[error("currency must be three capital letters (ISO 4217)")]
    Currency,
    /// A price below zero.
    #[error("must not be negative")]
    Negative,
    /// A price beyond what a payment provider takes.
    #[error("must not exceed {} minor units", Price::MAX)]
    TooLarge,
    /// Not the currency that the store trades in.
    #[error("must be in {expected}, the store's currency")]
    Foreign {
        /// The store's own.
        expected: Currency,
    },
    /// A sum that does not fit.
    #[error("the sum is too large")]
    Overflow,
}

impl Currency {
    /// The Brazilian real.
    pub const BRL: Self = Self(*b"BRL");

    /// Reads a code such as `BRL`.
    ///
    /// # Errors
    /// [`InvalidMoney::Currency`] unless it is three capital letters.
    pub fn parse(raw: &str) -> Result<Self, InvalidMoney> {
        match *raw.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(InvalidMoney::Currency),
        }
    }

    /// How many decimals an amount in it is written with. <https://docs.stripe.com/currencies#zero-decimal>
    #[must_use]
    pub const fn decimals(self) -> u8 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"JPY" | b"KMF" | b"KRW" | b"MGA" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"JOD" | b"KWD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidMoney;

    fn try_from(raw: String) -> Result<Self, InvalidMoney> {
        Self::parse(&raw)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

/// An amount in minor units (cents, centavos) of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Money {
    /// Minor units; 5990 is R$ 59.90, or ¥ 5990.
    pub amount: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl Money {
    /// No money at all, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// Both together.
    ///
    /// # Errors
    /// [`InvalidMoney::Foreign`] for two currencies, [`InvalidMoney::Overflow`] beyond 64 bits.
    pub fn plus(self, other: Self) -> Result<Self, InvalidMoney> {
        if self.currency != other.currency {
            return Err(InvalidMoney::Foreign { expected: self.currency });
        }
        let amount = self.amount.checked_add(other.amount).ok_or(InvalidMoney::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// Whether nothing is due.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let decimals = usize::from(self.currency.decimals());
        // At least one digit before the point.
        let digits = format!("{:0>width$}", self.amount.unsigned_abs(), width = decimals.saturating_add(1));
        let (whole, part) = digits.split_at(digits.len().saturating_sub(decimals));
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part} {}", self.currency)
    }
}

/// What a game costs: never negative, in the store's currency, at most [`Price::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Price(Money);

impl Price {
    /// The largest amount that Stripe charges at once: eight digits of minor units.
    /// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
    pub const MAX: i64 = 99_999_999;

    /// Accepts an amount as a price in the store's currency.
    ///
    /// # Errors
    /// [`InvalidMoney`] when it is negative, too large or foreign.
    pub fn parse(money: Money, store: Currency) -> Result<Self, InvalidMoney> {
        match money {
            Money { currency, .. } if currency != store => Err(InvalidMoney::Foreign { expected: store }),
            Money { amount: ..=-1, .. } => Err(InvalidMoney::Negative),
            Money { amount, .. } if amount > Self::MAX => Err(InvalidMoney::TooLarge),
            money => Ok(Self(money)),
        }
    }

    /// The amount itself.
    #[must_use]
    pub const fn money(self) -> Money {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_with_its_currencys_decimals() {
        for (amount, currency, text) in [
            (5_990, "BRL", "59.90 BRL"),
            (5, "BRL", "0.05 BRL"),
            (-50, "BRL", "-0.50 BRL"),
            (1_500, "JPY", "1500 JPY"),
            (0, "JPY", "0 JPY"),
            (1_500, "KWD", "1.500 KWD"),
        ] {
            assert_eq!(Money { amount, currency: Currency::parse(currency).unwrap() }.to_string(), text);
        }
    }
}
