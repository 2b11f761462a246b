//! Reads a request's body within bounds of size and time.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time;

/// How many bytes of a refused body are still read: most clients read the answer only after they have sent
/// everything, and would otherwise find a closed connection.
const DISCARD_MAX: usize = 8 << 20;
/// For how long the rest of a refused body is read.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadBodyFault {
    #[error("the body has more than {max} bytes; post it in parts")]
    TooLarge { max: usize },
    #[error("the body did not come within {0:?}; nothing of it was accepted")]
    TooSlow(Duration),
    #[error("the body was cut off: {0}")]
    Cut(#[from] hyper::Error),
}

/// The body's encoding; none if it is not supported.
pub(super) fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
    match (named.next().map(|name| name.to_str().unwrap_or_default().trim()), named.next()) {
        (None, _) => Some(Encoding::Identity),
        (Some(name), None) if name.eq_ignore_ascii_case("identity") => Some(Encoding::Identity),
        (Some(name), None) if ["gzip", "x-gzip"].iter().any(|gzip| name.eq_ignore_ascii_case(gzip)) => {
            Some(Encoding::Gzip)
        }
        _ => None,
    }
}

/// The whole body as sent, at most `max` bytes.
pub(super) async fn read_body(body: &mut Incoming, max: usize) -> Result<Bytes, ReadBodyFault> {
    if body.size_hint().lower() > max as u64 {
        return Err(ReadBodyFault::TooLarge { max });
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() + data.remaining() > max {
            return Err(ReadBodyFault::TooLarge { max });
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

/// Reads the rest of a refused body, up to a bound.
pub(super) async fn discard(body: &mut Incoming) {
    let left = async {
        let mut came = 0;
        while let Some(Ok(frame)) = body.frame().await {
            came += frame.data_ref().map_or(0, Buf::remaining);
            if came > DISCARD_MAX {
                break;
            }
        }
    };
    // Either way the answer goes out now.
    let _late = time::timeout(DISCARD_TIME, left).await.is_err();
}
