//! What a failed attempt means: a status, an error or a timeout enters, a [`Failure`] leaves.
//!
//! `may_have_arrived` is false only where the event cannot have been taken: nothing was written, or the receiver said
//! no. A cause never holds the URL, a header or anything of the answer but its status.

use std::{error::Error, io, iter, time::Duration};

use http::StatusCode;

use crate::{
    egress::AddressRefused,
    models::{Failure, FailureKind},
};

/// The longest cause, in bytes; it is kept with every failed attempt.
const CAUSE_MAX: usize = 200;

/// The receiver answered, but not with 2xx; `pause` is its `Retry-After`.
pub(super) fn refused(status: StatusCode, pause: Option<Duration>) -> Failure {
    let kind = match status.as_u16() {
        429 => FailureKind::Throttled,
        503 if pause.is_some() => FailureKind::Throttled,
        410 => FailureKind::Gone,
        408 => FailureKind::Transient,
        400..=499 => FailureKind::Refused,
        _ => FailureKind::Transient,
    };
    let cause = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    Failure {
        kind,
        status: Some(status.as_u16()),
        cause: phrase(cause.trim_end()),
        retry_after: pause,
        may_have_arrived: !(status.is_client_error() || status.is_redirection()),
    }
}

/// The exchange took longer than `limit`. Connecting has a shorter limit of its own, so the request was on its way.
pub(super) fn timed_out(limit: Duration, status: Option<StatusCode>) -> Failure {
    transient(&format!("timed out after {limit:?}"), status, true)
}

/// The exchange broke off.
pub(super) fn broken(error: reqwest::Error, status: Option<StatusCode>) -> Failure {
    if let Some(refused) = source_of::<AddressRefused>(&error) {
        let failure = transient(&refused.to_string(), status, false);
        return Failure { kind: FailureKind::AddressRefused, ..failure };
    }
    let unwritten = source_of(&error).is_some_and(is_unwritten);
    let may_have_arrived = !error.is_connect() && !unwritten;
    transient(&words(error), status, may_have_arrived)
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

/// Hyper cancels a request only before it writes its first byte: the connection had closed meanwhile.
fn is_unwritten(error: &hyper::Error) -> bool {
    error.is_canceled()
}

fn sources(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(error.source(), |&error| error.source())
}

fn source_of<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    sources(error).find_map(|source| source.downcast_ref())
}

/// The innermost error's words: those around it only say that something went wrong, and the outermost shows the URL.
fn words(error: reqwest::Error) -> String {
    if error.is_connect() && error.is_timeout() {
        return "timed out while connecting".to_owned();
    }
    let Some(innermost) = sources(&error).last() else {
        return error.without_url().to_string();
    };
    match innermost.downcast_ref::<io::Error>() {
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
    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn every_status_has_its_kind() {
        use FailureKind::{Gone, Refused, Throttled, Transient};
        let table = [
            (301, Transient, false),
            (308, Transient, false),
            (400, Refused, false),
            (401, Refused, false),
            (404, Refused, false),
            (408, Transient, false),
            (409, Refused, false),
            (410, Gone, false),
            (422, Refused, false),
            (429, Throttled, false),
            (499, Refused, false),
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
