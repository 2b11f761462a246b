//! Rehearsals with known answers: what comes, what is taken, and what a bound allows are simple there.

use std::path::Path;

use super::*;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config(brokers: &[(&str, f64)], rest: &str) -> Config {
    let brokers: String = brokers
        .iter()
        .map(|(id, rate)| {
            let url = format!("https://{id}.example/");
            format!("[[brokers]]\nid = \"{id}\"\nurl = \"{url}\"\nsecrets = [\"env:KEY\"]\nrate = {rate}\nburst = 1\n")
        })
        .collect();
    let text = format!("[source]\npath = \"events.ndjson\"\nrecord_max = \"16KiB\"\n{rest}\n{brokers}");
    Config::parse(&text, Path::new("/"), |_| Ok(KEY.to_owned())).unwrap()
}

fn options(rate: f64, lasts: u64) -> Options {
    Options {
        rate: Some(rate),
        surge: 3.0,
        lasts: Duration::from_secs(lasts),
        shares: Vec::new(),
        dead: Vec::new(),
        slow: Vec::new(),
        latency: Duration::from_millis(100),
        body: 600,
        seed: 1,
    }
}

fn rehearsed(config: &Config, options: &Options) -> Rehearsal {
    rehearse(config, Plan::new(config, options).unwrap(), &mut |_| ()).unwrap()
}

fn within(duration: Option<Duration>, seconds: std::ops::RangeInclusive<f64>) -> bool {
    duration.is_some_and(|duration| seconds.contains(&duration.as_secs_f64()))
}

/// 10 events a second, 30 for a minute, and a broker that takes 20: 600 wait at the end. After it 10 come and 20 are taken, so
/// that the log lags by less than a second's load 59 seconds later.
#[test]
fn what_comes_faster_than_it_is_taken_lags_and_drains_by_the_difference() {
    let memory = config(&[("acme", 20.0)], "[limits]\nspill_after = \"10m\"");
    let rehearsal = rehearsed(&memory, &options(10.0, 60));
    let seen = &rehearsal.seen;
    assert!((598..=606).contains(&seen.peak_lag), "{seen:?}");
    assert!(within(seen.drained, 58.5..=60.5), "{seen:?}");
    // 30 seconds, or twice that for an event whose load has an earlier one before it.
    assert!(within(Some(seen.peak_age), 29.0..=62.0), "600 at 20 a second: {seen:?}");
    assert_eq!((seen.peak_spilled_bytes, seen.dead_letters), (0, 0));
    assert!(rehearsal.holds(), "{:?}", rehearsal.remedies);
    let pace = &rehearsal.brokers[0];
    assert_eq!((pace.sent, pace.takes), (30.0, 20.0));
    assert_eq!(pace.rate, Some(30.0), "{pace:?}");
}

#[test]
fn the_same_waits_on_disk_if_it_may_not_wait_in_memory() {
    let disk = config(&[("acme", 20.0), ("bolt", 60.0)], "[limits]\nspill_after = \"1s\"");
    let mut halves = options(20.0, 60);
    halves.shares = vec![("acme".to_owned(), 0.5)];
    let rehearsal = rehearsed(&disk, &halves);
    let acme = &rehearsal.seen.brokers[0];
    assert!((590..=610).contains(&acme.peak_waiting), "{:?}", rehearsal.seen);
    assert!((550..=606).contains(&acme.peak_spilled), "{acme:?}");
    assert!(within(acme.drained, 57.0..=63.0), "{acme:?}");
    assert!(rehearsal.seen.peak_lag < 60 && rehearsal.holds(), "{:?}", rehearsal.seen);
}

/// A dead broker's deliveries wait on disk up to its bound, which is named; with the value that is told it holds.
#[test]
fn a_dead_broker_spills_what_its_bound_allows_and_the_bound_is_named() {
    let small = config(&[("acme", 100.0), ("bolt", 100.0)], "[limits]\nspill_broker_max = \"64KiB\"");
    let mut dead = options(20.0, 60);
    dead.dead = vec!["bolt".to_owned()];
    let rehearsal = rehearsed(&small, &dead);
    let bolt = &rehearsal.seen.brokers[1];
    assert!((48 << 10..=64 << 10).contains(&bolt.peak_spilled_bytes), "{bolt:?}");
    assert!(bolt.dead_letters > 0 && rehearsal.seen.brokers[0].dead_letters == 0, "{:?}", rehearsal.seen);
    let first = &rehearsal.remedies[0];
    assert_eq!(
        (first.limit, first.broker.as_deref(), first.value),
        (Limit::SpillBroker, Some("bolt"), 64 << 10)
    );
    let changed = first.holds.iter().find(|changed| changed.limit == Limit::SpillBroker).unwrap();
    let remedied = rehearsal.remedied.as_ref().unwrap();
    let needed = remedied.brokers[1].peak_spilled_bytes;
    assert!(needed <= changed.to && changed.to < 2 * needed, "{changed:?} for {needed}");
    assert_eq!((remedied.dead_letters, &remedied.broken), (0, &Vec::new()));
    // All that came in the surge, and the dead letters for want of room are none now.
    assert!((1_700..=1_950).contains(&remedied.brokers[1].peak_spilled), "{remedied:?}");
    assert!(!rehearsal.holds());
}

#[test]
fn a_full_memory_holds_the_log_and_the_places_that_would_hold_are_found() {
    let small =
        config(&[("acme", 20.0)], "[limits]\nin_flight_max = 64\nper_broker_max = 64\nunsettled_max = 4096");
    let rehearsal = rehearsed(&small, &options(10.0, 30));
    let seen = &rehearsal.seen;
    assert!((298..=306).contains(&seen.peak_lag) && within(seen.drained, 28.0..=31.0), "{seen:?}");
    let first = &rehearsal.remedies[0];
    assert_eq!((first.limit, first.broker.as_deref()), (Limit::InFlight, None));
    let to = first.holds.iter().find(|changed| changed.limit == Limit::InFlight).map(|changed| changed.to);
    // An eighth of the places is for what comes from disk; a second's load may wait in the log.
    assert!(to.is_some_and(|to| (300..=400).contains(&to)), "{:?}", first.holds);
    assert!(rehearsal.remedied.is_some_and(|remedied| remedied.broken.is_empty()));
}

#[test]
fn a_slow_broker_keeps_up_with_as_many_requests_at_once_as_its_answers_take() {
    let one = config(&[("acme", 100.0), ("crane", 100.0)], "[delivery]\nconcurrency = 8");
    let mut slow = options(20.0, 60);
    slow.slow = vec![("crane".to_owned(), Duration::from_secs(2))];
    let rehearsal = rehearsed(&one, &slow);
    let crane = &rehearsal.brokers[1];
    assert_eq!((crane.sent, crane.takes), (30.0, 4.0));
    assert!(crane.concurrency.is_some_and(|concurrency| (60..=75).contains(&concurrency)), "{crane:?}");
    assert_eq!(crane.rate, None);
    assert!(rehearsal.seen.brokers[1].peak_spilled > 1_000, "{:?}", rehearsal.seen);
}

#[test]
fn the_same_seed_gives_the_same_rehearsal() {
    let config = config(&[("acme", 20.0), ("bolt", 50.0)], "");
    let mut dead = options(20.0, 20);
    dead.dead = vec!["bolt".to_owned()];
    let told = || serde_json::to_string(&rehearsed(&config, &dead)).unwrap();
    assert_eq!(told(), told());
}

#[test]
fn events_come_when_they_are_due_and_each_broker_gets_its_share() {
    let config = config(&[("acme", 10.0), ("bolt", 30.0), ("crane", 7.0)], "");
    let mut options = options(7.0, 33);
    options.shares = vec![("crane".to_owned(), 0.2)];
    let plan = Plan::new(&config, &options).unwrap();
    for number in 1..2_000 {
        let at = plan.appended_at(number);
        assert!(plan.appended_by(at) > number, "{number}");
        assert!(plan.appended_by(at.saturating_sub(Duration::from_micros(1))) <= number, "{number}");
    }
    let mut turns = plan::Turns::new(&plan);
    let mut counts = [0_i32; 3];
    (0..1_000).for_each(|_| counts[turns.take()] += 1);
    for (count, share) in counts.iter().zip([200, 600, 200]) {
        assert!((count - share).abs() <= 2, "{counts:?}");
    }
}

#[test]
fn what_cannot_be_rehearsed_is_refused_by_name() {
    let config = config(&[("acme", 10.0)], "");
    let refusal = |change: &dyn Fn(&mut Options)| {
        let mut options = options(10.0, 60);
        change(&mut options);
        Plan::new(&config, &options).unwrap_err().to_string()
    };
    let unknown = refusal(&|options| options.dead = vec!["bolt".to_owned()]);
    assert_eq!(unknown, "--dead: the config names no broker bolt; it names acme");
    let shares = refusal(&|options| options.shares = vec![("acme".to_owned(), 0.4)]);
    assert!(shares.contains("0.400 together"), "{shares}");
    assert!(refusal(&|options| options.rate = Some(1e6)).contains("a lower --rate"));
}
