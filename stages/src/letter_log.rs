//! Dead letters in the log: the first of a kind has a line at once, those behind it are counted, and the count has a line
//! each minute, so that a broker that refuses everything fills no disk. A kind is a broker and a cause.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// For so long letters of a kind that has had a line are only counted.
const QUIET: Duration = Duration::from_secs(60);

/// What the log has been told. As many kinds as there are brokers and causes at most.
#[derive(Debug, Default)]
pub(crate) struct LetterLog(Mutex<BTreeMap<Kind, Told>>);

/// A broker, or none for a record that is no event; and a cause.
type Kind = (Option<Arc<str>>, &'static str);

#[derive(Debug)]
struct Told {
    at: Instant,
    untold: u64,
}

/// Letters of one kind that had no line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(crate) broker: Option<Arc<str>>,
    pub(crate) cause: &'static str,
    pub(crate) letters: u64,
}

impl LetterLog {
    /// Whether a letter has a line of its own; else it is counted.
    pub(crate) fn is_news(&self, broker: Option<&Arc<str>>, cause: &'static str) -> bool {
        let mut kinds = self.0.lock();
        match kinds.get_mut(&(broker.cloned(), cause)) {
            Some(told) => told.untold += 1,
            None => {
                kinds.insert((broker.cloned(), cause), Told { at: Instant::now(), untold: 0 });
                return true;
            }
        }
        false
    }

    /// What has not been told for a minute, or at all if this is the end. A kind of which nothing came is news again.
    pub(crate) fn untold(&self, all: bool) -> Vec<Untold> {
        let (mut kinds, now) = (self.0.lock(), Instant::now());
        let mut untold = Vec::new();
        kinds.retain(|(broker, cause), told| {
            if !all && now.saturating_duration_since(told.at) < QUIET {
                return true;
            }
            let letters = std::mem::take(&mut told.untold);
            told.at = now;
            if letters > 0 {
                untold.push(Untold { broker: broker.clone(), cause, letters });
            }
            letters > 0
        });
        untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_told_at_once_and_the_others_once_a_minute() {
        let (log, acme) = (LetterLog::default(), Arc::<str>::from("acme"));
        assert!(log.is_news(Some(&acme), "refused"));
        assert!(!log.is_news(Some(&acme), "refused") && !log.is_news(Some(&acme), "refused"));
        assert!(log.is_news(Some(&acme), "conflict") && log.is_news(None, "not-json"), "other kinds");
        tokio::time::advance(QUIET - Duration::from_secs(1)).await;
        assert_eq!(log.untold(false), []);
        tokio::time::advance(Duration::from_secs(1)).await;
        let two = Untold { broker: Some(acme.clone()), cause: "refused", letters: 2 };
        assert_eq!(log.untold(false), [two]);
        assert!(!log.is_news(Some(&acme), "refused"), "it goes on");
        assert!(log.is_news(Some(&acme), "conflict"), "nothing came for a minute");
        let one = Untold { broker: Some(acme.clone()), cause: "refused", letters: 1 };
        assert_eq!(log.untold(true), [one]);
        assert_eq!(log.untold(true), []);
        assert!(log.is_news(Some(&acme), "refused"));
    }
}
