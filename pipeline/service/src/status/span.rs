//! Spans of time in words, as the status shows them.

use std::time::Duration;

/// A time in seconds in words: two units at most.
pub(super) fn span(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.clamp(0.0, 1e12)).as_secs();
    let (days, hours, minutes, left) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if whole < 10 => format!("{seconds:.1}s"),
        (0, 0, 0) => format!("{left}s"),
        (0, 0, _) => format!("{minutes}m {left}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}
