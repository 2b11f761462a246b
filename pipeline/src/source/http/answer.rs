//! What a producer is told: an accepted post or a refusal enters, an HTTP response with a JSON body leaves.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use super::{body::BodyFault, door::Unfit, gather::GatherFault, open::OpenFault};
use crate::listening::Crowded;

/// After how many seconds a producer may try again: a full backlog of a line that moves has room again within one.
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
    Gather(#[from] GatherFault),
    #[error(transparent)]
    Open(#[from] OpenFault),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Crowded(#[from] Crowded),
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
            Self::Gather(GatherFault::TooLarge { .. }) | Self::NeverFits => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Gather(GatherFault::TooSlow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Gather(GatherFault::Cut(_)) => StatusCode::BAD_REQUEST,
            Self::Open(fault) => match fault {
                OpenFault::TooLarge { .. }
                | OpenFault::TooDense { .. }
                | OpenFault::TooManyMembers { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                OpenFault::Body(BodyFault::TooMany { .. } | BodyFault::TooLong { .. }) => {
                    StatusCode::PAYLOAD_TOO_LARGE
                }
                OpenFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
                OpenFault::NotGzip(_) | OpenFault::Body(_) => StatusCode::BAD_REQUEST,
                OpenFault::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Stopping | Self::Unknown | Self::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is needed besides the words, by RFC 9110: sections 15.5.6, 11.6.1, 12.5.3 and 10.2.3.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let fixed = HeaderValue::from_static;
        match self {
            Self::NotPost => Some((header::ALLOW, fixed("POST"))),
            Self::Unauthorised => Some((header::WWW_AUTHENTICATE, fixed("Bearer"))),
            Self::Encoding => Some((header::ACCEPT_ENCODING, fixed("gzip, identity"))),
            Self::Busy
            | Self::Stopping
            | Self::Unknown
            | Self::Crowded(_)
            | Self::Open(OpenFault::Interrupted) => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        }
    }
}

/// 202 with the offsets, which are never empty.
pub(super) fn accepted(offsets: &Range<u64>) -> Response<Full<Bytes>> {
    let (first, last) = (offsets.start, offsets.end - 1);
    let told = json!({ "accepted": offsets.end - first, "first": first, "last": last });
    response(StatusCode::ACCEPTED, &told)
}

/// The refusal in words, for a person who looks at a producer's log.
pub(super) fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut response = response(refusal.status(), &json!({ "error": refusal.to_string() }));
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    // What was not read of a body stands in the way of the connection's next request; a stopping process wants none.
    if matches!(refusal, Refusal::Gather(_) | Refusal::Stopping) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn response(status: StatusCode, told: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{told}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
