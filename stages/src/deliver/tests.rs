//! Deliveries over real sockets: what arrives, and what the stage makes of what comes back.

mod answers;
mod bodies;
mod exchange;
mod http2;
mod network;
pub(super) mod receiver;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::timeout;
use url::Url;

use super::*;
use crate::{
    broker::Broker,
    testing::{FixedLookup, SECRETS, broker, http_options, permitted, signer},
};

const BODY: &[u8] = b"{ \"event_id\":\"e.1\",\t\"note\": \"\xc3\xa9\\u00e9  \" }";
const RESPONSE_MAX: usize = 1_024;
/// Longer than any exchange of these tests takes.
const LONG: Duration = Duration::from_secs(30);
/// The timeout of tests that wait for it.
const SHORT: Duration = Duration::from_millis(150);
/// The same where an answer must begin before it ends, on a busy machine too.
const MEDIUM: Duration = Duration::from_secs(1);

/// The policy of these tests: plain http, and only this one address of this machine.
fn egress() -> Egress {
    Egress { allow_http: true, allow_networks: vec!["127.0.0.1/32".parse().unwrap()], ..Egress::default() }
}

fn deliver() -> Deliver {
    let clients = HttpClients::new(1, &http_options()).unwrap();
    Deliver::new(clients, Clock::System, RESPONSE_MAX)
}

fn deliver_with(options: &HttpOptions, lookup: FixedLookup) -> Deliver {
    let clients = HttpClients::with_lookup(1, options, Arc::new(lookup)).unwrap();
    Deliver::new(clients, Clock::System, RESPONSE_MAX)
}

fn broker_at(url: &str, signer: Signer, timeout: Duration) -> Arc<Broker> {
    let port = url.parse::<Url>().unwrap().port_or_known_default().unwrap();
    broker_obeying(&Egress { allow_ports: vec![port], ..egress() }, url, signer, timeout)
}

fn broker_obeying(egress: &Egress, url: &str, signer: Signer, timeout: Duration) -> Arc<Broker> {
    broker(Endpoint::new(url, &http::HeaderMap::new(), signer, timeout, egress).unwrap())
}

async fn attempt(deliver: &Deliver, url: &str, timeout: Duration) -> Attempt {
    let broker = broker_at(url, signer(&SECRETS[..1]), timeout);
    deliver.run(permitted(&broker, "e.1", BODY)).await.unwrap()
}

async fn attempt_at(address: SocketAddr, timeout: Duration) -> Attempt {
    attempt(&deliver(), &format!("http://{address}/hook"), timeout).await
}

#[track_caller]
fn failure(attempt: Attempt) -> Failure {
    match attempt {
        Attempt::Failed(_, failure) => {
            assert!(failure.cause.len() <= 200 && !failure.cause.contains("http://"), "{failure:?}");
            failure
        }
        Attempt::Accepted(receipt) => panic!("accepted: {receipt:?}"),
    }
}

#[track_caller]
fn assert_accepted(attempt: &Attempt) {
    assert!(matches!(attempt, Attempt::Accepted(_)), "{attempt:?}");
}
