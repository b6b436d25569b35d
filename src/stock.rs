//! Seeds a new store: an admin and a catalogue.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use commands::{Actor, MadeAdmin, Password, Registration};
use domain::{BirthDate, Email, Language, PersonName, Profile};
use journal::Journal;
use projections::search::reindex;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::catalog;
use crate::roles::Foundation;

/// How long the read models may lag behind an import.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(1);

/// Sees to it that there is an account of this address and password, and that it is an admin's.
///
/// # Errors
/// When the address or the password is invalid, or the journal does not answer.
pub async fn create_admin(foundation: &Foundation, email: &str, password: &SecretString) -> Result<MadeAdmin> {
    let birth_date = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).context("date")?;
    let profile = Profile {
        name: PersonName::parse("Admin")?,
        email: Email::parse(email).context("ADMIN_EMAIL")?,
        birth_date: BirthDate::parse(birth_date, foundation.shared.commands.today())?,
    };
    let password = Password::parse(password.expose_secret(), &[email]).context("ADMIN_PASSWORD")?;
    let account = Registration { profile, password, language: Language::English };
    let context = foundation.shared.commands.context(Actor::System("setup"));
    Ok(foundation.shared.commands.make_admin(&context, account).await?)
}

/// Whether an address has an account: what became of that since is its holder's business.
///
/// # Errors
/// When the address is invalid, or the journal does not answer.
pub async fn has_account(foundation: &Foundation, email: &str) -> Result<bool> {
    Ok(foundation.shared.commands.account_of(&Email::parse(email).context("ADMIN_EMAIL")?).await?.is_some())
}

/// Imports the demo catalogue into a store that has no games.
///
/// # Errors
/// When the journal does not answer.
pub async fn import_where_empty(foundation: &Foundation) -> Result<()> {
    if projections::games::page(foundation.journal().pool(), false, 1, None).await?.items.is_empty() {
        import(foundation, None).await?;
    }
    Ok(())
}

/// Imports a catalogue and waits until it can be searched.
///
/// # Errors
/// When the file cannot be read or the journal does not answer.
pub async fn import(foundation: &Foundation, file: Option<&Path>) -> Result<()> {
    let begun = std::time::Instant::now();
    let imported = catalog::import(&foundation.shared.commands, file).await?;
    for refusal in imported.refused.iter().take(10) {
        eprintln!("    refused {refusal}");
    }
    projected(foundation.journal()).await?;
    let took = begun.elapsed().as_secs_f64();
    let (new, known, refused) = (imported.new, imported.known, imported.refused.len());
    println!("Imported {new} games in {took:.1} s ({known} were known, {refused} refused)");
    Ok(())
}

/// Waits until the catalogue has what the journal has.
async fn projected(journal: &Journal) -> Result<()> {
    let (_, last) = journal.extent().await?;
    let deadline = Instant::now().checked_add(IMPORT_TIMEOUT);
    while !(projections::consistency::reached(journal.pool(), "games", last).await?
        && reindex::caught_up(journal.pool()).await?)
    {
        ensure!(deadline.is_some_and(|deadline| Instant::now() < deadline), "the catalogue lags behind the journal");
    }
    Ok(())
}
