//! Prints the status for people: the verdict first, then the log, the brokers with the worst first, and the dead
//! letters.

use std::io::{self, Write};

use super::{
    BrokerStatus, DeadStatus, DeadTopicStatus, GroupStatus, MovedStatus, PartitionStatus, Status,
    SubscriptionsStatus, span::span, verdict::worse,
};
use crate::{
    dead::counted,
    text_table::{shown_in, write_rows},
};

/// How many brokers are listed; `--json` has all.
const BROKERS_MAX: usize = 40;
/// How much of a partition's name is shown, in characters: all of the longest topic's, whose end tells them apart.
const PARTITION_MAX: usize = 80;
/// How many losses of a file are listed.
const LOST_MAX: usize = 5;
/// How much of an error is shown, in characters.
const ERROR_MAX: usize = 50;

/// Writes `status`; `asked` names its subject.
///
/// # Errors
/// `out` cannot be written.
pub fn write_table(out: &mut impl Write, status: &Status, asked: &str) -> io::Result<()> {
    if let Some(verdict) = &status.verdict {
        writeln!(out, "{}", shown_in(&verdict.to_string(), 1_000))?;
    }
    let up = status.uptime_seconds.map_or(String::new(), |up| format!(", up {}", span(up)));
    writeln!(out, "asked {asked}{up}\n")?;
    partitions(out, &status.partitions)?;
    if let Some(group) = &status.group {
        self::group(out, group)?;
    }
    if let Some(database) = &status.subscriptions {
        subscriptions(out, database)?;
    }
    lost(out, &status.partitions)?;
    moved(out, &status.moved)?;
    brokers(out, &status.brokers)?;
    if let Some(dead) = &status.dead_letters {
        dead_letters(out, dead)?;
    }
    match &status.dead_topic {
        Some(topic) => dead_topic(out, topic),
        None => Ok(()),
    }
}

fn dead_topic(out: &mut impl Write, topic: &DeadTopicStatus) -> io::Result<()> {
    let DeadTopicStatus { connected, published, unpublished } = topic;
    let away = if *connected { "" } else { "; its cluster does not take them" };
    writeln!(out, "published to their topic: {published} in this run, {unpublished} are left{away}")
}

fn partitions(out: &mut impl Write, partitions: &[PartitionStatus]) -> io::Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let mut rows =
        vec![row(["partition", "in", "read to", "settled to", "log end", "lag", "oldest", "intake"])];
    rows.extend(partitions.iter().map(|partition| {
        row([
            &shown_in(&partition.name, PARTITION_MAX),
            &partition.unit,
            &number(partition.read),
            &number(partition.settled_to),
            &number(partition.end),
            &lag(partition.lag_events, partition.lag_estimated),
            &time(partition.oldest_seconds),
            &intake(partition),
        ])
    }));
    rows.extend(together(partitions));
    write_rows(out, &rows, &[2, 3, 4, 5, 6])?;
    writeln!(out)
}

fn group(out: &mut impl Write, group: &GroupStatus) -> io::Result<()> {
    let GroupStatus { name, partitions, assigned, rebalances, commits_refused, lag_events, .. } = group;
    let name = shown_in(name, PARTITION_MAX);
    write!(
        out,
        "group {name}: {assigned} of {partitions} partitions are read here, {rebalances} rebalances"
    )?;
    if *commits_refused > 0 {
        write!(out, ", {commits_refused} commits refused")?;
    }
    match lag_events {
        Some(events) => writeln!(out, ", lag of all members {events} events\n"),
        None => writeln!(out, "\n"),
    }
}

fn subscriptions(out: &mut impl Write, database: &SubscriptionsStatus) -> io::Result<()> {
    let SubscriptionsStatus { lookups, loads, rows, brokers, rejected, brokers_age_seconds, .. } = database;
    let read = brokers_age_seconds.map_or("not yet".to_owned(), |age| format!("{} ago", span(age)));
    writeln!(
        out,
        "subscriptions: {lookups} look-ups of {loads} loads found {rows}; {brokers} brokers of the table, read {read}, {} \
         rows are broken\n",
        rejected.len()
    )
}

/// What was lost of the source, the last first.
fn lost(out: &mut impl Write, partitions: &[PartitionStatus]) -> io::Result<()> {
    for partition in partitions.iter().filter(|partition| !partition.lost().is_empty()) {
        writeln!(out, "lost before it was read of {}", shown_in(&partition.name, PARTITION_MAX))?;
        for lost in partition.lost().iter().rev().take(LOST_MAX) {
            writeln!(out, "  {}", shown_in(lost, 200))?;
        }
        match partition.lost().len().saturating_sub(LOST_MAX) {
            0 => writeln!(out)?,
            more => writeln!(out, "  … and {more} more; --json has them\n")?,
        }
    }
    Ok(())
}

/// Whether records of a partition are read, and if not why.
fn intake(partition: &PartitionStatus) -> String {
    match partition.away() {
        None if partition.halted().is_some() => "stopped".to_owned(),
        Some(away) => format!("away {}", span(away)),
        None if partition.held => "held".to_owned(),
        None => "open".to_owned(),
    }
}

/// A row for several partitions together, without offsets, which cannot be added. None without a known lag.
fn together(partitions: &[PartitionStatus]) -> Option<Vec<String>> {
    let several = partitions.len() > 1;
    let events = partitions.iter().map(|partition| partition.lag_events).sum::<Option<u64>>();
    let events = events.filter(|_| several)?;
    let oldest = partitions.iter().filter_map(|partition| partition.oldest_seconds).max_by(f64::total_cmp);
    let with = |what: &str, is: fn(&PartitionStatus) -> bool| {
        let count = partitions.iter().filter(|partition| is(partition)).count();
        (count > 0).then(|| format!("{count} {what}"))
    };
    let intake = [
        with("stopped", |one| one.halted().is_some()),
        with("away", |one| one.away().is_some()),
        with("held", |one| one.held),
    ];
    let intake = intake.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(row([
        &format!("all {}", partitions.len()),
        "",
        "",
        "",
        "",
        &lag(Some(events), partitions.iter().any(|partition| partition.lag_estimated)),
        &time(oldest),
        if intake.is_empty() { "open" } else { &intake },
    ]))
}

fn moved(out: &mut impl Write, moved: &[MovedStatus]) -> io::Result<()> {
    for MovedStatus { name, state, since, file } in moved {
        let what = match &**state {
            "arriving" => "its import was interrupted: import it again",
            _ => "it was given away, and is not read here",
        };
        writeln!(out, "{}: {what} ({since}, {})", shown_in(name, 80), shown_in(file, 200))?;
    }
    if moved.is_empty() { Ok(()) } else { writeln!(out) }
}

fn brokers(out: &mut impl Write, brokers: &[BrokerStatus]) -> io::Result<()> {
    let mut sorted: Vec<&BrokerStatus> = brokers.iter().collect();
    sorted.sort_by(|one, other| worse(one, other));
    // A delivery read from disk stays there until it is settled; it is shown once.
    let head = ["broker", "state", "in memory", "on disk only", "oldest", "rate", "taken", "last error"];
    let mut rows = vec![row(head)];
    rows.extend(sorted.iter().take(BROKERS_MAX).map(|broker| {
        let rate = match broker.rate_used {
            Some(used) if broker.rate_whole > broker.rate_allowed => {
                let (own, whole) = (broker.rate_allowed, broker.rate_whole);
                format!("{used:.1} of {own:.1}/s, the group {whole}/s")
            }
            Some(used) => format!("{used:.1} of {}/s", broker.rate_allowed),
            None => dash(),
        };
        let taken = broker.success_ratio.map_or_else(dash, |ratio| format!("{:.0}%", ratio * 100.0));
        let error = broker.last_error.as_ref().map_or_else(dash, |error| {
            format!("{} ago: {}", span(error.age_seconds), shown_in(&error.cause, ERROR_MAX))
        });
        row([
            &broker.id,
            &broker.state,
            &(broker.queued + broker.on_wire).to_string(),
            &broker.on_disk_only().to_string(),
            &time(broker.oldest_seconds),
            &rate,
            &taken,
            &error,
        ])
    }));
    write_rows(out, &rows, &[2, 3, 4, 5, 6])?;
    match brokers.len().saturating_sub(BROKERS_MAX) {
        0 => writeln!(out),
        more => writeln!(out, "… and {more} more; --json has all of them\n"),
    }
}

fn dead_letters(out: &mut impl Write, dead: &DeadStatus) -> io::Result<()> {
    let least = if dead.complete { "" } else { ", still being counted" };
    if dead.total == 0 {
        return writeln!(out, "no dead letters{least}");
    }
    writeln!(out, "{}{least}", counted(dead.total))?;
    let rows: Vec<Vec<String>> = dead
        .by_cause
        .iter()
        .map(|cause| row([&cause.count.to_string(), &format!("{}/{}", cause.stage, cause.cause)]))
        .collect();
    write_rows(out, &rows, &[0])?;
    match dead.overtaken {
        0 => Ok(()),
        1 => writeln!(
            out,
            "a later event of the load of one of them was delivered since: `loadline dead list --json` has passedBy"
        ),
        loads => writeln!(
            out,
            "later events of {loads} of their loads were delivered since: `loadline dead list --json` has passedBy"
        ),
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn dash() -> String {
    "-".to_owned()
}

fn lag(events: Option<u64>, estimated: bool) -> String {
    let about = if estimated { "~" } else { "" };
    events.map_or_else(dash, |events| format!("{about}{events} events"))
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(dash, |number| number.to_string())
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{DeadCause, FileStatus, ReadingStatus, Verdict};

    #[test]
    fn the_verdict_comes_first_and_the_worst_broker_before_the_others() {
        let broker = |id: &str, state: &str, spilled| BrokerStatus {
            id: id.to_owned(),
            state: state.to_owned(),
            spilled,
            rate_allowed: 50.0,
            rate_used: Some(12.34),
            success_ratio: Some(0.995),
            oldest_seconds: (spilled > 0).then_some(75.0),
            ..BrokerStatus::default()
        };
        let partition = PartitionStatus {
            name: "intake".to_owned(),
            unit: "records".to_owned(),
            read: Some(12),
            settled_to: Some(10),
            end: Some(20),
            lag_events: Some(10),
            ..PartitionStatus::default()
        };
        let cause = DeadCause { stage: "decode".to_owned(), cause: "not-json".to_owned(), count: 3 };
        let mut status = Status {
            uptime_seconds: Some(3_700.0),
            partitions: vec![partition],
            brokers: vec![broker("amber", "healthy", 0), broker("blue", "open", 9)],
            dead_letters: Some(DeadStatus { total: 3, complete: true, by_cause: vec![cause], overtaken: 0 }),
            dead_topic: Some(DeadTopicStatus { connected: false, published: 1, unpublished: 2 }),
            ..Status::default()
        };
        status.verdict = Some(Verdict::new(&status, true));
        let mut out = Vec::new();
        write_table(&mut out, &status, "the running process").unwrap();
        let expected = "\
lagging because broker blue does not take anything (open), 9 wait, the oldest for 1m 15s
asked the running process, up 1h 1m

partition  in       read to  settled to  log end        lag  oldest  intake
intake     records       12          10       20  10 events       -  open

broker  state    in memory  on disk only  oldest          rate  taken  last error
blue    open             0             9  1m 15s  12.3 of 50/s   100%  -
amber   healthy          0             0       -  12.3 of 50/s   100%  -

3 dead letters
3  decode/not-json
published to their topic: 1 in this run, 2 are left; its cluster does not take them
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_was_lost_of_a_file_is_listed_under_its_partition() {
        let lost = (0..7).map(|n| format!("2026-11-30T00:00:0{n}Z: file {n} from byte 0 on: gone")).collect();
        let file = FileStatus { losses: 7, lost, ..FileStatus::default() };
        let partition =
            PartitionStatus { name: "file:e".to_owned(), file: Some(file), ..PartitionStatus::default() };
        let mut out = Vec::new();
        super::lost(&mut out, &[PartitionStatus::default(), partition]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("lost before it was read of file:e\n  2026-11-30T00:00:06Z: file 6"),
            "{text}"
        );
        assert!(text.ends_with("  … and 2 more; --json has them\n\n"), "{text}");
    }

    #[test]
    fn a_group_has_a_line_under_its_partitions_and_one_that_is_read_no_further_is_stopped() {
        let halted = Some("gone".to_owned());
        let reading = Some(ReadingStatus { away_seconds: Some(3.0), halted, ..ReadingStatus::default() });
        let stopped = PartitionStatus { name: "kafka:t/0".to_owned(), reading, ..PartitionStatus::default() };
        assert_eq!(intake(&stopped), "stopped");
        let mut group = GroupStatus {
            name: "loadline".to_owned(),
            partitions: 12,
            assigned: 4,
            rebalances: 3,
            ..GroupStatus::default()
        };
        let shown = |group: &GroupStatus| {
            let mut out = Vec::new();
            super::group(&mut out, group).unwrap();
            String::from_utf8(out).unwrap()
        };
        let start = "group loadline: 4 of 12 partitions are read here, 3 rebalances";
        assert_eq!(shown(&group), format!("{start}\n\n"));
        (group.commits_refused, group.lag_events) = (1, Some(1_204));
        assert_eq!(shown(&group), format!("{start}, 1 commits refused, lag of all members 1204 events\n\n"));
    }

    #[test]
    fn several_partitions_have_a_line_each_and_one_together() {
        let topic = "t".repeat(63);
        let partition = |number: u32, lag, oldest| PartitionStatus {
            name: format!("fluvio:{topic}/{number}"),
            unit: "records".to_owned(),
            read: Some(90),
            settled_to: Some(80),
            end: Some(80 + lag),
            lag_events: Some(lag),
            oldest_seconds: oldest,
            ..PartitionStatus::default()
        };
        let mut status = Status {
            partitions: vec![
                partition(0, 10, Some(1.5)),
                partition(1, 20, Some(75.0)),
                partition(2, 0, None),
            ],
            ..Status::default()
        };
        let shown = |status: &Status| {
            let mut out = Vec::new();
            partitions(&mut out, &status.partitions).unwrap();
            String::from_utf8(out).unwrap()
        };
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let text = shown(&status);
        let lines: Vec<_> = text.lines().map(cells).collect();
        assert_eq!(lines[2][0], format!("fluvio:{topic}/1"), "{text}");
        assert_eq!(lines[4], ["all", "3", "30", "events", "1m", "15s", "open"], "{text}");
        let away = ReadingStatus { away_seconds: Some(192.0), ..ReadingStatus::default() };
        status.partitions[1] = PartitionStatus { reading: Some(away), held: true, ..partition(1, 20, None) };
        status.partitions[2].held = true;
        let text = shown(&status);
        let ends: Vec<_> =
            text.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap().trim()).collect();
        assert_eq!(ends[..4], ["open", "away 3m 12s", "held", "1 away, 2 held"], "{text}");
        // What one does not know nobody knows of all.
        status.partitions[2].lag_events = None;
        assert!(!shown(&status).contains("all 3"));
        status.partitions.truncate(1);
        assert!(!shown(&status).contains("all"));
    }
}
