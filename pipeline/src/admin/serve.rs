//! Connections to the admin endpoint: a place that is bound enters, and whoever connects there is served until the run is
//! over. Beside that, what is kept up whether anyone asks or not.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, UnixListener, UnixStream},
    sync::oneshot,
    time,
};

use super::{desk::Desk, place::Bound};
use crate::listening::{Accept, Admission, Bounds, Origin, serve as listen};

/// What the endpoint is called in the log.
const PLACE: &str = "admin.listen";
/// Open connections: an operator or two, a scraper and a supervisor; and as many of strangers, if there is a token.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may be there without having shown the token, if there is one.
const STRANGERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a connection may be idle or take for its headers, in which it holds one of the places.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The longest a connection lasts: one that reads its answers slowly would hold its place for ever.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// Room for a request's headers, in bytes; hyper takes no less.
const HEADERS_MAX: usize = 8 << 10;
/// The time open connections get to end when the run is over.
const GRACE: Duration = Duration::from_millis(500);

/// A socket that is its owner's.
struct Owned(UnixListener);

impl Accept for Owned {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<Option<(UnixStream, Origin)>> {
        let (stream, _) = self.0.accept().await?;
        Ok(is_ours(&stream).then_some((stream, Origin::SOCKET)))
    }
}

/// Serves until the sender of `ended` is gone.
pub(super) async fn serve(bound: Bound, desk: Arc<Desk>, ended: oneshot::Receiver<()>) {
    let token = Admission::Token { strangers_max: CONNECTIONS_MAX, timeout: STRANGERS_TIMEOUT };
    let bounds = Bounds {
        connections_max: CONNECTIONS_MAX,
        admission: if desk.asks_for_token() { token } else { Admission::Anyone },
        headers_max: HEADERS_MAX,
        idle_timeout: IDLE_MAX,
        lifetime_max: Some(CONNECTION_MAX),
        grace: GRACE,
    };
    let keeping = tokio::spawn(keep(desk.clone()));
    // The sender only ever goes away.
    let ended = async { drop(ended.await) };
    if let Err(error) = listen_at(bound, desk, bounds, ended).await {
        tracing::warn!(%error, "the admin endpoint does not answer");
    }
    keeping.abort();
}

async fn listen_at(
    bound: Bound,
    desk: Arc<Desk>,
    bounds: Bounds,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    match bound {
        Bound::Socket(listener) => {
            listen(Owned(UnixListener::from_std(listener)?), PLACE, desk, bounds, ended).await;
        }
        Bound::Address(listener) => {
            listen(TcpListener::from_std(listener)?, PLACE, desk, bounds, ended).await;
        }
    }
    Ok(())
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
