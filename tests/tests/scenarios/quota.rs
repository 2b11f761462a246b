//! A broker's rate: no window of any length sees more than it allows.

use lab::receiver::Behaviour;
use tests::{Arrival, Events, Fleet, Oracle, Site, Wants};

const RATE: f64 = 50.0;
const BURST: f64 = 10.0;
/// How long a request may take, in seconds, from its permit to the receiver's clock. Permits are given in time, but
/// while this machine is busy requests wait in sockets and arrive together. It is a constant: a pace that is wrong by a
/// tenth shows in the longest window, where it adds up to more.
const STALL: f64 = 0.25;

/// The most arrivals beyond what the rate allows, over all windows that begin and end with an arrival.
fn excess(arrivals: &[Arrival]) -> f64 {
    let mut most = f64::MIN;
    for (first, begin) in arrivals.iter().enumerate() {
        for (count, end) in arrivals[first..].iter().enumerate() {
            let window = end.at.duration_since(begin.at).as_secs_f64();
            most = most.max((count + 1) as f64 - (BURST + RATE * window));
        }
    }
    most
}

#[test]
fn a_broker_is_never_given_more_than_its_rate_and_burst_in_any_window() {
    let log = Events::new(95, 100).take(300);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set_broker(0, "rate", RATE);
    site.set_broker(0, "burst", BURST as i64);
    site.write(&log);
    let summary = site.run().wait().summary();

    oracle.assert_exactly_once(&fleet);
    assert_eq!(summary.delivered, 600);
    let excess = excess(&fleet.tms(0).arrivals());
    assert!(excess <= RATE * STALL, "{excess} more than the rate allows");
}

#[test]
fn retries_pay_for_their_attempts_too() {
    let log = Events::new(96, 100).take(100);
    let fleet = Fleet::start(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.impatient();
    site.set("breaker.failures", 1_000);
    site.set("retry.budget_ratio", 10.0);
    site.set_broker(0, "rate", RATE);
    site.set_broker(0, "burst", BURST as i64);
    site.write(&log);
    fleet.tms(0).behave(Behaviour { lost_answer_rate: 0.4, ..Behaviour::default() });
    let _summary = site.run().wait().summary();

    // Every attempt is an arrival here: lost answers are taken all the same.
    let repeats = oracle.assert_nothing_lost(&fleet).repeats;
    assert!(repeats > 20, "{repeats} repeats");
    let excess = excess(&fleet.tms(0).arrivals());
    assert!(excess <= RATE * STALL, "{excess} more than the rate allows");
}
