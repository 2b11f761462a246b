//! Rotations of every kind, with kills, some while nobody runs: each event arrives, or its file is named as lost.
//!
//! `LOADLINE_ROTATIONS` is how many (40), `LOADLINE_SEED` begins another run.

use std::{env, fs, path::PathBuf, process::Command, time::Duration};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use tests::{Events, Fleet, Oracle, Site, Wants, pause, until};

/// Events that are written for each rotation, at most.
const EVENTS_MAX: usize = 12;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The names of rotated files, of one kind: counts behind the name or in the middle, or dates.
#[derive(Clone, Copy, Debug)]
enum Naming {
    Behind,
    Middle,
    Dates,
}

/// A rotator, as logrotate is one.
struct Rotator<'s> {
    site: &'s Site,
    naming: Naming,
    rotated: u64,
}

impl Rotator<'_> {
    fn name(&self, count: u64) -> PathBuf {
        match self.naming {
            Naming::Behind => self.site.path(&format!("events.ndjson.{count}")),
            Naming::Middle => self.site.path(&format!("events.{count}.ndjson")),
            // The first rotation is the oldest date; a count says how long ago.
            Naming::Dates => {
                let number = self.rotated + 1 - count;
                let (year, month, day) = (2030 + number / 336, number / 28 % 12 + 1, number % 28 + 1);
                self.site.path(&format!("events.ndjson-{year}{month:02}{day:02}"))
            }
        }
    }

    /// Makes room for a new `.1`.
    fn shift(&mut self) {
        if !matches!(self.naming, Naming::Dates) {
            for count in (1..=self.rotated).rev() {
                for ending in ["", ".gz"] {
                    let packed = |path: PathBuf| PathBuf::from(format!("{}{ending}", path.display()));
                    let _absent = fs::rename(packed(self.name(count)), packed(self.name(count + 1))).is_err();
                }
            }
        }
    }

    fn rotate(&mut self, dice: &mut Xoshiro256PlusPlus) {
        self.shift();
        if matches!(self.naming, Naming::Dates) {
            self.rotated += 1;
        }
        let to = self.name(1);
        if dice.random_bool(0.3) {
            fs::copy(self.site.events(), &to).unwrap();
            fs::File::create(self.site.events()).unwrap();
        } else {
            fs::rename(self.site.events(), &to).unwrap();
            fs::File::create(self.site.events()).unwrap();
        }
        if !matches!(self.naming, Naming::Dates) {
            self.rotated += 1;
        }
        if dice.random_bool(0.4) {
            let (from, packed) = (to.display().to_string(), format!("{}.gz", to.display()));
            let line = format!("gzip -c {from} > {packed}.tmp && mv {packed}.tmp {packed} && rm {from}");
            assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        }
    }
}

#[test]
fn through_rotations_of_every_kind_and_kills_no_event_is_lost() {
    let (rotations, seed) = (number("LOADLINE_ROTATIONS", 40), number("LOADLINE_SEED", 4471));
    eprintln!("{rotations} rotations, LOADLINE_SEED={seed}");
    for (round, naming) in [Naming::Behind, Naming::Middle, Naming::Dates].into_iter().enumerate() {
        let rotations = rotations / 3 + 1;
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed + round as u64);
        let log = Events::new(seed, 40).take(rotations as usize * EVENTS_MAX);
        let (first, mut unwritten) = log.split_at(1);
        let fleet = Fleet::start(1);
        let mut site = Site::new(&fleet, &[Wants::all()]);
        site.set("source.follow", true);
        site.set("source.poll", "10ms");
        site.set("state.durability", "process");
        site.write(first);
        // What is rotated before the first run has read anything is not its business.
        let mut run = Some(site.run());
        fleet.tms(0).wait_for(1);
        let mut rotator = Rotator { site: &site, naming, rotated: 0 };
        for _ in 0..rotations {
            let (some, rest) = unwritten.split_at(dice.random_range(1..=EVENTS_MAX));
            site.append(some);
            unwritten = rest;
            if dice.random_bool(0.5) {
                pause(Duration::from_millis(dice.random_range(0..40)));
            }
            rotator.rotate(&mut dice);
            if dice.random_bool(0.3) {
                match run.take() {
                    Some(run) if dice.random_bool(0.7) => drop(run.kill()),
                    Some(run) => {
                        run.terminate();
                        let ended = run.wait();
                        // It may have been too early to be asked.
                        assert!(ended.code.is_none() || ended.summary().losses == 0);
                    }
                    None => run = Some(site.run()),
                }
            }
        }
        site.append(unwritten);
        let run = run.unwrap_or_else(|| site.run());
        let all = log.len();
        until("every event has arrived", || {
            let arrivals = fleet.tms(0).arrivals();
            let ids: std::collections::HashSet<_> =
                arrivals.iter().map(|arrival| &arrival.webhook_id).collect();
            ids.len() >= all
        });
        run.terminate();
        let summary = run.wait().summary();
        assert_eq!((summary.losses, summary.dead_letters), (0, 0), "{naming:?}");
        let given = Oracle::new(&log, &[Wants::all()]).assert_nothing_lost(&fleet);
        eprintln!("{naming:?}: {given:?}");
    }
}
