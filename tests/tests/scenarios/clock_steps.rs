//! The wall clock is set, forward, back, for a moment or for good: nothing expires early, nothing waits longer, and the log
//! tells of it. The process's wall clock is moved by libfaketime; where that is missing the scenarios say that they were
//! skipped.

use std::{fs, path::PathBuf};

use lab::receiver::{Availability, Behaviour};
use tests::{Events, Fleet, Oracle, Site, Wants, skipped, until};

/// The library that moves a process's wall clock, if it is installed.
fn faketime() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.flatten().map(|place| place.path());
    let found =
        places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file());
    if found.is_none() {
        skipped("libfaketime is not installed, so no wall clock can be moved");
    }
    found
}

/// Moves the wall clock of a site's processes.
struct WallClock(PathBuf);

impl WallClock {
    /// None without the library.
    fn of(site: &mut Site, by: &str) -> Option<Self> {
        let library = faketime()?;
        let clock = Self(site.path("faketime"));
        clock.set(by);
        site.environment("LD_PRELOAD", &library.display().to_string());
        site.environment("FAKETIME_TIMESTAMP_FILE", &clock.0.display().to_string());
        for name in ["FAKETIME_NO_CACHE", "DONT_FAKE_MONOTONIC", "FAKETIME_DONT_FAKE_MONOTONIC"] {
            site.environment(name, "1");
        }
        Some(clock)
    }

    /// From now on it is off by this much.
    fn set(&self, by: &str) {
        // A process reads it at any moment: it finds the whole old one or the whole new one.
        let fresh = self.0.with_extension("new");
        fs::write(&fresh, by).unwrap();
        fs::rename(&fresh, &self.0).unwrap();
    }
}

fn down() -> Behaviour {
    Behaviour { availability: Availability::Refusing, ..Behaviour::default() }
}

#[test]
fn a_wall_clock_that_is_eleven_days_ahead_for_a_moment_expires_nothing() {
    let log = Events::new(310, 20).take(101);
    let fleet = Fleet::start_unchecked(1);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    let Some(clock) = WallClock::of(&mut site, "+0") else { return };
    site.write(&log[..100]);
    let run = site.run();
    fleet.tms(0).wait_for(100);
    clock.set("+11d");
    until("the log tells of it", || run.log().contains("set forward"));
    site.append(&log[100..]);
    fleet.tms(0).wait_for(101);
    clock.set("+0");
    until("the log tells of that too", || run.log().contains("set back"));
    // The producer sends them all again.
    site.append(&log[..100]);
    let again = b"{\"eventId\":\"last\",\"loadId\":\"L\",\"status\":\"matched\",\"occurredAt\":\"2025-06-01T00:00:00Z\"}\n";
    site.append_bytes(again);
    fleet.tms(0).wait_for(102);
    run.terminate();
    let summary = run.wait().summary();
    assert_eq!((summary.delivered, summary.duplicates), (102, 100), "{summary:?}");
}

#[test]
fn a_wait_of_seconds_stays_one_when_the_wall_clock_is_set_back_between_two_runs() {
    let log = Events::new(311, 3).take(9);
    let fleet = Fleet::start_unchecked(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    site.set("retry.in_place_max", "0s");
    site.set("retry.base", "2s");
    site.set("retry.cap", "2s");
    // Far longer than the harness waits for anything.
    let Some(clock) = WallClock::of(&mut site, "+10h") else { return };
    fleet.tms(0).behave(Behaviour { fail_rate: 1.0, ..Behaviour::default() });
    site.write(&log);
    let run = site.run();
    until("it was tried", || fleet.tms(0).counts().failed >= 3);
    run.terminate();
    assert!(run.wait().summary().spilled > 0);

    clock.set("+0");
    fleet.tms(0).behave(Behaviour::default());
    let run = site.run();
    fleet.tms(0).wait_for(9);
    run.terminate();
    assert_eq!(run.wait().summary().dead_letters, 0);
    oracle.assert_exactly_once(&fleet);
}

#[test]
fn a_wall_clock_that_is_set_right_by_four_days_makes_nothing_that_waits_too_old() {
    let log = Events::new(312, 10).take(60);
    let fleet = Fleet::start_unchecked(1);
    let oracle = Oracle::new(&log, &[Wants::all()]);
    let mut site = Site::new(&fleet, &[Wants::all()]);
    site.set("source.follow", true);
    site.impatient();
    let Some(clock) = WallClock::of(&mut site, "-4d") else { return };
    fleet.tms(0).behave(down());
    site.write(&log);
    let run = site.run();
    until("it was tried", || run.log().contains("broker-0"));
    clock.set("+0");
    until("the log tells of it", || run.log().contains("set forward"));
    fleet.tms(0).behave(Behaviour::default());
    fleet.tms(0).wait_for(60);
    run.terminate();
    assert_eq!(run.wait().summary().dead_letters, 0);
    oracle.assert_exactly_once(&fleet);
}
