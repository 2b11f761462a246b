//! A request's body is gathered, and decompressed if need be, within its bounds: frames enter, the whole body leaves or
//! why there is none. No more than the bound is ever held, however well a body was compressed.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
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
    #[error("the body is not gzip, as its Content-Encoding says: {0}")]
    NotGzip(io::Error),
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

/// The whole body, of at most `max` bytes both on the wire and decompressed, within `timeout`.
pub(super) async fn gather(
    body: &mut Incoming,
    encoding: Encoding,
    max: usize,
    timeout: Duration,
) -> Result<Bytes, GatherFault> {
    if body.size_hint().lower() > max as u64 {
        return Err(GatherFault::TooLarge { max });
    }
    let gathered = time::timeout(timeout, frames(body, Sink::new(encoding, max), max)).await;
    gathered.map_err(|_| GatherFault::TooSlow(timeout))?
}

async fn frames(body: &mut Incoming, mut sink: Sink, max: usize) -> Result<Bytes, GatherFault> {
    let mut came = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        came += data.remaining();
        if came > max {
            return Err(GatherFault::TooLarge { max });
        }
        sink.take(&data)?;
    }
    sink.finish()
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

/// Where a body's bytes go.
enum Sink {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

/// Bytes that refuse to become more than `max`.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
    overrun: bool,
}

impl Sink {
    fn new(encoding: Encoding, max: usize) -> Self {
        let bounded = Bounded { bytes: Vec::new(), max, overrun: false };
        match encoding {
            Encoding::Identity => Self::Plain(bounded),
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(bounded))),
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), GatherFault> {
        let taken = match self {
            Self::Plain(bounded) => bounded.write_all(data),
            Self::Gzip(decoder) => decoder.write_all(data),
        };
        taken.map_err(|error| self.fault(error))
    }

    fn finish(mut self) -> Result<Bytes, GatherFault> {
        if let Self::Gzip(decoder) = &mut self {
            decoder.try_finish().map_err(|error| self.fault(error))?;
        }
        Ok(Bytes::from(std::mem::take(&mut self.bounded().bytes)))
    }

    fn bounded(&mut self) -> &mut Bounded {
        match self {
            Self::Plain(bounded) => bounded,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }

    fn fault(&mut self, error: io::Error) -> GatherFault {
        let Bounded { max, overrun, .. } = *self.bounded();
        if overrun { GatherFault::TooLarge { max } } else { GatherFault::NotGzip(error) }
    }
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + data.len() > self.max {
            self.overrun = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
