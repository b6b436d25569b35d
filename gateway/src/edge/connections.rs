//! The connections that there are, what each is doing, and which gives way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::CLOSED;
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
    /// None for proxies and for this machine.
    source: Option<Source>,
    stage: Arc<Mutex<Stage>>,
    close: CancellationToken,
}

/// What a connection is doing, and since when. HTTP/1 answers one request after another.
#[derive(Debug, Clone, Copy)]
struct Stage {
    doing: Doing,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// No request is under way, or not even its head has come.
    Nothing,
    /// The body of a request is coming.
    Receiving,
    /// A request is being answered.
    Answering,
}

impl Stage {
    fn new(doing: Doing) -> Self {
        Self { doing, since: Instant::now() }
    }
}

fn stage(of: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection, which counts for its source where that is known; nothing where there are too many,
    /// and each of them is being answered.
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
        let stage = Arc::new(Mutex::new(Stage::new(Doing::Nothing)));
        open.by_number.insert(number, Connection { source, stage: stage.clone(), close: close.clone() });
        if let Some(source) = source {
            let own = open.by_source.entry(source).or_default();
            *own = own.saturating_add(1);
        }
        Some(Seat { connections: self.clone(), number, stage, close })
    }

    /// Closes one, if there is one that is not being answered.
    pub(super) fn make_room(&self) {
        self.open().close_oldest(|_| true);
    }
}

impl Open {
    /// Takes the seat of the connection that has kept the store waiting for longest.
    fn close_oldest(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let among = self.by_number.iter().filter(|(_, connection)| among(connection));
        let stages = among.map(|(number, connection)| (*number, *stage(&connection.stage)));
        let waiting = stages.filter(|(_, stage)| stage.doing != Doing::Answering);
        let (number, _) = waiting.min_by_key(|(_, stage)| stage.since)?;
        CLOSED.with_label_values(&["gave_way"]).inc();
        self.remove(number);
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
    stage: Arc<Mutex<Stage>>,
    close: CancellationToken,
}

impl Seat {
    /// Resolves once the connection has to go.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Whether nothing is lost if the connection goes now.
    pub(super) fn is_idle(&self) -> bool {
        stage(&self.stage).doing == Doing::Nothing
    }

    /// A request whose head has come.
    pub(super) fn request(&self) -> UnderWay {
        *stage(&self.stage) = Stage::new(Doing::Receiving);
        UnderWay(Arc::new(Request(self.stage.clone())))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.open().remove(self.number);
    }
}

/// A request, from its head until its answer has been handed over to be sent.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<Request>);

impl UnderWay {
    /// Its body has come as well.
    pub(crate) fn has_come(&self) {
        *stage(&self.0.0) = Stage::new(Doing::Answering);
    }
}

struct Request(Arc<Mutex<Stage>>);

impl Drop for Request {
    fn drop(&mut self) {
        *stage(&self.0) = Stage::new(Doing::Nothing);
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

    fn seat(connections: &Connections, source: Option<Source>) -> Option<Seat> {
        connections.admit(source)
    }

    /// A request that is being answered.
    fn answering(seat: &Seat) -> UnderWay {
        let request = seat.request();
        request.has_come();
        request
    }

    #[test]
    fn the_oldest_idle_connection_gives_way() {
        let connections = at_most(2, 2);
        let (first, second) = (seat(&connections, HERE).unwrap(), seat(&connections, HERE).unwrap());
        drop(answering(&first));
        let third = seat(&connections, THERE).unwrap();
        assert!(second.close.is_cancelled() && !first.close.is_cancelled() && !third.close.is_cancelled());
    }

    #[test]
    fn nobody_gives_way_who_is_being_answered() {
        let connections = at_most(2, 2);
        let (first, second) = (seat(&connections, HERE).unwrap(), seat(&connections, HERE).unwrap());
        let (_one, two) = (answering(&first), answering(&second));
        assert!(seat(&connections, THERE).is_none());
        drop(two);
        assert!(seat(&connections, THERE).is_some() && second.close.is_cancelled());
    }

    #[test]
    fn whoever_is_still_sending_a_body_gives_way_as_well() {
        let connections = at_most(1, 1);
        let sending = seat(&connections, HERE).unwrap();
        let _request = sending.request();
        assert!(seat(&connections, THERE).is_some() && sending.close.is_cancelled() && !sending.is_idle());
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
        let left = seat(&connections, HERE).unwrap();
        let _request = answering(&left);
        assert!(seat(&connections, HERE).is_none());
        drop(left);
        assert!(seat(&connections, HERE).is_some());
    }
}
