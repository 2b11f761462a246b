//! The tables of a fixed report are as they are expected, to the letter.

use super::*;
use crate::bench::{Grown, Machine, Terms};
use crate::traffic::corpus::Ids;

fn run(per_second: f64, cpu: f64) -> Run {
    Run {
        deliveries: 60_000,
        per_second: Some(per_second),
        cpu_micros: Some(cpu),
        receiver_cpu_micros: Some(12.0),
        memory_now: Some(40 << 20),
        memory_most: Some(60 << 20),
        threads: Some(Threads { intake: 2.0, shards: 17.0, ledger: 7.5, others: 0.5 }),
    }
}

fn contestant(name: &str, runs: &[(f64, f64)]) -> Contestant {
    Contestant { name: name.to_owned(), runs: runs.iter().map(|(speed, cpu)| run(*speed, *cpu)).collect() }
}

fn report() -> Report {
    let machine = Machine {
        cores: 2,
        processor: Some("Some CPU".to_owned()),
        memory: Some(24 << 30),
        kernel: "Linux 6.1".to_owned(),
    };
    Report {
        command: "loadline bench".to_owned(),
        version: "0.1.0",
        debug_build: false,
        machine,
        terms: Terms { rounds: 3, deliveries: 60_000, brokers: 12, concurrency: 64, ids: Ids::TimeOrdered },
        throughput: None,
        slow: None,
        dead: None,
        scale: None,
        kafka: None,
        goals: Vec::new(),
    }
}

fn table(report: &Report) -> String {
    let mut out = Vec::new();
    write_table(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}

/// What comes between the head and the goals.
fn body(report: &Report) -> String {
    let text = table(report);
    let (_, rest) = text.split_once("\n\n").unwrap();
    rest.rsplit_once("\n\n").map_or_else(String::new, |(body, _)| format!("{body}\n"))
}

const ROUNDS: [(f64, f64); 3] = [(50_000.0, 20.0), (52_000.0, 21.0), (48_000.0, 19.0)];

#[test]
fn speeds_stand_beside_bare_reqwest_and_cpu_time_is_told_by_thread_and_stage() {
    let cost = |stage, thread, micros, per_delivery| StageCost { stage, thread, micros, per_delivery };
    let mut bare = contestant("bare reqwest", &ROUNDS);
    bare.runs.iter_mut().for_each(|run| run.memory_most = None);
    let mut report = report();
    report.throughput = Some(Throughput {
        contestants: vec![
            bare,
            contestant("signed", &[(45_000.0, 22.0), (52_000.0, 22.0), (48_000.0, 22.0)]),
            contestant("Loadline, process", &[(40_000.0, 27.0); 3]),
            contestant("Loadline, power", &[(36_000.0, 28.0); 3]),
            contestant("legacy", &[(5_000.0, 35.0); 3]),
        ],
        stages: vec![
            cost("decode", Place::Intake, 1.2, 0.5),
            cost("dedupe, a miss", Place::Shards, 1.0, 1.0),
            cost("sign", Place::Shards, 0.4, 1.0),
        ],
    });
    let expected = "\
fast brokers       deliveries/s              of bare  CPU µs each  receiver µs  peak memory
bare reqwest             50,000                 1.00         20.0         12.0            –
signed                   48,000  1.00 (0.90 to 1.00)         22.0         12.0     60.0 MiB
Loadline, process        40,000  0.80 (0.77 to 0.83)         27.0         12.0     60.0 MiB
Loadline, power          36,000  0.72 (0.69 to 0.75)         28.0         12.0     60.0 MiB
legacy                    5,000  0.10 (0.10 to 0.10)         35.0         12.0     60.0 MiB
each arrival counts from the first to the last; bare reqwest holds all bodies in memory; the legacy model's
look-up takes no time here (query = \"0s\"), so that only its posting is measured, for a bounded time

Loadline, CPU µs a delivery                process  power  alone, each time
intake                                         2.0    2.0
  decode                                       0.6    0.6              1.20
  reading, accounts, hand-over (the rest)      1.4    1.4
shards                                        17.0   17.0
  dedupe, a miss                               1.0    1.0              1.00
  sign                                         0.4    0.4              0.40
  HTTP, scheduling, events (the rest)         15.6   15.6
ledger (group commit)                          7.5    7.5
others (sled's own, admin)                     0.5    0.5
";
    assert_eq!(body(&report), expected);
}

#[test]
fn slow_and_dead_brokers_have_tables_of_their_own() {
    let mut report = report();
    report.slow = Some(Slow {
        delay_ms: 20,
        concurrency_per_broker: 64,
        contestants: vec![
            contestant("Loadline", &[(15_000.0, 30.0)]),
            contestant("legacy, one", &[(46.9, 800.0)]),
        ],
    });
    report.dead = Some(Dead {
        others: 11,
        variants: vec![
            contestant("all alive", &[(40_000.0, 27.0)]),
            contestant("one refuses", &[(39_000.0, 28.0)]),
        ],
    });
    let expected = "\
brokers that take 20 ms  deliveries/s  Loadline is  CPU µs each  receiver µs  peak memory
Loadline                       15,000         1.00         30.0         12.0     60.0 MiB
legacy, one                        47          320        800.0         12.0     60.0 MiB
Loadline has up to 64 requests at once to each

one dead broker: the other 11  deliveries/s  of all alive  CPU µs each  receiver µs  peak memory
all alive                            40,000          1.00         27.0         12.0     60.0 MiB
one refuses                          39,000          0.97         28.0         12.0     60.0 MiB
";
    assert_eq!(body(&report), expected);
}

#[test]
fn growth_is_told_beside_the_smallest_size() {
    let sized = |size, name: &str, cpu| Sized { size, contestant: contestant(name, &[(30_000.0, cpu)]) };
    let mut report = report();
    report.scale = Some(Scale {
        in_flight_max: 256,
        brokers: vec![sized(12, "12", 30.0), sized(10_000, "10000", 33.0)],
        entries: vec![sized(10_000, "few", 30.0), sized(10_000_000, "many", 45.0)],
        idle_bytes: Some(20 << 20),
        grown: Some(Grown {
            entries: 1_000_000,
            after_bytes: Some(200 << 20),
            most_bytes: Some(210 << 20),
            first_delivery_seconds: Spread::of([0.75, 0.5, 0.8]),
        }),
    });
    report.goals = crate::bench::scale::goals(report.scale.as_ref().unwrap());
    let expected = "\
brokers  deliveries/s  CPU µs each  of the first  memory after  peak memory
     12        30,000         30.0          1.00      40.0 MiB     60.0 MiB
 10,000        30,000         33.0          1.10      40.0 MiB     60.0 MiB

ledger entries  deliveries/s  CPU µs each  of the first  memory after  peak memory
        10,000        30,000         30.0          1.00      40.0 MiB     60.0 MiB
        10.0 M        30,000         45.0          1.50      40.0 MiB     60.0 MiB
with any number of brokers each event goes to two, and at most 256 deliveries are in memory
";
    assert_eq!(body(&report), expected);
    let goals = "
goal                                                                 measured
CPU a delivery, 10,000 / 12 brokers               at most 1.15       1.10       reached
CPU a delivery, 10.0 M / 10,000 entries           at most 1.15       1.50       missed
memory, idle with an empty ledger                 at most 48.0 MiB   20.0 MiB   reached
memory after deliveries, 1,000,000 entries        at most 256.0 MiB  200.0 MiB  reached
kill -9 to the first delivery, 1,000,000 entries  at most 2.00 s     0.75 s     reached
";
    assert!(table(&report).ends_with(goals), "{}", table(&report));
}

#[test]
fn the_head_says_where_and_how_and_what_was_not_measured_is_said() {
    let mut report = report();
    report.debug_build = true;
    report.goals = vec![Goal::judged("a / b", Unit::Ratio, None, Bound::AtLeast(300.0))];
    let text = table(&report);
    let head = "\
loadline bench
loadline 0.1.0 on 2 cores (Some CPU), 24.0 GiB, Linux 6.1
12 brokers, 64 requests at once; rounds in turns: 3, deliveries in each: 60,000; medians, spreads in parentheses
THIS IS A DEBUG BUILD: no figure here means anything; build with --release
";
    assert!(text.starts_with(head), "{text}");
    assert!(
        text.ends_with("\ngoal                 measured\na / b  at least 300  –         not measured here\n"),
        "{text}"
    );
}
