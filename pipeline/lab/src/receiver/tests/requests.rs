//! Requests that are in order and requests that are not: signatures, sizes, repeats.

use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Counts, Times};
use super::*;

#[tokio::test]
async fn a_well_signed_event_is_taken_and_recorded() {
    let (receiver, journal) = start(Behaviour::default());
    let mut client = Client::connect(receiver.addr()).await;
    assert_eq!(client.status(event("evt_1")).await, 200);

    let entries = journal.entries();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((&*entry.path, &*entry.webhook_id), ("/hook", "evt_1"));
    assert_eq!((&*entry.event_id, &*entry.load_id, &*entry.status), ("e1", "CHI-1", "picked-up"));
    assert_eq!((entry.body.as_deref(), entry.times), (Some(BODY.as_bytes()), Times::First));
    assert_eq!(entry.digest, crate::BodyDigest::of(BODY.as_bytes()));
    assert!(entry.at.abs_diff(Clock::System.now()) < 60_000);
}

#[tokio::test]
async fn what_is_not_signed_well_gets_401_and_is_not_recorded() {
    let (receiver, journal) = start(Behaviour::default());
    let mut client = Client::connect(receiver.addr()).await;

    let stranger = "whsec_c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXI=";
    let mut unsigned = event("evt_1");
    unsigned.headers_mut().remove("webhook-signature");
    let mut altered = event("evt_1");
    *altered.body_mut() = Full::new(Bytes::from_static(b"{}"));
    let mut renamed = event("evt_1");
    renamed.headers_mut().insert("webhook-id", "evt_2".parse().unwrap());
    for (request, why) in [
        (signed(stranger, "evt_1", BODY, 0), "wrong signature"),
        (altered, "wrong signature"),
        (renamed, "wrong signature"),
        (unsigned, "not signed"),
        (signed(SECRET, "evt_1", BODY, 3_600), "timestamp more than five minutes off"),
        (signed(SECRET, "evt_1", BODY, -3_600), "timestamp more than five minutes off"),
    ] {
        let (status, _, text) = client.send(request).await.unwrap();
        assert_eq!((status.as_u16(), &*text), (401, why.as_bytes()));
    }
    assert_eq!(journal.entries(), []);
    let counts = receiver.stop().await.unwrap();
    assert_eq!(counts, Counts { requests: 6, refused_signatures: 6, ..Counts::default() });
}

#[tokio::test]
async fn any_of_the_secrets_will_do() {
    let (receiver, _) = start(Behaviour::default());
    let mut client = Client::connect(receiver.addr()).await;
    assert_eq!(client.status(signed(SECRET, "1", BODY, 0)).await, 200);
    assert_eq!(client.status(signed(OTHER_SECRET, "2", BODY, 0)).await, 200);
}

#[tokio::test]
async fn without_keys_only_the_id_is_asked_for() {
    let receiver = Receiver::bind(localhost(), Behaviour::default(), Keys::unchecked()).unwrap().spawn();
    let mut client = Client::connect(receiver.addr()).await;
    let request = || Request::post("/").header("host", "tms.example.com");
    let body = || Full::new(Bytes::from_static(b"{}"));
    assert_eq!(client.status(request().header("webhook-id", "1").body(body()).unwrap()).await, 200);
    assert_eq!(client.status(request().body(body()).unwrap()).await, 400);
    let long = "x".repeat(257);
    assert_eq!(client.status(request().header("webhook-id", long).body(body()).unwrap()).await, 400);
}

#[tokio::test]
async fn where_ids_are_optional_a_request_without_one_is_known_by_its_bytes() {
    let journal = Arc::new(Journal::new(100));
    let receiver = Receiver::bind(localhost(), Behaviour::default(), Keys::unchecked()).unwrap();
    let receiver = receiver.with_ids_optional().with_recorder(Arc::<Journal>::clone(&journal)).spawn();
    let mut client = Client::connect(receiver.addr()).await;
    let bare = |body: &'static str| {
        let request = Request::post("/").header("host", "tms.example.com");
        request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
    };
    for request in [bare("1"), bare("2"), bare("1"), event("evt_1"), event("evt_1")] {
        assert_eq!(client.status(request).await, 200);
    }
    let seen: Vec<_> = journal.entries().into_iter().map(|entry| (entry.webhook_id, entry.times)).collect();
    let expected = [
        ("", Times::First),
        ("", Times::First),
        ("", Times::Repeat),
        ("evt_1", Times::First),
        ("evt_1", Times::Repeat),
    ];
    assert_eq!(seen, expected.map(|(id, times)| (id.to_owned(), times)));
    assert_eq!(receiver.control().counts().received(), 3);
}

#[tokio::test]
async fn optional_ids_make_no_signature_optional() {
    let keys = Keys::new([SECRET]).unwrap();
    let receiver = Receiver::bind(localhost(), Behaviour::default(), keys).unwrap().with_ids_optional();
    let receiver = receiver.spawn();
    let mut unsigned = event("evt_1");
    unsigned.headers_mut().remove("webhook-id");
    assert_eq!(Client::connect(receiver.addr()).await.status(unsigned).await, 401);
}

#[tokio::test]
async fn a_repeat_is_marked_and_a_repeat_with_other_bytes_is_a_conflict() {
    let (receiver, journal) = start(Behaviour::default());
    let mut client = Client::connect(receiver.addr()).await;
    for body in [BODY, BODY, "{}", BODY] {
        assert_eq!(client.status(signed(SECRET, "evt_1", body, 0)).await, 200);
    }
    let times: Vec<_> = journal.entries().iter().map(|entry| entry.times).collect();
    assert_eq!(times, [Times::First, Times::Repeat, Times::Conflict, Times::Repeat]);
    let counts = receiver.stop().await.unwrap();
    assert_eq!((counts.taken, counts.received(), counts.repeats, counts.conflicts), (4, 1, 2, 1));
}

#[tokio::test]
async fn ids_beyond_the_bound_are_forgotten_and_counted() {
    let limits = Limits { ids_max: 2, ..Limits::default() };
    let (receiver, journal) = start_with(Behaviour::default(), limits);
    let mut client = Client::connect(receiver.addr()).await;
    for id in ["1", "2", "3", "3", "1"] {
        assert_eq!(client.status(event(id)).await, 200);
    }
    let times: Vec<_> = journal.entries().iter().map(|entry| entry.times).collect();
    assert_eq!(times, [Times::First, Times::First, Times::First, Times::Repeat, Times::First]);
    assert_eq!(receiver.control().counts().forgotten_ids, 2);
}

#[tokio::test]
async fn a_body_over_the_limit_gets_413_with_and_without_a_stated_length() {
    let limits = Limits { body_max: 100, ..Limits::default() };
    let (receiver, journal) = start_with(Behaviour::default(), limits);
    let (fits, too_large) = (format!("{:100}", "{}"), format!("{:101}", "{}"));
    let mut client = Client::connect(receiver.addr()).await;
    assert_eq!(client.status(signed(SECRET, "1", &fits, 0)).await, 200);
    assert_eq!(client.status(signed(SECRET, "2", &too_large, 0)).await, 413);

    let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
    stream.write_all(format!("{chunked}65\r\n{too_large}\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(journal.entries().len(), 1);
}

#[tokio::test]
async fn only_post_will_do() {
    let (receiver, _) = start(Behaviour::default());
    let mut client = Client::connect(receiver.addr()).await;
    let mut request = event("evt_1");
    *request.method_mut() = http::Method::PUT;
    assert_eq!(client.status(request).await, 405);
}

#[tokio::test]
async fn http2_without_tls_is_spoken_too() {
    let (receiver, journal) = start(Behaviour::default());
    let stream = TcpStream::connect(receiver.addr()).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = event("evt_1");
    *request.uri_mut() = "http://tms.example.com/hook".parse().unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(journal.entries()[0].path, "/hook");
}

#[tokio::test]
async fn a_caller_that_sends_no_request_is_let_go() {
    let limits = Limits { idle_max: Duration::from_millis(50), ..Limits::default() };
    let (receiver, _) = start_with(Behaviour::default(), limits);
    for start in ["", "P", "POST / HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // ends only because the receiver closes
        let _closed_or_reset = stream.read_to_end(&mut answer).await.is_ok();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{start:?}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_let_go() {
    let limits = Limits { body_timeout: Duration::from_millis(50), ..Limits::default() };
    let (receiver, _) = start_with(Behaviour::default(), limits);
    let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let (receiver, _) = start_with(Behaviour::default(), limits);
    let mut first = Client::connect(receiver.addr()).await;
    assert_eq!(first.status(event("1")).await, 200);

    let mut second = Client::connect(receiver.addr()).await;
    let mut waiting = Box::pin(second.status(event("2")));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    drop(first);
    assert_eq!(waiting.await, 200);
}
