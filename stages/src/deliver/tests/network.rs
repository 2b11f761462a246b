//! Names, addresses, TLS and proxies: what lies between the stage and a receiver.

use std::process::Command;

use http::{Response, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    receiver::{Authority, Receiver, raw, trusting},
    *,
};
use crate::models::FailureKind;

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused() {
    let deliver = deliver_with(&http_options(), FixedLookup::new(&["10.0.0.1", "::1"]));
    let failure = failure(attempt(&deliver, "http://tms.example/hook?key=secret", LONG).await);
    assert_eq!(
        (failure.kind, failure.status, failure.may_have_arrived),
        (FailureKind::AddressRefused, None, false)
    );
    assert!(failure.cause.starts_with("address 10.0.0.1 of tms.example is in a network that is not allowed"));
}

#[tokio::test]
async fn a_name_that_changes_to_a_refused_address_is_refused_and_never_connected_to() {
    // Every connection is closed after its answer, so each delivery resolves the name anew.
    let close = || Response::builder().header("connection", "close").body("").unwrap();
    let receiver = Receiver::start_on("0.0.0.0:0", close).await;
    let lookup = FixedLookup::sequence(&[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"]]);
    let deliver = deliver_with(&http_options(), lookup);
    let url = format!("http://tms.example:{}/", receiver.address.port());
    assert_accepted(&attempt(&deliver, &url, LONG).await);
    assert_eq!(failure(attempt(&deliver, &url, LONG).await).kind, FailureKind::AddressRefused);
    assert_eq!(receiver.connections(), 1);
    assert_accepted(&attempt(&deliver, &url, LONG).await);
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_transient_and_carried_nothing() {
    let unknown = deliver_with(&http_options(), FixedLookup::new(&[]));
    let failure = failure(attempt(&unknown, "http://tms.example/", LONG).await);
    assert_eq!((failure.kind, failure.may_have_arrived), (FailureKind::Transient, false));
    assert_eq!(failure.cause, "the host name has no address");
}

#[tokio::test]
async fn a_connection_that_is_never_made_times_out_by_the_shorter_limit_and_carried_nothing() {
    // Accepts TCP and never speaks TLS.
    let address = raw(async |stream| {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let options = HttpOptions { connect_timeout: SHORT, ..http_options() };
    let deliver = deliver_with(&options, FixedLookup::new(&["127.0.0.1"]));
    let url = format!("https://tms.example:{}/", address.port());
    let failure = failure(attempt(&deliver, &url, LONG).await);
    assert_eq!((failure.kind, failure.may_have_arrived), (FailureKind::Transient, false));
    assert_eq!(failure.cause, "timed out while connecting");
}

#[tokio::test]
async fn an_extra_authority_is_trusted_and_alpn_settles_the_version() {
    let authority = Authority::new();
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let receiver = Receiver::start_tls(&authority, alpn).await;
        let deliver = deliver_with(&trusting(&authority), FixedLookup::new(&["127.0.0.1"]));
        let url = format!("https://tms.example:{}/", receiver.address.port());
        assert_accepted(&attempt(&deliver, &url, LONG).await);
        let [seen] = receiver.seen().try_into().unwrap();
        assert_eq!((seen.version, &seen.body[..]), (version, BODY));
    }
}

#[tokio::test]
async fn a_certificate_by_a_stranger_or_for_another_name_is_refused_with_its_name_and_the_way_out() {
    let authority = Authority::new();
    let receiver = Receiver::start_tls(&authority, &["http/1.1"]).await;
    let table = [
        (
            http_options(),
            "tms.example",
            "is signed by \"cn=authority\", which is not trusted: name that one's file",
        ),
        (trusting(&Authority::new()), "tms.example", "is not signed by the \"cn=authority\" that is trusted"),
        (trusting(&authority), "other.example", "is not for other.example: correct the url"),
    ];
    for (options, name, why) in table {
        let deliver = deliver_with(&options, FixedLookup::new(&["127.0.0.1"]));
        let url = format!("https://{name}:{}/", receiver.address.port());
        let failure = failure(attempt(&deliver, &url, LONG).await);
        assert_eq!((failure.kind, failure.may_have_arrived), (FailureKind::Transient, false));
        assert!(failure.cause.starts_with("certificate \"cn=tms\" (sha-256 "), "{}", failure.cause);
        assert!(failure.cause.contains(why), "{}", failure.cause);
    }
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_an_authoritys_is_refused_and_one_that_is_none_is_taken() {
    for (is_ca, refusal) in [(true, Some("is self-signed and an authority's own (ca:true)")), (false, None)] {
        let (receiver, pem) = Receiver::start_self_signed(is_ca).await;
        let options = HttpOptions { extra_ca_pem: vec![pem], ..http_options() };
        let deliver = deliver_with(&options, FixedLookup::new(&["127.0.0.1"]));
        let url = format!("https://tms.example:{}/", receiver.address.port());
        let attempt = attempt(&deliver, &url, LONG).await;
        match refusal {
            None => assert_accepted(&attempt),
            Some(why) => {
                let cause = failure(attempt).cause;
                assert!(cause.contains(why) && cause.ends_with("have it made with ca:false"), "{cause}");
            }
        }
    }
}

#[tokio::test]
async fn this_machines_name_is_resolved_by_the_system_and_obeys_the_policy() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let clients = HttpClients::with_lookup(1, &http_options(), Arc::new(SystemLookup)).unwrap();
    let deliver = Deliver::new(clients, Clock::System, 0);
    assert_accepted(&attempt(&deliver, &url, LONG).await);
    let elsewhere = Egress { allow_networks: vec!["10.0.0.0/8".parse().unwrap()], ..egress() };
    assert!(Endpoint::new(&url, &http::HeaderMap::new(), signer(&SECRETS[..1]), LONG, &elsewhere).is_err());
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn a_network_that_one_broker_may_reach_is_closed_to_the_others_also_over_a_connection_that_is_open() {
    let receiver = Receiver::start(|| Response::new("")).await;
    let deliver = deliver_with(&http_options(), FixedLookup::new(&["127.0.0.1"]));
    let url = format!("http://tms.example:{}/", receiver.address.port());
    let network = || vec!["127.0.0.1/32".parse().unwrap()];
    let http = Egress { allow_http: true, ..Egress::default() };
    let posts = async |egress: Egress| {
        let broker = broker_obeying(&egress, &url, signer(&SECRETS[..1]), LONG);
        deliver.run(permitted(&broker, "e.1", BODY)).await.unwrap()
    };
    assert_accepted(&posts(Egress { own_networks: network(), ..http.clone() }).await);
    assert_eq!(failure(posts(http.clone()).await).kind, FailureKind::AddressRefused);
    // Allowed for all: at the ports of web servers, and at those that are listed.
    let shared = Egress { allow_networks: network(), ..http };
    let refused = failure(posts(shared.clone()).await);
    assert_eq!(refused.kind, FailureKind::AddressRefused);
    assert!(refused.cause.contains("allow_ports"), "{}", refused.cause);
    assert_accepted(&posts(Egress { allow_ports: vec![receiver.address.port()], ..shared }).await);
    assert_eq!(receiver.seen().len(), 2);
}

/// A broker behind a proxy at `proxy`.
fn broker_behind(proxy: SocketAddr, url: &str) -> Arc<Broker> {
    let endpoint =
        Endpoint::new(url, &http::HeaderMap::new(), signer(&SECRETS[..1]), LONG, &egress()).unwrap();
    let proxy = EgressProxy {
        url: format!("http://{proxy}").parse().unwrap(),
        credentials: Some(("user".to_owned(), "pass".to_owned())),
    };
    let special = Special { proxy: Some(Arc::new(proxy)), ..Special::default() };
    broker(endpoint.with(special, &egress()).unwrap())
}

#[tokio::test]
async fn a_proxys_refusal_is_named_by_its_status_and_says_nothing_of_the_event() {
    let table = [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ndenied",
            "the proxy refused the connection: 403 forbidden",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "the proxy refused the connection: 407 proxy authentication required",
        ),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "the proxy refused the connection: 502 bad gateway"),
        ("HTTP/1.1 503 X\r\n\r\n", "the proxy refused the connection: 503 service unavailable"),
        ("HTTP/1.1 410 Gone\r\n\r\n", "the proxy refused the connection: 410 gone"),
        ("junk\r\n\r\n", "the proxy refused the connection"),
        ("", "the proxy gave no whole answer"),
    ];
    for (answer, cause) in table {
        let proxy = raw(async move |mut stream| {
            let (mut asked, mut part) = (Vec::new(), [0; 1024]);
            while !asked.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).await.unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            let asked = String::from_utf8(asked).unwrap().to_lowercase();
            assert!(asked.starts_with("connect tms.example:443 http/1.1\r\n"), "{asked}");
            assert!(asked.contains("proxy-authorization: basic dxnlcjpwyxnz"), "{asked}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let broker = broker_behind(proxy, "https://tms.example/hook");
        let refused = failure(deliver().run(permitted(&broker, "e.1", BODY)).await.unwrap());
        assert_eq!(refused.cause, cause);
        assert_eq!((refused.kind, refused.may_have_arrived), (FailureKind::EndpointRefused, false));
        assert!(refused.is_unreached());
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named_as_such() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in ["https://tms.example/hook", "http://tms.example/hook"] {
        let broker = broker_behind(closed, url);
        let failed = failure(deliver().run(permitted(&broker, "e.1", BODY)).await.unwrap());
        assert_eq!(failed.cause, "the proxy cannot be reached: connection refused");
        assert_eq!((failed.kind, failed.may_have_arrived), (FailureKind::EndpointRefused, false));
    }
}

/// Runs a test of this file again, in a process whose environment names a proxy, because a test cannot set its own
/// environment safely.
#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    let proxy = Receiver::start(|| Response::builder().status(502).body("").unwrap()).await;
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.args(["--exact", "deliver::tests::exchange::the_bytes_arrive_unchanged_with_the_right_headers"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        run.env(name, format!("http://{}", proxy.address));
    }
    run.env_remove("NO_PROXY").env_remove("no_proxy");
    let done = tokio::task::spawn_blocking(move || run.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.connections(), 0);
}
