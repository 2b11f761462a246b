//! Serves connections to the admin endpoint until the run is over, and takes samples meanwhile.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    sync::oneshot,
    time,
};

use super::{bind::BoundListener, handler::Handler};
use sources::listening::{Accept, Admission, Bounds, Origin, serve as listen};

/// The endpoint's name in the log.
const NAME: &str = "admin.listen";
/// The most open connections: for operators, a scraper and a supervisor; and as many strangers, if there is a token.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may last without the token, if there is one.
const STRANGERS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be idle or take for its headers.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a connection may last: one that reads slowly would hold its slot for ever.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// The most bytes of a request's headers; hyper accepts no smaller bound.
const HEADERS_MAX: usize = 8 << 10;
/// How long open connections may take to end when the run is over.
const GRACE: Duration = Duration::from_millis(500);

/// A Unix socket for its owner alone.
struct OwnerSocket(UnixListener);

impl Accept for OwnerSocket {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<Option<(UnixStream, Origin)>> {
        let (stream, _) = self.0.accept().await?;
        Ok(is_ours(&stream).then_some((stream, Origin::SOCKET)))
    }
}

/// Serves until the sender of `ended` is dropped.
pub(super) async fn serve(bound: BoundListener, handler: Arc<Handler>, ended: oneshot::Receiver<()>) {
    let token = Admission::Token { strangers_max: CONNECTIONS_MAX, timeout: STRANGERS_TIMEOUT };
    let bounds = Bounds {
        connections_max: CONNECTIONS_MAX,
        admission: if handler.asks_for_token() { token } else { Admission::Anyone },
        headers_max: HEADERS_MAX,
        idle_timeout: IDLE_MAX,
        lifetime_max: Some(CONNECTION_MAX),
        grace: GRACE,
    };
    let upkeep = tokio::spawn(run_upkeep(handler.clone()));
    // The sender never sends; it is dropped.
    let ended = async { drop(ended.await) };
    if let Err(error) = listen_on(bound, handler, bounds, ended).await {
        tracing::warn!(%error, "the admin endpoint cannot listen");
    }
    upkeep.abort();
}

async fn listen_on(
    bound: BoundListener,
    handler: Arc<Handler>,
    bounds: Bounds,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    match bound {
        BoundListener::Socket(listener) => {
            listen(OwnerSocket(UnixListener::from_std(listener)?), NAME, handler, bounds, ended).await;
        }
        BoundListener::Address(listener) => {
            listen(TcpListener::from_std(listener)?, NAME, handler, bounds, ended).await;
        }
    }
    Ok(())
}

/// Whether the client is this process's own user or root. Needed because the socket exists for a moment before its
/// mode is set.
fn is_ours(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0)
}

/// Takes a sample every second, and counts the dead letters.
async fn run_upkeep(handler: Arc<Handler>) {
    while !handler.count_dead_letters() {
        tokio::task::yield_now().await;
    }
    let mut seconds = time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        handler.sample();
    }
}
