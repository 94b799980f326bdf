//! The port: connections come in here, bounded in number, size and time, plain or TLS.
//!
//! The accept loop is made by hand, because the bounds are the point: at most [`CONNECTIONS_MAX`]
//! connections, [`HEADER_TIMEOUT`] for a request's head, [`BODY_BYTES_MAX`] and [`BODY_TIMEOUT`] for its body,
//! [`REQUEST_TIMEOUT`] for the whole. Nothing is judged here; `router` decides who answers.

mod router;
mod tls;

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

pub(crate) use self::{
    router::{Local, Peer, connection, from, router},
    tls::{Tls, prepare},
};

/// Connections at a time. The next ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of a request's head.
pub const HEADER_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a client may take to send a request's head, idle time between requests included.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the answer to a request may take, its body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may leave what it was sent unacknowledged.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in flight may take to end when the server stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves connections until told to stop; then finishes the requests in flight, within [`STOP_TIMEOUT`].
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: impl Future) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (tls, router, stopped) = (tls.clone(), router.clone(), stopped.clone());
        let connection = Connection { tls, router, peer, local: None, stopped };
        connections.spawn(async move {
            connection.serve(stream).await;
            drop(place);
        });
    }
    drop(listener);
    drop(stopping);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_TIMEOUT, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests in flight did not end in time and are cut");
        connections.shutdown().await;
    }
}

/// The next connection, when there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// One connection, not yet read.
struct Connection {
    tls: Option<TlsAcceptor>,
    router: Router,
    peer: SocketAddr,
    /// Where the client has connected to.
    local: Option<SocketAddr>,
    stopped: watch::Receiver<()>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream) {
        self.local = stream.local_addr().ok();
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, peer = %self.peer, "the connection keeps its defaults");
        }
        let Some(acceptor) = self.tls.take() else { return self.talk(stream).await };
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "a TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "a TLS handshake did not end in time"),
        }
    }

    /// Answers the requests of a connection. A stop lets the one in flight end.
    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { router, peer, local, mut stopped, .. } = self;
        let service = service_fn(move |request| respond(router.clone(), (peer, local), request));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            // The sender says nothing; it goes away when the server stops.
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }
}

/// Sends at once, and gives up on a client that does not take what it is sent.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let timeout_ms = u32::try_from(SEND_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    Ok(setsockopt(stream, sockopt::TcpUserTimeout, &timeout_ms)?)
}

async fn respond(
    router: Router,
    (peer, local): (SocketAddr, Option<SocketAddr>),
    request: Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    local.map(|local| request.extensions_mut().insert(Local(local)));
    router.oneshot(request).await
}
