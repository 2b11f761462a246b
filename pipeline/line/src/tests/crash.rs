//! The process is killed while the line runs, again and again, and started again each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tokio::time::sleep;

use super::{
    site::{Site, ms},
    whole::{drawn, seeds},
    wire::mix,
};
use crate::stop::stop;

const NAME: &str =
    "line::tests::crash::a_killed_line_loses_nothing_keeps_its_order_and_counts_what_it_repeats";

/// Set in the process that is to be killed: the directory and the seed.
const VICTIM: (&str, &str) = ("LINE_VICTIM_DIR", "LINE_VICTIM_SEED");

fn site(dir: &Path, seed: u64) -> Site {
    let mut site = drawn(seed, &dir.join("state"));
    site.wire = site.wire.logged(&dir.join("wire"));
    site
}

#[tokio::test]
async fn a_killed_line_loses_nothing_keeps_its_order_and_counts_what_it_repeats() {
    if let (Some(dir), Ok(seed)) = (std::env::var_os(VICTIM.0), std::env::var(VICTIM.1)) {
        let report = site(&PathBuf::from(dir), seed.parse().unwrap()).run(stop().1).await;
        report.unwrap();
        return;
    }
    let mut repeated = 0;
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        for kill in 0..4 {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args([NAME, "--exact"])
                .envs([(VICTIM.0, dir.path().to_str().unwrap()), (VICTIM.1, &seed.to_string())])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            sleep(ms(40 + mix(seed, &[kill]) % 150)).await;
            victim.kill().unwrap();
            let end = victim.wait().unwrap();
            assert!(end.success() || end.code().is_none(), "seed {seed}: it failed before it was killed");
        }
        let site = site(dir.path(), seed);
        let before = site.wire.seen().accepted.len();
        let report = site.run(stop().1).await.unwrap();
        assert_eq!((report.settled, report.spilled), (report.records, 0), "seed {seed}");
        check(&site, seed);
        let (again, counted) = repeats(&site, before);
        assert!(again <= counted, "seed {seed}: {again} were repeated, {counted} were counted");
        repeated += again;
    }
    println!("{repeated} deliveries were repeated in the last runs");
}

/// How many deliveries the last run repeated that the receiver had taken before, and how many it says it may have.
fn repeats(site: &Site, before: usize) -> (u64, u64) {
    let seen = site.wire.seen();
    let (earlier, last) = seen.accepted.split_at(before);
    let taken: BTreeSet<_> = earlier.iter().collect();
    let again = last.iter().filter(|entry| taken.contains(entry)).count() as u64;
    let counted = site.served.lock().iter().map(|broker| broker.health.counts().repeats_after_crash).sum();
    (again, counted)
}

/// Every event was accepted, the first time in the order of the log, and no run started two of a load out of order.
fn check(site: &Site, seed: u64) {
    let seen = site.wire.seen();
    assert!(seen.broken.is_empty(), "seed {seed}: {:?}", seen.broken);
    let mut first: BTreeMap<(usize, &str), Vec<u64>> = BTreeMap::new();
    for (broker, load, number) in &seen.accepted {
        let numbers = first.entry((*broker, load)).or_default();
        if !numbers.contains(number) {
            numbers.push(*number);
        }
    }
    for broker in 0..site.brokers {
        for (load, expected) in site.expected() {
            assert_eq!(
                first.get(&(broker, &*load)),
                Some(&expected),
                "seed {seed}: broker {broker}, load {load}"
            );
        }
    }
    let mut newest: BTreeMap<(usize, usize, &str), u64> = BTreeMap::new();
    for (at, (broker, load, number)) in seen.starts.iter().enumerate() {
        let run = seen.runs.partition_point(|start| *start <= at);
        let newest = newest.entry((run, *broker, load)).or_default();
        assert!(
            newest <= &mut number.clone(),
            "seed {seed}: run {run}, broker {broker}, load {load}: {number} after {newest}"
        );
        *newest = *number;
    }
}
