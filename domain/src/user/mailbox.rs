//! What is known of an account's e-mail address beside the address itself.

use serde::{Deserialize, Serialize};

use crate::person::SealedEmail;

/// Whether mail to an account's address was seen to arrive at its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirmation {
    /// Nobody followed a link that was sent there.
    #[default]
    Missing,
    /// The same, and the account opens only once somebody did.
    Awaited,
    /// Its owner followed a link that was sent there.
    Given,
}

/// An account's address, as its history left it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Whether mail arrives there.
    pub confirmation: Confirmation,
    /// The address that takes its place once a link that was sent there is followed.
    pub next: Option<Box<SealedEmail>>,
}
