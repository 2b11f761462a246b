//! Fills a ledger: a state directory in which as many deliveries are on record as after weeks of work. Ids are the corpus's,
//! times are spread over the window in which deliveries are remembered.

use std::{path::Path, time::Duration};

use state::{Clock, CommitOptions, Durability, Ledger, Store, StoreOptions};
use tokio::time::Instant;

use super::{fault::BenchFault, stages::delivered};
use crate::traffic::corpus::Ids;

/// Entries in one commit.
const COMMIT: u64 = 512;
/// Loadline's default for how long deliveries are remembered.
const WINDOW_MS: u64 = 7 * 86_400_000;
/// How long ago each part of the entries was recorded: half a window apart, so that they are in three trees, as many as
/// a ledger usually has, and none is forgotten during the run.
const AGES_MS: [u64; 3] = [8 * 86_400_000, 8 * 86_400_000 - WINDOW_MS / 2, 8 * 86_400_000 - WINDOW_MS];
/// More than any run has, because nothing else is done meanwhile.
const CACHE: u64 = 1 << 30;

/// Records `entries` deliveries in the state directory `dir`, which is made, of the first events of the corpus, with ids
/// of this make; `say` is told how far it is.
pub(super) async fn fill(dir: &Path, entries: u64, ids: Ids, say: &dyn Fn(u64)) -> Result<(), BenchFault> {
    let mut from = 0;
    for (part, age) in (1..).zip(AGES_MS) {
        let to = entries * part / AGES_MS.len() as u64;
        record(dir, (from..to, ids), age, say).await?;
        from = to;
    }
    Ok(())
}

async fn record(
    dir: &Path,
    (numbers, ids): (std::ops::Range<u64>, Ids),
    age_ms: u64,
    say: &dyn Fn(u64),
) -> Result<(), BenchFault> {
    let then = Clock::System.now().saturating_sub(age_ms);
    let options = StoreOptions {
        durability: Durability::Process,
        dedupe_window: WINDOW_MS,
        cache: CACHE,
        clock: Clock::Simulated(then, Instant::now()),
    };
    let commits = CommitOptions { commit_max: 1, linger: Duration::ZERO, inbox_max: 16 };
    let (ledger, thread) = Ledger::start(Store::open(dir, options)?, commits)?;
    let mut from = numbers.start;
    while from < numbers.end {
        let to = (from + COMMIT).min(numbers.end);
        drop(ledger.record_all((from..to).map(|number| delivered(number, ids)).collect()).await?);
        from = to;
        say(from);
    }
    drop(ledger);
    Ok(tokio::task::spawn_blocking(|| thread.join()).await.map_err(|_| state::StateFault::Closed)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_entries_are_there_afterwards_and_none_has_expired() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 2_000, Ids::Random, &|_| {}).await.unwrap();
        let options = StoreOptions {
            durability: Durability::Process,
            dedupe_window: WINDOW_MS,
            cache: 8 << 20,
            clock: Clock::System,
        };
        let commits = CommitOptions { commit_max: 1, linger: Duration::ZERO, inbox_max: 16 };
        let (ledger, _thread) = Ledger::start(Store::open(dir.path(), options).unwrap(), commits).unwrap();
        assert_eq!(ledger.len(), 2_000);
    }
}
