//! A token endpoint on a real socket: when it is asked, and what is made of its answers.

use http::Response;
use serde_json::json;

use super::{
    super::{clients::HttpClients, tests::receiver::Receiver},
    *,
};
use crate::testing::http_options;

const LIMIT: Duration = Duration::from_secs(20);

async fn endpoint(lifetime: u64) -> (Receiver, HttpClients, Tokens) {
    let answer = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": lifetime });
    let answer: &str = answer.to_string().leak();
    let receiver = Receiver::start(move || Response::new(answer)).await;
    let (clients, tokens) = of(&receiver, ClientAuth::Basic);
    (receiver, clients, tokens)
}

fn of(receiver: &Receiver, client_auth: ClientAuth) -> (HttpClients, Tokens) {
    let egress = Egress {
        allow_http: true,
        allow_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..Egress::default()
    };
    let oauth2 = OAuth2 {
        token_url: format!("http://{}/token", receiver.address).parse().unwrap(),
        client_id: "acme:1".to_owned(),
        client_secret: "hunter 2".to_owned(),
        client_auth,
        scope: Some("loads:write".to_owned()),
        parameters: vec![("audience".to_owned(), "https://tms.example/".to_owned())],
    };
    let tokens = Tokens::new(oauth2, &Reach::default(), &egress).unwrap();
    (HttpClients::new(1, &http_options()).unwrap(), tokens)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept_and_the_client_shows_itself_as_it_should() {
    let (receiver, clients, tokens) = endpoint(3600).await;
    let asked = (0..20).map(|_| tokens.token(&clients, 0, LIMIT));
    for token in futures_join(asked).await {
        assert_eq!(token.unwrap().value(), "Bearer t");
    }
    let [seen] = receiver.seen().try_into().unwrap();
    let expected = format!("Basic {}", STANDARD.encode("acme%3A1:hunter+2"));
    assert_eq!(seen.headers["authorization"], expected);
    let form: Vec<_> = form_urlencoded::parse(&seen.body).into_owned().collect();
    let expected = [
        ("grant_type", "client_credentials"),
        ("scope", "loads:write"),
        ("audience", "https://tms.example/"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(!format!("{tokens:?}").contains("hunter"));

    let (clients, tokens) = of(&receiver, ClientAuth::Body);
    tokens.token(&clients, 0, LIMIT).await.unwrap();
    let seen = receiver.seen().pop().unwrap();
    assert!(!seen.headers.contains_key("authorization"));
    let secret = form_urlencoded::parse(&seen.body).find(|(name, _)| name == "client_secret");
    assert_eq!(secret.unwrap().1, "hunter 2");
}

#[tokio::test]
async fn a_token_is_replaced_once_after_a_refusal_and_again_only_if_it_was_accepted() {
    let (receiver, clients, tokens) = endpoint(3600).await;
    let token = || async { tokens.token(&clients, 0, LIMIT).await.unwrap() };
    let first = token().await;
    assert_eq!(tokens.refused(&first), Refusal::TryAnother);
    let second = token().await;
    assert_eq!(tokens.refused(&first), Refusal::TryAnother, "a late answer to the first one");
    assert!(Arc::ptr_eq(&second, &token().await), "which does not cost the second one");
    assert_eq!(tokens.refused(&second), Refusal::Final);
    assert!(Arc::ptr_eq(&second, &token().await), "the receiver refuses any");
    second.accept();
    assert_eq!(tokens.refused(&second), Refusal::TryAnother);
    let third = token().await;
    assert_eq!(receiver.seen().len(), 3);
    // It is used for a while, and not for ever.
    let (value, granted_at) = (third.value(), third.granted_at.checked_sub(REFUSED_KEPT).unwrap());
    let (renew_at, expires_at, accepted) = (third.renew_at, third.expires_at, AtomicBool::new(false));
    let old = Arc::new(Token { value, granted_at, renew_at, expires_at, after_refusal: true, accepted });
    tokens.current.store(Some(old.clone()));
    assert_eq!(tokens.refused(&old), Refusal::Final);
    assert!(!Arc::ptr_eq(&old, &token().await));
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_renewed_and_one_that_expires_at_once_is_kept_for_a_moment() {
    let (receiver, clients, tokens) = endpoint(0).await;
    tokens.token(&clients, 0, LIMIT).await.unwrap();
    let now = Instant::now();
    let current = tokens.current.load_full().unwrap();
    assert_eq!(current.expires_at - current.renew_at, Duration::from_millis(100));
    for (renew_at, expires_at) in [(now, now + LIMIT), (now, now)] {
        let (value, accepted) = (current.value(), AtomicBool::new(true));
        let old =
            Arc::new(Token { value, granted_at: now, renew_at, expires_at, after_refusal: false, accepted });
        tokens.current.store(Some(old.clone()));
        let renewed = tokens.token(&clients, 0, LIMIT).await.unwrap();
        assert!(!Arc::ptr_eq(&renewed, &old));
    }
    assert_eq!(receiver.seen().len(), 3);
    assert_eq!(early(Duration::from_secs(3600)), Duration::from_secs(3540));
    assert_eq!(early(Duration::from_secs(100)), Duration::from_secs(90));
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_is_not_asked_again_at_once() {
    let refuse = || {
        let body = "{\"error\":\"invalid_client\",\"error_description\":\"hunter2\"}";
        Response::builder().status(401).body(body).unwrap()
    };
    let receiver = Receiver::start(refuse).await;
    let (clients, tokens) = of(&receiver, ClientAuth::Basic);
    for _ in 0..5 {
        let error = tokens.token(&clients, 0, LIMIT).await.err().unwrap().to_string();
        assert_eq!(error, "no access token: the token endpoint answered 401 (\"invalid_client\")");
    }
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn the_token_endpoint_obeys_the_egress_rules() {
    let oauth2 = |url: &str| OAuth2 {
        token_url: url.parse().unwrap(),
        client_id: String::new(),
        client_secret: String::new(),
        client_auth: ClientAuth::Body,
        scope: None,
        parameters: Vec::new(),
    };
    for url in ["http://id.example/token", "https://169.254.169.254/token"] {
        assert!(Tokens::new(oauth2(url), &Reach::default(), &Egress::default()).is_err(), "{url}");
    }
    assert!(Tokens::new(oauth2("https://id.example/token"), &Reach::default(), &Egress::default()).is_ok());
}

/// All of them at once.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut all {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if all.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}
