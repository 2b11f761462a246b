//! Runs that prove nothing, and terms other than Loadline's.

use super::super::{Kind, Promised, Surge, Terms, evidence::Evidence, judge};
use super::run::{ACME, BIRCH, CEDAR, honest, judged};

/// The words of the violations of `promised`.
fn words(evidence: &Evidence, promised: Promised) -> Vec<String> {
    judge(evidence, &Terms::new(promised)).findings.iter().map(ToString::to_string).collect()
}

#[test]
fn promises_that_were_kept_are_fine() {
    let promised = Promised {
        duplicates: true,
        faulty_records: true,
        // one event in 100 ms against one in 500 ms
        surge: Some(Surge { base: 500..1_000, peak: 0..500 }),
        faults: vec![BIRCH],
        lost_answers: vec![BIRCH],
        kills: 0,
    };
    assert_eq!(words(&honest(), promised), Vec::<String>::new());
}

#[test]
fn a_run_without_the_promised_trouble_proves_nothing() {
    let mut quiet = honest();
    quiet.traffic.log.retain(|entry| entry.form == crate::traffic::Form::First);
    (quiet.appended, quiet.settled_to) = (6, 6);
    quiet.dead.retain(|claim| claim.digest == quiet.traffic.events[2].digest);
    let promised = Promised {
        duplicates: true,
        faulty_records: true,
        surge: Some(Surge { base: 0..200, peak: 200..400 }),
        faults: vec![CEDAR],
        lost_answers: vec![ACME],
        kills: 1,
    };
    let all = [
        "the run proves nothing: no event was appended twice",
        "the run proves nothing: no faulty record was appended",
        "the run proves nothing: no surge: 10.0 new events a second in it against 10.0 before, not more than twice as many",
        "cedar: the run proves nothing: the broker was to fail, and took everything and said so in time",
        "acme: the run proves nothing: the broker was to lose answers, and the sender was told of all it took",
    ];
    assert_eq!(words(&quiet, promised.clone()), all);
    let all_told = Terms { listed_per_kind: 20, ..Terms::new(promised) };
    let judgement = judge(&quiet, &all_told);
    assert_eq!((judgement.findings.len(), judgement.counts.of(Kind::Vacuous)), (6, 6));
    assert!(judgement.findings[5].to_string().ends_with("killed 0 times, not 1"));
}

#[test]
fn a_run_of_nothing_proves_nothing() {
    let empty = Evidence { appended: 0, settled_to: 0, ..honest() };
    assert!(
        judged(&empty).findings.iter().any(|finding| finding.to_string().contains("nothing was appended"))
    );
}

#[test]
fn a_system_without_ids_can_be_judged_by_all_the_rest() {
    let mut run = honest();
    for witness in &mut run.brokers {
        witness.received.taken.iter_mut().for_each(|receipt| receipt.webhook_id = None);
    }
    assert_eq!(judged(&run).counts.of(Kind::MissingId), 14);
    assert!(judge(&run, &Terms::default().without_ids()).is_clean());
}

#[test]
fn of_each_kind_only_some_are_told_and_all_are_counted() {
    let mut run = honest();
    let taken = &mut run.brokers[0].received.taken;
    let last = taken[5].clone();
    taken.extend(vec![last; 9]);
    let judgement = judged(&run);
    assert_eq!((judgement.findings.len(), judgement.counts.of(Kind::Duplicate)), (5, 9));
}
