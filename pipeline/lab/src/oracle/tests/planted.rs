//! One fault planted in an honest run, and caught by name.

use super::super::{Kind, evidence::Evidence, observation::Observation, stalls::Stalls};
use super::run::{
    ACME, BIRCH, CEDAR, CONFLICT, GARBAGE, honest, judged, letter, only, receipt, refused, told,
};
use crate::receiver::Refusal;

#[test]
fn an_honest_run_is_clean_and_counted() {
    let judgement = judged(&honest());
    assert!(judgement.is_clean(), "{:#?}", judgement.findings);
    let (figures, issued) = (&judgement.figures, &judgement.issued);
    assert_eq!((issued.events, issued.records, issued.duplicates, issued.faulty), (6, 10, 2, 2));
    assert_eq!((issued.deliveries, figures.delivered, figures.dead_letters, figures.waiting), (15, 13, 1, 1));
    assert_eq!((figures.taken, figures.refused, figures.lost, figures.out_of_order), (14, 2, 0, 0));
    assert_eq!((figures.duplicates, figures.explained_duplicates), (1, 1));
    let birch = &judgement.brokers[usize::from(BIRCH)];
    assert_eq!((birch.owed, birch.delivered, birch.dead_letters, birch.waiting, birch.lost), (6, 4, 1, 1, 0));
    let letters = judgement.letters;
    assert_eq!((letters.deliveries, letters.at_well, letters.garbage, letters.conflicts), (1, 0, 1, 3));
}

#[test]
fn a_delivery_dropped_is_lost_unless_its_record_is_still_open() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.remove(3);
    let words = only(&run, Kind::Lost, Some(ACME), Some(3));
    assert!(words.starts_with("acme: event e-3 of load LD-2: lost"), "{words}");
    assert!(words.contains("300 ms  appended the first time (record 4)"), "{words}");
    assert!(words.contains("430 ms  appended once more by a replay (record 8)"), "{words}");
    run.settled_to = 4;
    assert!(judged(&run).is_clean());
    assert_eq!(judged(&run).figures.waiting, 2);
}

#[test]
fn a_spilled_delivery_or_a_dead_letter_that_is_forgotten_is_lost() {
    let mut run = honest();
    run.spilled.clear();
    only(&run, Kind::Lost, Some(BIRCH), Some(5));
    let mut run = honest();
    run.dead.pop();
    only(&run, Kind::Lost, Some(BIRCH), Some(2));
}

#[test]
fn two_that_were_swapped_are_out_of_order() {
    let mut run = honest();
    let taken = &mut run.brokers[usize::from(CEDAR)].received.taken;
    let late = taken.remove(1);
    taken.push(Observation { at_ms: 450, ..late });
    let words = only(&run, Kind::OutOfOrder, Some(CEDAR), Some(2));
    assert!(words.contains("after a newer event of its load (event e-4 of load LD-1)"), "{words}");
}

#[test]
fn all_that_come_after_the_newest_are_out_of_order() {
    let mut run = honest();
    let taken = &mut run.brokers[usize::from(CEDAR)].received.taken;
    *taken = vec![receipt(CEDAR, 4, 420), receipt(CEDAR, 0, 430), receipt(CEDAR, 2, 440)];
    let judgement = judged(&run);
    assert_eq!((judgement.counts.of(Kind::OutOfOrder), judgement.counts.total()), (2, 2));
}

#[test]
fn one_sent_twice_is_doubled_and_its_history_is_told() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.insert(3, receipt(ACME, 2, 250));
    let words = only(&run, Kind::Duplicate, Some(ACME), Some(2));
    for moment in [
        "200 ms  appended the first time (record 3)",
        "220 ms  taken with webhook-id \"0-2\"; told 200 at 230 ms",
        "250 ms  taken with webhook-id \"0-2\"; told 200 at 260 ms",
        "410 ms  appended with other bytes (record 6)",
        "dead letter, it says: for a reason",
    ] {
        assert!(words.contains(moment), "no {moment:?} in {words}");
    }
    assert_eq!(judged(&run).figures.duplicates, 2);
}

#[test]
fn one_sent_twice_at_once_is_doubled_though_no_answer_had_come_yet() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.insert(3, receipt(ACME, 2, 220));
    only(&run, Kind::Duplicate, Some(ACME), Some(2));
}

#[test]
fn every_taking_needs_an_excuse_of_its_own() {
    let mut run = honest();
    let taken = &mut run.brokers[usize::from(BIRCH)].received.taken;
    // the first was never answered, the second was
    taken.insert(3, receipt(BIRCH, 1, 1_250));
    only(&run, Kind::Duplicate, Some(BIRCH), Some(1));
    run.brokers[usize::from(BIRCH)].received.taken[2].told = told(500, 1_210);
    assert!(judged(&run).is_clean());
}

#[test]
fn an_unclear_answer_does_not_excuse_what_was_clear_before_it() {
    let mut run = honest();
    let unclear = Observation { told: None, ..receipt(ACME, 5, 600) };
    run.brokers[usize::from(ACME)].received.taken.extend([unclear, receipt(ACME, 5, 700)]);
    let judgement = judged(&run);
    assert_eq!((judgement.counts.of(Kind::Duplicate), judgement.counts.total()), (2, 2));
}

#[test]
fn a_kill_explains_the_repeat_of_what_was_not_on_record_and_nothing_else() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.push(receipt(ACME, 5, 900));
    only(&run, Kind::Duplicate, Some(ACME), Some(5));
    run.kills_ms = vec![600];
    assert!(judged(&run).is_clean());
    run.kills_ms = vec![950];
    assert!(only(&run, Kind::Duplicate, Some(ACME), Some(5)).contains("950 ms  the system was killed"));
}

#[test]
fn a_stall_of_the_machine_explains_the_repeats_of_what_was_under_way_and_nothing_else() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.push(receipt(ACME, 5, 1_900));
    only(&run, Kind::Duplicate, Some(ACME), Some(5));
    let stood_still = |from_ms, to_ms| {
        let mut stalls = Stalls::default();
        stalls.look(from_ms, to_ms);
        Evidence { stalls, ..run.clone() }
    };
    let judgement = judged(&stood_still(600, 1_600));
    assert!(judgement.is_clean());
    assert_eq!((judgement.figures.duplicates, judgement.figures.explained_duplicates), (2, 2));
    let words = only(&stood_still(1_600, 2_600), Kind::Duplicate, Some(ACME), Some(5));
    assert!(words.contains("1600 ms  the machine stood still for 1000 ms"), "{words}");
}

#[test]
fn even_an_explained_repeat_must_not_come_after_a_newer_event() {
    let mut run = honest();
    let late = receipt(BIRCH, 1, 1_350);
    let taken = &mut run.brokers[usize::from(BIRCH)].received.taken;
    taken.remove(2);
    taken.insert(3, late);
    let words = only(&run, Kind::OutOfOrder, Some(BIRCH), Some(1));
    assert!(
        words.contains("a repeat, taken at 1350 ms after a newer event of its load (event e-3"),
        "{words}"
    );
}

#[test]
fn a_forged_body_is_noticed_and_the_real_one_is_missing() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken[5].event = None;
    let judgement = judged(&run);
    let kinds: Vec<_> = judgement.findings.iter().map(|finding| finding.violation.kind()).collect();
    assert_eq!(kinds, [Kind::Lost, Kind::Forged]);
    run.brokers[usize::from(ACME)].received.taken.push(receipt(ACME, 5, 530));
    assert!(
        only(&run, Kind::Forged, Some(ACME), None).contains("at 520 ms it took bytes that were never issued")
    );
    run.brokers[usize::from(ACME)].received.taken[5].event = Some(77);
    only(&run, Kind::Forged, Some(ACME), None);
}

#[test]
fn an_event_for_others_or_from_the_future_is_noticed() {
    let mut run = honest();
    run.brokers[usize::from(CEDAR)].received.taken.push(receipt(CEDAR, 5, 520));
    only(&run, Kind::Unwanted, Some(CEDAR), Some(5));
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken[5].at_ms = 479;
    only(&run, Kind::TooEarly, Some(ACME), Some(5));
    run.brokers[usize::from(ACME)].received.taken[5].at_ms = 480;
    assert!(judged(&run).is_clean(), "clocks are a little off");
    run.appended = 9;
    run.settled_to = 9;
    run.spilled.clear();
    let words = only(&run, Kind::TooEarly, Some(ACME), Some(5));
    assert!(words.contains("it was never appended"), "{words}");
}

#[test]
fn ids_are_one_for_each_event() {
    let mut run = honest();
    run.brokers[usize::from(BIRCH)].received.taken[2].webhook_id = Some("other".into());
    let words = only(&run, Kind::TwoIds, Some(BIRCH), Some(1));
    assert!(
        words.contains(r#"taken under webhook-id "1-1", and at 1200 ms under webhook-id "other""#),
        "{words}"
    );
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken[4].webhook_id = Some("0-1".into());
    let words = only(&run, Kind::SharedId, Some(ACME), Some(4));
    assert!(words.contains("(event e-1 of load LD-2)"), "{words}");
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken[4].webhook_id = None;
    only(&run, Kind::MissingId, Some(ACME), Some(4));
}

#[test]
fn a_signature_that_was_refused_is_noticed() {
    for why in [Refusal::Unsigned, Refusal::Stale, Refusal::WrongSignature] {
        let mut run = honest();
        run.brokers[usize::from(CEDAR)].received.refused = vec![refused(100, why), refused(150, why)];
        assert!(only(&run, Kind::BadSignature, Some(CEDAR), None).contains("2 requests refused"));
    }
}

#[test]
fn a_broker_that_gets_more_than_its_quota_is_named() {
    let mut run = honest();
    run.brokers[usize::from(BIRCH)].received.refused = vec![refused(700, Refusal::Throttled); 20];
    let words = only(&run, Kind::OverQuota, Some(BIRCH), None);
    assert!(words.contains("birch: over its quota: from 700 ms on, 5 requests too many"), "{words}");
}

#[test]
fn garbage_and_conflicts_must_not_vanish() {
    let mut run = honest();
    run.dead.remove(3);
    let words = only(&run, Kind::GarbageVanished, None, None);
    assert!(words.contains(&format!("appended (record {GARBAGE})")), "{words}");
    run.settled_to = GARBAGE;
    assert!(judged(&run).is_clean());
    let mut run = honest();
    run.dead.remove(usize::from(CEDAR));
    let words = only(&run, Kind::ConflictVanished, Some(CEDAR), Some(2));
    assert!(words.contains(&format!("record {CONFLICT} has other bytes")), "{words}");
    run.settled_to = CONFLICT;
    assert!(judged(&run).is_clean());
}

#[test]
fn of_a_record_too_long_to_keep_the_beginning_is_enough_and_of_an_empty_one_nothing() {
    let mut run = honest();
    let long = vec![b'['; (1 << 20) + 1];
    run.traffic.log[GARBAGE].body = long.clone().into();
    run.dead[3] = letter(None, None, &long[1..]);
    assert!(judged(&run).is_clean());
    run.dead.remove(3);
    only(&run, Kind::GarbageVanished, None, None);
    run.traffic.log[GARBAGE].body = bytes::Bytes::new();
    assert!(judged(&run).is_clean());
}

#[test]
fn a_record_has_one_dead_letter() {
    for (place, broker, event) in [(0, Some(ACME), Some(2)), (3, None, None), (4, Some(BIRCH), Some(2))] {
        let mut run = honest();
        run.dead.push(run.dead[place].clone());
        only(&run, Kind::LettersTooMany, broker, event);
    }
}

#[test]
fn dead_letters_that_fit_nothing_are_named() {
    let run = honest();
    let (one, two) = (run.traffic.events[1].body.clone(), run.traffic.events[2].body.clone());
    for (broker, event, body, why) in [
        (Some(9), Some(1), &one[..], "no such broker"),
        (Some(CEDAR), Some(1), &one, "does not want"),
        (Some(BIRCH), Some(1), b"tampered", "nothing that was appended has these bytes"),
        (None, None, b"tampered", "nothing that was appended has these bytes"),
        (None, Some(2), &two, "as if it were none"),
        (Some(BIRCH), None, b"{", "for no broker"),
        (None, Some(2), b"{", "another event's"),
    ] {
        let mut run = run.clone();
        run.dead.push(letter(broker, event, body));
        let words = only(&run, Kind::StrayLetter, broker, event);
        assert!(words.contains(why), "{words}");
    }
}

#[test]
fn deliveries_on_disk_that_fit_nothing_are_named() {
    for (broker, event) in [(9, 1), (CEDAR, 1), (BIRCH, 66)] {
        let mut run = honest();
        run.spilled.push((broker, event));
        only(&run, Kind::StraySpill, Some(broker), Some(event));
    }
}

#[test]
fn a_well_broker_has_nothing_given_up_and_nothing_waiting() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.remove(4);
    run.dead.push(letter(Some(ACME), Some(4), &run.traffic.events[4].body.clone()));
    only(&run, Kind::GivenUpThoughWell, Some(ACME), Some(4));
    run.brokers[usize::from(ACME)]
        .received
        .refused
        .push(refused(450, Refusal::Answered(http::StatusCode::BAD_REQUEST)));
    let judgement = judged(&run);
    assert!(judgement.is_clean());
    assert_eq!((judgement.letters.at_well, judgement.brokers[usize::from(ACME)].dead_letters), (1, 1));
    let mut run = honest();
    run.dead.push(letter(Some(ACME), Some(4), &run.traffic.events[4].body.clone()));
    only(&run, Kind::GivenUpThoughWell, Some(ACME), Some(4));
    run.brokers[usize::from(ACME)].received.taken[4].told = None;
    assert!(judged(&run).is_clean(), "its sender could not know");
    let mut run = honest();
    run.brokers[usize::from(ACME)].received.taken.remove(5);
    run.spilled.push((ACME, 5));
    only(&run, Kind::HeldThoughWell, Some(ACME), Some(5));
}

#[test]
fn what_waits_although_nothing_was_left_to_do_is_forgotten() {
    let mut run = honest();
    run.brokers[usize::from(ACME)].well = false;
    run.brokers[usize::from(ACME)].received.taken.remove(5);
    run.spilled.push((ACME, 5));
    assert!(judged(&run).is_clean(), "it was stopped while the broker could not be served");
    run.done = true;
    only(&run, Kind::Contradiction, None, None);
}

#[test]
fn an_account_of_more_than_there_is_contradicts_itself() {
    let mut run = honest();
    run.settled_to = 11;
    only(&run, Kind::Contradiction, None, None);
    run.appended = 11;
    only(&run, Kind::Contradiction, None, None);
}
