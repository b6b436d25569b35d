//! The door: connections are bounded in number and time, whoever opens them.
//!
//! Where there are too many connections, one gives way that nothing is being done for: it has not asked yet, asks byte by
//! byte, or has been answered.

mod connections;
mod proxies;
mod sent;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt, Response};
use proxy_header::ParseConfig;
use proxy_header::io::ProxiedStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connections::{Connections, Seat};
use self::sent::Sent;
use crate::metrics::CLOSED;
use crate::source::Source;

pub(crate) use self::connections::UnderWay;

pub use self::connections::Bounds;
pub use self::proxies::{ProxyHeader, TrustedProxies};
pub use self::tls::{Tls, TlsError, tls_config};

/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests under way may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long a connection that has to go may take to end what it has just begun.
const LAST: Duration = Duration::from_secs(1);
/// The largest head of a request, in bytes, and how many headers it has at most.
const HEAD_LIMIT: usize = 32 << 10;
const HEADERS: usize = 64;

/// How a door is kept.
#[derive(Debug, Clone)]
pub struct Edge {
    /// How many connections there may be, and how slow their clients.
    pub bounds: Bounds,
    /// Who is believed about where a request comes from.
    pub proxies: TrustedProxies,
    /// How TLS is spoken; without it, it is not.
    pub tls: Option<Tls>,
}

type App = Arc<BoxEndpoint<'static, Response>>;

/// Serves HTTP/1 until `stop`, and gives requests under way five seconds to end.
pub async fn serve<E: Endpoint + 'static>(listener: TcpListener, routes: E, edge: Edge, stop: CancellationToken) {
    let app: App = Arc::new(routes.map_to_response().boxed());
    let edge = Arc::new(edge);
    let connections = Connections::new(edge.bounds);
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, remote)) => {
                // Behind a proxy are many, and whoever is on this machine is no stranger.
                let is_one = !edge.proxies.trust(remote.ip()) && !remote.ip().to_canonical().is_loopback();
                let source = is_one.then(|| Source::from(remote.ip()));
                let Some(seat) = connections.admit(source) else {
                    CLOSED.with_label_values(&["refused"]).inc();
                    continue;
                };
                let connection = Connection { remote, seat, app: app.clone(), edge: edge.clone() };
                open.spawn(cut.clone().run_until_cancelled_owned(connection.serve(socket, stop.clone())));
            }
            // Its client has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => (),
            Err(error) => {
                // Mostly there are no descriptors left (EMFILE), and there will be none if this is tried again at once.
                tracing::warn!(%error, "A connection could not be taken; the oldest idle one gives way");
                connections.make_room();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(GRACE, open.wait()).await.is_err() {
        cut.cancel();
        open.wait().await;
    }
}

/// What one connection is served with.
struct Connection {
    remote: SocketAddr,
    seat: Seat,
    app: App,
    edge: Arc<Edge>,
}

impl Connection {
    async fn serve(mut self, socket: TcpStream, stop: CancellationToken) {
        let Ok(local) = socket.local_addr() else { return };
        let patience = self.edge.bounds.patience;
        // An answer is written at once, and nothing is gained by holding it back for more; where this fails it is only slower.
        let _ = socket.set_nodelay(true);
        let mut socket = TimeoutStream::new(socket);
        socket.set_write_timeout(Some(patience));
        let socket = Box::pin(socket);
        if !self.edge.proxies.speak_first(self.remote.ip()) {
            return self.secure(socket, local, &stop).await;
        }
        let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
        let said = ProxiedStream::create_from_tokio(socket, config);
        let said = tokio::select! {
            biased;
            () = self.seat.closed() => return,
            () = stop.cancelled() => return,
            said = tokio::time::timeout(patience, said) => said,
        };
        // A proxy that says nothing, or not in time, is set up wrongly; one that looks whether the gateway is there speaks
        // for nobody else.
        let Ok(Ok(socket)) = said else { return };
        self.remote = socket.proxy_header().proxied_address().map_or(self.remote, |address| address.source);
        self.secure(socket, local, &stop).await;
    }

    async fn secure(&self, socket: impl AsyncRead + AsyncWrite + Unpin, local: SocketAddr, stop: &CancellationToken) {
        let patience = self.edge.bounds.patience;
        let Some(tls) = &self.edge.tls else { return self.converse(socket, local, stop).await };
        let accepted = TlsAcceptor::from(tls.borrow().clone()).accept(socket);
        let accepted = tokio::select! {
            biased;
            () = self.seat.closed() => return,
            () = stop.cancelled() => return,
            accepted = tokio::time::timeout(patience, accepted) => accepted,
        };
        // Whoever speaks no TLS, or not in time, is nobody's concern.
        if let Ok(Ok(socket)) = accepted {
            self.converse(socket, local, stop).await;
        }
    }

    async fn converse(&self, socket: impl AsyncRead + AsyncWrite + Unpin, local: SocketAddr, stop: &CancellationToken) {
        let patience = self.edge.bounds.patience;
        let service = hyper::service::service_fn(|request| self.answer(request, local));
        let mut server = http1::Builder::new();
        // A head is waited for from the end of the last answer on, so this bounds idle connections as well.
        server.timer(TokioTimer::new()).header_read_timeout(patience).max_headers(HEADERS).max_buf_size(HEAD_LIMIT);
        let serving = server.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(serving);
        let patience = tokio::select! {
            biased;
            // A client that went away, or that spoke no HTTP, is nobody's concern.
            _ = &mut serving => return,
            () = self.seat.closed() => {
                if self.seat.is_idle() {
                    return;
                }
                // A request has come in this very moment, or is still coming.
                LAST
            }
            // Whoever stops waits for no longer than this as well.
            () = stop.cancelled() => GRACE,
        };
        serving.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(patience, serving).await;
    }

    async fn answer(
        &self,
        mut request: hyper::Request<Incoming>,
        local: SocketAddr,
    ) -> Result<hyper::Response<Sent>, Infallible> {
        let (client, said) = self.edge.proxies.client(self.remote.ip(), request.headers());
        let scheme = if self.edge.tls.is_some() { Scheme::HTTPS } else { said };
        let remote = RemoteAddr(Addr::SocketAddr(SocketAddr::new(client, self.remote.port())));
        let under_way = self.seat.request();
        if request.body().is_end_stream() {
            under_way.has_come();
        }
        request.extensions_mut().insert(under_way.clone());
        let local = LocalAddr(Addr::SocketAddr(local));
        let answer: hyper::Response<_> = self.app.get_response((request, local, remote, scheme).into()).await.into();
        under_way.has_come();
        Ok(answer.map(|body| Sent { body, _under_way: under_way }))
    }
}
