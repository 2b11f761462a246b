//! The counts of a replay, or of a dry run: every selected letter is counted once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::PassedByJson;

/// How many letters that were overtaken are named.
const OVERTAKEN_MAX: usize = 10;

/// A letter, and the later event of its load that was delivered since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overtaking {
    /// The letter.
    pub letter: String,
    /// Its event, as far as it could be read.
    pub event_id: Option<String>,
    /// The later event.
    pub passed_by: PassedByJson,
}

/// How many letters had which outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayCounts {
    /// Selected letters: the sum of all following counts but the deliveries.
    pub letters: u64,
    /// Sent again and removed.
    pub replayed: u64,
    /// Delivered since, and removed.
    pub delivered_since: u64,
    /// They stay: the same event waits on disk already.
    pub waiting: u64,
    /// They stay: another body is on record under the event's id.
    pub conflict: u64,
    /// They stay: only the beginning of the record was kept.
    pub cut: u64,
    /// They stay: their broker is not in the config.
    pub unknown_broker: u64,
    /// They stay: their broker is disabled and would make letters of them at once.
    pub broker_disabled: u64,
    /// They stay: they take more than `limits.spill_broker_max` or `limits.spill_total_max` on disk.
    pub too_large: u64,
    /// They stay, with the new reason: the record is refused by this config too.
    pub rejected_again: u64,
    /// They stay: no broker of this config wants the event.
    pub unrouted: u64,
    /// They stay: they became letters after the replay had begun.
    pub came_meanwhile: u64,
    /// They stay: a later event of their load was delivered since.
    pub overtaken: u64,
    /// Some of those, and what has passed them.
    #[serde(default)]
    pub overtaken_by: Vec<Overtaking>,
    /// Deliveries that were put on brokers' disk queues, by broker: a letter of a record stands for several.
    pub deliveries: BTreeMap<String, u64>,
}

/// Why a letter stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The same event waits on disk already.
    Waiting,
    /// Another body is on record under the event's id.
    Conflict,
    /// Only the beginning of the record was kept.
    Cut,
    /// Its broker is not in the config.
    UnknownBroker,
    /// Its broker is disabled.
    BrokerDisabled,
    /// There can never be room for it on disk.
    TooLarge,
    /// The record is refused by this config too.
    RejectedAgain,
    /// No broker of this config wants the event.
    Unrouted,
    /// It became a letter after the replay had begun.
    CameMeanwhile,
    /// A later event of its load was delivered since.
    Overtaken,
}

impl ReplayCounts {
    /// Whether there were letters and nothing could be done with any of them. One that waits already is done with.
    #[must_use]
    pub fn all_stay(&self) -> bool {
        let done = self.replayed + self.delivered_since;
        done == 0 && self.deliveries.is_empty() && self.waiting < self.letters
    }

    /// One letter is sent again.
    pub(super) fn replayed(&mut self) {
        self.letters += 1;
        self.replayed += 1;
    }

    /// One letter was delivered since.
    pub(super) fn delivered_since(&mut self) {
        self.letters += 1;
        self.delivered_since += 1;
    }

    /// One letter stays.
    pub(super) fn skipped(&mut self, why: SkipReason) {
        self.letters += 1;
        *match why {
            SkipReason::Waiting => &mut self.waiting,
            SkipReason::Conflict => &mut self.conflict,
            SkipReason::Cut => &mut self.cut,
            SkipReason::UnknownBroker => &mut self.unknown_broker,
            SkipReason::BrokerDisabled => &mut self.broker_disabled,
            SkipReason::TooLarge => &mut self.too_large,
            SkipReason::RejectedAgain => &mut self.rejected_again,
            SkipReason::Unrouted => &mut self.unrouted,
            SkipReason::CameMeanwhile => &mut self.came_meanwhile,
            SkipReason::Overtaken => &mut self.overtaken,
        } += 1;
    }

    /// Names a letter that stays because it was overtaken.
    pub(super) fn overtaken_by(&mut self, overtaking: Overtaking) {
        if self.overtaken_by.len() < OVERTAKEN_MAX {
            self.overtaken_by.push(overtaking);
        }
    }

    /// One delivery goes to `broker`'s queue.
    pub(super) fn delivery(&mut self, broker: &str) {
        *self.deliveries.entry(broker.to_owned()).or_default() += 1;
    }

    /// Adds the counts of other letters.
    pub fn merge(&mut self, other: &Self) {
        for (broker, count) in &other.deliveries {
            *self.deliveries.entry(broker.clone()).or_default() += count;
        }
        self.letters += other.letters;
        self.replayed += other.replayed;
        self.delivered_since += other.delivered_since;
        self.waiting += other.waiting;
        self.conflict += other.conflict;
        self.cut += other.cut;
        self.unknown_broker += other.unknown_broker;
        self.broker_disabled += other.broker_disabled;
        self.too_large += other.too_large;
        self.rejected_again += other.rejected_again;
        self.unrouted += other.unrouted;
        self.came_meanwhile += other.came_meanwhile;
        self.overtaken += other.overtaken;
        let room = OVERTAKEN_MAX.saturating_sub(self.overtaken_by.len());
        self.overtaken_by.extend(other.overtaken_by.iter().take(room).cloned());
    }

    /// The letters that stay, by reason, for people; without zero counts.
    #[must_use]
    pub fn skip_reasons(&self) -> Vec<(u64, &'static str)> {
        let all = [
            (self.waiting, "wait on disk already"),
            (self.conflict, "have another body on record under their event's id"),
            (self.cut, "were cut: only the beginning of the record was kept"),
            (self.unknown_broker, "are for a broker that is not in the config"),
            (
                self.broker_disabled,
                "are for a broker that is disabled; `loadline broker enable` takes it back",
            ),
            (self.too_large, "are larger than limits.spill_broker_max or limits.spill_total_max allows"),
            (self.rejected_again, "are refused by this config too; `loadline dead list` has the reasons"),
            (self.unrouted, "are wanted by no broker of this config"),
            (self.came_meanwhile, "came after the replay had begun"),
            (
                self.overtaken,
                "are older than events of their loads that were delivered since; --force sends them all the same",
            ),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_in_the_sum_and_in_words_once() {
        let kept = [
            SkipReason::Waiting,
            SkipReason::Conflict,
            SkipReason::Cut,
            SkipReason::UnknownBroker,
            SkipReason::BrokerDisabled,
            SkipReason::TooLarge,
            SkipReason::RejectedAgain,
            SkipReason::Unrouted,
            SkipReason::CameMeanwhile,
            SkipReason::Overtaken,
        ];
        let mut counts = ReplayCounts::default();
        kept.into_iter().for_each(|why| counts.skipped(why));
        counts.replayed();
        counts.delivered_since();
        counts.delivery("acme");
        let mut twice = counts.clone();
        twice.merge(&counts);
        let told = serde_json::to_value(&twice).unwrap();
        let outcomes = told
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| !["letters", "deliveries", "overtakenBy"].contains(&name.as_str()));
        for (name, count) in outcomes {
            assert_eq!(count, 2, "{name}");
        }
        assert_eq!((twice.letters, twice.deliveries["acme"]), (24, 2));
        assert_eq!(twice.skip_reasons().len(), kept.len());
        assert!(ReplayCounts::default().skip_reasons().is_empty());
    }
}
