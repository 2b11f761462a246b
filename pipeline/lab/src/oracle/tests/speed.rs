//! The oracle on a run of the size it is made for.

use super::super::delays;
use super::{generated::long_run, run::judged};

#[test]
fn a_hundred_thousand_events_for_three_brokers_are_judged() {
    let run = long_run(100_000);
    let judgement = judged(&run);
    assert!(judgement.is_clean(), "{}", judgement.findings[0]);
    assert_eq!((judgement.issued.events, judgement.figures.delivered), (100_000, 300_000));
    let delays: Vec<_> = delays(&run).collect();
    assert_eq!(delays.len(), 300_000);
    assert!(delays.iter().all(|delay| (1..1_000).contains(&delay.delay_ms)));
}

#[test]
fn a_delay_is_from_the_first_append_to_the_first_taking() {
    let run = crate::oracle::tests::run::honest();
    let birch: Vec<_> = delays(&run).filter(|delay| delay.broker == 1).collect();
    let of = |event| birch.iter().find(|delay| delay.event == event).map(|delay| delay.delay_ms);
    assert_eq!((of(1), of(3), of(2)), (Some(20), Some(1_000), None));
    assert_eq!(birch.len(), 4, "the repeat of the event 1 does not count");
}
