//! Decompresses gzip within bounds: of bytes, of the compression ratio, of members and of time, because a few bytes
//! can demand a great deal of each.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use tokio::time::Instant;

use super::unpack_fault::UnpackFault;

/// The most members of one body: setting up each costs as much as a kilobyte of data. Tools that compress in parallel
/// write one for each 64 KiB or more.
pub(super) const MEMBERS_MAX: usize = 1_024;
/// The largest compression ratio: events compress to a tenth, or to a hundredth if nearly all are alike.
pub(super) const RATIO_MAX: usize = 256;
/// How many bytes are accepted whatever the ratio: a small body of a few equal lines is harmless.
const FREE: usize = 64 << 10;
/// How many bytes are decompressed between two checks of the time.
const STEP: usize = 16 << 10;

/// The decompressed `body`, at most `max` bytes, finished by `until`.
pub(super) fn inflate(body: &[u8], max: usize, until: Instant) -> Result<Bytes, UnpackFault> {
    let mut out = Vec::new();
    let dense = FREE.max(body.len().saturating_mul(RATIO_MAX));
    let mut rest = body;
    let mut step = [0; STEP];
    for _ in 0..MEMBERS_MAX {
        let mut member = GzDecoder::new(rest);
        loop {
            if Instant::now() > until {
                return Err(UnpackFault::TooSlow);
            }
            match member.read(&mut step) {
                Ok(0) => break,
                Ok(read) => out.extend_from_slice(&step[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackFault::NotGzip(error)),
            }
            if out.len() > max {
                return Err(UnpackFault::TooLarge { max });
            }
            if out.len() > dense {
                return Err(UnpackFault::TooDense { max: RATIO_MAX });
            }
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(Bytes::from(out));
        }
    }
    Err(UnpackFault::TooManyMembers { max: MEMBERS_MAX })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(body: &[u8], max: usize) -> Result<Bytes, UnpackFault> {
        inflate(body, max, Instant::now() + Duration::from_secs(600))
    }

    #[test]
    fn members_follow_one_another_and_are_one_body() {
        let body = [gzip(b"{\"a\":1}\n"), gzip(b""), gzip(b"{\"b\":2}\n")].concat();
        assert_eq!(&inflated(&body, 100).unwrap()[..], b"{\"a\":1}\n{\"b\":2}\n");
        assert!(inflated(&gzip(b""), 100).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_gzip_or_ends_too_early_is_told() {
        let whole = gzip(b"{\"a\":1}");
        for wrong in [&b""[..], b"{}", &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
            assert!(matches!(inflated(wrong, 100), Err(UnpackFault::NotGzip(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_small_body_that_asks_for_much_is_refused() {
        let spaces = gzip(&vec![b' '; 8 << 20]);
        assert!(matches!(inflated(&spaces, 1 << 20), Err(UnpackFault::TooLarge { max: 1_048_576 })));
        assert!(matches!(inflated(&spaces, 64 << 20), Err(UnpackFault::TooDense { max: RATIO_MAX })));
        assert_eq!(
            inflated(&gzip(&vec![b' '; FREE]), 1 << 20).unwrap().len(),
            FREE,
            "a few bytes may be alike"
        );
        let members = gzip(b"").repeat(MEMBERS_MAX);
        assert!(inflated(&members, 100).unwrap().is_empty());
        let more = [&members[..], &gzip(b"")].concat();
        assert!(matches!(inflated(&more, 100), Err(UnpackFault::TooManyMembers { max: MEMBERS_MAX })));
        assert!(matches!(
            inflate(&spaces, 64 << 20, Instant::now() - Duration::from_secs(1)),
            Err(UnpackFault::TooSlow)
        ));
    }
}
