//! The listener: an address is bound, connections enter, each within its bounds; it goes on until the line has ended,
//! and then waits for the posts that are being committed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use state::EmbeddedLog;
use tokio::net::TcpListener;

use super::{desk::Desk, door::Door, token::Token};
use crate::{
    listening::{Admission, Bounds, serve},
    source::SourceFault,
    stop::Stop,
};

/// Room for a request's headers, in bytes; a post's need less than one kibibyte.
const HEADERS_MAX: usize = 16 << 10;
/// The time open connections get to end when the line has ended: their answers are written, nothing more is due.
const GRACE: Duration = Duration::from_secs(1);

/// What producers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostLimits {
    /// The largest body, in bytes, on the wire and decompressed.
    pub body_max: usize,
    /// The most records in it.
    pub records_max: usize,
    /// The longest of them, in bytes.
    pub record_max: usize,
    /// The longest a body may take to come.
    pub body_timeout: Duration,
    /// The longest a connection may be idle or take for its headers.
    pub idle_timeout: Duration,
    /// Open connections that have shown the token, or where there is none all of them; and posts being committed.
    pub connections_max: usize,
    /// Open connections that have shown no token yet.
    pub strangers_max: usize,
    /// The longest such a connection lasts.
    pub strangers_timeout: Duration,
}

impl PostLimits {
    /// The same with at most `all` connections, strangers included if a token is asked for: they get a quarter at most.
    #[must_use]
    pub fn within(self, all: usize, asks_for_token: bool) -> Self {
        let strangers_max = self.strangers_max.min((all / 4).max(1));
        let rest = if asks_for_token { all.saturating_sub(strangers_max) } else { all };
        Self { connections_max: self.connections_max.min(rest.max(1)), strangers_max, ..self }
    }

    fn bounds(&self, asks_for_token: bool) -> Bounds {
        let Self { strangers_max, strangers_timeout: timeout, .. } = *self;
        let token = Admission::Token { strangers_max, timeout };
        Bounds {
            connections_max: self.connections_max,
            admission: if asks_for_token { token } else { Admission::Anyone },
            headers_max: HEADERS_MAX,
            idle_timeout: self.idle_timeout,
            lifetime_max: None,
            grace: GRACE,
        }
    }
}

/// A bound address where nobody answers yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    door: Option<Door>,
}

impl Listener {
    /// Binds `addr` (port 0: any free port) and says so in the log. Connections wait until [`serve`](Self::serve).
    ///
    /// # Errors
    /// [`SourceFault::Listen`].
    pub async fn bind(addr: SocketAddr) -> Result<Self, SourceFault> {
        let fault = |error: std::io::Error| SourceFault::Listen {
            addr,
            kind: error.kind(),
            detail: error.to_string(),
        };
        let listener = TcpListener::bind(addr).await.map_err(fault)?;
        let addr = listener.local_addr().map_err(fault)?;
        tracing::info!(%addr, "listening");
        Ok(Self { listener, addr, door: None })
    }

    /// Refuses a post with a record that `door` does not let in.
    #[must_use]
    pub fn strict(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    /// The address, with the port the system chose.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `ended` is ready. From the moment `stop` is asked, posts are answered with 503; when this returns,
    /// nothing is being committed any more.
    pub async fn serve(
        self,
        intake: EmbeddedLog,
        token: Option<Token>,
        limits: PostLimits,
        stop: Stop,
        ended: impl Future<Output = ()>,
    ) {
        let bounds = limits.bounds(token.is_some());
        let desk = Arc::new(Desk::new(intake, token, limits, stop).behind(self.door));
        // Posts that are not answered when this ends are cut off; they have had no 202.
        serve(self.listener, "source.listen", desk.clone(), bounds, ended).await;
        desk.close().await;
    }
}
