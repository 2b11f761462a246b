//! Serves one connection: passes its requests to the handler one after the other, within the connection's bounds.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{oneshot, watch},
    time,
};

use super::{Bounds, Handler, peer::Peer};

/// How long a connection that must make room may take for a request that has just arrived.
const REPLACED_GRACE: Duration = Duration::from_millis(100);

pub(super) async fn serve<S, D>(
    stream: S,
    peer: Arc<Peer>,
    replaced: oneshot::Receiver<()>,
    handler: Arc<D>,
    bounds: Bounds,
    mut ending: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    D: Handler,
{
    let owner = peer.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, peer) = (handler.clone(), owner.clone());
        async move {
            peer.set_busy(true);
            let mut response = handler.handle(request, &peer).await;
            peer.set_busy(false);
            if peer.must_close() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.idle_timeout)
            .max_buf_size(bounds.headers_max)
            .serve_connection(TokioIo::new(stream), service)
    );
    let closing = async {
        tokio::select! {
            // A dropped sender means that the listener ends.
            _ended = ending.wait_for(|end| *end) => bounds.grace,
            () = lifetime(bounds.lifetime_max) => bounds.grace,
            () = wait_replaced(replaced) => REPLACED_GRACE,
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = peer.token_timeout() => return,
        grace = closing => {
            connection.as_mut().graceful_shutdown();
            time::timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection closed early");
    }
}

async fn lifetime(longest: Option<Duration>) {
    match longest {
        Some(longest) => time::sleep(longest).await,
        None => std::future::pending().await,
    }
}

/// Returns when the connection must make room for another; never once it holds a lasting slot.
async fn wait_replaced(replaced: oneshot::Receiver<()>) {
    if replaced.await.is_err() {
        std::future::pending::<()>().await;
    }
}
