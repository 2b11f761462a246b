//! Listening for HTTP: connections enter, each within its bounds and in a place of its own, and requests leave to a desk;
//! until it is told to end. The intake and the admin endpoint listen in this way.
//!
//! Guarantees: the token is asked for before anything else is held, so that who has none takes only places that are there
//! for strangers, and for seconds; who comes always gets a place, because the oldest stranger gives way; what strangers do
//! makes one line in the log a minute.

mod connection;
mod guest;
mod strangers;
mod tally;
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

pub(crate) use guest::{Crowded, Guest};
pub(crate) use strangers::Origin;

use self::{guest::Doors, strangers::Room};

/// The pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Open connections, strangers beside.
    pub(crate) connections_max: usize,
    /// Who gets a place.
    pub(crate) admission: Admission,
    /// Room for a request's headers, in bytes.
    pub(crate) headers_max: usize,
    /// The longest a connection may be idle or take for its headers.
    pub(crate) idle_timeout: Duration,
    /// The longest it lasts at all.
    pub(crate) lifetime_max: Option<Duration>,
    /// The time it gets to end when all has to end.
    pub(crate) grace: Duration,
}

/// Who gets a place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    /// Anyone; when all places are held, the one that has been idle longest gives way.
    Anyone,
    /// Whoever shows the token; the others have these places, for this long.
    Token {
        /// Places of those who have shown none yet.
        strangers_max: usize,
        /// How long one may hold such a place.
        timeout: Duration,
    },
}

/// Where connections come from.
pub(crate) trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next one and where it comes from; none for one that has nothing to ask here, and is closed.
    fn accept(&self) -> impl Future<Output = io::Result<Option<(Self::Stream, Origin)>>>;
}

/// Where requests are judged and answered.
pub(crate) trait Desk: Send + Sync + 'static {
    /// Answers one. A desk that asks for a token lets `guest` enter before it holds anything for the request, and says so
    /// if it is refused.
    fn answer(
        &self,
        request: Request<Incoming>,
        guest: &Guest,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<Option<(TcpStream, Origin)>> {
        let (stream, peer) = Self::accept(self).await?;
        // An answer must not wait for the client's acknowledgement; without it, it only comes later.
        let _slower = stream.set_nodelay(true).is_err();
        Ok(Some((stream, Origin::of(peer.ip()))))
    }
}

/// Serves until `ended` is ready, and for `bounds.grace` more what is under way then. `place` is what it is called in the
/// log.
pub(crate) async fn serve<D: Desk>(
    listener: impl Accept,
    place: &'static str,
    desk: Arc<D>,
    bounds: Bounds,
    ended: impl Future<Output = ()>,
) {
    let doors = Doors::new(&bounds);
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut telling = time::interval_at(Instant::now() + tally::TELL, tally::TELL);
    telling.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = pin!(ended);
    loop {
        let room = doors.room();
        let (is_room, at) = match room {
            Room::Now => (true, None),
            Room::At(at) => (false, Some(at)),
            Room::None => (false, None),
        };
        tokio::select! {
            () = &mut ended => break,
            Some(_) = connections.join_next() => {}
            () = doors.moved.notified() => {}
            () = time::sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => {}
            _ = telling.tick() => doors.tally.tell(place),
            accepted = listener.accept(), if is_room => match accepted {
                Ok(Some((stream, origin))) => {
                    let (guest, gives_way) = doors.arrive(origin);
                    let (desk, ending) = (desk.clone(), ending.clone());
                    connections.spawn(connection::attend(stream, guest, gives_way, desk, bounds, ending));
                }
                Ok(None) => doors.tally.foreign(),
                Err(error) => {
                    doors.tally.failed(error);
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    doors.tally.tell(place);
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Those that are not done by then are cut off when their set is dropped.
    let _late = time::timeout(bounds.grace, all).await.is_err();
}
