//! Whether a partition can be read: since when its leader has not answered, and why.
//!
//! An open stream alone proves nothing, because one that breaks at its first record again and again would seem to
//! work. Proof is a record, or a poll of the log's end that finds all of it read, or the second successful poll in a
//! row over one stream.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// The state of the connection to a partition's leader.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    /// The number of the stream, while there is one.
    stream: Option<u64>,
    streams: u64,
    /// Whether the last poll over this stream succeeded.
    looked: bool,
    away: Option<Away>,
}

/// The leader does not answer.
#[derive(Clone, Debug)]
struct Away {
    since: Instant,
    why: Option<Arc<str>>,
}

impl ConnectionState {
    /// No stream yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { stream: None, streams: 0, looked: false, away: Some(Away { since: now, why: None }) }
    }

    /// The number of the stream, while there is one.
    pub(crate) fn stream(&self) -> Option<u64> {
        self.stream
    }

    /// Whether the leader does not answer.
    pub(crate) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// For how long the leader has not answered; none while it does.
    pub(crate) fn away(&self, now: Instant) -> Option<Duration> {
        self.away.as_ref().map(|away| now.saturating_duration_since(away.since))
    }

    /// Why the leader does not answer, if known.
    pub(crate) fn why(&self) -> Option<Arc<str>> {
        self.away.as_ref()?.why.clone()
    }

    pub(crate) fn opened(&mut self) {
        self.streams += 1;
        (self.stream, self.looked) = (Some(self.streams), false);
    }

    pub(crate) fn closed(&mut self, now: Instant) {
        self.stream = None;
        let _away = self.away.get_or_insert(Away { since: now, why: None });
    }

    /// Sets the reason.
    pub(crate) fn failed(&mut self, why: &str, now: Instant) {
        let away = self.away.get_or_insert(Away { since: now, why: None });
        if away.why.as_deref() != Some(why) {
            away.why = Some(Arc::from(why));
        }
    }

    /// A record has come.
    pub(crate) fn gave(&mut self) {
        self.away = None;
    }

    /// A poll over `stream` succeeded, and found `all_read` or more to read. False if that stream is gone.
    pub(crate) fn looked_well(&mut self, stream: u64, all_read: bool) -> bool {
        if self.stream != Some(stream) {
            return false;
        }
        if all_read || self.looked {
            self.away = None;
        }
        self.looked = true;
        true
    }

    /// A poll over `stream` failed. False if that stream is gone.
    pub(crate) fn looked_ill(&mut self, stream: u64, why: &str, now: Instant) -> bool {
        if self.stream != Some(stream) {
            return false;
        }
        self.looked = false;
        self.failed(why, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_record_or_looks_that_go_well_prove_that_somebody_answers() {
        let start = Instant::now();
        let mut link = ConnectionState::new(start);
        assert_eq!((link.stream(), link.away(start + SECOND)), (None, Some(SECOND)));
        link.opened();
        assert_eq!((link.stream(), link.away(start + 2 * SECOND)), (Some(1), Some(2 * SECOND)));
        link.gave();
        assert_eq!(link.away(start), None);

        // It breaks at its first record, each time.
        for try_at in 3..9 {
            link.closed(start + try_at * SECOND);
            link.failed("a batch is too long", start + try_at * SECOND);
            link.opened();
            assert!(link.looked_well(link.stream().unwrap(), false));
        }
        assert_eq!(link.away(start + 9 * SECOND), Some(6 * SECOND));
        assert_eq!(link.why().as_deref(), Some("a batch is too long"));
        assert!(link.looked_well(link.stream().unwrap(), false), "the second over one stream");
        assert_eq!((link.away(start), link.why()), (None, None));
        link.closed(start + 10 * SECOND);
        link.opened();
        assert!(link.looked_well(link.stream().unwrap(), true));
        assert_eq!(link.away(start + 20 * SECOND), None, "there is nothing to read");
    }

    #[test]
    fn a_look_that_fails_says_why_and_one_over_another_stream_says_nothing() {
        let start = Instant::now();
        let mut link = ConnectionState::new(start);
        link.opened();
        link.gave();
        assert!(link.looked_ill(1, "silent", start + SECOND));
        assert!(link.looked_ill(1, "refused", start + 2 * SECOND));
        let told = (link.away(start + 4 * SECOND), link.why());
        assert_eq!(told, (Some(3 * SECOND), Some(Arc::from("refused"))));
        link.opened();
        assert!(!link.looked_well(1, true) && link.away(start).is_some());
        link.gave();
        assert!(!link.looked_ill(1, "late", start) && link.away(start).is_none());
    }
}
