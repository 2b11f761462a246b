//! Computes a partition's lag in events and bytes.

use super::PartitionStatus;

/// How far a partition has been read in this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadProgress {
    /// Records read in this run.
    pub(crate) read: u64,
    /// Of these, those that are not settled.
    pub(crate) unsettled: u64,
    /// The offset at which this run began.
    pub(crate) began_at: u64,
    /// Whether the read and the settled offset are in the same file.
    pub(crate) same_file: bool,
}

impl PartitionStatus {
    /// Computes the lag from the offsets. Records of a log are counted; for a file's unread bytes the events are
    /// estimated by the mean length of those read.
    pub(crate) fn measure(&mut self, past: ReadProgress) {
        let ReadProgress { read, unsettled, began_at, same_file } = past;
        let reached = self.read.unwrap_or(began_at);
        let Some(end) = self.end else {
            self.lag_events = Some(unsettled);
            return;
        };
        if self.unit == "records" {
            self.lag_events = Some(end.saturating_sub(self.settled_to.unwrap_or(0)));
            return;
        }
        let unread = end.saturating_sub(reached);
        let length = reached.saturating_sub(began_at).checked_div(read).filter(|length| *length > 0);
        self.lag_estimated = unread > 0;
        self.lag_events = match length {
            _ if unread == 0 => Some(unsettled),
            Some(length) => Some(unsettled + unread.div_ceil(length)),
            None => None,
        };
        self.lag_bytes = same_file.then(|| end.saturating_sub(self.settled_to.unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(unit: &str, places: [Option<u64>; 3], past: ReadProgress) -> PartitionStatus {
        let [read, settled_to, end] = places;
        let mut partition =
            PartitionStatus { unit: unit.to_owned(), read, settled_to, end, ..PartitionStatus::default() };
        partition.measure(past);
        partition
    }

    #[test]
    fn a_log_of_records_is_counted_and_the_rest_of_a_file_estimated() {
        let past = ReadProgress { read: 10, unsettled: 4, began_at: 1_000, same_file: true };
        let log = measured("records", [Some(20), Some(16), Some(500)], past);
        assert_eq!((log.lag_events, log.lag_estimated, log.lag_bytes), (Some(484), false, None));
        // 10 records in 1,000 bytes, 350 bytes unread.
        let file = measured("bytes", [Some(2_000), Some(1_600), Some(2_350)], past);
        assert_eq!((file.lag_events, file.lag_estimated, file.lag_bytes), (Some(8), true, Some(750)));
        let whole = measured("bytes", [Some(2_000), Some(1_600), Some(2_000)], past);
        assert_eq!((whole.lag_events, whole.lag_estimated), (Some(4), false));
        let rotated = ReadProgress { same_file: false, began_at: 9_000, ..past };
        let rotated = measured("bytes", [Some(100), Some(9_500), Some(900)], rotated);
        assert_eq!((rotated.lag_events, rotated.lag_bytes), (None, None), "what cannot be told is not told");
        let stdin = measured("bytes", [Some(100), Some(0), None], past);
        assert_eq!(stdin.lag_events, Some(4));
    }
}
