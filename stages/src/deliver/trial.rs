//! Sends one request for an operator to look at: as a delivery would be sent, with everything that can be seen of the
//! exchange, and with no record of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{
    Response,
    tls::{TlsInfo, Version},
};
use tokio::time::{Instant, timeout};

use super::{
    HttpClients, HttpOptions, answers::Answers, asked_pause::asked_pause, client_error::HttpClientError,
    endpoint::Endpoint, failure, meaning::Meaning, proxy_failure::Through, request::AttemptOf,
    request_failure,
};
use crate::models::Failure;

/// What came of a request.
#[derive(Debug)]
pub struct Trial {
    /// How long an access token took, if one is needed.
    pub token_after: Option<Duration>,
    /// How long the head of the answer took, from the beginning of the connection.
    pub head_after: Duration,
    /// How long all of the answer took.
    pub whole_after: Duration,
    /// The protocol.
    pub version: http::Version,
    /// The address that answered; a proxy's, if there is one.
    pub remote: Option<std::net::SocketAddr>,
    /// The version of TLS and the receiver's certificate in DER, if there was TLS.
    pub tls: Option<TlsSeen>,
    /// The status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Bytes,
    /// Whether the body goes on.
    pub is_cut: bool,
    /// What a run would make of it; none if the delivery would count as taken.
    pub failure: Option<Failure>,
}

/// What is seen of a TLS connection.
#[derive(Debug)]
pub struct TlsSeen {
    /// The version, such as `TLS 1.3`.
    pub version: Option<String>,
    /// The receiver's own certificate, in DER.
    pub certificate: Option<Vec<u8>>,
}

/// Clients for trials: they tell what they see of TLS.
///
/// # Errors
/// As for [`HttpClients::new`].
pub fn trial_clients(options: &HttpOptions) -> Result<HttpClients, HttpClientError> {
    HttpClients::telling(options)
}

/// Sends `attempt` to `endpoint` once, and reads at most `body_max` bytes of the answer's body; a run reads `response_max`
/// of it.
///
/// # Errors
/// There was no answer.
pub async fn try_once(
    endpoint: &Endpoint,
    clients: &HttpClients,
    attempt: AttemptOf<'_>,
    (body_max, response_max): (usize, usize),
) -> Result<Trial, Failure> {
    let (limit, begun) = (endpoint.timeout(), Instant::now());
    let (mut authorization, mut token_after) = (None, None);
    if let Some(tokens) = endpoint.tokens() {
        let token = tokens.token(clients, 0, limit).await.map_err(|why| request_failure::no_token(&why))?;
        (authorization, token_after) = (Some(token.value()), Some(begun.elapsed()));
    }
    let request = attempt.request(endpoint, authorization)?;
    let client = endpoint.client(clients, 0).map_err(|error| failure::no_client(&error))?;
    let through = endpoint.proxy().map(|proxy| Through::new(proxy, request.url()));
    let begun = Instant::now();
    let exchange = async {
        let response = client.execute(request).await?;
        let head_after = begun.elapsed();
        let pause = asked_pause(response.headers(), response.status(), attempt.now);
        let maxima = (body_max.max(response_max), response_max);
        seen(response, (endpoint.answers(), pause), maxima, (head_after, begun)).await
    };
    match timeout(limit, exchange).await {
        Ok(Ok(trial)) => Ok(Trial { token_after, ..trial }),
        Ok(Err(error)) => Err(super::broken(error.without_url(), through, begun + limit).await),
        Err(_) => Err(failure::timed_out(limit, None)),
    }
}

/// What a version of TLS is called; only these two are spoken.
fn name(version: Version) -> Option<String> {
    let names = [(Version::TLS_1_3, "TLS 1.3"), (Version::TLS_1_2, "TLS 1.2")];
    names.iter().find(|(known, _)| *known == version).map(|(_, name)| (*name).to_owned())
}

async fn seen(
    mut response: Response,
    (answers, pause): (&Answers, Option<Duration>),
    (body_max, response_max): (usize, usize),
    (head_after, begun): (Duration, Instant),
) -> reqwest::Result<Trial> {
    let tls = response.extensions().get::<TlsInfo>().map(|info| TlsSeen {
        version: info.version().and_then(name),
        certificate: info.peer_certificate().map(<[u8]>::to_vec),
    });
    let (mut body, mut is_cut) = (Vec::new(), false);
    while let Some(chunk) = response.chunk().await? {
        let room = body_max - body.len();
        is_cut |= chunk.len() > room;
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if is_cut {
            break;
        }
    }
    let status = response.status();
    let failure = match answers.meaning(status) {
        Meaning::Success if answers.judge_bodies() => {
            let is_read = !is_cut && body.len() <= response_max;
            let error = answers.error_in(is_read.then_some(&body[..]));
            error.map(|error| failure::error_in_body(status, error, pause))
        }
        Meaning::Success => None,
        meaning => Some(failure::refused(status, meaning, pause)),
    };
    Ok(Trial {
        token_after: None,
        head_after,
        whole_after: begun.elapsed(),
        version: response.version(),
        remote: response.remote_addr(),
        tls,
        status,
        headers: response.headers().clone(),
        body: body.into(),
        is_cut,
        failure,
    })
}
