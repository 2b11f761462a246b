//! What an endpoint takes and what it refuses, without a network.

use super::*;
use crate::{
    deliver::{egress::AddressRefused, reserved::RESERVED},
    testing::{SECRETS, signer},
};

const SECOND: Duration = Duration::from_secs(1);
const FIRST: Ordinal = Ordinal { attempt: 1, may_repeat: false };

fn endpoint(url: &str, extra: &[(&str, &str)], egress: &Egress) -> Result<Endpoint, EndpointError> {
    let mut headers = HeaderMap::new();
    for (name, value) in extra {
        let mut value: HeaderValue = value.parse().unwrap();
        value.set_sensitive(true);
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    Endpoint::new(url, &headers, signer(&SECRETS[..1]), SECOND, egress)
}

fn refusal(url: &str) -> UrlError {
    match endpoint(url, &[], &Egress::default()) {
        Err(EndpointError::Url(error)) => error,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn an_https_url_is_taken_and_http_only_where_allowed() {
    assert!(endpoint("https://tms.example/hook?k=1", &[], &Egress::default()).is_ok());
    assert_eq!(refusal("http://tms.example/"), UrlError::Scheme { scheme: "http".to_owned() });
    let with_http = Egress { allow_http: true, ..Egress::default() };
    assert!(endpoint("http://tms.example/", &[], &with_http).is_ok());
    for url in ["ftp://tms.example/", "file:///etc/passwd", "data:,x"] {
        let refused = endpoint(url, &[], &with_http).unwrap_err();
        assert!(matches!(refused, EndpointError::Url(UrlError::Scheme { .. })), "{url}");
    }
}

#[test]
fn what_no_request_should_carry_is_refused() {
    let host = "tms.example".to_owned();
    assert_eq!(refusal("https://me:secret@tms.example/"), UrlError::UserInfo { host: host.clone() });
    assert_eq!(refusal("https://me@tms.example/"), UrlError::UserInfo { host: host.clone() });
    assert_eq!(refusal("https://tms.example/#top"), UrlError::Fragment { host: host.clone() });
    assert_eq!(refusal("https:///"), UrlError::Parse(::url::ParseError::EmptyHost));
    assert_eq!(refusal("tms.example"), UrlError::Parse(::url::ParseError::RelativeUrlWithoutBase));
    let long = format!("https://tms.example/{}", "a".repeat(70_000));
    assert_eq!(refusal(&long), UrlError::Unsendable { host });
}

#[test]
fn an_address_is_checked_at_once_however_it_is_spelled() {
    let private = [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "１２７.0.0.1",
        "10.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "169.254.169.254",
        "0",
        "[64:ff9b::a00:1]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
    ];
    for host in private {
        let refused = refusal(&format!("https://{host}/"));
        assert!(matches!(refused, UrlError::Address(AddressRefused { .. })), "{host}: {refused}");
    }
    assert!(endpoint("https://1.1.1.1/", &[], &Egress::default()).is_ok());
    let lan = Egress { allow_networks: vec!["10.0.0.0/8".parse().unwrap()], ..Egress::default() };
    assert!(endpoint("https://10.0.0.1/", &[], &lan).is_ok());
    let loopback = Egress { allow_networks: vec!["::1/128".parse().unwrap()], ..Egress::default() };
    assert!(endpoint("https://localhost/", &[], &loopback).is_ok());
    assert!(endpoint("https://127.0.0.1/", &[], &loopback).is_err());
}

#[test]
fn everything_wrong_with_a_url_is_found_at_once() {
    let url = Url::parse("http://me:secret@10.0.0.1/#top").unwrap();
    let errors = url_errors(&url, &Egress::default());
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(!format!("{errors:?}").contains("secret"));
}

#[test]
fn extra_headers_replace_the_defaults() {
    let plain = endpoint("https://tms.example/", &[], &Egress::default())
        .unwrap()
        .headers("e", 1, b"", FIRST)
        .unwrap();
    assert_eq!(plain["content-type"], "application/json");
    assert_eq!(plain["user-agent"], concat!("loadline/", env!("CARGO_PKG_VERSION")));
    let extra = [("Content-Type", "application/cloudevents+json"), ("X-Api-Key", "k"), ("user-agent", "u")];
    let extra = endpoint("https://tms.example/", &extra, &Egress::default())
        .unwrap()
        .headers("e", 1, b"", FIRST)
        .unwrap();
    let value = |name| extra[name].to_str().unwrap();
    assert_eq!(
        (value("content-type"), value("x-api-key"), value("user-agent")),
        ("application/cloudevents+json", "k", "u")
    );
}

#[test]
fn a_header_that_is_not_the_configs_to_set_is_refused() {
    let others =
        ["Host", "Webhook-Id", "webhook-signature", "webhook-other", "proxy-authorization", "traceparent"];
    for name in RESERVED.into_iter().chain(others) {
        let refused = endpoint("https://tms.example/", &[(name, "x")], &Egress::default()).unwrap_err();
        assert_eq!(refused, EndpointError::HeaderReserved { name: name.to_lowercase() });
    }
}

#[test]
fn headers_that_are_twice_there_or_too_many_are_refused() {
    let twice = endpoint("https://tms.example/", &[("x-a", "1"), ("X-A", "2")], &Egress::default());
    assert_eq!(twice.unwrap_err(), EndpointError::HeaderTwice { name: "x-a".to_owned() });
    let many: Vec<_> = (0..=EXTRA_HEADERS_MAX).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    let refused = endpoint("https://tms.example/", &many, &Egress::default()).unwrap_err();
    assert_eq!(refused, EndpointError::Headers { count: EXTRA_HEADERS_MAX + 1 });
    assert!(endpoint("https://tms.example/", &many[1..], &Egress::default()).is_ok());
}

#[test]
fn no_time_at_all_is_refused() {
    let (none, egress) = (HeaderMap::new(), Egress::default());
    let refused = Endpoint::new("https://tms.example/", &none, signer(&SECRETS), Duration::ZERO, &egress);
    assert_eq!(refused.unwrap_err(), EndpointError::Timeout);
}

#[test]
fn debug_shows_the_origin_and_no_secret() {
    let endpoint =
        endpoint("https://tms.example:8443/t0ken?key=t0ken", &[("x-key", "t0ken")], &Egress::default())
            .unwrap();
    let shown = format!("{endpoint:?}");
    assert!(shown.contains("https://tms.example:8443\"") && !shown.contains("t0ken"), "{shown}");
    let headers = endpoint.headers("e", 1, b"", FIRST).unwrap();
    assert!(!format!("{headers:?}").contains("t0ken"));
}

#[test]
fn setting_the_signature_does_not_grow_the_map() {
    let endpoint = endpoint("https://tms.example/", &[("x-key", "k")], &Egress::default()).unwrap();
    let headers = endpoint.headers("a.b", 1_700_000_000, b"{}", FIRST).unwrap();
    assert_eq!((headers.len(), headers.capacity()), (endpoint.headers.len(), endpoint.headers.capacity()));
    assert_eq!(
        (&headers["webhook-id"], &headers["webhook-timestamp"]),
        (&"a~2Eb".parse().unwrap(), &1_700_000_000_u64.into())
    );
}
