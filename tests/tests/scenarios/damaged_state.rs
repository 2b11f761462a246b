//! A damaged state directory: nothing is delivered from it, what is damaged is named, what is whole is saved and delivered,
//! and no waiting delivery disappears without a word.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use lab::receiver::Behaviour;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::Value;
use tests::{Events, Fleet, Oracle, ShipmentEvent, Site, Wants};

/// A site where everything waits on disk, for two brokers that were away during its run.
fn waiting(fleet: &Fleet, log: &[ShipmentEvent]) -> Site {
    let mut site = Site::new(fleet, &[Wants::all(), Wants::all()]);
    site.impatient();
    site.set("limits.drain", "100ms");
    site.write(log);
    (0..2).for_each(|index| fleet.tms(index).refuse());
    let ended = site.run().wait();
    assert!(ended.code.is_some_and(|code| code == 0 || code == 5), "{ended:?}");
    (0..2).for_each(|index| fleet.tms(index).behave(Behaviour::default()));
    site.set("limits.drain", "1h");
    site
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn a_damaged_directory_delivers_nothing_and_what_is_saved_of_it_is_delivered() {
    let log = Events::new(61, 20).take(200);
    let fleet = Fleet::start(2);
    let oracle = Oracle::new(&log, &[Wants::all(), Wants::all()]);
    let site = waiting(&fleet, &log);
    assert!(site.loadline(&["state", "check"]).expect(0).stdout.contains("state: whole"));

    // As after a log that was cut: the database is behind the file beside it.
    let commits = site.path("state/commits");
    let number = u64::from_be_bytes(fs::read(&commits).unwrap().try_into().unwrap());
    fs::write(&commits, (number + 3).to_be_bytes()).unwrap();
    let refused = site.run().wait().expect(1);
    assert!(refused.stderr.contains("state check") && refused.stderr.contains("state repair"), "{refused:?}");
    let status = site.loadline(&["status"]).expect(3);
    assert!(status.stderr.contains("`loadline state check --config "), "a hint works as typed: {status:?}");
    assert_eq!(fleet.taken(), 0);

    let before = fs::read(site.database()).unwrap();
    let checked = site.loadline(&["--json", "state", "check"]).expect(1);
    let told: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((&told["whole"], &told["readable"]), (&Value::from(false), &Value::from(true)), "{told}");
    assert!(told["damage"][0].as_str().unwrap().contains("its last commit is"), "{told}");
    assert_eq!(told["waiting"]["broker-0"], 200, "{told}");
    let new = site.path("state.new");
    let repaired = site.loadline_with(&["state", "repair"], &["--to", new.to_str().unwrap()]).expect(0);
    assert!(repaired.stdout.contains("what is whole is in"), "{repaired:?}");
    assert!(fs::read(site.database()).unwrap() == before, "the damaged directory is left as it is");
    let again = site.loadline_with(&["state", "repair"], &["--to", new.to_str().unwrap()]).expect(1);
    assert!(again.stderr.contains("is there already"), "{again:?}");

    fs::rename(site.path("state"), site.path("state.damaged")).unwrap();
    fs::rename(&new, site.path("state")).unwrap();
    assert!(site.loadline(&["state", "check"]).expect(0).stdout.contains("state: whole"));
    assert_eq!(site.run().wait().summary().spilled, 0);
    let _given = oracle.assert_nothing_lost(&fleet);
}

#[test]
fn wherever_a_directory_is_hit_a_run_delivers_all_that_waits_or_nothing() {
    let log = Events::new(62, 20).take(400);
    let fleet = Fleet::start(2);
    let site = waiting(&fleet, &log);
    let whole = site.path("whole");
    copy(&site.path("state"), &whole);
    let mut dice = Xoshiro256PlusPlus::seed_from_u64(62);
    let (mut refused, mut delivered) = (0, 0);
    for _ in 0..12 {
        fs::remove_dir_all(site.path("state")).unwrap();
        copy(&whole, &site.path("state"));
        let file = File::options().read(true).write(true).open(site.database()).unwrap();
        let at = dice.random_range(0..file.metadata().unwrap().len());
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << dice.random_range(0..8))], at).unwrap();
        let before = fleet.taken();
        let ended = site.run().wait();
        if ended.code == Some(1) {
            assert!(ended.stderr.contains("state repair"), "byte {at}: {ended:?}");
            assert_eq!(fleet.taken(), before, "byte {at}: delivered from a damaged directory: {ended:?}");
            refused += 1;
        } else {
            let summary = ended.summary();
            assert_eq!((summary.delivered, summary.spilled), (800, 0), "byte {at}");
            delivered += 1;
        }
    }
    assert!(refused > 0, "{delivered} of 12 hits did not matter");
}
