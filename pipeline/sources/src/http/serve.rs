//! The listener for posts: binds an address and serves connections within bounds until the line has ended, then waits
//! for the posts that are being committed.

use std::{net::SocketAddr, sync::Arc};

use stages::Decode;
use state::EmbeddedLog;
use tokio::net::TcpListener;

use super::{handler::Handler, limits::PostLimits, strict::StrictCheck, token::Token};
use crate::{ReadFault, listening::serve};
use line::stop::Stop;

/// A bound address that is not served yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    strict: Option<StrictCheck>,
    schema: Option<Decode>,
}

impl Listener {
    /// Binds `addr` (port 0: any free port) and says so in the log. Connections wait until [`serve`](Self::serve).
    ///
    /// # Errors
    /// [`ReadFault::Listen`].
    pub async fn bind(addr: SocketAddr) -> Result<Self, ReadFault> {
        let fault =
            |error: std::io::Error| ReadFault::Listen { addr, kind: error.kind(), detail: error.to_string() };
        let listener = TcpListener::bind(addr).await.map_err(fault)?;
        let addr = listener.local_addr().map_err(fault)?;
        tracing::info!(%addr, "listening");
        Ok(Self { listener, addr, strict: None, schema: None })
    }

    /// Refuses a post with a record that `check` refuses.
    #[must_use]
    pub fn strict(mut self, check: StrictCheck) -> Self {
        self.strict = Some(check);
        self
    }

    /// Reads posts by the schema of `decode`: of CloudEvents, headers may be a part.
    #[must_use]
    pub fn reading(mut self, decode: Decode) -> Self {
        self.schema = Some(decode);
        self
    }

    /// The address, with the actual port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `ended` is ready. Once `stop` is asked, posts are answered with 503. When this returns, nothing
    /// is being committed.
    pub async fn serve(
        self,
        intake: EmbeddedLog,
        token: Option<Token>,
        limits: PostLimits,
        stop: Stop,
        ended: impl Future<Output = ()>,
    ) {
        let bounds = limits.bounds(token.is_some());
        let handler = Arc::new(
            Handler::new(intake, token, limits, stop).with_strict(self.strict).with_schema(self.schema),
        );
        // Posts that are not answered by then are cut off; they have had no 202.
        serve(self.listener, "source.listen", handler.clone(), bounds, ended).await;
        handler.close().await;
    }
}
