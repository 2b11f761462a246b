//! What is judged of the deliveries of one load.

use super::*;

fn delivery(event: &str, at: UnixMillis, sequence: Option<u64>) -> Delivery {
    Delivery {
        broker: "bolt".into(),
        load: "L-1".into(),
        event: event.into(),
        status: format!("s{event}"),
        digest: String::new(),
        at,
        place: at,
        occurred_at: None,
        sequence,
        outcome: Outcome::Taken,
    }
}

/// The deliveries of events by their numbers, one a millisecond.
fn numbered(events: &[u64]) -> Vec<Delivery> {
    (1..).zip(events).map(|(at, event)| delivery(&event.to_string(), at, Some(*event))).collect()
}

/// The same, all of which occurred at one time and have no number.
fn of_one_time(events: &[u64]) -> Vec<Delivery> {
    let mut deliveries = numbered(events);
    deliveries.iter_mut().for_each(|delivery| (delivery.sequence, delivery.occurred_at) = (None, Some(7)));
    deliveries
}

fn found(deliveries: &[Delivery]) -> LoadFinding {
    judge(deliveries, &StatusOrder::default())
}

#[test]
fn a_load_in_order_has_nothing_wrong_with_it() {
    let finding = found(&numbered(&[1, 2, 3]));
    assert!(!finding.is_wrong() && !finding.stands_wrong);
    assert_eq!((finding.taken, finding.events, finding.last_true), (3, 3, finding.stands_at));
}

#[test]
fn a_repeat_is_a_duplicate_and_after_a_newer_event_a_setback_too() {
    let finding = found(&numbered(&[1, 1, 2, 1, 2]));
    let times =
        |place: usize| finding.duplicates[place].deliveries.iter().map(|time| time.at).collect::<Vec<_>>();
    assert_eq!((times(0), times(1), finding.repeats()), (vec![1, 2, 4], vec![3, 5], 3));
    let [setback] = &finding.setbacks[..] else { panic!("{:?}", finding.setbacks) };
    assert_eq!(
        (&*setback.event_id, setback.at, setback.repeat, &*setback.newer_event_id),
        ("1", 4, true, "2")
    );
    assert!(!finding.stands_wrong, "the last repeat put it right");
}

#[test]
fn a_load_stands_wrong_if_its_last_delivery_is_not_its_newest() {
    let finding = found(&numbered(&[1, 3, 2]));
    assert!(finding.stands_wrong && finding.duplicates.is_empty());
    assert!(!finding.setbacks[0].repeat);
    assert_eq!(finding.last_true.unwrap().status, "s3");
    assert_eq!(finding.stands_at.unwrap().status, "s2");
}

#[test]
fn events_are_ordered_by_the_first_thing_that_all_have() {
    let mut deliveries = numbered(&[2, 1]);
    (deliveries[0].occurred_at, deliveries[1].occurred_at) = (Some(5), Some(9));
    assert_eq!((found(&deliveries).ordered_by, found(&deliveries).setbacks.len()), (Basis::Sequence, 1));
    deliveries[1].sequence = None;
    assert_eq!((found(&deliveries).ordered_by, found(&deliveries).setbacks.len()), (Basis::OccurredAt, 0));
    deliveries[0].occurred_at = None;
    let order = StatusOrder::new(["S1 ", "s2"]);
    let finding = judge(&deliveries, &order);
    assert_eq!((finding.ordered_by, finding.setbacks.len()), (Basis::StatusOrder, 1));
    let finding = found(&deliveries);
    assert_eq!((finding.ordered_by, finding.setbacks.len()), (Basis::FirstDelivery, 0));
    deliveries.push(delivery("2", 9, None));
    assert_eq!(found(&deliveries).setbacks.len(), 1, "a repeat shows without any order");
}

#[test]
fn events_of_one_time_do_not_set_each_other_back() {
    for events in [&[1, 2][..], &[2, 1], &[1, 1, 2, 2], &[3, 1, 2, 2]] {
        let finding = found(&of_one_time(events));
        assert!(finding.setbacks.is_empty() && !finding.stands_wrong, "{events:?}: {finding:?}");
        assert_eq!(finding.ordered_by, Basis::OccurredAt);
    }
}

#[test]
fn a_repeat_of_the_older_of_two_equals_sets_a_load_back() {
    let by_time = found(&of_one_time(&[1, 2, 1]));
    let mut deliveries = of_one_time(&[1, 2, 1]);
    for delivery in &mut deliveries {
        (delivery.occurred_at, delivery.status) = (None, "arrived".into());
    }
    let by_status = judge(&deliveries, &StatusOrder::new(["arrived"]));
    assert_eq!((by_time.ordered_by, by_status.ordered_by), (Basis::OccurredAt, Basis::StatusOrder));
    for finding in [by_time, by_status] {
        let [setback] = &finding.setbacks[..] else { panic!("{finding:?}") };
        assert_eq!((&*setback.event_id, setback.at, setback.repeat), ("1", 3, true));
        assert!(finding.stands_wrong);
        let (newest, stands_at) = (finding.last_true.unwrap(), finding.stands_at.unwrap());
        assert_eq!((&*newest.event_id, &*stands_at.event_id), ("2", "1"));
    }
    assert!(!found(&of_one_time(&[1, 2, 1, 2])).stands_wrong, "the last repeat put it right");
}

#[test]
fn bodies_differ_only_if_both_are_known() {
    let mut deliveries = numbered(&[1, 1, 1]);
    deliveries[0].digest = "aa".into();
    assert!(!found(&deliveries).duplicates[0].bodies_differ);
    deliveries[2].digest = "ab".into();
    assert!(found(&deliveries).duplicates[0].bodies_differ);
    deliveries[0].digest.clear();
    deliveries[1].digest = "ab".into();
    assert!(!found(&deliveries).duplicates[0].bodies_differ, "the one that is not known differs from none");
}

/// If each delivery were compared with all before it, this would take 20 billion steps.
#[test]
fn a_load_of_nothing_but_repeats_is_judged_in_one_pass() {
    let mut deliveries = numbered(&vec![1; crate::loads::LOAD_MAX]);
    deliveries.iter_mut().for_each(|delivery| delivery.digest = "a".repeat(32));
    let finding = found(&deliveries);
    assert_eq!(
        (finding.repeats(), finding.duplicates[0].bodies_differ),
        (deliveries.len() as u64 - 1, false)
    );
}

#[test]
fn what_had_no_answer_is_counted_and_judged_as_not_taken() {
    let mut deliveries = numbered(&[1, 2, 1, 3, 3]);
    for place in [2, 3, 4] {
        deliveries[place].outcome = Outcome::Unclear;
    }
    let finding = found(&deliveries);
    assert!(!finding.is_wrong());
    assert_eq!((finding.taken, finding.unclear, finding.possible_duplicates), (2, 3, 2));
    assert_eq!(finding.last_true.unwrap().event_id, "2");
    deliveries.iter_mut().for_each(|delivery| delivery.outcome = Outcome::Unclear);
    assert_eq!(found(&deliveries).last_true, None);
}
