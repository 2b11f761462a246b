//! Recent failures: finds brokers and sources that fail in the last minutes, from attempts, dead letters and records.
//! A broker that refuses everything, or a source without a valid event, is never called healthy.

use serde::{Deserialize, Serialize};

use super::{BrokerStatus, GroupStatus, PartitionStatus, Status, span::span};

/// Fewer attempts or records than this allow no conclusion.
const FEW: u64 = 3;
/// Fewer attempts a second than this are fewer than [`FEW`] in the ten seconds a rate is measured over.
const FEW_A_SECOND: f64 = 0.3;

/// The outcomes of a broker's attempts in the last five minutes, or since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecentBroker {
    /// Over how long, in seconds.
    pub seconds: f64,
    /// Attempts answered 2xx.
    pub taken: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Those of them with which it refused the event: 4xx.
    pub refused: u64,
    /// Deliveries taken.
    pub delivered: u64,
    /// Deliveries that became dead letters.
    pub dead_letters: u64,
}

/// The outcomes of the records of the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecentRecords {
    /// Over how long, in seconds.
    pub seconds: f64,
    /// Records read.
    pub read: u64,
    /// Records that became dead letters before there was a delivery.
    pub rejected: u64,
    /// Events that no broker subscribes to.
    pub unrouted: u64,
}

/// What is failing, the worst first; and hints.
#[derive(Debug, Default)]
pub(super) struct Failing {
    pub(super) reasons: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Failing {
    pub(super) fn of(status: &Status) -> Self {
        let mut found = Self::default();
        if let Some(recent) = &status.recent {
            found.records(recent);
        }
        for partition in &status.partitions {
            found.notes.extend(lost(partition));
        }
        found.reasons.extend(halted(&status.partitions));
        found.notes.extend(status.group.iter().flat_map(GroupStatus::notes));
        let mut brokers: Vec<_> = status.brokers.iter().filter_map(|one| Some((one, one.recent?))).collect();
        brokers.sort_by_key(|(_, recent)| std::cmp::Reverse(recent.refused.max(recent.dead_letters)));
        for (broker, recent) in brokers {
            found.broker(broker, &recent);
        }
        found
    }

    fn records(&mut self, recent: &RecentRecords) {
        let RecentRecords { seconds, read, rejected, unrouted } = *recent;
        let when = span(seconds);
        if rejected >= FEW && rejected * 2 >= read {
            self.reasons.push(format!(
                "{rejected} of the {read} records of the last {when} are no valid events and became dead letters: \
                 compare [schema] and [rules] with what their producer sends"
            ));
        } else if rejected > 0 {
            let what = if rejected == 1 {
                "is no valid event: a dead letter"
            } else {
                "are no valid events: dead letters"
            };
            self.notes.push(format!("{rejected} of the {read} records of the last {when} {what}"));
        }
        if unrouted >= FEW && unrouted == read {
            self.notes.push(format!("no broker wants any of the {read} events of the last {when}"));
        }
    }

    fn broker(&mut self, broker: &BrokerStatus, recent: &RecentBroker) {
        let RecentBroker { seconds, taken, failed, refused, delivered, dead_letters } = *recent;
        let (id, when) = (&broker.id, span(seconds));
        // That a disabled broker's deliveries become dead letters is reported already.
        if broker.state == "disabled" {
            return;
        }
        let (ended, letters) = (taken + failed, letters(dead_letters));
        // It accepts what it is sent now, whatever happened before.
        let takes = broker.success_ratio.is_some_and(|ratio| ratio >= 0.5);
        // It refuses what it is sent now, whatever it accepted before.
        let turned = broker.refused_ratio.is_some_and(|ratio| ratio >= 0.5)
            && broker.rate_used.is_some_and(|rate| rate >= FEW_A_SECOND);
        if takes {
            self.note(broker, recent);
        } else if refused >= FEW && (refused * 2 >= ended || turned) {
            let (error, advice) = (error(broker), advice(broker));
            let what = if refused == ended {
                format!("all it is sent: {refused} attempts")
            } else if refused * 2 >= ended {
                format!("{refused} of {ended} attempts")
            } else {
                format!("most of what it is sent now: {refused} of {ended} attempts")
            };
            self.reasons.push(format!("broker {id} refuses {what} in {when}{error}{letters}; {advice}"));
        } else if dead_letters >= FEW && dead_letters >= delivered {
            let error = error(broker);
            self.reasons.push(format!(
                "more deliveries for broker {id} end as dead letters than arrive: {dead_letters} and {delivered} in \
                 {when}{error}"
            ));
        } else {
            self.note(broker, recent);
        }
    }

    fn note(&mut self, broker: &BrokerStatus, recent: &RecentBroker) {
        let (id, when) = (&broker.id, span(recent.seconds));
        self.notes.push(match recent.dead_letters {
            0 => return,
            1 => format!("1 delivery for broker {id} became a dead letter in {when}"),
            letters => format!("{letters} deliveries for broker {id} became dead letters in {when}"),
        });
    }
}

/// The first partition that is read no further, and why; the table has all of them.
fn halted(partitions: &[PartitionStatus]) -> Option<String> {
    let halted = || partitions.iter().filter_map(|partition| Some((&partition.name, partition.halted()?)));
    let (name, why) = halted().next()?;
    let others = match halted().count() - 1 {
        0 => String::new(),
        1 => ", nor is one more partition".to_owned(),
        more => format!(", nor are {more} more partitions"),
    };
    Some(format!("{name} is not read any further{others}: {why}"))
}

/// Records that no run can deliver any more.
fn lost(partition: &PartitionStatus) -> Option<String> {
    let passed = partition.reading.as_ref().map_or(0, |reading| reading.lost_records);
    if passed > 0 {
        return Some(format!(
            "{passed} offsets of {} were passed over, the cluster no longer had them: see below",
            partition.name
        ));
    }
    // Why a partition is read no further is told with what can be done.
    let lost = Some(partition.lost().len()).filter(|lost| *lost > 0 && partition.halted().is_none())?;
    let times = if lost == 1 { "once" } else { "several times" };
    Some(format!("something of {} was lost before it was read, {times}: see below", partition.name))
}

fn letters(dead_letters: u64) -> String {
    match dead_letters {
        0 => String::new(),
        1 => ", 1 dead letter".to_owned(),
        more => format!(", {more} dead letters"),
    }
}

fn error(broker: &BrokerStatus) -> String {
    broker.last_error.as_ref().map_or(String::new(), |error| format!(", last error: {}", error.cause))
}

/// What to check first, by the last answer.
pub(super) fn advice(broker: &BrokerStatus) -> &'static str {
    match broker.last_error.as_ref().and_then(|error| error.status) {
        Some(401 | 403 | 407) => "compare its secrets and headers with what it expects",
        Some(404 | 405 | 410) => "compare its url with where it listens",
        Some(413) => "it takes no bodies of this size",
        _ => "ask what it expects: its answer is in the dead letters",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Condition, ErrorStatus, FileStatus, Verdict};

    fn broker(status: u16, cause: &str, recent: RecentBroker) -> BrokerStatus {
        BrokerStatus {
            id: "bolt".to_owned(),
            state: "healthy".to_owned(),
            recent: Some(RecentBroker { seconds: 300.0, ..recent }),
            last_error: Some(ErrorStatus {
                status: Some(status),
                cause: cause.to_owned(),
                ..ErrorStatus::default()
            }),
            ..BrokerStatus::default()
        }
    }

    fn verdict(broker: BrokerStatus) -> Verdict {
        Verdict::new(&Status { brokers: vec![broker], ..Status::default() }, true)
    }

    #[test]
    fn a_broker_that_refuses_everything_is_named_with_why_and_what_to_do() {
        let all = RecentBroker { failed: 472, refused: 472, dead_letters: 472, ..RecentBroker::default() };
        let told = verdict(broker(401, "401 unauthorized", all));
        assert_eq!(
            told.to_string(),
            "failing because broker bolt refuses all it is sent: 472 attempts in 5m 0s, last error: 401 unauthorized, \
             472 dead letters; compare its secrets and headers with what it expects"
        );
        assert_eq!(told.word, Condition::Failing);
        // Held until it takes something again: nothing is given up, and it is no less refused.
        let held = BrokerStatus {
            state: "open".to_owned(),
            spilled: 9,
            ..broker(404, "404 not found", RecentBroker { dead_letters: 0, ..all })
        };
        let told = verdict(held).to_string();
        assert!(told.starts_with("failing because broker bolt refuses all it is sent"), "{told}");
        assert!(told.contains("compare its url") && told.contains("9 wait"), "{told}");
    }

    #[test]
    fn most_is_nearly_all_and_a_few_are_a_note() {
        let most =
            RecentBroker { taken: 10, failed: 30, refused: 30, delivered: 10, ..RecentBroker::default() };
        let told = verdict(broker(422, "422 unprocessable entity", most)).to_string();
        assert!(told.starts_with("failing because broker bolt refuses 30 of 40 attempts in 5m 0s"), "{told}");
        let few = RecentBroker { taken: 100, failed: 2, refused: 2, delivered: 100, dead_letters: 2, ..most };
        let told = verdict(broker(422, "422", few));
        assert_eq!(
            told.to_string(),
            "healthy, but 2 deliveries for broker bolt became dead letters in 5m 0s"
        );
        let exhausted = RecentBroker { failed: 50, refused: 0, delivered: 1, dead_letters: 9, ..most };
        let told = verdict(broker(500, "500 internal server error", exhausted)).to_string();
        assert!(
            told.starts_with("failing because more deliveries for broker bolt end as dead letters"),
            "{told}"
        );
        let disabled = BrokerStatus { state: "disabled".to_owned(), ..broker(410, "410 gone", most) };
        assert_eq!(verdict(disabled).word, Condition::Healthy, "an operator knows, and it is said once");
    }

    #[test]
    fn a_broker_that_took_everything_and_now_refuses_it_is_named_at_once() {
        let recent = RecentBroker {
            taken: 20_000,
            failed: 40,
            refused: 40,
            delivered: 20_000,
            dead_letters: 40,
            ..RecentBroker::default()
        };
        let now = BrokerStatus {
            success_ratio: Some(0.1),
            refused_ratio: Some(0.9),
            rate_used: Some(4.0),
            ..broker(422, "422 unprocessable entity", recent)
        };
        let told = verdict(now.clone());
        assert!(
            told.to_string().starts_with(
                "failing because broker bolt refuses most of what it is sent now: 40 of 20040 attempts in 5m 0s"
            ),
            "{told}"
        );
        let one_event = BrokerStatus { rate_used: Some(0.1), ..now };
        assert_eq!(verdict(one_event).word, Condition::Healthy);
    }

    #[test]
    fn what_was_lost_before_it_was_read_is_told_though_all_is_well_now() {
        let file = FileStatus { losses: 1, lost: vec!["gone".to_owned()], ..FileStatus::default() };
        let partition =
            PartitionStatus { name: "file:e".to_owned(), file: Some(file), ..PartitionStatus::default() };
        let told = Verdict::new(&Status { partitions: vec![partition], ..Status::default() }, true);
        assert_eq!(
            told.to_string(),
            "healthy, but something of file:e was lost before it was read, once: see below"
        );
    }

    #[test]
    fn a_source_of_which_nothing_is_an_event_is_failing_and_a_few_such_records_are_a_note() {
        let told = |rejected, unrouted| {
            let recent = RecentRecords { seconds: 12.0, read: 20, rejected, unrouted };
            Verdict::new(&Status { recent: Some(recent), ..Status::default() }, true).to_string()
        };
        let all = told(20, 0);
        assert!(
            all.starts_with("failing because 20 of the 20 records of the last 12s are no valid events"),
            "{all}"
        );
        assert_eq!(
            told(1, 0),
            "healthy, but 1 of the 20 records of the last 12s is no valid event: a dead letter"
        );
        assert_eq!(told(0, 20), "healthy, but no broker wants any of the 20 events of the last 12s");
        assert_eq!(told(0, 5), "healthy");
    }
}
