//! Describes a backlog: which partition is behind, by how much, and when that will be over.

use super::{PartitionStatus, span::span};

/// A record unsettled for longer counts as lag, in seconds: longer than a commit, a retry in memory and `spill_after`
/// by their defaults.
pub(super) const OLDEST_MAX: f64 = 10.0;

/// Below this pace, in events a second, a backlog counts as steady.
const MOVES: f64 = 0.5;

/// The partition with the largest lag, standing for all.
pub(super) fn backlog(partitions: &[PartitionStatus]) -> Option<String> {
    let late = |one: &&PartitionStatus| one.behind || one.oldest_seconds.is_some_and(|age| age > OLDEST_MAX);
    let all = || partitions.iter().filter(late);
    let worst = all().max_by(|one, other| {
        let age = |partition: &PartitionStatus| partition.oldest_seconds.unwrap_or(0.0);
        one.behind.cmp(&other.behind).then(age(one).total_cmp(&age(other)))
    })?;
    let others = match all().count() - 1 {
        0 => String::new(),
        1 => ", one more partition lags".to_owned(),
        more => format!(", {more} more partitions lag"),
    };
    Some(format!("{}{others}", in_words(worst)))
}

fn in_words(partition: &PartitionStatus) -> String {
    let PartitionStatus { name, behind, lag_events, lag_estimated, oldest_seconds, .. } = partition;
    let oldest = oldest_seconds.map(span);
    let Some(events) = lag_events.filter(|events| *behind && *events > 0) else {
        return match oldest {
            Some(oldest) => format!("the oldest unsettled event of {name} is {oldest} old"),
            None => format!("{name} is behind its log's end"),
        };
    };
    let about = if *lag_estimated { "about " } else { "" };
    let oldest = oldest.map_or(String::new(), |oldest| format!(", the oldest {oldest} old"));
    format!("{about}{events} events of {name} wait in the log{oldest}{}", forecast(partition))
}

/// The unread records while no process runs.
pub(super) fn unread(partitions: &[PartitionStatus]) -> Option<String> {
    let lag = |one: &PartitionStatus| one.lag_events.filter(|events| *events > 0);
    let worst = partitions.iter().max_by_key(|one| lag(one).unwrap_or(0))?;
    let about = if worst.lag_estimated { "about " } else { "" };
    Some(format!("{about}{} events of {} wait in the log", lag(worst)?, worst.name))
}

/// When it will be over; empty if unknown.
pub(super) fn forecast(partition: &PartitionStatus) -> String {
    match (partition.lag_per_second, partition.drain_seconds) {
        (None, _) => String::new(),
        (Some(pace), _) if pace >= MOVES => format!(", {pace:.0} more each second"),
        (Some(pace), Some(drain)) if pace <= -MOVES => {
            format!(", gone in about {} at this pace", span(drain))
        }
        _ => ", neither more nor fewer of late".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Condition, Status, Verdict};

    fn behind(pace: Option<f64>, drain: Option<f64>) -> PartitionStatus {
        PartitionStatus {
            name: "file:events.ndjson".to_owned(),
            behind: true,
            lag_events: Some(1_402_113),
            lag_estimated: true,
            oldest_seconds: Some(3.0 * 86_400.0),
            lag_per_second: pace,
            drain_seconds: drain,
            ..PartitionStatus::default()
        }
    }

    #[test]
    fn a_backlog_lags_though_it_is_being_read_and_says_when_it_will_be_gone() {
        let told = |partition| {
            let verdict = Verdict::new(&Status { partitions: vec![partition], ..Status::default() }, true);
            assert_eq!(verdict.word, Condition::Lagging, "{verdict}");
            verdict.to_string()
        };
        let start = "lagging because about 1402113 events of file:events.ndjson wait in the log, the oldest 3d 0h old";
        assert_eq!(
            told(behind(Some(-190.0), Some(7_380.0))),
            format!("{start}, gone in about 2h 3m at this pace")
        );
        assert_eq!(told(behind(Some(120.4), None)), format!("{start}, 120 more each second"));
        assert_eq!(told(behind(Some(0.1), None)), format!("{start}, neither more nor fewer of late"));
        assert_eq!(told(behind(None, None)), start);
    }

    #[test]
    fn without_a_process_what_nobody_reads_is_told() {
        let status = Status { partitions: vec![behind(None, None)], ..Status::default() };
        let told = Verdict::new(&status, false).to_string();
        assert_eq!(told, "no process runs; about 1402113 events of file:events.ndjson wait in the log");
    }

    #[test]
    fn what_is_read_and_waits_in_memory_is_told_by_its_age_alone() {
        let partition = PartitionStatus { behind: false, ..behind(None, None) };
        assert_eq!(
            backlog(&[partition]).unwrap(),
            "the oldest unsettled event of file:events.ndjson is 3d 0h old"
        );
        assert_eq!(
            backlog(&[PartitionStatus { behind: false, oldest_seconds: Some(9.0), ..behind(None, None) }]),
            None
        );
    }
}
