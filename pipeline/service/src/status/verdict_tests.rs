//! Each reason and its verdict, and that the worst comes first.

use super::*;
use crate::status::{ErrorStatus, GroupStatus, LedgerStatus, PartitionStatus, ReadingStatus};

fn broker(id: &str, state: &str, spilled: u64, oldest: Option<f64>) -> BrokerStatus {
    BrokerStatus {
        id: id.to_owned(),
        state: state.to_owned(),
        spilled,
        oldest_seconds: oldest,
        ..BrokerStatus::default()
    }
}

fn verdict(brokers: Vec<BrokerStatus>) -> String {
    Verdict::new(&Status { brokers, ..Status::default() }, true).to_string()
}

#[test]
fn the_worst_broker_is_named_first_with_what_waits_for_it() {
    let mut dead = broker("dead", "open", 1_204, Some(192.4));
    let cause = "connection refused".to_owned();
    dead.last_error = Some(ErrorStatus { cause, ..ErrorStatus::default() });
    let brokers = vec![broker("well", "healthy", 0, None), broker("back", "draining", 7, Some(3.25)), dead];
    assert_eq!(
        verdict(brokers),
        "lagging because broker dead does not take anything (open), 1204 wait, the oldest for 3m 12s, last error: \
         connection refused; broker back catches up, 7 wait, the oldest for 3.2s"
    );
}

#[test]
fn a_breaker_that_nothing_is_there_to_close_delays_nothing() {
    let quiet = broker("quiet", "half-open", 0, None);
    assert_eq!(
        verdict(vec![quiet.clone()]),
        "healthy, but broker quiet took nothing when it was last tried, and nothing waits for it (half-open)"
    );
    let tried = verdict(vec![BrokerStatus { on_wire: 1, ..quiet }]);
    assert!(tried.starts_with("lagging because broker quiet does not take anything (half-open)"), "{tried}");
}

#[test]
fn a_full_disk_queue_comes_first_and_one_that_fills_is_told() {
    let full = BrokerStatus {
        spilled_bytes: 1 << 20,
        spilled_bytes_max: Some(1 << 20),
        no_room: 56,
        queued: 60,
        ..broker("b", "open", 100, None)
    };
    assert_eq!(full.waiting(), 156);
    let words = verdict(vec![full.clone()]);
    assert!(
        words.starts_with("lagging because the disk queue of b is full (1.0 MiB), and 56 more"),
        "{words}"
    );
    assert!(words.contains("156 wait, its disk queue 100% full"), "{words}");
    let letters = BrokerStatus { when_full: "dead-letter".to_owned(), queue_full: 31, ..full.clone() };
    let letters = verdict(vec![letters]);
    assert!(
        letters.contains("is full (1.0 MiB), and what finds no room there becomes dead letters (31 so far)")
    );
    let half = BrokerStatus { spilled_bytes: 1 << 19, no_room: 0, ..full };
    assert!(!verdict(vec![half.clone()]).contains("full"));
    let grows = verdict(vec![BrokerStatus { full_in_seconds: Some(11_520.0), ..half }]);
    assert!(grows.contains("100 wait, full in about 3h 12m"), "{grows}");
}

#[test]
fn what_waits_for_a_broker_that_the_config_does_not_name_is_told_also_without_a_process() {
    let usage = state::SpillUsage { deliveries: 60, bytes: 9, next_seq: 60 };
    let brokers = || vec![BrokerStatus::stranded("gone", usage), broker("here", "idle", 3, Some(99.0))];
    let running = Verdict::new(&Status { brokers: vec![brokers().remove(0)], ..Status::default() }, true);
    assert_eq!(
        running.to_string(),
        "healthy, but 60 wait on disk for gone, which the config does not name: they stay there until it does"
    );
    let none = Verdict::new(&Status { brokers: brokers(), ..Status::default() }, false).to_string();
    assert!(none.starts_with("no process runs; 3 wait on disk for here; 60 wait on disk for gone"), "{none}");
}

#[test]
fn a_partition_nobody_answers_for_comes_first_though_nothing_is_known_to_wait() {
    let partition = |name: &str, away_seconds| {
        let last_error = Some("the leader at h:1 cannot be reached: refused".to_owned());
        let reading = ReadingStatus { away_seconds, last_error, ..ReadingStatus::default() };
        PartitionStatus { name: name.to_owned(), reading: Some(reading), ..PartitionStatus::default() }
    };
    let told = |partitions| {
        let brokers = vec![broker("b", "draining", 7, None)];
        Verdict::new(&Status { partitions, brokers, held: true, ..Status::default() }, true).to_string()
    };
    let rest = "; backpressure holds the intake; broker b catches up, 7 wait";
    assert_eq!(
        told(vec![partition("t/0", None), partition("t/1", Some(192.0)), partition("t/2", Some(3.0))]),
        format!(
            "lagging because t/1 has not been readable for 3m 12s, last error: the leader at h:1 cannot be \
             reached: refused{rest}"
        )
    );
    let all = told((0..4).map(|n| partition(&format!("t/{n}"), Some(60.0 + f64::from(n)))).collect());
    assert!(
        all.starts_with("lagging because t/3 has not been readable for 1m 3s, nor have 3 more partitions"),
        "{all}"
    );
    let soon = vec![partition("t/0", Some(9.0))];
    assert_eq!(
        Verdict::new(&Status { partitions: soon, ..Status::default() }, true).word,
        Condition::Healthy
    );
}

#[test]
fn what_delays_nothing_is_told_and_healthy_all_the_same() {
    assert_eq!(verdict(vec![broker("a", "healthy", 0, Some(1.0))]), "healthy");
    let disabled = verdict(vec![broker("a", "disabled", 0, None), broker("b", "paused", 0, None)]);
    assert!(disabled.starts_with("healthy, but broker a is disabled"), "{disabled}");
}

#[test]
fn a_held_intake_an_old_event_and_a_faulted_ledger_are_seen() {
    let partition =
        PartitionStatus { name: "intake".to_owned(), oldest_seconds: Some(90_061.0), ..Default::default() };
    let status = Status { held: true, partitions: vec![partition], ..Status::default() };
    assert_eq!(
        Verdict::new(&status, true).to_string(),
        "lagging because backpressure holds the intake; the oldest unsettled event of intake is 1d 1h old"
    );
    let old = |name: &str, oldest| PartitionStatus {
        name: name.to_owned(),
        oldest_seconds: oldest,
        ..Default::default()
    };
    let partitions =
        vec![old("t/0", Some(11.0)), old("t/1", Some(70.0)), old("t/2", Some(1.0)), old("t/3", None)];
    assert_eq!(
        Verdict::new(&Status { partitions, ..Status::default() }, true).to_string(),
        "lagging because the oldest unsettled event of t/1 is 1m 10s old, one more partition lags"
    );
    let full = |id: &str, used| BrokerStatus {
        queued: 40,
        rate_used: Some(used),
        rate_allowed: 20.0,
        ..broker(id, "healthy", 0, Some(1.0))
    };
    let brokers = vec![full("a", 19.8), full("b", 20.0), full("c", 12.0)];
    assert_eq!(
        Verdict::new(&Status { held: true, brokers, ..Status::default() }, true).to_string(),
        "lagging because backpressure holds the intake; a, b take all that their rates allow"
    );
    let one_of_two = |held| PartitionStatus { held, ..old("t/1", None) };
    let partitions = vec![old("t/0", None), one_of_two(true)];
    assert_eq!(
        Verdict::new(&Status { held: true, partitions, ..Status::default() }, true).to_string(),
        "lagging because backpressure holds t/1"
    );
    let ledger = Some(LedgerStatus { faulted: true, ..LedgerStatus::default() });
    let verdict = Verdict::new(&Status { ledger, ..status }, true);
    assert_eq!(verdict.word, Condition::Faulted);
}

#[test]
fn a_partition_that_is_read_no_further_fails_the_run_and_is_not_said_to_be_out_of_reach() {
    let partition = |number: u32, why: Option<&str>| PartitionStatus {
        name: format!("kafka:shipment-events/{number}"),
        reading: Some(ReadingStatus {
            away_seconds: why.map(|_| 3_600.0),
            halted: why.map(str::to_owned),
            lost_records: u64::from(number) * 10,
            ..ReadingStatus::default()
        }),
        ..PartitionStatus::default()
    };
    let told = |partitions| Verdict::new(&Status { partitions, ..Status::default() }, true);
    let why = "the records 4 to 9 are no longer in the log";
    let one = told(vec![partition(0, None), partition(0, Some(why))]);
    assert_eq!(
        one.to_string(),
        format!("failing because kafka:shipment-events/0 is not read any further: {why}")
    );
    let all = told(vec![partition(0, Some(why)), partition(0, Some(why)), partition(0, Some(why))]);
    assert!(all.to_string().contains("any further, nor are 2 more partitions: the records"), "{all}");
    let passed = told(vec![partition(3, None)]).to_string();
    assert!(
        passed.starts_with("healthy, but 30 offsets of kafka:shipment-events/3 were passed over"),
        "{passed}"
    );
}

#[test]
fn a_member_without_partitions_is_well_and_what_it_lost_to_another_is_told() {
    let told = |assigned, lost| {
        let name = "loadline".to_owned();
        let group = GroupStatus { name, partitions: 12, assigned, lost, ..GroupStatus::default() };
        Verdict::new(&Status { group: Some(group), ..Status::default() }, true).to_string()
    };
    assert_eq!(told(4, 0), "healthy");
    assert!(told(0, 0).starts_with("healthy, but group loadline gives this member none of the topic's 12"));
    assert!(told(4, 1).starts_with("healthy, but 1 partition was lost to other members of group loadline"));
}
