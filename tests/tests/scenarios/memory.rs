//! Large events and a broker that is dead: memory is bounded by their bytes, not by their number.

use std::fs;

use lab::receiver::Behaviour;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants};

/// The most memory a process has had, in MiB.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1_024
}

/// The event with so many bytes more.
fn padded(event: ShipmentEvent, bytes: usize) -> ShipmentEvent {
    let body = [&br#"{"padding":""#[..], &vec![b'x'; bytes], br#"","#, &event.body[1..]].concat();
    ShipmentEvent { body: body.into(), ..event }
}

#[test]
fn events_of_half_a_megabyte_for_a_dead_broker_take_no_more_memory_than_is_allowed() {
    let log: Vec<_> =
        Events::new(760, 40).take(600).into_iter().map(|event| padded(event, 500_000)).collect();
    let (fleet, wants) = (Fleet::start(2), vec![Wants::all(); 2]);
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("source.follow", true);
    site.set("limits.memory_max", "32MiB");
    site.set("limits.spill_broker_max", "1GiB");
    site.set("state.cache", "8MiB");
    site.impatient();
    site.write(&log);
    fleet.tms(1).refuse();

    let run = site.run();
    fleet.tms(0).wait_for(600);
    fleet.tms(1).behave(Behaviour::default());
    fleet.tms(1).wait_for(600);
    let peak = peak_memory(run.id());
    run.terminate();
    let summary = run.wait().summary();
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.spilled, summary.dead_letters), (0, 0));
    // 300 MB of bodies wait. The process, its cache and copies of what is being written come on top of 32 MiB; bodies that
    // the cache did not let go came to more than 400.
    assert!(peak < 256, "{peak} MiB at most");
}
