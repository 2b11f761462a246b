//! Limits log lines about dead letters: the first of a kind is logged at once, further ones are counted, and the
//! count is logged each minute, so that a broker that refuses everything does not fill the disk. A kind is a broker
//! and a cause.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// After a line, letters of the same kind are only counted for this long.
const QUIET: Duration = Duration::from_secs(60);

/// The kinds with a recent line: at most one for each broker and cause.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter(Mutex<BTreeMap<Kind, Quiet>>);

/// A broker, none for a record that is no event, and a cause.
type Kind = (Option<Arc<str>>, &'static str);

/// A kind whose letters are only counted.
#[derive(Debug)]
struct Quiet {
    since: Instant,
    suppressed: u64,
}

/// Letters of one kind that had no line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suppressed {
    pub(crate) broker: Option<Arc<str>>,
    pub(crate) cause: &'static str,
    pub(crate) letters: u64,
}

impl LogLimiter {
    /// Whether a letter gets a line of its own; otherwise it is counted.
    pub(crate) fn is_first(&self, broker: Option<&Arc<str>>, cause: &'static str) -> bool {
        let mut kinds = self.0.lock();
        match kinds.get_mut(&(broker.cloned(), cause)) {
            Some(quiet) => quiet.suppressed += 1,
            None => {
                kinds.insert((broker.cloned(), cause), Quiet { since: Instant::now(), suppressed: 0 });
                return true;
            }
        }
        false
    }

    /// What was counted for a minute, or with `all` everything counted. A kind without letters gets a line again.
    pub(crate) fn suppressed(&self, all: bool) -> Vec<Suppressed> {
        let (mut kinds, now) = (self.0.lock(), Instant::now());
        let mut suppressed = Vec::new();
        kinds.retain(|(broker, cause), quiet| {
            if !all && now.saturating_duration_since(quiet.since) < QUIET {
                return true;
            }
            let letters = std::mem::take(&mut quiet.suppressed);
            quiet.since = now;
            if letters > 0 {
                suppressed.push(Suppressed { broker: broker.clone(), cause, letters });
            }
            letters > 0
        });
        suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_logged_at_once_and_the_others_are_counted_once_a_minute() {
        let (log, acme) = (LogLimiter::default(), Arc::<str>::from("acme"));
        assert!(log.is_first(Some(&acme), "refused"));
        assert!(!log.is_first(Some(&acme), "refused") && !log.is_first(Some(&acme), "refused"));
        assert!(log.is_first(Some(&acme), "conflict") && log.is_first(None, "not-json"), "other kinds");
        tokio::time::advance(QUIET - Duration::from_secs(1)).await;
        assert_eq!(log.suppressed(false), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        let two = Suppressed { broker: Some(acme.clone()), cause: "refused", letters: 2 };
        assert_eq!(log.suppressed(false), [two]);
        assert!(!log.is_first(Some(&acme), "refused"), "it goes on");
        assert!(log.is_first(Some(&acme), "conflict"), "nothing came for a minute");
        let one = Suppressed { broker: Some(acme.clone()), cause: "refused", letters: 1 };
        assert_eq!(log.suppressed(true), [one]);
        assert_eq!(log.suppressed(true), []);
        assert!(log.is_first(Some(&acme), "refused"));
    }
}
