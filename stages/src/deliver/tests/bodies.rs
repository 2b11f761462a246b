//! Answers that say success in their status and something else in their body, to brokers that have a rule for it.

use http::Response;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{
    receiver::{Receiver, raw, read_request},
    *,
};
use crate::models::FailureKind::{EndpointRefused, Refused, Transient};

/// `/success` must not be false, and `/error` must not say anything.
fn rules() -> Arc<Answers> {
    let success = BodyError {
        pointer: "/success".to_owned(),
        values: Some(vec![json!(false)]),
        missing: false,
        meaning: Meaning::Final,
    };
    let error =
        BodyError { pointer: "/error".to_owned(), values: None, missing: false, meaning: Meaning::Pause };
    Arc::new(Answers::new(Vec::new(), vec![success, error]))
}

async fn attempt_by(rules: Arc<Answers>, address: SocketAddr, timeout: Duration) -> Attempt {
    let url = format!("http://{address}/hook");
    let plain = broker_at(&url, signer(&SECRETS[..1]), timeout);
    let broker = broker(plain.terms().endpoint.clone().with_answers(rules));
    deliver().run(permitted(&broker, "e.1", BODY)).await.unwrap()
}

#[tokio::test]
async fn a_body_that_says_no_is_a_failure_with_its_words_and_any_other_is_none() {
    let table = [
        (r#"{"success":false,"error":"LOAD_NOT_FOUND"}"#, Some(Refused)),
        (r#"{"success":true,"error":"token expired"}"#, Some(EndpointRefused)),
        (r#"{"success":true,"error":""}"#, None),
        ("<html>fine</html>", None),
        ("", None),
    ];
    for (body, expected) in table {
        let receiver = Receiver::start(move || Response::new(body)).await;
        let attempt = attempt_by(rules(), receiver.address, LONG).await;
        let Some(kind) = expected else {
            assert_accepted(&attempt);
            continue;
        };
        let failure = failure(attempt);
        assert_eq!((failure.kind, failure.status), (kind, Some(200)));
        assert_eq!((failure.answer.as_deref(), failure.may_have_arrived), (Some(body), true));
    }
}

#[tokio::test]
async fn a_body_that_is_longer_than_is_read_has_no_value_and_counts_by_its_status() {
    let long: &'static str = format!("{{\"success\":false,\"x\":\"{}\"}}", "x".repeat(RESPONSE_MAX)).leak();
    let receiver = Receiver::start(move || Response::new(long)).await;
    assert_accepted(&attempt_by(rules(), receiver.address, LONG).await);
    let rule =
        BodyError { pointer: "/success".to_owned(), values: None, missing: true, meaning: Meaning::Retry };
    let strict = Arc::new(Answers::new(Vec::new(), vec![rule]));
    let failure = failure(attempt_by(strict, receiver.address, LONG).await);
    assert_eq!((failure.kind, failure.answer.map(|answer| answer.len())), (Transient, Some(1_024)));
}

#[tokio::test]
async fn a_body_that_must_be_judged_and_does_not_come_leaves_it_unclear() {
    let slow = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let cut = raw(async |mut stream| {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{").await.unwrap();
    })
    .await;
    for (address, timeout) in [(slow, MEDIUM), (cut, LONG)] {
        let failure = failure(attempt_by(rules(), address, timeout).await);
        assert_eq!((failure.kind, failure.status, failure.answer), (Transient, Some(200), None));
        assert!(failure.may_have_arrived);
    }
}
