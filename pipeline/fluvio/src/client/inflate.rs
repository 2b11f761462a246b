//! Decompresses a batch's content within a bound. Fluvio's own decompression has no bound.

use std::io::{self, Read};

use bytes::Bytes;
use fluvio_protocol::record::{Batch, RawRecords};

use super::batch_fault::BatchFault;

/// The bits of a batch's attributes that say how it is compressed, as in Kafka's format of batches.
const CODEC_BITS: i16 = 0x07;
/// The window of a zstd frame that is always accepted, as a power of two: 8 MiB, which every decoder should accept
/// (RFC 8878, section 3.1.1.1.2).
const WINDOW_MIN: u32 = 23;
/// The largest window, 128 MiB: zstd's own bound.
const WINDOW_MAX: u32 = 27;

/// The plain bytes of a batch's records, at most `max` of them.
pub(super) fn inflate(batch: &Batch<RawRecords>, max: usize) -> Result<Bytes, BatchFault> {
    let content = &batch.records().0;
    let from = &content[..];
    match batch.header.attributes & CODEC_BITS {
        0 => Ok(content.clone()),
        1 => bounded(flate2::read::GzDecoder::new(from), max),
        2 => bounded(snap::read::FrameDecoder::new(from), max),
        3 => bounded(lz4_flex::frame::FrameDecoder::new(from), max),
        4 => bounded(zstd(from, max).map_err(BatchFault::inflate)?, max),
        codec => Err(BatchFault::Codec { codec }),
    }
}

fn zstd(from: &[u8], max: usize) -> io::Result<impl Read> {
    let mut decoder = zstd::Decoder::new(from)?;
    // A frame declares the memory it needs: a small one could declare much.
    let window = usize::BITS - max.leading_zeros();
    decoder.window_log_max(window.clamp(WINDOW_MIN, WINDOW_MAX))?;
    Ok(decoder)
}

fn bounded(from: impl Read, max: usize) -> Result<Bytes, BatchFault> {
    let mut plain = Vec::new();
    // One more byte, to detect an excess.
    let taken = max.saturating_add(1);
    let _len = from
        .take(u64::try_from(taken).unwrap_or(u64::MAX))
        .read_to_end(&mut plain)
        .map_err(BatchFault::inflate)?;
    if plain.len() > max { Err(BatchFault::TooLong { max }) } else { Ok(plain.into()) }
}
