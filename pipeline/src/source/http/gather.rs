//! A request's body is gathered within its bounds: frames enter, the whole body leaves as it came, or why there is none.

use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time;

/// How much of a refused body is still read, in bytes, and for how long: most clients only look at the answer when
/// they have sent everything, and would otherwise meet a closed connection.
const DISCARD_MAX: usize = 8 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatherFault {
    #[error("the body has more than {max} bytes; post it in parts")]
    TooLarge { max: usize },
    #[error("the body did not come within {0:?}; nothing of it was accepted")]
    TooSlow(Duration),
    #[error("the body was cut off: {0}")]
    Cut(#[from] hyper::Error),
}

/// The body's encoding; none if it is not known here.
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

/// The whole body as it comes, of at most `max` bytes.
pub(super) async fn gather(body: &mut Incoming, max: usize) -> Result<Bytes, GatherFault> {
    if body.size_hint().lower() > max as u64 {
        return Err(GatherFault::TooLarge { max });
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() + data.remaining() > max {
            return Err(GatherFault::TooLarge { max });
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

/// Reads what is left of a body that is not wanted, up to a bound.
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
