//! Each behaviour, as its caller sees it.

use std::io;

use tokio::time::{Instant, timeout};

use super::super::{Availability, LostAnswer, RateLimit, Times};
use super::*;

/// Long enough for an answer over loopback to have come, had there been one.
const NO_ANSWER: Duration = Duration::from_millis(100);

#[tokio::test]
async fn latency_holds_the_answer_back_and_the_event_is_on_record_before() {
    let latency = Duration::from_millis(60);
    let (receiver, journal) = start(Behaviour { latency, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    let begin = Instant::now();
    assert_eq!(client.status(event("1")).await, 200);
    assert!(begin.elapsed() >= latency);

    let gave_up = timeout(Duration::from_millis(20), client.status(event("2"))).await;
    assert!(gave_up.is_err());
    assert_eq!(journal.entries().len(), 2);
}

#[tokio::test]
async fn a_throttled_request_gets_429_with_whole_seconds_and_is_not_taken() {
    let retry_after = Duration::from_millis(1_200);
    let (receiver, journal) = start(Behaviour { throttle_rate: 1.0, retry_after, ..Behaviour::default() });
    let (status, headers, _) = Client::connect(receiver.addr()).await.send(event("1")).await.unwrap();
    assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap()), (429, "2"));
    assert_eq!((journal.entries().len(), receiver.control().counts().throttled), (0, 1));
}

#[tokio::test]
async fn what_exceeds_the_limit_gets_429_and_is_not_taken() {
    let limit = Some(RateLimit { per_second: 0.001, burst: 2 });
    let (receiver, journal) = start(Behaviour { limit, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    let mut statuses = Vec::new();
    for id in ["1", "2", "3", "4"] {
        statuses.push(client.status(event(id)).await);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    let (_, headers, text) = client.send(event("5")).await.unwrap();
    assert_eq!((headers["retry-after"].to_str().unwrap(), &*text), ("1", &b"throttled"[..]));
    let counts = receiver.control().counts();
    assert_eq!((journal.entries().len(), counts.taken, counts.throttled), (2, 2, 3));

    receiver.control().set(Behaviour::default()).unwrap();
    assert_eq!(client.status(event("6")).await, 200, "without a limit there is none");
}

#[tokio::test]
async fn a_request_that_is_not_signed_well_does_not_count_towards_the_limit() {
    let limit = Some(RateLimit { per_second: 0.001, burst: 1 });
    let (receiver, _) = start(Behaviour { limit, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    let mut unsigned = event("1");
    unsigned.headers_mut().remove("webhook-signature");
    assert_eq!(client.status(unsigned).await, 401);
    assert_eq!(client.status(event("1")).await, 200);
}

#[tokio::test]
async fn a_failed_request_gets_500_and_is_not_taken() {
    let (receiver, journal) = start(Behaviour { fail_rate: 1.0, ..Behaviour::default() });
    assert_eq!(Client::connect(receiver.addr()).await.status(event("1")).await, 500);
    assert_eq!((journal.entries().len(), receiver.control().counts().failed), (0, 1));
}

#[tokio::test]
async fn the_cruel_one_takes_the_event_and_answers_500() {
    let (receiver, journal) = start(Behaviour { lost_answer_rate: 1.0, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    assert_eq!(client.status(event("1")).await, 500);
    receiver.control().set(Behaviour::default()).unwrap();
    assert_eq!(client.status(event("1")).await, 200);
    let times: Vec<_> = journal.entries().iter().map(|entry| entry.times).collect();
    assert_eq!(times, [Times::First, Times::Repeat]);
    assert_eq!(receiver.control().counts().lost_answers, 1);
}

#[tokio::test]
async fn the_crueller_one_takes_the_event_and_never_answers() {
    let lost_answer = LostAnswer::Hang;
    let (receiver, journal) = start(Behaviour { lost_answer_rate: 1.0, lost_answer, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    assert!(timeout(NO_ANSWER, client.send(event("1"))).await.is_err());
    assert_eq!(journal.entries().len(), 1);
}

#[tokio::test]
async fn a_status_of_its_own_is_given_to_everyone_and_only_a_2xx_takes() {
    let (receiver, journal) = start(Behaviour { status: StatusCode::GONE, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    assert_eq!(client.status(event("1")).await, 410);
    assert_eq!((journal.entries().len(), receiver.control().counts().answered_otherwise), (0, 1));
    receiver.control().set(Behaviour { status: StatusCode::ACCEPTED, ..Behaviour::default() }).unwrap();
    assert_eq!(client.status(event("1")).await, 202);
    assert_eq!(journal.entries().len(), 1);
}

#[tokio::test]
async fn when_down_it_accepts_and_never_answers_until_it_is_up_again() {
    let (receiver, journal) = start(Behaviour { availability: Availability::Down, ..Behaviour::default() });
    let mut client = Client::connect(receiver.addr()).await;
    assert!(timeout(NO_ANSWER, client.send(event("1"))).await.is_err());
    assert_eq!((journal.entries().len(), receiver.control().counts().unanswered), (0, 1));

    receiver.control().set(Behaviour::default()).unwrap();
    assert_eq!(Client::connect(receiver.addr()).await.status(event("1")).await, 200);
}

#[tokio::test]
async fn a_hanging_caller_is_let_go_in_the_end() {
    let limits = Limits { hang_max: Duration::from_millis(20), ..Limits::default() };
    let (receiver, _) =
        start_with(Behaviour { availability: Availability::Down, ..Behaviour::default() }, limits);
    assert!(Client::connect(receiver.addr()).await.send(event("1")).await.is_err());
}

#[tokio::test]
async fn when_refusing_nothing_listens_and_open_connections_close_and_the_port_stays_its_own() {
    let (receiver, journal) = start(Behaviour::default());
    let mut open = Client::connect(receiver.addr()).await;
    assert_eq!(open.status(event("1")).await, 200);

    let refusing = Behaviour { availability: Availability::Refusing, ..Behaviour::default() };
    receiver.control().set(refusing).unwrap();
    assert!(open.send(event("2")).await.is_err());
    refused(receiver.addr()).await;
    assert_eq!(journal.entries().len(), 1);

    receiver.control().set(Behaviour::default()).unwrap();
    let mut client = loop {
        match TcpStream::connect(receiver.addr()).await {
            Ok(_) => break Client::connect(receiver.addr()).await,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(client.status(event("2")).await, 200);
}

/// Returns once connections to `addr` are refused; the port closes in the receiver's own task, a moment later.
async fn refused(addr: SocketAddr) {
    loop {
        match TcpStream::connect(addr).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_behaviour_that_cannot_be_had_changes_nothing() {
    let (receiver, _) = start(Behaviour::default());
    let before = receiver.control().behaviour();
    assert!(receiver.control().set(Behaviour { fail_rate: -1.0, ..Behaviour::default() }).is_err());
    assert_eq!(receiver.control().behaviour(), before);
}
