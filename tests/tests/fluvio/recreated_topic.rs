//! Against a real cluster: a topic that is deleted and made anew under its name is another log, and nothing of it is taken
//! for the one that was read.

use tests::{Ended, Events, Fleet, Loadline, Site, Wants, until};

use crate::{
    cluster::{produce, site},
    topic::Topic,
};

/// Reads 100 events of a topic, and keeps on.
fn begun() -> Option<(Topic, Fleet, Site, Loadline)> {
    let topic = Topic::create(1)?;
    let (fleet, wants) = (Fleet::start(1), [Wants::all()]);
    let site = site(&fleet, &wants, &topic);
    produce(&site, &Events::new(61, 50).take(100));
    let run = site.run();
    until("the log is delivered", || fleet.taken() == 100);
    Some((topic, fleet, site, run))
}

/// Makes the topic anew, with twice as many events.
fn refill(topic: &Topic, site: &Site) {
    topic.make_anew();
    produce(site, &Events::new(62, 50).take(200));
}

fn assert_another_log(ended: Ended) {
    let ended = ended.expect(1);
    let is_named =
        ended.stderr.contains("/0 is another log than the one that was read: at 99 there is another record");
    assert!(is_named && ended.stderr.contains("loadline state seek"), "{ended:?}");
}

#[test]
fn a_topic_that_is_made_anew_under_a_run_ends_it_before_anything_of_it_is_read() {
    let Some((topic, fleet, site, run)) = begun() else { return };
    refill(&topic, &site);
    assert_another_log(run.wait());
    assert_another_log(site.run().wait());
    assert_eq!(fleet.taken(), 100);
}

#[test]
fn a_topic_that_was_made_anew_between_two_runs_is_not_read() {
    let Some((topic, fleet, site, run)) = begun() else { return };
    run.terminate();
    let _ended = run.wait().expect(0);
    refill(&topic, &site);
    assert_another_log(site.run().wait());
    assert_eq!(fleet.taken(), 100);
}

#[test]
fn a_topic_that_was_made_anew_and_has_not_grown_as_long_is_waited_for() {
    let Some((topic, fleet, site, run)) = begun() else { return };
    topic.make_anew();
    produce(&site, &Events::new(63, 50).take(10));
    until("it is told", || run.log().contains("the log ends before the offset to resume at"));
    produce(&site, &Events::new(64, 50).take(190));
    assert_another_log(run.wait());
    assert_eq!(fleet.taken(), 100);
}
