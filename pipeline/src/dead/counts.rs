//! What came, or would come, of replaying letters, in numbers: every letter that was meant is counted once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many letters met which fate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayCounts {
    /// Letters that were meant; the sum of all that follow but the deliveries.
    pub letters: u64,
    /// They are sent again, and are letters no more.
    pub replayed: u64,
    /// Delivered since: nothing was left to do, and they are letters no more.
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
    /// Deliveries that were put on brokers' disk queues, by broker: a letter of a record stands for several.
    pub deliveries: BTreeMap<String, u64>,
}

/// Why a letter stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
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
}

impl ReplayCounts {
    /// One letter is sent again.
    pub(super) fn replayed(&mut self) {
        self.letters += 1;
        self.replayed += 1;
    }

    /// One letter was delivered since.
    pub(super) fn over(&mut self) {
        self.letters += 1;
        self.delivered_since += 1;
    }

    /// One letter stays.
    pub(super) fn kept(&mut self, why: Kept) {
        self.letters += 1;
        *match why {
            Kept::Waiting => &mut self.waiting,
            Kept::Conflict => &mut self.conflict,
            Kept::Cut => &mut self.cut,
            Kept::UnknownBroker => &mut self.unknown_broker,
            Kept::BrokerDisabled => &mut self.broker_disabled,
            Kept::TooLarge => &mut self.too_large,
            Kept::RejectedAgain => &mut self.rejected_again,
            Kept::Unrouted => &mut self.unrouted,
            Kept::CameMeanwhile => &mut self.came_meanwhile,
        } += 1;
    }

    /// One delivery goes to `broker`'s queue.
    pub(super) fn delivery(&mut self, broker: &str) {
        *self.deliveries.entry(broker.to_owned()).or_default() += 1;
    }

    /// Adds what came of other letters.
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
    }

    /// The letters that are left, by why, for a person; those of which there are none are left out.
    #[must_use]
    pub fn kept_in_words(&self) -> Vec<(u64, &'static str)> {
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
            Kept::Waiting,
            Kept::Conflict,
            Kept::Cut,
            Kept::UnknownBroker,
            Kept::BrokerDisabled,
            Kept::TooLarge,
            Kept::RejectedAgain,
            Kept::Unrouted,
            Kept::CameMeanwhile,
        ];
        let mut counts = ReplayCounts::default();
        kept.into_iter().for_each(|why| counts.kept(why));
        counts.replayed();
        counts.over();
        counts.delivery("acme");
        let mut twice = counts.clone();
        twice.merge(&counts);
        let told = serde_json::to_value(&twice).unwrap();
        let fates = told
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| !["letters", "deliveries"].contains(&name.as_str()));
        for (name, count) in fates {
            assert_eq!(count, 2, "{name}");
        }
        assert_eq!((twice.letters, twice.deliveries["acme"]), (22, 2));
        assert_eq!(twice.kept_in_words().len(), kept.len());
        assert!(ReplayCounts::default().kept_in_words().is_empty());
    }
}
