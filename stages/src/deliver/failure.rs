//! Classifies failed attempts: what a status, an error or a timeout means.
//!
//! `may_have_arrived` is false only if the event cannot have been taken because nothing was written: a receiver can
//! take an event and still answer with an error. A cause never holds the URL, a header or anything of the answer but
//! its status; what the answer said is kept beside it.

use std::{error::Error, io, time::Duration};

use http::StatusCode;

use super::{
    body_error::BodyError, certificate, client_error::HttpClientError, egress::AddressRefused,
    meaning::Meaning,
};
use crate::{
    error_chain::sources,
    models::{Failure, FailureKind},
};

/// The longest cause, in bytes; it is stored with every failed attempt.
const CAUSE_MAX: usize = 200;

/// The cause of a timeout while connecting, in whichever step.
const CONNECT_TIMED_OUT: &str = "timed out while connecting";

/// What the client library's errors of a proxy begin with.
pub(super) const TUNNEL: &str = "tunnel error: ";

/// The receiver answered with a status that means this and is no success; `pause` is the pause it asks for.
pub(super) fn refused(status: StatusCode, meaning: Meaning, pause: Option<Duration>) -> Failure {
    let kind = match meaning {
        Meaning::Retry if status == StatusCode::TOO_MANY_REQUESTS => FailureKind::Throttled,
        Meaning::Retry if status == StatusCode::SERVICE_UNAVAILABLE && pause.is_some() => {
            FailureKind::Throttled
        }
        meaning => kind_of(meaning),
    };
    Failure {
        kind,
        status: Some(status.as_u16()),
        cause: phrase(&named(status)),
        retry_after: pause,
        may_have_arrived: true,
        answer: Some(String::new()),
    }
}

/// The status said success, and the body that it is none.
pub(super) fn error_in_body(status: StatusCode, error: &BodyError, pause: Option<Duration>) -> Failure {
    let cause = format!("{}, but {} in its body says no", named(status).to_lowercase(), error.pointer);
    Failure { kind: kind_of(error.meaning), cause: one_line(&cause), ..refused(status, error.meaning, pause) }
}

fn kind_of(meaning: Meaning) -> FailureKind {
    match meaning {
        Meaning::Success | Meaning::Retry => FailureKind::Transient,
        Meaning::Pause => FailureKind::EndpointRefused,
        Meaning::Disable => FailureKind::Gone,
        Meaning::Final => FailureKind::Refused,
        Meaning::Conflict => FailureKind::Conflict,
    }
}

/// A status with its name.
pub(super) fn named(status: StatusCode) -> String {
    let name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    name.trim_end().to_owned()
}

/// The exchange took longer than `limit`. Connecting has a shorter limit, so the request may have arrived.
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
        // A shortage on this machine: the broker is paused briefly, and the failure counts neither for it nor for the
        // event.
        let cause = format!("no connection can be made on this machine: {}", words(error));
        return Failure { kind: FailureKind::Throttled, ..transient(&cause, status, false) };
    }
    if source_of(error).is_some_and(reqwest::Error::is_connect) {
        let cause = if is_timeout(error) { CONNECT_TIMED_OUT } else { &words(error) };
        return transient(cause, status, false);
    }
    if status.is_none() && source_of(error).is_some_and(hyper::Error::is_parse_too_large) {
        // The same request gets the same answer, and may be taken each time.
        let failure =
            transient("the answer has more headers than are read: its status is not known", None, true);
        return Failure { kind: FailureKind::Refused, ..failure };
    }
    if status.is_none() && source_of(error).is_some_and(is_unprocessed) {
        return Failure { kind: FailureKind::Unprocessed, ..transient(&words(error), None, false) };
    }
    let untaken = source_of(error).is_some_and(is_unwritten);
    // A receiver that has begun an answer has the request.
    transient(&words(error), status, status.is_some() || !untaken)
}

/// There is no client for the broker: a fault of this machine, so the broker is paused briefly.
pub(super) fn no_client(error: &HttpClientError) -> Failure {
    let cause = format!("no connection can be made on this machine: {}", words(error));
    Failure { kind: FailureKind::Throttled, ..transient(&cause, None, false) }
}

/// Somebody else may make the attempt by now. It counts neither for the broker nor for the event.
pub(super) fn lease_ended() -> Failure {
    let cause = "this process's lease has ended before the batch was sent";
    Failure { kind: FailureKind::Throttled, ..transient(cause, None, false) }
}

/// The event cannot be put into a request, now or ever. `why` may name fields, which keep their case.
pub(super) fn unsendable(why: &str) -> Failure {
    Failure { kind: FailureKind::Unsendable, cause: one_line(why), ..transient("", None, false) }
}

/// The failure of a post of several events: which of them a refusal is about is not known.
pub(super) fn of_several(failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::Refused | FailureKind::Conflict => {
            Failure { kind: FailureKind::RefusedTogether, ..failure }
        }
        _ => failure,
    }
}

pub(super) fn transient(cause: &str, status: Option<StatusCode>, may_have_arrived: bool) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        status: status.map(|status| status.as_u16()),
        cause: phrase(cause),
        retry_after: None,
        may_have_arrived,
        answer: None,
    }
}

/// Whether this machine has run out of what a connection needs: file descriptors of the process or the system, memory
/// for a socket, or ports.
fn is_shortage(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    const EADDRNOTAVAIL: i32 = 99;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL))
}

/// Whether connecting timed out: as a whole, for one address, or in the system.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let system = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    source_of(error).is_some_and(reqwest::Error::is_timeout)
        || sources(error).filter_map(|source| source.downcast_ref()).any(system)
}

/// Hyper cancels a request only before it writes its first byte: the connection had closed meanwhile.
fn is_unwritten(error: &hyper::Error) -> bool {
    error.is_canceled()
}

/// Whether the receiver says that it has not processed the request: it refused the stream, or closes the connection
/// gracefully and serves only streams before this one (RFC 9113, sections 6.8 and 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    let says = |reason| error.is_remote() && error.reason() == Some(reason);
    (error.is_reset() && says(h2::Reason::REFUSED_STREAM))
        || (error.is_go_away() && says(h2::Reason::NO_ERROR))
}

fn source_of<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    sources(error).find_map(|source| source.downcast_ref())
}

/// The innermost error's message: those around it only say that something failed.
pub(super) fn words(error: &(dyn Error + 'static)) -> String {
    let innermost = sources(error).last().unwrap_or(error);
    if let Some(untrusted) = certificate::untrusted(innermost) {
        return untrusted.to_string();
    }
    let http2 = innermost.downcast_ref::<h2::Error>();
    if let Some(reason) = http2.and_then(h2::Error::reason) {
        // Its full message can contain the receiver's text.
        return format!("http/2 error: {reason}");
    }
    match http2.and_then(h2::Error::get_io).or_else(|| innermost.downcast_ref()) {
        // The kind's name is the same on every system.
        Some(system) if system.raw_os_error().is_some() => system.kind().to_string(),
        _ => of_proxy(innermost.to_string()),
    }
}

/// The client library's words for a proxy's refusal, in others that name the proxy.
fn of_proxy(text: String) -> String {
    match text.strip_prefix(TUNNEL) {
        Some("proxy authorization required") => "the proxy asks for other credentials (407)".to_owned(),
        Some("unsuccessful") => "the proxy refused the connection".to_owned(),
        Some(said) => format!("the proxy's answer: {said}"),
        None => text,
    }
}

/// `text` in lower case, on one line, cut to [`CAUSE_MAX`] bytes.
fn phrase(text: &str) -> String {
    one_line(&text.to_lowercase())
}

/// `text` on one line, cut to [`CAUSE_MAX`] bytes.
fn one_line(text: &str) -> String {
    let mut line = text.replace(char::is_control, " ");
    line.truncate(line.floor_char_boundary(CAUSE_MAX));
    line
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
    use crate::Answers;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    /// As a broker without rules of its own has it.
    fn by_default(code: u16, pause: Option<Duration>) -> Failure {
        refused(status(code), Answers::default().meaning(status(code)), pause)
    }

    #[test]
    fn every_status_has_its_kind() {
        use FailureKind::{Conflict, EndpointRefused, Gone, Refused, Throttled, Transient};
        let table = [
            (301, Transient),
            (400, Refused),
            (401, EndpointRefused),
            (404, EndpointRefused),
            (408, Transient),
            (409, Conflict),
            (410, Gone),
            (413, Refused),
            (421, Transient),
            (422, Refused),
            (429, Throttled),
            (500, Transient),
            (503, Transient),
        ];
        for (code, kind) in table {
            let failure = by_default(code, None);
            assert_eq!((failure.kind, failure.may_have_arrived, failure.status), (kind, true, Some(code)));
            assert_eq!(failure.answer.as_deref(), Some(""), "it is an answer, without a body so far");
        }
        let paused = refused(status(429), Meaning::Pause, None);
        assert_eq!(paused.kind, EndpointRefused, "the broker says what it means");
    }

    #[test]
    fn an_error_in_a_body_is_named_by_its_place_and_handled_as_its_rule_says() {
        let error = BodyError {
            pointer: "/Error/Code".to_owned(),
            values: None,
            missing: false,
            meaning: Meaning::Pause,
        };
        let failure = error_in_body(status(200), &error, None);
        assert_eq!((failure.kind, failure.status), (FailureKind::EndpointRefused, Some(200)));
        assert_eq!(failure.cause, "200 ok, but /Error/Code in its body says no");
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
    fn a_client_that_cannot_be_made_is_neither_the_brokers_failure_nor_the_events() {
        let failure = no_client(&HttpClientError::NoShards);
        assert_eq!((failure.kind, failure.may_have_arrived), (FailureKind::Throttled, false));
    }

    #[test]
    fn a_503_that_names_a_pause_is_throttling() {
        let failure = by_default(503, Some(Duration::from_secs(7)));
        assert_eq!(
            (failure.kind, failure.retry_after),
            (FailureKind::Throttled, Some(Duration::from_secs(7)))
        );
        assert_eq!(by_default(500, Some(Duration::ZERO)).kind, FailureKind::Transient);
    }

    #[test]
    fn a_status_is_named_in_lower_case_if_it_has_a_name() {
        assert_eq!(by_default(503, None).cause, "503 service unavailable");
        assert_eq!(by_default(599, None).cause, "599");
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
