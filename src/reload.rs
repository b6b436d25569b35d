//! Files that are read again when they change, without a restart.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::beside::beside;

/// How often the files are looked at.
pub const RELOAD: Duration = Duration::from_secs(1);

/// What files say, now and from then on until `stop`.
///
/// # Errors
/// When they cannot be read or understood at first; later what they said stays until what they say can be.
pub fn follow<F, T>(
    what: impl Display + Send + 'static,
    files: impl Fn() -> Result<F> + Send + 'static,
    parse: impl Fn(&F) -> Result<T> + Send + 'static,
    stop: CancellationToken,
) -> Result<watch::Receiver<Arc<T>>>
where
    F: PartialEq + Send + 'static,
    T: Send + Sync + 'static,
{
    let mut known = files()?;
    let (changed, parsed) = watch::channel(Arc::new(parse(&known)?));
    beside(stop.clone(), async move {
        while stop.run_until_cancelled(tokio::time::sleep(RELOAD)).await.is_some() {
            match files().and_then(|read| if read == known { Ok(None) } else { Ok(Some((parse(&read)?, read))) }) {
                Ok(None) => (),
                Ok(Some((new, read))) => {
                    known = read;
                    changed.send_replace(Arc::new(new));
                    tracing::info!(target: "security", event = "key_change", "{what} were read again");
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "{what} stay as they were"),
            }
        }
    });
    Ok(parsed)
}

/// A file's text.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}
