//! What arrives at a receiver that answers properly.

use http::Response;
use standardwebhooks::Webhook;
use state::FailedAttempt;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{receiver::Receiver, *};
use crate::{models::FailureKind, testing::fresh};

#[tokio::test]
async fn the_bytes_arrive_unchanged_with_the_right_headers() {
    let receiver = Receiver::start(|| Response::new("thanks")).await;
    let url = format!("http://{}/hook?key=1", receiver.address);
    assert_accepted(&attempt(&deliver(), &url, LONG).await);
    let [seen] = receiver.seen().try_into().unwrap();
    assert_eq!((&seen.body[..], seen.target.as_str()), (BODY, "/hook?key=1"));
    let header = |name| seen.headers[name].to_str().unwrap();
    assert_eq!(header("webhook-id"), "e~2E1");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("content-length"), BODY.len().to_string());
    assert_eq!(header("host"), receiver.address.to_string());
    assert!(header("user-agent").starts_with("loadline/"));
    assert!(!seen.headers.contains_key("accept-encoding") && !seen.headers.contains_key("referer"));
    Webhook::new(SECRETS[0]).unwrap().verify(&seen.body, &seen.headers).unwrap();
    Webhook::new(SECRETS[1]).unwrap().verify(&seen.body, &seen.headers).unwrap_err();
}

#[tokio::test]
async fn a_receiver_is_told_which_attempt_it_is_and_whether_it_may_repeat_one_it_has_taken() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let broker = broker_at(&format!("http://{}/", receiver.address), signer(&SECRETS[..1]), LONG);
    let attempt = |status: Option<u16>, may_have_arrived: bool| {
        let cause = "scripted".to_owned();
        let mut fresh = fresh(&broker);
        fresh
            .delivery_mut()
            .history
            .push(FailedAttempt { at: 0, status, cause, may_have_arrived, answer: None }, true);
        fresh
    };
    let after_crash = {
        let mut fresh = fresh(&broker);
        fresh.delivery_mut().may_repeat = true;
        fresh
    };
    let attempts =
        [fresh(&broker), attempt(None, false), attempt(None, true), attempt(Some(429), true), after_crash];
    for fresh in attempts {
        assert_accepted(&deliver().run(fresh.permit()).await.unwrap());
    }
    let told = receiver.seen().into_iter().map(|seen| {
        let header = |name| seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (header("loadline-attempt").unwrap(), header("loadline-may-repeat"))
    });
    let expected = [("1", false), ("2", false), ("2", true), ("2", true), ("2", true)];
    let expected =
        expected.map(|(attempt, repeats)| (attempt.to_owned(), repeats.then(|| "true".to_owned())));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let counts = broker.health.counts();
    let counted = (counts.repeats_after_crash, counts.repeats_after_no_answer, counts.repeats_after_refusal);
    assert_eq!(counted, (1, 1, 1), "each that was told so");
}

#[tokio::test]
async fn while_a_secret_rotates_the_old_and_the_new_one_verify() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let broker = broker_at(&format!("http://{}/", receiver.address), signer(&SECRETS), LONG);
    assert_accepted(&deliver().run(permitted(&broker, "e1", BODY)).await.unwrap());
    let [seen] = receiver.seen().try_into().unwrap();
    for secret in SECRETS {
        Webhook::new(secret).unwrap().verify(&seen.body, &seen.headers).unwrap();
    }
}

#[tokio::test]
async fn the_next_attempt_goes_to_the_new_address_and_is_signed_with_the_new_key() {
    let (first, second) =
        (Receiver::start(|| Response::new("")).await, Receiver::start(|| Response::new("")).await);
    let broker = broker_at(&format!("http://{}/", first.address), signer(&SECRETS[..1]), LONG);
    let stage = deliver();
    assert_accepted(&stage.run(permitted(&broker, "e1", BODY)).await.unwrap());
    let other = broker_at(&format!("http://{}/", second.address), signer(&SECRETS[1..]), LONG);
    broker.agree((*other.terms()).clone());
    assert_accepted(&stage.run(permitted(&broker, "e2", BODY)).await.unwrap());
    for (receiver, secret) in [(first, SECRETS[0]), (second, SECRETS[1])] {
        let [seen] = receiver.seen().try_into().unwrap();
        Webhook::new(secret).unwrap().verify(&seen.body, &seen.headers).unwrap();
    }
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_its_own_timestamp_and_the_receipt_says_when() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let broker = broker_at(&format!("http://{}/", receiver.address), signer(&SECRETS), LONG);
    let clients = HttpClients::new(1, &http_options()).unwrap();
    for start in [1_700_000_000_001, 1_700_000_060_000] {
        let clock = Clock::simulated(start);
        let stage = Deliver::new(clients.clone(), clock, RESPONSE_MAX);
        let Attempt::Accepted(receipt) = stage.run(permitted(&broker, "e1", BODY)).await.unwrap() else {
            panic!("not accepted")
        };
        assert!(receipt.at >= start);
    }
    let sent: Vec<_> = receiver
        .seen()
        .iter()
        .map(|seen| ["webhook-id", "webhook-timestamp"].map(|name| seen.headers[name].clone()))
        .collect();
    assert_eq!(sent, [["e1", "1700000000"], ["e1", "1700000060"]]);
}

#[tokio::test]
async fn a_failed_attempt_gives_the_same_delivery_back_and_a_receipt_counts_the_failed_ones() {
    let receiver = Receiver::start(|| Response::builder().status(500).body("").unwrap()).await;
    let broker = broker_at(&format!("http://{}/", receiver.address), signer(&SECRETS), LONG);
    let Attempt::Failed(mut fresh, _) = deliver().run(permitted(&broker, "e1", BODY)).await.unwrap() else {
        panic!("accepted")
    };
    assert_eq!((&*fresh.delivery().event().event_id, fresh.delivery().history.attempts), ("e1", 0));
    fresh.delivery_mut().history.attempts = 3;
    let healthy = Receiver::start(|| Response::new("")).await;
    let broker = broker_at(&format!("http://{}/", healthy.address), signer(&SECRETS), LONG);
    fresh.delivery_mut().broker = broker;
    let Attempt::Accepted(receipt) = deliver().run(fresh.permit()).await.unwrap() else { panic!("failed") };
    assert_eq!(receipt.failed_attempts, 3);
}

#[tokio::test]
async fn a_batch_is_not_sent_once_the_lease_has_ended_while_it_was_gathered() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let url = format!("http://{}/", receiver.address);
    let egress = Egress { allow_ports: vec![receiver.address.port()], ..egress() };
    let policy = BatchPolicy { max: 9, wait: SHORT, bytes_max: 1 << 20 };
    let special = Special { batch: Some(policy), ..Special::default() };
    let endpoint = Endpoint::new(&url, &http::HeaderMap::new(), signer(&SECRETS), LONG, &egress).unwrap();
    let broker = broker(endpoint.with(special, &egress).unwrap());
    assert_eq!(broker.terms().endpoint.longest(), LONG + SHORT);
    let lease = Arc::new(Lease::new(Clock::System));
    let stage = deliver().under(Some(lease.clone()));
    let Attempt::Failed(_, failure) = stage.run(permitted(&broker, "e1", BODY)).await.unwrap() else {
        panic!("sent")
    };
    assert!(!failure.may_have_arrived && failure.kind == FailureKind::Throttled, "{failure:?}");
    assert_eq!(receiver.seen().len(), 0);
    lease.renew(lease.now(), 9 * LONG);
    assert_accepted(&stage.run(permitted(&broker, "e1", BODY)).await.unwrap());
}

#[tokio::test]
async fn an_answer_read_to_its_end_keeps_the_connection_and_one_over_the_limit_is_an_acceptance_too() {
    let small = Receiver::start(|| Response::new("ok")).await;
    let deliver = deliver();
    for _ in 0..3 {
        assert_accepted(&attempt(&deliver, &format!("http://{}/", small.address), LONG).await);
    }
    assert_eq!((small.seen().len(), small.connections()), (3, 1));

    let large = Receiver::start(|| Response::new(include_str!("exchange.rs"))).await;
    assert!(include_str!("exchange.rs").len() > RESPONSE_MAX);
    assert_accepted(&attempt(&deliver, &format!("http://{}/", large.address), LONG).await);
    assert_eq!(large.seen().len(), 1);
}

#[tokio::test]
async fn a_place_in_a_trace_goes_along_and_without_one_there_is_no_header() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let broker = broker_at(&format!("http://{}/", receiver.address), signer(&SECRETS), LONG);
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for traceparent in [None, state::TraceParent::parse(text)] {
        let mut permitted = permitted(&broker, "e1", BODY);
        traceparent.into_iter().for_each(|parent| permitted.trace(parent));
        assert_accepted(&deliver().run(permitted).await.unwrap());
    }
    let [without, with] = receiver.seen().try_into().unwrap();
    assert!(!without.headers.contains_key("traceparent"));
    assert_eq!(with.headers.get_all("traceparent").iter().collect::<Vec<_>>(), [text]);
}

#[tokio::test]
async fn an_attempt_that_is_given_up_closes_its_connection_so_that_it_arrives_no_later_than_it_must() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let hangs = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        // Ends when the other side closes.
        stream.read_to_end(&mut all).await.unwrap();
        all
    };
    let (all, attempt) = tokio::join!(timeout(LONG, hangs), attempt_at(address, SHORT));
    assert!(failure(attempt).may_have_arrived);
    assert!(all.expect("the connection is still open").ends_with(BODY));
}
