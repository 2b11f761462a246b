//! `Retry-After`: any value a receiver can send is a wait that can be added to any moment, or none.

use std::time::Duration;

use http::HeaderValue;

/// The present moment: Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: u64 = 784_111_777_000;
/// The longest wait that is given: 2^32 seconds.
const WAIT_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// Takes `input` as the header's value.
pub fn retry_after(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let wait = stages::retry_after(&value, NOW);
    assert!(wait.is_none_or(|wait| wait <= WAIT_MAX));
    let seconds = std::str::from_utf8(input)
        .ok()
        .map(str::trim)
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(seconds) = seconds {
        let said =
            seconds.parse().map_or(WAIT_MAX, |seconds: u64| Duration::from_secs(seconds).min(WAIT_MAX));
        assert_eq!(wait, Some(said));
    }
    // A later moment waits no longer.
    assert!(stages::retry_after(&value, NOW + 1_000) <= wait);
}
