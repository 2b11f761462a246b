//! The end of a simulation, when all receivers have been well for long enough: every entry has come to the end that it
//! had to come to, and nothing waits.

use stages::WhenFull;
use state::{Outcome, QUEUE_FULL, Store};

use super::disk::{OnDisk, outcome};
use crate::{
    log::Entry,
    violation::Promise,
    world::{Broken, World},
};

/// What good loads are owed that has neither been delivered nor become a dead letter, by broker and number.
pub(crate) fn owed(world: &World, store: &Store) -> Result<Vec<(usize, usize)>, Broken> {
    let (plan, on_disk) = (world.plan(), OnDisk::read(world.plan(), store)?);
    let state = world.state();
    let events = plan.log.entries().filter(|(_, entry)| matches!(entry, Entry::New { .. }));
    let each = events.flat_map(|(number, _)| (0..plan.brokers.len()).map(move |broker| (broker, number)));
    let owed = each.filter(|(broker, number)| {
        let is_good = !plan.brokers[*broker].bad_loads.contains_key(&plan.log.load(*number));
        let is_done =
            state.wire.has_taken(*broker, *number) || on_disk.letters.contains_key(&(Some(*broker), *number));
        state.wants(plan, *broker, *number) && is_good && !is_done
    });
    Ok(owed.collect())
}

/// Compares what is on record at the end with what had to come of the log.
pub(crate) fn at_rest(world: &World, store: &Store) -> Result<(), Broken> {
    let plan = world.plan();
    let on_disk = OnDisk::read(plan, store)?;
    if let Some((broker, number)) = on_disk.waiting.first() {
        return Err((Promise::NothingLost, format!("event {number} still waits for broker {broker}")));
    }
    for (number, entry) in plan.log.entries() {
        if let Entry::Garbage { .. } = entry {
            expect_letter(&on_disk, None, number, &["not-json"])?;
            continue;
        }
        for broker in world.wanting(number) {
            match entry {
                Entry::Conflict { .. } => {
                    expect_letter(&on_disk, Some(broker), number, &["conflict", QUEUE_FULL])?;
                }
                Entry::New { .. } => expect_end(world, store, &on_disk, (broker, number))?,
                Entry::Again { .. } | Entry::Garbage { .. } => {}
            }
        }
    }
    for ((broker, number), cause) in &on_disk.letters {
        if !may_be_given_up(world, (*broker, *number), cause) {
            let detail =
                format!("entry {number}, broker {broker:?}: a dead letter of {cause}, for no reason");
            return Err((Promise::NothingLost, detail));
        }
    }
    repeats_are_counted(world)
}

/// Whether the letter is there, with one of these causes.
fn expect_letter(
    on_disk: &OnDisk,
    broker: Option<usize>,
    number: usize,
    causes: &[&str],
) -> Result<(), Broken> {
    let found = on_disk.letters.get(&(broker, number));
    if found.is_some_and(|found| causes.contains(&found.as_str())) {
        return Ok(());
    }
    let detail = format!("entry {number}, broker {broker:?}: {found:?} instead of a letter of {causes:?}");
    Err((Promise::NothingLost, detail))
}

/// Whether the event was delivered, or is a dead letter.
fn expect_end(
    world: &World,
    store: &Store,
    on_disk: &OnDisk,
    (broker, number): (usize, usize),
) -> Result<(), Broken> {
    let taken = world.state().wire.has_taken(broker, number);
    let outcome = outcome(store, broker, number)?;
    let letter = on_disk.letters.get(&(Some(broker), number));
    // A crash may leave the letter of what was sent again.
    let may_be_left = world.state().wire.is_replayed(broker, number);
    match (outcome, letter) {
        (Some(Outcome::Delivered), None) if taken => Ok(()),
        (Some(Outcome::Delivered), Some(_)) if taken && may_be_left => Ok(()),
        (Some(Outcome::DeadLettered), Some(_)) => Ok(()),
        _ => {
            let detail = format!(
                "event {number} at broker {broker}: {outcome:?} on record, letter {letter:?}, taken: {taken}"
            );
            Err((Promise::NothingLost, detail))
        }
    }
}

/// Whether there was reason for a dead letter of this cause.
fn may_be_given_up(world: &World, (broker, number): (Option<usize>, usize), cause: &str) -> bool {
    let (plan, entry) = (world.plan(), world.plan().log.entry(number));
    let Some(broker) = broker else { return matches!(entry, Entry::Garbage { .. }) };
    let (receiver, is_new) = (&plan.brokers[broker], matches!(entry, Entry::New { .. }));
    let may_be_full = receiver.when_full == WhenFull::DeadLetter;
    match cause {
        "conflict" => matches!(entry, Entry::Conflict { .. }),
        // Of a copy, whatever becomes of the event is true as well.
        QUEUE_FULL => may_be_full && !matches!(entry, Entry::Again { .. }),
        "refused" => {
            let refuses = receiver.refuses_one_in.is_some_and(|of| (number as u64).is_multiple_of(of));
            // Where it is not known that it was sent before, a 409 refuses it.
            is_new && (refuses || (receiver.says_conflict && world.state().wire.forgot))
        }
        "broker-disabled" => receiver.gone_at.is_some() || !receiver.disabled.is_empty(),
        "attempts-exhausted" => {
            is_new && world.state().wire.tries(broker, number) >= u64::from(plan.tuning.retry.attempts_max)
        }
        _ => false,
    }
}

/// Each request that brought what its receiver had taken before was counted as one that may.
pub(crate) fn repeats_are_counted(world: &World) -> Result<(), Broken> {
    let state = world.state();
    for (broker, (repeats, counted)) in state.wire.repeats.iter().zip(&state.wire.counted).enumerate() {
        if repeats > counted && !state.wire.forgot {
            let detail = format!("broker {broker} was given {repeats} repeats, and {counted} were counted");
            return Err((Promise::RepeatsCounted, detail));
        }
    }
    Ok(())
}
