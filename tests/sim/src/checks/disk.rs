//! What a process finds at its start: all that the checkpoint has passed is on record, and what is on record is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use state::{LedgerKey, Outcome, StateFault, Store};

use crate::{
    log::{Entry, source_name},
    plan::Plan,
    violation::Promise,
    world::{Broken, World, state_fault},
};

/// What is on disk beside the ledger, by the entries' numbers.
pub(crate) struct OnDisk {
    /// Deliveries that wait, by broker.
    pub(crate) waiting: BTreeSet<(usize, usize)>,
    /// Dead letters with their causes, by broker; of no broker if the record is no event.
    pub(crate) letters: BTreeMap<(Option<usize>, usize), String>,
}

/// The name of a broker.
pub(crate) fn broker_id(broker: usize) -> Arc<str> {
    format!("b{broker}").into()
}

/// Which one has this name.
pub(crate) fn broker_number(id: &str) -> Option<usize> {
    id.strip_prefix('b')?.parse().ok()
}

impl OnDisk {
    pub(crate) fn read(plan: &Plan, store: &Store) -> Result<Self, Broken> {
        let number = |source: &str, offset: u64| {
            let partition = source.strip_prefix("log/").and_then(|at| at.parse().ok()).unwrap_or(usize::MAX);
            let unknown = || (Promise::OnRecord, format!("{source}@{offset} is on disk and not in the log"));
            plan.log.at(partition, offset).ok_or_else(unknown)
        };
        let mut on_disk = Self { waiting: BTreeSet::new(), letters: BTreeMap::new() };
        for broker in 0..plan.brokers.len() {
            for spilled in store.spill().each(broker_id(broker), 0..u64::MAX) {
                let position = spilled.map_err(|fault| state_fault(&fault))?.event.position;
                on_disk.waiting.insert((broker, number(&position.source, position.offset)?));
            }
        }
        let ids: BTreeMap<_, _> = (0..plan.brokers.len()).map(|broker| (broker_id(broker), broker)).collect();
        let mut places = BTreeSet::new();
        for letter in store.dead_letters().iter() {
            let letter = letter.map_err(|fault| state_fault(&fault))?;
            let broker = letter.broker.map(|id| ids.get(&id).copied().unwrap_or(usize::MAX));
            let number = number(&letter.position.source, letter.position.offset)?;
            if !places.insert((broker, number)) {
                let detail = format!("entry {number} has two dead letters for broker {broker:?}");
                return Err((Promise::NothingLost, detail));
            }
            // Of an event whose letter was sent again, a copy may have become the next one.
            let number = match plan.log.entry(number) {
                Entry::Again { of } => of,
                _ => number,
            };
            on_disk.letters.insert((broker, number), letter.cause);
        }
        Ok(on_disk)
    }

    /// Whether one that its producer sent again waits.
    fn has_copy(&self, plan: &Plan, broker: usize, number: usize) -> bool {
        let mut waiting = self.waiting.range((broker, 0)..(broker + 1, 0));
        waiting.any(|(_, waits)| plan.log.original(*waits) == number)
    }
}

/// What the ledger says of an event at a broker.
pub(crate) fn outcome(store: &Store, broker: usize, number: usize) -> Result<Option<Outcome>, Broken> {
    let key = LedgerKey::new(&broker_id(broker), &format!("e{number}"));
    let entry = store.look_up(&key).map_err(|fault: StateFault| state_fault(&fault))?;
    Ok(entry.map(|entry| entry.outcome))
}

/// Compares what a process finds at its start with what receivers have seen.
pub(crate) fn at_start(world: &World, store: &Store) -> Result<(), Broken> {
    let plan = world.plan();
    let on_disk = OnDisk::read(plan, store)?;
    let mut passed = Vec::new();
    for partition in 0..plan.log.partitions() {
        let checkpoint = store.sources().checkpoint(&source_name(partition));
        passed
            .push(checkpoint.map_err(|fault| state_fault(&fault))?.map_or(0, |checkpoint| checkpoint.offset));
    }
    for (number, entry) in plan.log.entries() {
        let (partition, offset) = plan.log.place(number);
        let is_passed = offset < passed[partition];
        if let Entry::Garbage { .. } = entry {
            if is_passed && !on_disk.letters.contains_key(&(None, number)) {
                return Err(lost(number, "it is no event and no dead letter"));
            }
            continue;
        }
        for broker in world.wanting(number) {
            let settled = settled(world, store, &on_disk, (broker, number, entry))?;
            if is_passed && let Err(how) = settled {
                return Err(lost(number, &format!("at broker {broker}, {how}")));
            }
        }
    }
    Ok(())
}

/// Whether an entry's way has ended for a broker, or goes on from disk; or what is on record instead.
fn settled(
    world: &World,
    store: &Store,
    on_disk: &OnDisk,
    (broker, number, entry): (usize, usize, Entry),
) -> Result<Result<(), String>, Broken> {
    let waits = on_disk.waiting.contains(&(broker, number));
    let letter = on_disk.letters.get(&(Some(broker), number));
    match entry {
        Entry::Garbage { .. } => return Ok(Ok(())),
        // What has become of the first one stands for it.
        Entry::Again { of } => {
            let first = outcome(store, broker, of)?;
            return Ok(if first.is_some() || waits {
                Ok(())
            } else {
                Err("nothing is known of the first".into())
            });
        }
        Entry::Conflict { .. } => {
            return Ok(if waits || letter.is_some() { Ok(()) } else { Err("it has no dead letter".into()) });
        }
        Entry::New { .. } => {}
    }
    Ok(match outcome(store, broker, number)? {
        Some(Outcome::Delivered) => {
            let mut state = world.state();
            if !state.wire.has_taken(broker, number) {
                let detail =
                    format!("event {number} is on record as delivered, and broker {broker} never took it");
                return Err((Promise::OnRecord, detail));
            }
            state.wire.is_recorded(broker, number);
            Ok(())
        }
        Some(Outcome::Spilled) if waits => Ok(()),
        // A copy has become its letter, and was sent again.
        Some(Outcome::Spilled)
            if world.state().wire.is_replayed(broker, number)
                && on_disk.has_copy(world.plan(), broker, number) =>
        {
            Ok(())
        }
        Some(Outcome::DeadLettered) if letter.is_some() => Ok(()),
        found => Err(format!("the ledger says {found:?}, waiting: {waits}, letter: {letter:?}")),
    })
}

fn lost(number: usize, how: &str) -> Broken {
    (Promise::OnRecord, format!("the checkpoint has passed entry {number}, and {how}"))
}
