//! One connection: its requests are answered in turn, until the client closes, idles too long, or the receiver stops.
//! HTTP/1.1 with keep-alive, or HTTP/2 without TLS if the client begins with its preface (prior knowledge, RFC 9113,
//! section 3.3).

use std::{io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, time};

use super::handler::Handler;

/// Enough to tell `PRI * HTTP/2.0` from any HTTP/1 method: POST and PUT differ at the second byte.
const HTTP2_STARTS: [u8; 3] = *b"PRI";
/// The pause before looking again, if only one or two bytes have come.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Room for a request's headers, in bytes; a webhook's need less than one kibibyte.
const HEADERS_MAX: usize = 16 << 10;

/// Serves one connection to its end.
pub(crate) async fn serve(stream: TcpStream, handler: Arc<Handler>) {
    let mut stopping = handler.stopping.clone();
    let looked = tokio::select! {
        looked = time::timeout(handler.limits.idle_max, speaks_http2(&stream)) => looked,
        // A client keeps connections in hand on which it has not said anything yet.
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    let served = match looked {
        Err(_) | Ok(Err(_)) => return,
        Ok(Ok(true)) => serve_http2(stream, handler).await,
        Ok(Ok(false)) => serve_http1(stream, handler).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the receiver ended early");
    }
}

async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    // an answer in several parts must not wait for the client's acknowledgement
    stream.set_nodelay(true)?;
    let mut start = [0; HTTP2_STARTS.len()];
    loop {
        let read = stream.peek(&mut start).await?;
        if read == 0 || start[..read] != HTTP2_STARTS[..read] {
            return Ok(false);
        }
        if read == start.len() {
            return Ok(true);
        }
        time::sleep(LOOK_AGAIN).await;
    }
}

async fn serve_http1(stream: TcpStream, handler: Arc<Handler>) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move { handler.answer(request).await }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(handler.limits.idle_max)
            .max_buf_size(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut stopping = handler.stopping.clone();
    tokio::select! {
        served = connection.as_mut() => return served,
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    time::timeout(handler.limits.grace, connection).await.unwrap_or(Ok(()))
}

async fn serve_http2(stream: TcpStream, handler: Arc<Handler>) -> Result<(), hyper::Error> {
    let service = {
        let handler = Arc::clone(&handler);
        service_fn(move |request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            async move { handler.answer(request).await }
        })
    };
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(handler.limits.idle_max)
            .max_concurrent_streams(handler.limits.streams_max)
            .max_header_list_size(HEADERS_MAX as u32)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut stopping = handler.stopping.clone();
    tokio::select! {
        served = connection.as_mut() => return served,
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    time::timeout(handler.limits.grace, connection).await.unwrap_or(Ok(()))
}
