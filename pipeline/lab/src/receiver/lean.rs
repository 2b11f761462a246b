//! The receiver of the benchmarks: it answers 200 to everything as fast as hyper can, after a delay if told so, and may
//! count what came. A second one beside [`Receiver`](super::Receiver), because that one checks signatures, remembers ids
//! and tells a recorder, and would be what is measured.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::arrivals::Arrivals;

/// A listener on loopback with the given port; zero for any.
///
/// # Errors
/// The port is taken.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Serves `listener` for ever.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, delay: Duration) -> io::Result<()> {
    serve_counted(listener, delay, Arc::new(Arrivals::new(0))).await
}

/// Serves `listener` for ever, and notes in `arrivals` what has come.
///
/// # Errors
/// The listener fails.
pub async fn serve_counted(
    listener: TcpListener,
    delay: Duration,
    arrivals: Arc<Arrivals>,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let arrivals = Arc::clone(&arrivals);
        let service = service_fn(move |request: Request<Incoming>| {
            let arrivals = Arc::clone(&arrivals);
            async move {
                let (head, body) = request.into_parts();
                // A body that breaks off is the sender's business.
                if body.collect().await.is_ok() {
                    arrivals.note(head.uri.path());
                }
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            // A client that hangs up ends its connection, nothing else.
            let _ended = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
