//! Serves HTTP/1.1: accepts connections within bounds, each in a slot, and passes requests to a [`Handler`] until the
//! listener is stopped. Used by the intake and the admin endpoint.
//!
//! A connection without the token can hold only a slot for strangers, and only for seconds. A new client always gets
//! a slot, because the oldest stranger is closed. What strangers do is logged in at most one line a minute.
//!
//! The accept and drain loops are our own, on hyper's connections: `hyper-util`'s `server-auto` would let a stranger
//! speak HTTP/2, whose many requests share one slot, and its `server-graceful` ends all connections at once, where
//! here a single one may have to make room for another or has reached its longest time.

mod peer;
mod rejected;
mod serve_connection;
mod strangers;
#[cfg(test)]
mod tests;

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

pub use peer::{ConnectionsFull, Peer};
pub use strangers::Origin;

use self::{peer::Slots, strangers::Vacancy};

/// The pause after a failed accept, usually a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most open connections, without strangers.
    pub connections_max: usize,
    /// Which connections get a slot.
    pub admission: Admission,
    /// The most bytes of a request's headers.
    pub headers_max: usize,
    /// How long a connection may be idle or take for its headers.
    pub idle_timeout: Duration,
    /// How long a connection may last.
    pub lifetime_max: Option<Duration>,
    /// How long connections may take to end after the listener has stopped.
    pub grace: Duration,
}

/// Who gets a slot.
#[derive(Clone, Copy, Debug)]
pub enum Admission {
    /// All; when all slots are held, the connection that has been idle longest is closed.
    Anyone,
    /// Clients with the token; the others have slots of their own, for a limited time.
    Token {
        /// Slots of connections that have not shown the token.
        strangers_max: usize,
        /// How long a connection may hold such a slot.
        timeout: Duration,
    },
}

/// Where connections come from.
pub trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection and its origin; none for a connection of another user, which is closed.
    fn accept(&self) -> impl Future<Output = io::Result<Option<(Self::Stream, Origin)>>>;
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. A handler that requires a token calls [`Peer::authenticated`] before it holds anything for
    /// the request, and [`Peer::count_without_token`] if it refuses.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<Option<(TcpStream, Origin)>> {
        let (stream, peer) = Self::accept(self).await?;
        // So that an answer does not wait for the client's acknowledgement. An error only makes answers later.
        let _slower = stream.set_nodelay(true).is_err();
        Ok(Some((stream, Origin::of(peer.ip()))))
    }
}

/// Serves until `ended` is ready, and then requests in progress for `bounds.grace`. `name` is the listener's name in
/// the log.
pub async fn serve<D: Handler>(
    listener: impl Accept,
    name: &'static str,
    handler: Arc<D>,
    bounds: Bounds,
    ended: impl Future<Output = ()>,
) {
    let slots = Slots::new(&bounds);
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut log_tick = time::interval_at(Instant::now() + rejected::LOG_EVERY, rejected::LOG_EVERY);
    log_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = pin!(ended);
    loop {
        let vacancy = slots.vacancy();
        let (is_room, at) = match vacancy {
            Vacancy::Now => (true, None),
            Vacancy::At(at) => (false, Some(at)),
            Vacancy::None => (false, None),
        };
        tokio::select! {
            () = &mut ended => break,
            Some(_) = connections.join_next() => {}
            () = slots.freed.notified() => {}
            () = time::sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => {}
            _ = log_tick.tick() => slots.rejected.log(name),
            accepted = listener.accept(), if is_room => match accepted {
                Ok(Some((stream, origin))) => {
                    let (peer, replaced) = slots.accept(origin);
                    let (handler, ending) = (handler.clone(), ending.clone());
                    connections.spawn(serve_connection::serve(stream, peer, replaced, handler, bounds, ending));
                }
                Ok(None) => slots.rejected.other_user(),
                Err(error) => {
                    slots.rejected.accept_failed(error);
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    slots.rejected.log(name);
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Those that are not done by then are cut off when their set is dropped.
    let _late = time::timeout(bounds.grace, all).await.is_err();
}
