//! Tells a connection that a proxy refused, or that never got to the proxy, from one that a receiver refused.
//!
//! Neither says anything of an event: nothing of it was sent. The broker is in trouble as a whole, so its events wait and
//! no attempt counts. The client library does not tell the status of a refusal, so the proxy is asked once more for it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{
    failure::{self, TUNNEL, named, transient},
    reach::EgressProxy,
};
use crate::{
    error_chain::sources,
    models::{Failure, FailureKind},
};

/// How much of a proxy's answer is read: its first line is enough.
const ANSWER_MAX: u64 = 1024;

/// A connection through a proxy.
pub(super) struct Through<'p> {
    proxy: &'p EgressProxy,
    /// The host and port that the proxy is to connect to; none if it gets plain http.
    authority: Option<String>,
}

impl<'p> Through<'p> {
    /// The connection for a request to `url`.
    pub(super) fn new(proxy: &'p EgressProxy, url: &Url) -> Self {
        let authority = (url.scheme() == "https")
            .then(|| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)))
            .flatten();
        Self { proxy, authority }
    }

    /// The failure of a request without an answer. It asks the proxy for its reason until `deadline`.
    pub(super) async fn broken(&self, error: &reqwest::Error, deadline: Instant) -> Failure {
        let failure = failure::broken(error, None);
        if failure.kind != FailureKind::Transient || failure.may_have_arrived || !error.is_connect() {
            return failure;
        }
        let tunnel = sources(error).map(ToString::to_string).find_map(|text| {
            let said = text.strip_prefix(TUNNEL)?;
            Some(said.to_owned())
        });
        let cause = match tunnel.as_deref() {
            Some("proxy authorization required") => refusal(StatusCode::PROXY_AUTHENTICATION_REQUIRED),
            Some("unsuccessful") => match timeout_at(deadline, self.status()).await {
                Ok(Some(status)) if !status.is_success() => refusal(status),
                _ => "the proxy refused the connection".to_owned(),
            },
            Some(
                "unexpected end of file" | "proxy response headers too long" | "io error establishing tunnel",
            ) => "the proxy gave no whole answer".to_owned(),
            Some(_) => format!("the proxy cannot be reached: {}", failure.cause),
            None if self.authority.is_none() => format!("the proxy cannot be reached: {}", failure.cause),
            // Behind the proxy: the receiver's certificate, for one.
            None => return failure,
        };
        Failure { kind: FailureKind::EndpointRefused, ..transient(&cause, None, false) }
    }

    /// The status with which the proxy answers.
    async fn status(&self) -> Option<StatusCode> {
        let EgressProxy { url, credentials } = self.proxy;
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        // What is asked inside of TLS is not asked again.
        let (authority, "http") = (self.authority.as_deref()?, url.scheme()) else { return None };
        let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.ok()?;
        let credentials = credentials.as_ref().map_or(String::new(), |(user, password)| {
            format!("proxy-authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
        });
        let asked = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{credentials}\r\n");
        stream.write_all(asked.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let mut stream = stream.take(ANSWER_MAX);
        while !answer.contains(&b'\n') && stream.read_buf(&mut answer).await.ok()? > 0 {}
        status_of(&answer)
    }
}

fn refusal(status: StatusCode) -> String {
    format!("the proxy refused the connection: {}", named(status))
}

/// The status in the first line of an answer (RFC 9112, section 4).
fn status_of(answer: &[u8]) -> Option<StatusCode> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    StatusCode::from_bytes(line.split(' ').nth(1)?.trim().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_a_first_line_only() {
        let table: [(&[u8], Option<u16>); 6] = [
            (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Some(403)),
            (b"HTTP/1.0 502\r\n", Some(502)),
            (b"HTTP/1.1 5", None),
            (b"HTTP/2 403 \r\n", None),
            (b"junk\r\nHTTP/1.1 403 X", None),
            (b"", None),
        ];
        for (answer, status) in table {
            assert_eq!(status_of(answer).map(|status| status.as_u16()), status, "{answer:?}");
        }
    }
}
