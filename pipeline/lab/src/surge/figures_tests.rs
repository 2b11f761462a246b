//! Figures: phases, incidents, promises, and what is read off a run over time.

use super::*;

fn profile(name: &str) -> Profile {
    Profile::load(name).unwrap()
}

fn lags(lags: &[u64]) -> Vec<Sample> {
    let samples = (0..).zip(lags);
    samples
        .map(|(nth, lag)| Sample { at_ms: nth * 1_000, lag: *lag, appended: 100, ..Sample::default() })
        .collect()
}

#[test]
fn a_run_with_a_surge_has_three_phases_and_one_without_has_one() {
    let names = |name: &str| phases(&profile(name)).into_iter().map(|phase| phase.name).collect::<Vec<_>>();
    assert_eq!(names("inc-4471"), ["before", "during", "after"]);
    assert_eq!(names("steady"), ["run"]);
    let times: Vec<_> =
        phases(&profile("inc-4471")).iter().map(|phase| (phase.from_ms, phase.to_ms)).collect();
    assert_eq!(times, [(0, 5_000), (5_000, 18_000), (18_000, 25_000)]);
}

#[test]
fn what_befalls_whom_is_told_in_order() {
    let told: Vec<_> = incidents(&profile("inc-4471")).into_iter().map(|incident| incident.what).collect();
    let expected =
        ["garnet slow", "heath limits", "indigo flaps", "juniper hangs", "lichen down", "scale-out 3 to 12"];
    assert_eq!(told, expected);
    assert_eq!(incidents(&profile("killed")).iter().filter(|incident| incident.what == "killed").count(), 3);
}

#[test]
fn a_profile_promises_what_its_oracle_can_see() {
    let profile = profile("inc-4471");
    let place = |id: &str| profile.brokers.iter().position(|broker| broker.id == id).unwrap() as u16;
    let promised = promised(&profile, Which::Loadline);
    assert!(promised.duplicates && !promised.faulty_records && promised.surge.is_some());
    assert_eq!(promised.faults, [place("heath"), place("indigo"), place("juniper")]);
    assert_eq!(promised.lost_answers, [place("indigo")]);
    assert_eq!(super::promised(&profile, Which::Legacy).lost_answers, Vec::<u16>::new());
}

#[test]
fn a_lag_has_drained_when_it_is_gone_for_good() {
    let profile = profile("inc-4471");
    let calm_at = |seconds: usize, peak: u64| {
        let mut all = vec![0; 30];
        all[6..seconds].fill(peak);
        drain(&profile, &lags(&all))
    };
    assert_eq!(calm_at(22, 900), Some(4_000), "22 s is 4 s after the surge's end");
    assert_eq!(calm_at(12, 900), Some(0), "gone before the surge's end");
    assert_eq!(calm_at(30, 900), None, "never gone");
    assert_eq!(calm_at(30, 150), Some(0), "a second's base load is no lag");
    assert_eq!(
        drain(&Profile::load("backlog-42k").unwrap(), &lags(&[9, 9, 0])),
        Some(2_000),
        "from the start"
    );
}

#[test]
fn what_waits_on_disk_is_drained_when_it_is_gone() {
    let profile = profile("inc-4471");
    let mut samples = lags(&[0; 30]);
    assert_eq!(spill_drain(&profile, &samples), None, "nothing ever waited");
    samples[10..21].iter_mut().for_each(|sample| sample.spilled = 5);
    assert_eq!(spill_drain(&profile, &samples), Some(3_000));
    samples[29].spilled = 1;
    assert_eq!(spill_drain(&profile, &samples), None, "never gone");
}

#[test]
fn the_pace_is_taken_until_the_last_event_settled() {
    assert_eq!(pace(&lags(&[100, 50, 0, 0, 0])), 50.0);
    assert_eq!(pace(&lags(&[100, 80, 60])), 20.0);
    assert_eq!(pace(&[]), 0.0);
}

#[test]
fn only_loadline_has_goals_and_a_few_milliseconds_are_the_machines() {
    let phases = phases(&profile("inc-4471"));
    let latency = |before: f64, during: f64| {
        [before, during, 1_000.0].map(|p99_ms| Some(Latency { p50_ms: 1.0, p99_ms }))
    };
    let missed = |which, before, during| goals(which, &phases, &latency(before, during)).len();
    assert_eq!(missed(Which::Loadline, 20.0, 31.0), 1);
    assert_eq!(missed(Which::Loadline, 20.0, 30.0), 0);
    assert_eq!(missed(Which::Loadline, 2.0, 7.0), 0);
    assert_eq!(missed(Which::Legacy, 20.0, 9_000.0), 0);
    assert!(goals(Which::Loadline, &phases, &[None, None, None]).is_empty());
    let stalled = [255.0, 18.0, 9.0].map(|p99_ms| Some(Latency { p50_ms: 1.0, p99_ms }));
    assert_eq!(goals(Which::Loadline, &phases, &stalled).len(), 1, "a stall at the start is no excuse");
}
