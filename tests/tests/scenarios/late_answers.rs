//! Answers that say "later", and answers that never come.

use std::{collections::HashMap, time::Duration};

use lab::receiver::{Behaviour, LostAnswer};
use reqwest::StatusCode;
use tests::{Events, Fleet, Oracle, Site, Wants, now, until};

#[test]
fn a_429_is_waited_out_as_long_as_it_asks_and_nothing_is_lost_over_it() {
    let log = Events::new(90, 10).take(60);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("delivery.concurrency", 4);
    site.write(&log);
    let busy = fleet.tms(0);
    let pause = Duration::from_secs(3);
    busy.behave(Behaviour { throttle_rate: 1.0, retry_after: pause, ..Behaviour::default() });

    let run = site.run();
    until("it is told to wait", || busy.counts().throttled > 0);
    let told = now();
    fleet.tms(1).wait_for(60);
    busy.behave(Behaviour::default());
    let summary = run.wait().summary();

    // Told before `told`, by no more than one look of the harness and the way of an answer.
    let first = busy.arrivals()[0].at;
    let waited = first.saturating_duration_since(told);
    assert!(
        waited >= pause - Duration::from_millis(500),
        "came again after {waited:?}, told to wait {pause:?}"
    );
    let throttled = busy.counts().throttled;
    assert!(throttled <= 4, "{throttled} requests, and 4 may be on the wire");
    oracle.assert_exactly_once(&fleet);
    assert_eq!((summary.delivered, summary.dead_letters), (120, 0));
    let repeats = summary.possible_repeats;
    assert_eq!((repeats.no_answer, repeats.crash), (0, 0), "a 429 is an answer");
}

#[test]
fn events_whose_answer_was_lost_come_again_under_the_same_id_and_each_is_counted() {
    let log = Events::new(91, 40).take(600);
    let fleet = Fleet::start(2);
    let wants = vec![Wants::all(); 2];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.set("delivery.timeout", "500ms");
    site.set("delivery.connect_timeout", "400ms");
    site.set("retry.budget_ratio", 10.0);
    site.impatient();
    // Five lost answers in a row are chance here, and no reason to leave the broker alone.
    site.set("breaker.failures", 1_000);
    site.write(&log);
    let lossy = |lost_answer| Behaviour { lost_answer_rate: 0.2, lost_answer, ..Behaviour::default() };
    fleet.tms(0).behave(lossy(LostAnswer::Fail));
    fleet.tms(1).behave(lossy(LostAnswer::Hang));

    let summary = site.run().wait().summary();

    let repeats = oracle.assert_nothing_lost(&fleet).repeats as u64;
    let lost: u64 = fleet.iter().map(|tms| tms.counts().lost_answers).sum();
    assert!(repeats > 0 && lost > 0, "{repeats} repeats, {lost} lost answers");
    // On a machine that stalls, more answers are late than the receivers withheld: the count is the bound, not theirs.
    let counted = summary.possible_repeats.no_answer;
    assert!(counted >= repeats.max(lost), "{repeats} repeats, {lost} lost answers, {counted} counted");
    assert_eq!((summary.delivered, summary.dead_letters, summary.spilled), (1_200, 0, 0));
    assert_eq!(summary.possible_repeats.crash, 0);
}

#[test]
fn events_that_were_taken_and_refused_come_again_and_each_is_counted() {
    for status in [408, 429, 302, 500, 503] {
        let log = Events::new(93, 40).take(200);
        let fleet = Fleet::start(1);
        let oracle = Oracle::new(&log, &[Wants::all()]);
        let mut site = Site::new(&fleet, &[Wants::all()]);
        site.set("retry.budget_ratio", 10.0);
        site.impatient();
        site.set("breaker.failures", 1_000);
        site.write(&log);
        let lost_answer = LostAnswer::Status(StatusCode::from_u16(status).unwrap());
        fleet.tms(0).behave(Behaviour { lost_answer_rate: 0.3, lost_answer, ..Behaviour::default() });

        let summary = site.run().wait().summary();

        let (repeats, counted) =
            (oracle.assert_nothing_lost(&fleet).repeats as u64, summary.possible_repeats);
        assert!(repeats > 0, "{status}");
        let of_its_kind = if status == 500 { counted.no_answer } else { counted.refusal };
        assert!(of_its_kind >= repeats, "{status}: {repeats} repeats, {counted:?}");
        assert_eq!((summary.delivered, summary.dead_letters, counted.crash), (200, 0, 0), "{status}");
    }
}

#[test]
fn one_brokers_failures_are_never_posted_again_to_another() {
    let log = Events::new(92, 40).take(500);
    let fleet = Fleet::start(3);
    let wants = vec![Wants::all(); 3];
    let oracle = Oracle::new(&log, &wants);
    let mut site = Site::new(&fleet, &wants);
    site.impatient();
    site.set("retry.budget_ratio", 10.0);
    site.write(&log);
    fleet.tms(1).behave(Behaviour { fail_rate: 0.4, ..Behaviour::default() });

    let summary = site.run().wait().summary();

    // A 500 of this kind takes nothing, so even the failing one gets each event once.
    oracle.assert_exactly_once(&fleet);
    let posts: HashMap<usize, u64> =
        (0..3).map(|index| (index, fleet.tms(index).counts().requests)).collect();
    assert_eq!((posts[&0], posts[&2]), (500, 500));
    assert!(posts[&1] > 600, "{posts:?}");
    assert_eq!(summary.delivered, 1_500);
}
