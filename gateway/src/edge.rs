//! The door: connections are bounded in number and time, whoever opens them.
//!
//! A connection without a request under way is idle: it has not asked yet, asks byte by byte, or has been answered. Idle
//! ones are closed after a while, and where there are too many the oldest of them gives way.

mod connections;
mod proxies;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connections::{Connections, Seat};
use crate::source::Source;

pub use self::connections::Bounds;
pub use self::proxies::{ProxyHeader, TrustedProxies};

/// How often connections that were idle for too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests under way may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How many requests one HTTP/2 connection may have under way, and how many of them it may give up before it is closed.
const STREAMS: u32 = 100;
const RESET_STREAMS: usize = 20;
/// The largest head of a request, in bytes, and how many headers it has at most.
const HEAD_LIMIT: u32 = 32 << 10;
const HEADERS: usize = 64;

/// How a door is kept.
#[derive(Debug, Clone)]
pub struct Edge {
    /// How many connections there may be, and how slow their clients.
    pub bounds: Bounds,
    /// Who is believed about where a request comes from.
    pub proxies: TrustedProxies,
}

type App = Arc<BoxEndpoint<'static, Response>>;

/// Serves until `stop`, and gives requests under way five seconds to end.
pub async fn serve<E: Endpoint + 'static>(listener: TcpListener, routes: E, edge: Edge, stop: CancellationToken) {
    let app: App = Arc::new(routes.map_to_response().boxed());
    let edge = Arc::new(edge);
    let connections = Connections::new(edge.bounds);
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            _ = sweep.tick() => {
                connections.close_idle();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, remote)) => {
                // Behind a proxy are many, and whoever is on this machine is no stranger.
                let is_one = !edge.proxies.trust(remote.ip()) && !remote.ip().to_canonical().is_loopback();
                let source = is_one.then(|| Source::from(remote.ip()));
                if let Some(seat) = connections.admit(source) {
                    let serving = serve_connection((socket, remote), seat, app.clone(), edge.clone(), stop.clone());
                    open.spawn(cut.clone().run_until_cancelled_owned(serving));
                }
            }
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

async fn serve_connection(
    (socket, remote): (TcpStream, SocketAddr),
    seat: Seat,
    app: App,
    edge: Arc<Edge>,
    stop: CancellationToken,
) {
    let Ok(local) = socket.local_addr() else { return };
    let patience = edge.bounds.patience;
    // An answer is written at once, and nothing is gained by holding it back for more; where this fails it is only slower.
    let _ = socket.set_nodelay(true);
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(patience));

    let seat = Arc::new(seat);
    let local = LocalAddr(Addr::SocketAddr(local));
    let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (app, under_way, local) = (app.clone(), seat.request(), local.clone());
        let (client, scheme) = edge.proxies.client(remote.ip(), request.headers());
        let remote = RemoteAddr(Addr::SocketAddr(SocketAddr::new(client, remote.port())));
        async move {
            let answer = app.get_response((request, local, remote, scheme).into()).await;
            let answer: hyper::Response<_> = answer.into();
            // Until its body was sent or dropped, the request is under way.
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &under_way;
                    frame
                })
            }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_header_list_size(HEAD_LIMIT);
    let serving = builder.serve_connection(TokioIo::new(Box::pin(socket)), service);
    tokio::pin!(serving);
    tokio::select! {
        // A client that went away, or that spoke no HTTP, is nobody's concern.
        _ = &mut serving => return,
        () = seat.closed() => return,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
