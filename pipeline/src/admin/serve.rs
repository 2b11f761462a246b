//! Connections to the admin endpoint: each enters within its bounds and is served to its end, until the run is over.

use std::{io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time,
};

use super::{desk::Desk, place::Bound};

/// Open connections: an operator or two, a scraper and a supervisor; more wait.
const CONNECTIONS_MAX: usize = 16;
/// The longest a connection may be idle or take for its headers, in which it holds one of the places.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The longest a connection lasts: one that reads its answers slowly would hold its place for ever.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// Room for a request's headers, in bytes; hyper takes no less.
const HEADERS_MAX: usize = 8 << 10;
/// The pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The time open connections get to end when the run is over.
const GRACE: Duration = Duration::from_millis(500);

enum Listener {
    Socket(UnixListener),
    Address(TcpListener),
}

enum Stream {
    Socket(UnixStream),
    Address(TcpStream),
}

impl Listener {
    fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Socket(listener) => Self::Socket(UnixListener::from_std(listener)?),
            Bound::Address(listener) => Self::Address(TcpListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Socket(listener) => listener.accept().await.map(|(stream, _)| Stream::Socket(stream)),
            Self::Address(listener) => listener.accept().await.map(|(stream, _)| Stream::Address(stream)),
        }
    }
}

/// Serves until the sender of `ended` is gone.
pub(super) async fn serve(bound: Bound, desk: Arc<Desk>, ended: oneshot::Receiver<()>) {
    let listener = match Listener::new(bound) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "the admin endpoint does not answer");
            return;
        }
    };
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let keeping = tokio::spawn(keep(desk.clone()));
    let mut ended = pin!(ended);
    loop {
        let room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            // The sender only ever goes away.
            _ = &mut ended => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok(Stream::Socket(stream)) if !is_ours(&stream) => {
                    tracing::warn!("someone else's connection to the admin endpoint was closed");
                }
                Ok(Stream::Socket(stream)) => {
                    connections.spawn(serve_connection(stream, desk.clone(), ending.clone()));
                }
                Ok(Stream::Address(stream)) => {
                    connections.spawn(serve_connection(stream, desk.clone(), ending.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin endpoint could not be accepted");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    keeping.abort();
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _late = time::timeout(GRACE, all).await.is_err();
}

/// Whether it is this process's own user, or the administrator, who has connected: a socket is its owner's alone from the
/// moment its mode is set, which is a moment after it is there.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0)
}

/// What is done whether anyone asks or not: a sample every second, and the count of the dead letters.
async fn keep(desk: Arc<Desk>) {
    while !desk.count_dead_letters() {
        tokio::task::yield_now().await;
    }
    let mut seconds = time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        desk.sample();
    }
}

async fn serve_connection<S>(stream: S, desk: Arc<Desk>, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = desk.clone();
        async move { desk.answer(request).await }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_buf_size(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ending = async {
        // A run that is gone is one that ends.
        tokio::select! {
            _gone = ending.wait_for(|end| *end) => {}
            () = time::sleep(CONNECTION_MAX) => {}
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the admin endpoint ended early");
    }
}
