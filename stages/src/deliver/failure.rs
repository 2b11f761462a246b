//! What a failed attempt means: a status, an error or a timeout enters, a [`Failure`] leaves.
//!
//! `may_have_arrived` is false only where the event cannot have been taken, because nothing was written: a receiver can
//! take an event and answer what it will. A cause never holds the URL, a header or anything of the answer but its status.

use std::{error::Error, io, ops::RangeInclusive, time::Duration};

use http::StatusCode;
use hyper_util::client::legacy;

use crate::{
    egress::AddressRefused,
    error_chain::sources,
    models::{Failure, FailureKind},
};

/// The longest cause, in bytes; it is kept with every failed attempt.
const CAUSE_MAX: usize = 200;

/// What each status that is not 2xx asks for; the first row that holds it counts, and what is in none is transient.
const CLASSES: [(RangeInclusive<u16>, FailureKind); 9] = [
    (401..=401, FailureKind::EndpointRefused),
    (403..=404, FailureKind::EndpointRefused),
    (407..=407, FailureKind::EndpointRefused),
    (409..=409, FailureKind::Conflict),
    (410..=410, FailureKind::Gone),
    (429..=429, FailureKind::Throttled),
    (408..=408, FailureKind::Transient),
    (425..=425, FailureKind::Transient),
    (400..=499, FailureKind::Refused),
];

/// The receiver answered, but not with 2xx; `pause` is its `Retry-After`.
pub(super) fn refused(status: StatusCode, pause: Option<Duration>) -> Failure {
    let class = CLASSES.iter().find(|(statuses, _)| statuses.contains(&status.as_u16()));
    let kind = match class {
        Some((_, kind)) => *kind,
        None if status == StatusCode::SERVICE_UNAVAILABLE && pause.is_some() => FailureKind::Throttled,
        None => FailureKind::Transient,
    };
    let cause = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    Failure {
        kind,
        status: Some(status.as_u16()),
        cause: phrase(cause.trim_end()),
        retry_after: pause,
        may_have_arrived: true,
    }
}

/// The exchange took longer than `limit`. Connecting has a shorter limit of its own, so the request was on its way.
pub(super) fn timed_out(limit: Duration, status: Option<StatusCode>) -> Failure {
    transient(&format!("timed out after {limit:?}"), status, true)
}

/// The exchange broke off.
pub(super) fn broken(error: &(dyn Error + 'static), status: Option<StatusCode>) -> Failure {
    if let Some(refused) = source_of::<AddressRefused>(error) {
        let failure = transient(&refused.to_string(), status, false);
        return Failure { kind: FailureKind::AddressRefused, ..failure };
    }
    if sources(error).filter_map(|source| source.downcast_ref()).any(is_shortage) {
        // The broker is left alone for a moment, and the event is no nearer to its dead letter: it is nobody's failure.
        let cause = format!("no connection can be made on this machine: {}", words(error));
        return Failure { kind: FailureKind::Throttled, ..transient(&cause, status, false) };
    }
    let unconnected = source_of(error).is_some_and(legacy::Error::is_connect);
    let unwritten = source_of(error).is_some_and(is_unwritten);
    transient(&words(error), status, !(unconnected || unwritten))
}

/// The event cannot be put into a request, now or ever.
pub(super) fn unsendable() -> Failure {
    Failure { kind: FailureKind::Refused, ..transient("the event id cannot stand in a header", None, false) }
}

fn transient(cause: &str, status: Option<StatusCode>, may_have_arrived: bool) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        status: status.map(|status| status.as_u16()),
        cause: phrase(cause),
        retry_after: None,
        may_have_arrived,
    }
}

/// Whether this machine has nothing left to make a connection with: file descriptors, of the process or the system, memory
/// for a socket, or ports.
fn is_shortage(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    const EADDRNOTAVAIL: i32 = 99;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL))
}

/// Hyper cancels a request only before it writes its first byte: the connection had closed meanwhile.
fn is_unwritten(error: &hyper::Error) -> bool {
    error.is_canceled()
}

fn source_of<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    sources(error).find_map(|source| source.downcast_ref())
}

/// The innermost error's words: those around it only say that something went wrong.
fn words(error: &(dyn Error + 'static)) -> String {
    let innermost = sources(error).last().unwrap_or(error);
    let http2 = innermost.downcast_ref::<h2::Error>();
    if let Some(reason) = http2.and_then(h2::Error::reason) {
        // All its words can hold the receiver's.
        return format!("http/2 error: {reason}");
    }
    match http2.and_then(h2::Error::get_io).or_else(|| innermost.downcast_ref()) {
        // The kind's name is the same on every system.
        Some(system) if system.raw_os_error().is_some() => system.kind().to_string(),
        _ => innermost.to_string(),
    }
}

/// `text` in lower case, on one line, cut to [`CAUSE_MAX`] bytes.
fn phrase(text: &str) -> String {
    let mut phrase = text.to_lowercase().replace(char::is_control, " ");
    phrase.truncate(phrase.floor_char_boundary(CAUSE_MAX));
    phrase
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use hyper::client::conn::{http1::handshake, http2};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn every_status_has_its_kind() {
        use FailureKind::{Conflict, EndpointRefused, Gone, Refused, Throttled, Transient};
        let table = [
            (301, Transient, true),
            (308, Transient, true),
            (400, Refused, true),
            (401, EndpointRefused, true),
            (402, Refused, true),
            (403, EndpointRefused, true),
            (404, EndpointRefused, true),
            (405, Refused, true),
            (407, EndpointRefused, true),
            (408, Transient, true),
            (409, Conflict, true),
            (410, Gone, true),
            (411, Refused, true),
            (422, Refused, true),
            (425, Transient, true),
            (429, Throttled, true),
            (499, Refused, true),
            (500, Transient, true),
            (503, Transient, true),
            (504, Transient, true),
            (599, Transient, true),
        ];
        for (code, kind, may_have_arrived) in table {
            let failure = refused(status(code), None);
            assert_eq!(
                (failure.kind, failure.may_have_arrived, failure.status),
                (kind, may_have_arrived, Some(code))
            );
        }
    }

    #[test]
    fn a_shortage_of_this_machine_is_neither_the_brokers_failure_nor_the_events() {
        for (errno, kind) in [
            (24, FailureKind::Throttled),
            (23, FailureKind::Throttled),
            (99, FailureKind::Throttled),
            (111, FailureKind::Transient),
        ] {
            // As the client wraps what connecting gave it.
            let error = io::Error::other(io::Error::from_raw_os_error(errno));
            let failure = broken(&error, None);
            assert_eq!(failure.kind, kind, "{failure:?}");
            assert_eq!(failure.may_have_arrived, kind == FailureKind::Transient, "{failure:?}");
        }
    }

    #[test]
    fn a_503_that_names_a_pause_is_throttling() {
        let failure = refused(status(503), Some(Duration::from_secs(7)));
        assert_eq!(
            (failure.kind, failure.retry_after),
            (FailureKind::Throttled, Some(Duration::from_secs(7)))
        );
        assert_eq!(refused(status(500), Some(Duration::ZERO)).kind, FailureKind::Transient);
    }

    #[test]
    fn a_status_is_named_in_lower_case_if_it_has_a_name() {
        assert_eq!(refused(status(503), None).cause, "503 service unavailable");
        assert_eq!(refused(status(599), None).cause, "599");
        assert_eq!(timed_out(Duration::from_secs(5), None).cause, "timed out after 5s");
    }

    fn request() -> Request<Full<Bytes>> {
        Request::post("/").body(Full::new(Bytes::from_static(b"{}"))).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_unwritten_if_its_connection_closed_before_and_not_if_it_closed_after() {
        let (ours, _theirs) = tokio::io::duplex(1_024);
        let (mut before, connection) = handshake(TokioIo::new(ours)).await.unwrap();
        drop(connection);
        assert!(is_unwritten(&before.send_request(request()).await.unwrap_err()));

        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let (mut after, connection) = handshake(TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let close_after_reading = async move { theirs.read_u8().await };
        let (sent, read) = tokio::join!(after.send_request(request()), close_after_reading);
        assert!(read.is_ok() && !is_unwritten(&sent.unwrap_err()));
    }

    #[tokio::test]
    async fn what_a_receiver_says_as_it_hangs_up_is_in_no_cause() {
        // RFC 9113, sections 4.1, 6.5 and 6.8: empty settings; going away, enhance your calm, and why.
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let go_away = [&[0, 0, 14, 7, 0, 0, 0, 0, 0], &[0; 4][..], &[0, 0, 0, 11], b"secret"].concat();
        let (ours, mut theirs) = tokio::io::duplex(4_096);
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(ours)).await.unwrap();
        tokio::spawn(connection);
        let hang_up = async {
            theirs.write_all(&settings).await.unwrap();
            let mut preface = [0; 24];
            theirs.read_exact(&mut preface).await.unwrap();
            // Up to the request's headers, which are of type 1.
            let mut frame = [0; 9];
            while frame[3] != 1 {
                theirs.read_exact(&mut frame).await.unwrap();
                let mut payload = vec![0; usize::from(frame[1]) << 8 | usize::from(frame[2])];
                theirs.read_exact(&mut payload).await.unwrap();
            }
            theirs.write_all(&go_away).await.unwrap();
        };
        let request = Request::post("https://tms.example/").body(Full::new(Bytes::new())).unwrap();
        let (sent, ()) = tokio::join!(client.send_request(request), hang_up);
        let failure = broken(&sent.unwrap_err(), None);
        assert_eq!(failure.cause, "http/2 error: detected excessive load generating behavior");
    }

    proptest! {
        #[test]
        fn a_phrase_is_short_one_line_and_lower_case(text in any::<String>()) {
            let phrase = phrase(&text.repeat(8));
            prop_assert!(phrase.len() <= CAUSE_MAX);
            prop_assert!(!phrase.chars().any(char::is_control));
            prop_assert!(!phrase.chars().any(|c| c.is_ascii_uppercase()));
        }
    }
}
