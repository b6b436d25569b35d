use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The one deadline of all tests.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Waits for a fact.
pub async fn eventually<F, Fut, T>(what: &str, mut look: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T>,
    T: Into<Seen>,
{
    let begun = Instant::now();
    loop {
        match look().await.into() {
            Seen::Yes => return,
            Seen::NotYet(last) if begun.elapsed() > DEADLINE => panic!("never saw: {what}; last seen: {last}"),
            Seen::NotYet(_) => sleep(POLL).await,
        }
    }
}

/// Whether the fact was there, and if not, what was.
pub enum Seen {
    Yes,
    NotYet(String),
}

impl From<bool> for Seen {
    fn from(there: bool) -> Self {
        if there { Self::Yes } else { Self::NotYet("false".to_owned()) }
    }
}

/// Something beside what was expected of it.
impl<T: PartialEq + Debug> From<(T, T)> for Seen {
    fn from((seen, expected): (T, T)) -> Self {
        if seen == expected { Self::Yes } else { Self::NotYet(format!("{seen:?}")) }
    }
}
