//! The connections that there are, which of them are idle, and who gives way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// How many connections there may be, and how slow their clients.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many in all.
    pub connections: usize,
    /// How many from one address.
    pub per_address: usize,
    /// How long a connection may be without a request, a request's head and then its body may take to come, and a client
    /// may read nothing of what is sent to it.
    pub patience: Duration,
}

/// All connections of a gateway.
#[derive(Clone)]
pub(super) struct Connections {
    bounds: Bounds,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    last: u64,
    by_number: HashMap<u64, Connection>,
    by_source: HashMap<Source, usize>,
}

struct Connection {
    /// Nobody's where it may be anybody's.
    source: Option<Source>,
    /// How many requests are under way.
    requests: usize,
    /// Since when as many are.
    since: Instant,
    close: CancellationToken,
}

impl Connections {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection, which counts for its source where that is known; nothing where there are too many,
    /// and all of them are in use.
    pub(super) fn admit(&self, source: Option<Source>) -> Option<Seat> {
        let mut open = self.open();
        let own = source.and_then(|source| open.by_source.get(&source));
        if own.is_some_and(|own| *own >= self.bounds.per_address) {
            open.close_oldest(|other| other.source == source)?;
        }
        if open.by_number.len() >= self.bounds.connections {
            open.close_oldest(|_| true)?;
        }
        open.last = open.last.wrapping_add(1);
        let (number, close) = (open.last, CancellationToken::new());
        let connection = Connection { source, requests: 0, since: Instant::now(), close: close.clone() };
        open.by_number.insert(number, connection);
        if let Some(source) = source {
            let own = open.by_source.entry(source).or_default();
            *own = own.saturating_add(1);
        }
        Some(Seat { connections: self.clone(), number, close })
    }

    /// Closes the oldest idle one.
    pub(super) fn make_room(&self) {
        self.open().close_oldest(|_| true);
    }

    /// Closes all that have been idle for too long.
    pub(super) fn close_idle(&self) {
        let open = self.open();
        let idle = open.by_number.values().filter(|connection| connection.requests == 0);
        idle.filter(|idle| idle.since.elapsed() >= self.bounds.patience).for_each(|idle| idle.close.cancel());
    }
}

impl Open {
    /// Takes the seat of the connection that has been idle for longest.
    fn close_oldest(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let idle = self.by_number.iter().filter(|(_, connection)| connection.requests == 0 && among(connection));
        let (number, _) = idle.min_by_key(|(_, connection)| connection.since)?;
        self.remove(*number);
        Some(())
    }

    fn remove(&mut self, number: u64) {
        let Some(connection) = self.by_number.remove(&number) else { return };
        connection.close.cancel();
        let Some(source) = connection.source else { return };
        let left = self.by_source.get(&source).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            self.by_source.remove(&source);
        } else {
            self.by_source.insert(source, left);
        }
    }
}

/// The place of one connection among all.
pub(super) struct Seat {
    connections: Connections,
    number: u64,
    close: CancellationToken,
}

impl Seat {
    /// Resolves once the connection has to go.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// A request that is under way until this is dropped.
    pub(super) fn request(self: &Arc<Self>) -> UnderWay {
        self.count(|requests| requests.saturating_add(1));
        UnderWay(self.clone())
    }

    fn count(&self, change: impl Fn(usize) -> usize) {
        if let Some(connection) = self.connections.open().by_number.get_mut(&self.number) {
            connection.requests = change(connection.requests);
            connection.since = Instant::now();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.open().remove(self.number);
    }
}

/// A request from its head until its answer was sent.
pub(super) struct UnderWay(Arc<Seat>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.count(|requests| requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<Source> = Some(Source::V4(std::net::Ipv4Addr::LOCALHOST));
    const THERE: Option<Source> = Some(Source::V6(1));
    const PROXY: Option<Source> = None;

    fn at_most(connections: usize, per_address: usize) -> Connections {
        Connections::new(Bounds { connections, per_address, patience: Duration::from_secs(1) })
    }

    fn seat(connections: &Connections, source: Option<Source>) -> Option<Arc<Seat>> {
        connections.admit(source).map(Arc::new)
    }

    #[test]
    fn the_oldest_idle_connection_gives_way() {
        let connections = at_most(2, 2);
        let (first, second) = (seat(&connections, HERE).unwrap(), seat(&connections, HERE).unwrap());
        drop(first.request());
        let third = seat(&connections, THERE).unwrap();
        assert!(second.close.is_cancelled() && !first.close.is_cancelled() && !third.close.is_cancelled());
    }

    #[test]
    fn nobody_gives_way_who_is_being_served() {
        let connections = at_most(2, 2);
        let (first, second) = (seat(&connections, HERE).unwrap(), seat(&connections, HERE).unwrap());
        let (_one, two) = (first.request(), second.request());
        assert!(seat(&connections, THERE).is_none());
        drop(two);
        assert!(seat(&connections, THERE).is_some() && second.close.is_cancelled());
    }

    #[test]
    fn an_address_with_too_many_takes_from_itself_only() {
        let connections = at_most(9, 1);
        let (other, own) = (seat(&connections, THERE).unwrap(), seat(&connections, HERE).unwrap());
        let _next = seat(&connections, HERE).unwrap();
        assert!(own.close.is_cancelled() && !other.close.is_cancelled());
    }

    #[test]
    fn a_proxy_may_open_as_many_as_there_are() {
        let connections = at_most(3, 1);
        let seats = [PROXY; 3].map(|source| seat(&connections, source).unwrap());
        assert!(seats.iter().all(|seat| !seat.close.is_cancelled()));
    }

    #[test]
    fn a_seat_that_was_left_is_free_again() {
        let connections = at_most(1, 1);
        let busy = seat(&connections, HERE).unwrap();
        let request = busy.request();
        drop(busy);
        assert!(seat(&connections, HERE).is_none(), "its request is still under way");
        drop(request);
        assert!(seat(&connections, HERE).is_some());
    }
}
