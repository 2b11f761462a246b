//! Receivers that speak HTTP/2 frame by frame: how they refuse a request, and what of their words is kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{
    receiver::{Authority, raw_http2, trusting},
    *,
};

/// Frame types and error codes of RFC 9113, sections 6 and 7.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const NO_ERROR: u8 = 0;
const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;
const ENHANCE_YOUR_CALM: u8 = 11;
/// The first stream that a client opens.
const FIRST: u8 = 1;

/// RFC 9113, section 4.1.
fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
}

/// The connection takes streams up to `last` and no more, because of `code`, and why.
fn going_away(last: u8, code: u8, words: &str) -> Vec<u8> {
    frame(GOAWAY, 0, &[&[0, 0, 0, last, 0, 0, 0, code], words.as_bytes()].concat())
}

fn reset(code: u8) -> Vec<u8> {
    frame(RST_STREAM, FIRST, &[0, 0, 0, code])
}

/// Greets, says `words` to each request, and counts the requests until the other side closes.
async fn refuse(mut stream: TlsStream<TcpStream>, words: &[u8], requests: &AtomicUsize) {
    stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(words).await.unwrap();
        }
    }
}

/// What comes of one attempt at a receiver that says `words`, and how many requests that was.
async fn refused(words: Vec<u8>) -> (Failure, usize) {
    refused_within(words, LONG).await
}

/// The same, if the receiver's words alone do not end the attempt.
async fn refused_within(words: Vec<u8>, timeout: Duration) -> (Failure, usize) {
    let authority = Authority::new();
    // As long as the process: a receiver runs on.
    let (words, requests): (&'static [u8], &'static AtomicUsize) = (words.leak(), Box::leak(Box::default()));
    let address = raw_http2(&authority, move |stream| refuse(stream, words, requests)).await;
    let deliver = deliver_with(&trusting(&authority), FixedLookup::new(&["127.0.0.1"]));
    let url = format!("https://tms.example:{}/", address.port());
    let failure = failure(attempt(&deliver, &url, timeout).await);
    (failure, requests.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_a_receiver_says_as_it_hangs_up_is_in_no_cause() {
    // A stream that the receiver has taken goes on.
    for (last, timeout) in [(0, LONG), (FIRST, Duration::from_secs(2))] {
        let words = going_away(last, ENHANCE_YOUR_CALM, "secret");
        let (failure, requests) = refused_within(words, timeout).await;
        assert!(!failure.cause.contains("secret"), "{failure:?}");
        assert_eq!((failure.may_have_arrived, requests), (true, 1), "{failure:?}");
    }
    let (failure, _) = refused(going_away(0, ENHANCE_YOUR_CALM, "secret")).await;
    assert_eq!(failure.cause, "http/2 error: detected excessive load generating behavior");
}

#[tokio::test]
async fn a_request_that_the_receiver_has_not_looked_at_did_not_arrive_and_is_not_sent_again_by_itself() {
    for words in [reset(REFUSED_STREAM), going_away(0, NO_ERROR, "restarting")] {
        let (failure, requests) = refused(words).await;
        assert_eq!((failure.kind, failure.status), (crate::models::FailureKind::Unprocessed, None));
        assert_eq!((failure.may_have_arrived, requests), (false, 1), "{failure:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_cancelled_may_have_been_taken() {
    let (failure, requests) = refused(reset(CANCEL)).await;
    assert_eq!((failure.may_have_arrived, requests), (true, 1), "{failure:?}");
}
