//! E-mail addresses, and when two of them are one person's.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

use crate::person::InvalidPerson;

/// An e-mail address, in lower case and as NFKC writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    address: String,
    normal: String,
}

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidPerson::Email`] unless it is one.
    pub fn parse(raw: &str) -> Result<Self, InvalidPerson> {
        let address = raw.trim().nfkc().collect::<String>().to_lowercase();
        let is_plausible = address.len() <= 254 && !address.chars().any(char::is_control);
        let (local, host) =
            address.rsplit_once('@').filter(|(_, host)| host.contains('.')).ok_or(InvalidPerson::Email)?;
        if !is_plausible || !email_address::EmailAddress::is_valid(&address) {
            return Err(InvalidPerson::Email);
        }
        // What DNS cannot have is its own: an address that was taken once is read for ever.
        let host = lookalike(host);
        let host = idna::domain_to_ascii(&host).unwrap_or(host);
        let normal = format!("{}@{host}", lookalike(local));
        Ok(Self { address, normal })
    }

    /// Where mail goes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The same for all addresses that a reader would take for this one: letters that look like Latin ones are those (UTS
    /// 39, confusables), and the host is as DNS has it (UTS 46). One of plain letters is its own.
    #[must_use]
    pub fn normal_form(&self) -> &str {
        &self.normal
    }
}

/// Plain letters stay, though some of them look alike as well: they are different people's often enough.
fn lookalike(text: &str) -> String {
    let each = |letter: char| {
        let mut buffer = [0; 4];
        let letter = letter.encode_utf8(&mut buffer);
        if letter.is_ascii() { letter.to_owned() } else { skeleton(letter).collect::<String>().to_lowercase() }
    };
    text.chars().map(each).collect()
}

/// Says that there is an address, not which.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(raw: &str) -> String {
        Email::parse(raw).unwrap().normal_form().to_owned()
    }

    #[test]
    fn addresses_that_look_the_same_are_the_same() {
        for (one, other) in [
            ("Ana@Example.com", " ana@example.com "),
            // Fullwidth letters.
            ("\u{ff41}\u{ff4e}\u{ff41}@example.com", "ana@example.com"),
            // Cyrillic letters, in the name and in the host.
            ("\u{430}na@example.com", "ana@example.com"),
            ("ana@\u{435}xample.com", "ana@example.com"),
            // Composed and decomposed.
            ("jos\u{e9}@example.com", "jose\u{301}@example.com"),
            ("ana@b\u{fc}cher.example", "ana@xn--bcher-kva.example"),
        ] {
            assert_eq!(normal(one), normal(other), "{one} and {other}");
        }
    }

    #[test]
    fn addresses_that_only_resemble_each_other_are_different() {
        for (one, other) in [
            ("jos\u{e9}@example.com", "jose@example.com"),
            ("bill1@example.com", "billl@example.com"),
            ("rnaria@example.com", "maria@example.com"),
        ] {
            assert_ne!(normal(one), normal(other), "{one} and {other}");
        }
    }

    #[test]
    fn mail_goes_to_what_was_typed() {
        assert_eq!(Email::parse("jos\u{e9}@b\u{fc}cher.example").unwrap().as_str(), "jos\u{e9}@b\u{fc}cher.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "ana", "ana@", "@example.com", "ana@localhost", "a b@example.com", "ana@-example-.com\u{0}"] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(250))).is_err());
    }

    proptest! {
        #[test]
        fn an_address_of_plain_letters_is_its_own_normal_form(address in "[a-z0-9._+-]{1,20}@[a-z0-9]{1,10}\\.[a-z]{2,5}") {
            if let Ok(email) = Email::parse(&address) {
                prop_assert_eq!(email.normal_form(), email.as_str());
            }
        }

        #[test]
        fn what_looks_alike_looks_alike_however_often_it_is_looked_at(
            letters in "[a-z\u{430}-\u{44f}\u{3b1}-\u{3c9}\u{e0}-\u{ff}]{1,12}"
        ) {
            let once = lookalike(&letters);
            prop_assert_eq!(lookalike(&once), once);
        }
    }
}
