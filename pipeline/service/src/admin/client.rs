//! Sends a request to a running process's admin endpoint and reads the JSON answer; also finds out whether there is a
//! process.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};

use crate::config::{AdminConfig, AdminListen};

/// The longest an answer may take: a process under full load answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: ten thousand brokers fit, and a dead letter of 16 MiB of control characters, each of
/// which takes six in JSON.
const ANSWER_MAX: usize = 128 << 20;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// Nobody listens: no process runs, or its endpoint is off.
    #[error("no process answers at {target}")]
    NoProcess {
        /// Where.
        target: String,
    },
    /// Its socket is another user's.
    #[error("the process at {target} may only be asked by its owner: {error}; run this as that user")]
    NotOwner {
        /// Where.
        target: String,
        /// The system's words.
        error: io::Error,
    },
    /// Connecting failed for another reason.
    #[error("the process at {target} cannot be asked: {error}")]
    Io {
        /// Where.
        target: String,
        /// The system's words.
        error: io::Error,
    },
    /// The exchange broke.
    #[error("the process at {target} did not answer: {detail}")]
    Broken {
        /// Where.
        target: String,
        /// What happened.
        detail: String,
    },
    /// There was no answer in time.
    #[error("the process at {target} did not answer within {patience:?}")]
    Late {
        /// Where.
        target: String,
        /// The timeout.
        patience: Duration,
    },
    /// The request was refused.
    #[error("the process at {target} refused ({status}): {why}")]
    Refused {
        /// Where.
        target: String,
        /// The HTTP status.
        status: StatusCode,
        /// Its message.
        why: String,
        /// The whole answer.
        answer: Value,
    },
}

/// Sends one request to the process at `admin`.
///
/// # Errors
/// [`AskFault`].
pub async fn ask(admin: &AdminConfig, method: Method, path: &str) -> Result<Value, AskFault> {
    ask_within(TIMEOUT, admin, method, path).await
}

/// As [`ask`], with another timeout.
///
/// # Errors
/// [`AskFault`].
pub async fn ask_within(
    patience: Duration,
    admin: &AdminConfig,
    method: Method,
    path: &str,
) -> Result<Value, AskFault> {
    let target = || admin.listen.to_string();
    let asked = time::timeout(patience, async {
        match &admin.listen {
            AdminListen::Off => Err(AskFault::NoProcess { target: target() }),
            AdminListen::Socket(path_of) => {
                let stream =
                    UnixStream::connect(path_of).await.map_err(|error| unreached(target(), error))?;
                exchange(admin, stream, method, path).await
            }
            AdminListen::Address(addr) => {
                let stream = TcpStream::connect(addr).await.map_err(|error| unreached(target(), error))?;
                exchange(admin, stream, method, path).await
            }
        }
    });
    asked.await.map_err(|_| AskFault::Late { target: target(), patience })?
}

fn unreached(place: String, error: io::Error) -> AskFault {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotADirectory => AskFault::NoProcess { target: place },
        io::ErrorKind::PermissionDenied => AskFault::NotOwner { target: place, error },
        _ => AskFault::Io { target: place, error },
    }
}

async fn exchange<S>(admin: &AdminConfig, stream: S, method: Method, path: &str) -> Result<Value, AskFault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |detail: String| AskFault::Broken { target: admin.listen.to_string(), detail };
    let words = |error: hyper::Error| broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let mut request = Request::builder().method(method).uri(path);
    request = match &admin.listen {
        AdminListen::Address(addr) => request.header(header::HOST, addr.to_string()),
        AdminListen::Socket(_) | AdminListen::Off => request.header(header::HOST, "localhost"),
    };
    if let Some(token) = &admin.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| broken(error.to_string()))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(words)?;
        read(admin, response).await
    };
    tokio::pin!(answered, connection);
    // The connection is driven until the answer is complete.
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(words(error)),
        },
    }
}

async fn read(admin: &AdminConfig, response: http::Response<Incoming>) -> Result<Value, AskFault> {
    let target = || admin.listen.to_string();
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    let body =
        body.map_err(|error| AskFault::Broken { target: target(), detail: error.to_string() })?.to_bytes();
    let answer: Result<Value, _> = serde_json::from_slice(&body);
    match answer {
        Ok(answer) if status.is_success() => Ok(answer),
        Ok(answer) => {
            let why = answer["error"].as_str().unwrap_or("no reason given").to_owned();
            Err(AskFault::Refused { target: target(), status, why, answer })
        }
        Err(_) => {
            let detail = "the answer is not Loadline's; does something else listen there?".to_owned();
            Err(AskFault::Broken { target: target(), detail })
        }
    }
}
