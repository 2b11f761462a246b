//! The listener: an address is bound, connections enter, each within its bounds; it goes on until the line has ended,
//! and then waits for the posts that are being committed.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use state::EmbeddedLog;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};

use super::{desk::Desk, door::Door, token::Token};
use crate::{source::SourceFault, stop::Stop};

/// The pause after a failed accept, which is mostly a lack of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
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
    /// Open connections, and posts being committed; further ones wait.
    pub connections_max: usize,
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
        let desk = Arc::new(Desk::new(intake, token, limits, stop).behind(self.door));
        let (end, ending) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut ended = pin!(ended);
        loop {
            let room = connections.len() < limits.connections_max;
            tokio::select! {
                () = &mut ended => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if room => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_connection(stream, desk.clone(), limits, ending.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(self.listener);
        end.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // Those that are not done by then are cut off when their set is dropped; they have had no 202.
        let _late = time::timeout(GRACE, all).await.is_err();
        drop(connections);
        desk.close().await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    desk: Arc<Desk>,
    limits: PostLimits,
    mut ending: watch::Receiver<bool>,
) {
    // An answer must not wait for the client's acknowledgement; without it, it only comes later.
    let _slower = stream.set_nodelay(true).is_err();
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = desk.clone();
        async move { desk.answer(request).await }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_timeout)
            .max_buf_size(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A listener that is gone is one that ends.
    let ending = async { ending.wait_for(|end| *end).await.is_err() };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _gone = ending => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a producer's connection ended early");
    }
}
