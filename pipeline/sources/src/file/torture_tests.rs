//! Rotations of every kind between runs that are killed anywhere, in one process: each line comes, in order, and one that
//! comes again comes from the same position. `PROPTEST_CASES` makes it longer.

use std::{collections::HashMap, fs, path::PathBuf};

use futures::{StreamExt, TryStreamExt};
use proptest::{collection::vec, prelude::*};
use tokio::runtime::Runtime;

use super::{
    tests::{Log, seen},
    *,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(usize),
    Rename,
    CopyTruncate,
    /// Compresses the file rotated so many rotations ago.
    Compress(u64, &'static str),
    /// A run that reads so many records, of which that share, in percent, is settled when it is killed.
    Run(usize, usize),
}

/// The log, its rotated files, and what has come of it.
struct World {
    runtime: Runtime,
    log: Log,
    in_the_middle: bool,
    written: usize,
    rotated: u64,
    /// The lines that are settled, and behind them those that a killed run has read.
    records: Vec<SourceRecord>,
    settled: usize,
    places: HashMap<String, (u64, u64)>,
}

impl World {
    fn new(in_the_middle: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (records, places) = (Vec::new(), HashMap::new());
        let log = Log::new("");
        Self { runtime, log, in_the_middle, written: 0, rotated: 0, records, settled: 0, places }
    }

    fn path(&self, count: u64, ending: &str) -> PathBuf {
        let name = if self.in_the_middle {
            format!("events.{count}.ndjson")
        } else {
            format!("events.ndjson.{count}")
        };
        self.log.path("").with_file_name(name + ending)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(lines) => {
                let text: String =
                    (self.written..self.written + lines).map(|n| format!("event {n}\n")).collect();
                self.log.append("", &text);
                self.written += lines;
            }
            Step::Rename | Step::CopyTruncate => {
                for count in (1..=self.rotated).rev() {
                    for ending in ["", ".gz", ".zst"] {
                        let _absent =
                            fs::rename(self.path(count, ending), self.path(count + 1, ending)).is_err();
                    }
                }
                self.rotated += 1;
                if let Step::Rename = step {
                    fs::rename(self.log.path(""), self.path(1, "")).unwrap();
                } else {
                    fs::copy(self.log.path(""), self.path(1, "")).unwrap();
                }
                fs::write(self.log.path(""), "").unwrap();
            }
            Step::Compress(count, ending) => {
                let plain = self.path(count, "");
                if let Ok(content) = fs::read_to_string(&plain) {
                    let name = plain.file_name().unwrap().to_str().unwrap().to_owned() + ending;
                    // `put` names a file by what follows the log's own name.
                    self.log.put("-being-compressed", "");
                    self.log.put(&format!("-being-compressed{ending}"), &content);
                    fs::rename(
                        self.log.path(&format!("-being-compressed{ending}")),
                        plain.with_file_name(name),
                    )
                    .unwrap();
                    fs::remove_file(self.log.path("-being-compressed")).unwrap();
                    fs::remove_file(plain).unwrap();
                }
            }
            Step::Run(most, share) => self.run(most, share),
        }
    }

    /// What is settled stays; what was read beyond it is read again.
    fn run(&mut self, most: usize, share: usize) {
        self.records.truncate(self.settled);
        let more: Vec<SourceRecord> = self.runtime.block_on(async {
            let source = self.log.open(false, self.records.last()).await.unwrap();
            let counts = source.counts();
            let more = source.into_stream().take(most).try_collect().await.unwrap();
            assert_eq!((counts.losses(), counts.truncations(), counts.lost()), (0, 0, vec![]));
            more
        });
        for record in &more {
            let (text, epoch, offset) = seen(record);
            let place = *self.places.entry(text.to_owned()).or_insert((epoch, offset));
            assert_eq!(place, (epoch, offset), "{text} has moved");
        }
        self.settled += more.len() * share / 100;
        self.records.extend(more);
    }
}

/// How many histories: some in each run of the tests, as many as one wants by hand.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn through_any_rotations_and_kills_each_line_comes_from_one_position_and_in_order(
        in_the_middle: bool,
        steps in vec(prop_oneof![
            4 => (0usize..160).prop_map(Step::Append),
            2 => Just(Step::Rename),
            2 => Just(Step::CopyTruncate),
            2 => (1u64..4, prop_oneof![Just(".gz"), Just(".zst")]).prop_map(|(count, by)| Step::Compress(count, by)),
            3 => (0usize..100, 0usize..101).prop_map(|(most, share)| Step::Run(most, share)),
        ], 0..40),
    ) {
        let mut world = World::new(in_the_middle);
        // Before the first run everything there is would be too old to be read.
        world.step(Step::Run(0, 0));
        for step in steps.into_iter().chain([Step::Run(usize::MAX, 100)]) {
            world.step(step);
        }
        let texts: Vec<_> = world.records.iter().map(|record| seen(record).0.to_owned()).collect();
        prop_assert_eq!(texts, (0..world.written).map(|n| format!("event {n}")).collect::<Vec<_>>());
        let ascend = |pair: &[SourceRecord]| (seen(&pair[0]).1, seen(&pair[0]).2) < (seen(&pair[1]).1, seen(&pair[1]).2);
        prop_assert!(world.records.windows(2).all(ascend), "positions ascend");
    }
}
