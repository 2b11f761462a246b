//! One connection from its first byte to its end: requests go to the desk one after the other, within the bounds of
//! whoever has connected.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{oneshot, watch},
    time,
};

use super::{Bounds, Desk, guest::Guest};

/// The time one that gives way has for a request that has just arrived.
const LAST: Duration = Duration::from_millis(100);

pub(super) async fn attend<S, D>(
    stream: S,
    guest: Arc<Guest>,
    gives_way: oneshot::Receiver<()>,
    desk: Arc<D>,
    bounds: Bounds,
    mut ending: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    D: Desk,
{
    let who = guest.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (desk, guest) = (desk.clone(), who.clone());
        async move {
            guest.is_served(true);
            let mut response = desk.answer(request, &guest).await;
            guest.is_served(false);
            if guest.has_to_go() {
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
    let over = async {
        tokio::select! {
            // A listener that is gone is one that ends.
            _gone = ending.wait_for(|end| *end) => bounds.grace,
            () = lasts(bounds.lifetime_max) => bounds.grace,
            () = told(gives_way) => LAST,
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = guest.outstays() => return,
        grace = over => {
            connection.as_mut().graceful_shutdown();
            time::timeout(grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn lasts(longest: Option<Duration>) {
    match longest {
        Some(longest) => time::sleep(longest).await,
        None => std::future::pending().await,
    }
}

/// Returns when it is told, and never if it cannot be any more.
async fn told(gives_way: oneshot::Receiver<()>) {
    if gives_way.await.is_err() {
        std::future::pending::<()>().await;
    }
}
