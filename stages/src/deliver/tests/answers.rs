//! Receivers that refuse, stall, break off or talk without end.

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use http::Response;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{
    receiver::{Receiver, raw, read_request},
    *,
};
use crate::models::FailureKind::{self, Gone, Refused, Throttled, Transient};

async fn answered(status: u16, header: Option<(&'static str, &'static str)>) -> Failure {
    let receiver = Receiver::start(move || {
        let answer = Response::builder().status(status);
        header
            .into_iter()
            .fold(answer, |answer, (name, value)| answer.header(name, value))
            .body("no\r\n")
            .unwrap()
    })
    .await;
    let failure = failure(attempt_at(receiver.address, LONG).await);
    assert_eq!(receiver.seen().len(), 1);
    failure
}

#[tokio::test]
async fn every_2xx_is_an_acceptance() {
    for status in [200, 201, 202, 204, 299] {
        let receiver = Receiver::start(move || Response::builder().status(status).body("").unwrap()).await;
        assert_accepted(&attempt_at(receiver.address, LONG).await);
    }
}

#[tokio::test]
async fn each_class_of_status_has_its_consequence() {
    let table: [(u16, FailureKind, bool, &str); 7] = [
        (304, Transient, true, "304 not modified"),
        (400, Refused, true, "400 bad request"),
        (408, Transient, true, "408 request timeout"),
        (410, Gone, true, "410 gone"),
        (429, Throttled, true, "429 too many requests"),
        (500, Transient, true, "500 internal server error"),
        (503, Transient, true, "503 service unavailable"),
    ];
    for (status, kind, may_have_arrived, cause) in table {
        let (cause, answer) = (cause.to_owned(), (status != 304).then(|| "no".to_owned()));
        // A 304 has no body (RFC 9110, section 15.4.5).
        let answer = Some(answer.unwrap_or_default());
        let expected =
            Failure { kind, status: Some(status), cause, retry_after: None, may_have_arrived, answer };
        assert_eq!(answered(status, None).await, expected);
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let seconds = answered(503, Some(("retry-after", "17"))).await;
    assert_eq!((seconds.kind, seconds.retry_after), (Throttled, Some(Duration::from_secs(17))));
    let past = answered(429, Some(("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"))).await;
    assert_eq!((past.kind, past.retry_after), (Throttled, Some(Duration::ZERO)));
    let unreadable = answered(503, Some(("retry-after", "soon"))).await;
    assert_eq!((unreadable.kind, unreadable.retry_after), (Transient, None));

    let receiver = Receiver::start(|| {
        let answer = Response::builder().status(503).header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        answer.body("").unwrap()
    })
    .await;
    let clients = HttpClients::new(1, &http_options()).unwrap();
    // The clock moves with the exchange, by less than a minute; the date is two minutes off.
    let deliver = Deliver::new(clients, Clock::simulated(784_111_777_000 - 120_000), RESPONSE_MAX);
    let url = format!("http://{}/", receiver.address);
    let pause = failure(attempt(&deliver, &url, LONG).await).retry_after.unwrap();
    assert!((60..=120).contains(&pause.as_secs()), "{pause:?}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_its_target_gets_nothing() {
    let target = Receiver::start(|| Response::new("")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/", target.address);
        let receiver = Receiver::start(move || {
            Response::builder().status(status).header("location", &location).body("").unwrap()
        })
        .await;
        let failure = failure(attempt_at(receiver.address, LONG).await);
        assert_eq!((failure.kind, failure.status, failure.may_have_arrived), (Transient, Some(status), true));
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn slow_headers_time_out_and_may_have_arrived() {
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let failure = failure(attempt_at(address, SHORT).await);
    assert_eq!((failure.kind, failure.status, failure.may_have_arrived), (Transient, None, true));
    assert_eq!(failure.cause, "timed out after 150ms");
}

#[tokio::test]
async fn a_status_decides_although_its_body_never_ends() {
    let accepting = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nwait").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    // Even with a timeout that is over before anyone stops waiting for the body.
    for timeout in [LONG, MEDIUM] {
        assert_accepted(&attempt_at(accepting, timeout).await);
    }
    let gone = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 410 Gone\r\ncontent-length: 9\r\n\r\nwait").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let gone = failure(attempt_at(gone, LONG).await);
    assert_eq!((gone.kind, gone.status, gone.may_have_arrived), (Gone, Some(410), true));
    assert_eq!(gone.answer.as_deref(), Some("wait"), "what has come of it");
}

#[tokio::test]
async fn a_refused_connection_carried_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = failure(attempt_at(address, LONG).await);
    assert_eq!((failure.kind, failure.status, failure.may_have_arrived), (Transient, None, false));
    assert_eq!(failure.cause, "connection refused");
}

#[tokio::test]
async fn a_reset_after_the_request_was_read_may_have_been_taken() {
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let failure = failure(attempt_at(address, LONG).await);
    assert_eq!((failure.kind, failure.may_have_arrived), (Transient, true));
    assert_eq!(failure.cause, "connection reset");
}

#[tokio::test]
async fn an_acceptance_that_breaks_off_in_its_body_is_one() {
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    })
    .await;
    assert_accepted(&attempt_at(address, LONG).await);
}

#[tokio::test]
async fn many_headers_malformed_ones_those_on_several_lines_and_the_older_version_are_answers_too() {
    static ANSWERS: [fn() -> Vec<u8>; 5] = [
        || b"HTTP/1.1 200 OK\r\nx-folded: one,\r\n two\r\n\tthree\r\ncontent-length: 0\r\n\r\n".to_vec(),
        || b"HTTP/1.0 200 OK\r\n\r\nok".to_vec(),
        || b"HTTP/1.1 200 OK\r\nx-a : b\r\nno header: c\r\ncontent-length: 0\r\n\r\n".to_vec(),
        || {
            let headers: String = (0..1_000).map(|n| format!("x-header-{n}: {n}\r\n")).collect();
            format!("HTTP/1.1 204 No Content\r\n{headers}\r\n").into_bytes()
        },
        || {
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec()
        },
    ];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        let answer = ANSWERS[NEXT.fetch_add(1, Ordering::Relaxed)]();
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    for _ in &ANSWERS {
        assert_accepted(&attempt_at(address, LONG).await);
    }
}

#[tokio::test]
async fn an_answer_with_more_headers_than_are_read_is_not_asked_for_again() {
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        let headers: String = (0..2_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let failure = failure(attempt_at(address, LONG).await);
    assert_eq!((failure.kind, failure.status, failure.may_have_arrived), (Refused, None, true));
    assert_eq!(failure.cause, "the answer has more headers than are read: its status is not known");
}

#[tokio::test]
async fn the_first_words_of_a_refusal_are_kept_and_control_nothing() {
    static LONG_WORDS: LazyLock<String> = LazyLock::new(|| "\u{1b}[2J".to_owned() + &"é".repeat(4_000));
    let receiver =
        Receiver::start(|| Response::builder().status(422).body(LONG_WORDS.as_str()).unwrap()).await;
    let kept = failure(attempt_at(receiver.address, LONG).await).answer.unwrap();
    assert!(kept.starts_with("\u{fffd}[2Jéé") && kept.len() > 1_000 && kept.len() <= 1_024, "{kept:?}");
}

#[tokio::test]
async fn a_connection_is_not_used_for_longer_than_its_age() {
    for (age, connections) in [(Duration::from_secs(300), 1), (Duration::ZERO, 3)] {
        let receiver = Receiver::start(|| Response::new("thanks")).await;
        let options = HttpOptions { connection_age_max: age, ..http_options() };
        let deliver = deliver_with(&options, FixedLookup::new(&["127.0.0.1"]));
        let url = format!("http://tms.example:{}/", receiver.address.port());
        for _ in 0..3 {
            assert_accepted(&attempt(&deliver, &url, LONG).await);
        }
        assert_eq!(receiver.connections(), connections, "{age:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_broken_connection() {
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap();
    })
    .await;
    let failure = failure(attempt_at(address, LONG).await);
    assert_eq!((failure.kind, failure.status, failure.may_have_arrived), (Transient, None, true));
}

#[tokio::test]
async fn an_endless_answer_is_dropped_at_the_limit() {
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    let address = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = [b"400\r\n", &[b'x'; 0x400][..], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
        GIVEN_UP.store(true, Ordering::Relaxed);
    })
    .await;
    // Without the limit it would never end, and the timeout would make it a failure.
    assert_accepted(&attempt_at(address, LONG).await);
    // The connection is given up, so the receiver's writes fail.
    let given_up = async {
        while !GIVEN_UP.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, given_up).await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_that_the_receiver_has_closed_does_not_cost_the_next_delivery() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let closing = raw(async |mut stream| {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let other = Receiver::start(|| Response::new("")).await;
    let deliver = deliver();
    for _ in 0..3 {
        assert_accepted(&attempt(&deliver, &format!("http://{closing}/"), LONG).await);
        // While this one is under way, the client learns that the connection has been closed.
        assert_accepted(&attempt(&deliver, &format!("http://{}/", other.address), LONG).await);
    }
    assert_eq!((CONNECTIONS.load(Ordering::Relaxed), other.connections()), (3, 1));
}

#[tokio::test]
async fn a_connection_that_closes_before_the_request_is_a_failure() {
    let address = raw(async |stream| drop(stream)).await;
    let failure = failure(attempt_at(address, LONG).await);
    assert_eq!((failure.kind, failure.status), (Transient, None));
}

#[test]
fn an_event_goes_alone_after_a_refusal_with_others_and_not_after_it_was_asked_to_wait() {
    let after = |status: u16| {
        let mut history = History::default();
        let cause = String::new();
        let (status, answer) = (Some(status), None);
        history.push(state::FailedAttempt { at: 1, status, cause, may_have_arrived: true, answer }, false);
        history
    };
    let own = Answers::new(vec![(503..=503, Meaning::Final)], Vec::new());
    for (status, by_default, by_own) in [(422, true, true), (429, false, false), (503, false, true)] {
        let alone = [Answers::default(), own.clone()].map(|answers| goes_alone(&after(status), &answers));
        assert_eq!(alone, [by_default, by_own], "{status}");
    }
}
