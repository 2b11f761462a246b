//! Entry points for the fuzz targets (feature `fuzzing`): the parts of a post without a connection.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    body::{self, RecordLimits},
    inflate,
};

/// The records of `body`, within these limits.
///
/// # Errors
/// Why there are none.
pub fn records(
    body: &[u8],
    says_lines: bool,
    records_max: usize,
    record_max: usize,
) -> Result<Vec<Bytes>, String> {
    let limits = RecordLimits { records_max, record_max };
    body::records(&Bytes::copy_from_slice(body), says_lines, limits).map_err(|fault| fault.to_string())
}

/// The decompressed gzip `body`, at most `max` bytes.
///
/// # Errors
/// Why it cannot be decompressed.
pub fn inflate(body: &[u8], max: usize) -> Result<Bytes, String> {
    let until = Instant::now() + Duration::from_secs(60);
    inflate::inflate(body, max, until).map_err(|fault| fault.to_string())
}
