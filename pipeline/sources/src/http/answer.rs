//! The answers to producers: an HTTP response with a JSON body for an accepted post or a refusal.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use super::{body::BodyFault, read_body::ReadBodyFault, strict::InvalidRecords, unpack_fault::UnpackFault};
use crate::listening::ConnectionsFull;

/// When a producer may try again, in seconds: a line that makes progress has room within one.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a post was not accepted; nothing of it was kept, unless it is `Unknown`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is nothing here; post to /events")]
    NotFound,
    #[error("events are posted: use POST")]
    NotPost,
    #[error("a token is needed: send it as `Authorization: Bearer …`")]
    Unauthorised,
    #[error("a page in a browser may not post here; configure a token and post from a server")]
    Browser,
    #[error("this Content-Encoding is not known; send the body as it is or with gzip")]
    Encoding,
    #[error(transparent)]
    ReadBody(#[from] ReadBodyFault),
    #[error(transparent)]
    Unpack(#[from] UnpackFault),
    #[error(transparent)]
    InvalidRecords(#[from] InvalidRecords),
    #[error(transparent)]
    ConnectionsFull(#[from] ConnectionsFull),
    #[error("the body alone is more than the backlog may hold; post it in parts")]
    NeverFits,
    #[error("too many events wait to be delivered; nothing was accepted, post again later")]
    Busy,
    #[error("this process is stopping; nothing was accepted, post again later")]
    Stopping,
    #[error(
        "the events could not be made durable; post them again, those with the same id are delivered once"
    )]
    Unknown,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::Browser => StatusCode::FORBIDDEN,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ReadBody(ReadBodyFault::TooLarge { .. }) | Self::NeverFits => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ReadBody(ReadBodyFault::TooSlow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::ReadBody(ReadBodyFault::Cut(_)) => StatusCode::BAD_REQUEST,
            Self::Unpack(fault) => match fault {
                UnpackFault::TooLarge { .. }
                | UnpackFault::TooDense { .. }
                | UnpackFault::TooManyMembers { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                UnpackFault::Body(BodyFault::TooMany { .. } | BodyFault::TooLong { .. }) => {
                    StatusCode::PAYLOAD_TOO_LARGE
                }
                UnpackFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
                UnpackFault::NotGzip(_) | UnpackFault::Body(_) => StatusCode::BAD_REQUEST,
                UnpackFault::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::InvalidRecords(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Stopping | Self::Unknown | Self::ConnectionsFull(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The header that RFC 9110 requires: sections 15.5.6, 11.6.1, 12.5.3 and 10.2.3.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let fixed = HeaderValue::from_static;
        match self {
            Self::NotPost => Some((header::ALLOW, fixed("POST"))),
            Self::Unauthorised => Some((header::WWW_AUTHENTICATE, fixed("Bearer"))),
            Self::Encoding => Some((header::ACCEPT_ENCODING, fixed("gzip, identity"))),
            Self::Busy
            | Self::Stopping
            | Self::Unknown
            | Self::ConnectionsFull(_)
            | Self::Unpack(UnpackFault::Interrupted) => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        }
    }
}

/// 202 with the offsets, which are never empty.
pub(super) fn accepted(offsets: &Range<u64>) -> Response<Full<Bytes>> {
    if offsets.is_empty() {
        return response(StatusCode::ACCEPTED, &json!({ "accepted": 0 }));
    }
    let (first, last) = (offsets.start, offsets.end - 1);
    let body = json!({ "accepted": offsets.end - first, "first": first, "last": last });
    response(StatusCode::ACCEPTED, &body)
}

/// The refusal with its message, for a reader of the producer's log.
pub(super) fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut response = response(refusal.status(), &json!({ "error": refusal.to_string() }));
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    // An unread body blocks the connection's next request, and a stopping process accepts none.
    if matches!(refusal, Refusal::ReadBody(_) | Refusal::Stopping) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
