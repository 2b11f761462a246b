//! What can be recorded, and the order in which the parts of a record are written, so that a crash between them loses
//! nothing.

use std::sync::Arc;

use crate::{
    brokers::{self, Disabled, Paused},
    checkpoint::{Checkpoint, Horizon},
    clock::UnixMillis,
    dead_letter::DeadLetter,
    dead_letters,
    event::BodyDigest,
    fault::StateFault,
    following::Changes,
    intake_log::{self, IntakePost},
    outcome::{LedgerEntry, LedgerKey, Outcome},
    overtaken::Newer,
    partition_log::PartitionChange,
    partition_transfer::{forget, merge},
    position::Position,
    source_files::FileRecord,
    sources, spill,
    spilled::{SpillRef, SpillSeq, SpilledDelivery},
    store::Store,
    trees::{BROKERS, DEAD, SOURCES, SPILL},
};

/// Where a delivery comes from, for the log that its partition's state follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its broker.
    pub broker: Arc<str>,
    /// Its event.
    pub event_id: Arc<str>,
    /// Where its record stood.
    pub position: Position,
    /// Whether the log says that it waits.
    pub waits: bool,
}

/// Something to record.
#[derive(Clone, Debug)]
pub enum Record {
    /// A broker took an event.
    Delivered {
        /// Which event, at which broker.
        key: LedgerKey,
        /// The digest of what was delivered.
        digest: BodyDigest,
        /// How many attempts failed before it.
        failed_attempts: u32,
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// A record or a delivery became a dead letter.
    DeadLettered {
        /// The letter.
        letter: Box<DeadLetter>,
        /// Its ledger entry; none if the entry keeps another outcome, or the record never became an event.
        key: Option<(LedgerKey, BodyDigest)>,
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// A delivery is written to disk, or replaced there.
    Spilled(Box<SpilledDelivery>),
    /// A dead letter is turned into a delivery on disk, to be sent again.
    Replayed {
        /// The delivery, with a number above all that its broker has on disk.
        delivery: Box<SpilledDelivery>,
        /// Its letter, which is removed; none if the letter stands for further deliveries.
        letter: Option<Box<DeadLetter>>,
    },
    /// A broker took an event of a load that may have dead letters.
    Passed {
        /// The load.
        load: Arc<str>,
        /// The broker.
        broker: Arc<str>,
        /// The event.
        newer: Box<Newer>,
    },
    /// A dead letter is removed, because nothing is left to do or an operator said so. One that has changed stays.
    LetterRemoved(Box<DeadLetter>),
    /// All dead letters up to this place in their order have been published.
    LettersPublished(u64),
    /// The outcome itself needs no entry: a duplicate, or an event without a subscribed broker.
    Noop {
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// The end of a delivery of a partition whose state goes to a log, too.
    OfPartition(Origin, Box<Self>),
    /// A ledger entry was restored from that log, by the wall clock.
    Restored(LedgerKey, LedgerEntry),
    /// A delivery on disk is somebody else's now.
    Dropped(SpillRef, LedgerKey),
    /// A delivery on disk, if it is there still, is one whose partition's state goes to that log from now on.
    Adopted(SpillRef),
    /// All that waits of a source is in that log, and what is found of it by the next run is out of date.
    Followed(Arc<str>),
    /// A source may have been sent up to here by someone else.
    Doubt(Arc<str>, Horizon),
    /// A producer's post is accepted.
    Accepted(IntakePost),
    /// A source is settled up to here.
    Checkpoint(Arc<str>, Checkpoint),
    /// A change to a source's files.
    File(Arc<str>, FileRecord),
    /// A source may be read up to here (horizon); none after a clean end.
    Horizon(Arc<str>, Option<Horizon>),
    /// A run has passed the doubt of a source.
    DoubtPassed(Arc<str>),
    /// A broker's spill may be sent up to this number (drain horizon); zero after a clean end.
    DrainHorizon(Arc<str>, SpillSeq),
    /// A delivery may have been sent, and is forgotten without an outcome: see [`Ledger::forget`](crate::Ledger::forget).
    Forgotten(LedgerKey),
    /// A broker is disabled or enabled.
    Disabled(Arc<str>, Option<Disabled>),
    /// A broker is paused or resumed.
    Paused(Arc<str>, Option<Paused>),
}

impl Record {
    /// Adds every key that [`write`](Self::write) may change in a tree with digests, with the tree's number.
    pub(crate) fn touches(&self, touched: &mut Vec<(u8, Vec<u8>)>) {
        let waiting = |spilled: &Option<SpillRef>| {
            spilled.as_ref().map(|(broker, seq)| (SPILL, spill::key(broker, *seq)))
        };
        match self {
            Self::Delivered { spilled, .. } | Self::Noop { spilled } => touched.extend(waiting(spilled)),
            Self::DeadLettered { letter, spilled, .. } => {
                touched.push((DEAD, dead_letters::key_of(letter)));
                touched.extend(waiting(spilled));
            }
            Self::Spilled(delivery) => touched.push((SPILL, spill::key(&delivery.broker, delivery.seq))),
            Self::Replayed { delivery, letter } => {
                touched.push((SPILL, spill::key(&delivery.broker, delivery.seq)));
                touched.extend(letter.as_ref().map(|letter| (DEAD, dead_letters::key_of(letter))));
            }
            Self::LetterRemoved(letter) => touched.push((DEAD, dead_letters::key_of(letter))),
            Self::Checkpoint(source, _) => touched.push((SOURCES, sources::key(b'c', source))),
            Self::Horizon(source, _) => touched.push((SOURCES, sources::key(b'h', source))),
            Self::DoubtPassed(source) => touched.push((SOURCES, sources::key(b'u', source))),
            Self::File(source, file) => touched.push((SOURCES, sources::file_key(source, file))),
            Self::DrainHorizon(broker, _) => touched.push((BROKERS, brokers::key(b'h', broker))),
            Self::Disabled(broker, _) => touched.push((BROKERS, brokers::key(b'd', broker))),
            Self::Paused(broker, _) => touched.push((BROKERS, brokers::key(b'p', broker))),
            Self::OfPartition(_, record) => record.touches(touched),
            Self::Dropped((broker, seq), _) => touched.push((SPILL, spill::key(broker, *seq))),
            Self::Followed(source) => touched.push((SOURCES, sources::key(b'o', source))),
            Self::Doubt(source, _) => touched.push((SOURCES, sources::key(b'u', source))),
            Self::LettersPublished(_)
            | Self::Accepted(_)
            | Self::Restored(..)
            | Self::Adopted(_)
            | Self::Forgotten(_)
            | Self::Passed { .. } => {}
        }
    }

    /// Writes the record's parts. A spilled value, which makes a delivery reappear, is written before the ledger
    /// entry, which keeps the event from being delivered again, and removed only after its replacement is written. What a
    /// log outside must know of it is added to `changes`.
    pub(crate) fn write(
        &self,
        store: &Store,
        now: UnixMillis,
        changes: &mut Changes,
    ) -> Result<(), StateFault> {
        match self {
            Self::OfPartition(origin, record) => {
                record.write(store, now, changes)?;
                let source = &origin.position.source;
                match record.outcome(now) {
                    Some((key, entry)) => changes.outcome(source, key, entry),
                    // It ends by what is known of its event here, of which the log may not know: a crash comes between
                    // this directory and the log.
                    None => known(store, source, &LedgerKey::new(&origin.broker, &origin.event_id), changes)?,
                }
                // After the outcome: until then the log must say that it waits.
                if origin.waits {
                    changes.done(&origin.broker, &origin.position);
                }
                Ok(())
            }
            Self::Restored(key, entry) => merge(store, key.as_bytes(), *entry, now),
            Self::Dropped(spilled, key) => {
                forget(store, key)?;
                unspill(store, Some(spilled))
            }
            Self::Adopted(spilled) => adopt(store, spilled, changes),
            Self::Followed(source) => store.sources.put_followed(source, true),
            Self::Doubt(source, doubt) => {
                store.sources.put_doubt(source, store.sources.doubt(source)?.max(Some(*doubt)).as_ref())
            }
            Self::Delivered { key, spilled, .. } => {
                self.put_outcome(store, now)?;
                store.unresolved.settle(key)?;
                unspill(store, spilled.as_ref())
            }
            Self::DeadLettered { letter, key, spilled } => {
                put_letter(store, letter)?;
                if let Some((key, _)) = key {
                    self.put_outcome(store, now)?;
                    store.unresolved.settle(key)?;
                }
                unspill(store, spilled.as_ref())
            }
            Self::Spilled(delivery) => {
                store.spill.put(delivery)?;
                changes.waiting(delivery);
                let key = LedgerKey::new(&delivery.broker, &delivery.event.event_id);
                // An existing entry stays: the delivery is compared with it when its turn comes, as a duplicate or a
                // conflict.
                if store.buckets.get(key.as_bytes())?.is_some() {
                    return known(store, &delivery.event.position.source, &key, changes);
                }
                let entry = spilled_entry(delivery, now);
                changes.outcome(&delivery.event.position.source, &key, entry);
                store.buckets.insert(key.as_bytes(), &entry.to_bytes()?)
            }
            Self::Replayed { delivery, letter } => {
                store.spill.put(delivery)?;
                changes.waiting(delivery);
                let SpilledDelivery { broker, event, .. } = &**delivery;
                let key = LedgerKey::new(broker, &event.event_id);
                // An entry that is delivered, or has another body, stays: the delivery is compared with it when its
                // turn comes.
                if is_open(store, &key, event.digest)? {
                    let entry = spilled_entry(delivery, now);
                    changes.outcome(&event.position.source, &key, entry);
                    store.buckets.insert(key.as_bytes(), &entry.to_bytes()?)?;
                }
                letter.as_ref().map_or(Ok(()), |letter| remove_letter(store, letter))
            }
            Self::Passed { load, broker, newer } => store.overtaken.pass(load, broker, newer),
            Self::LetterRemoved(letter) => remove_letter(store, letter),
            Self::LettersPublished(to) => store.dead.publish(*to),
            Self::Noop { spilled } => unspill(store, spilled.as_ref()),
            Self::Accepted(post) => store.intake.write(&store.db, post),
            Self::Checkpoint(source, checkpoint) => {
                store.sources.put_checkpoint(source, checkpoint)?;
                if source.as_ref() == intake_log::SOURCE { store.intake.settle(checkpoint) } else { Ok(()) }
            }
            Self::File(source, file) => store.sources.put_file(source, file),
            Self::Horizon(source, horizon) => {
                changes.other(source, PartitionChange::Horizon(*horizon));
                store.sources.put_horizon(source, horizon.as_ref())
            }
            Self::DoubtPassed(source) => store.sources.put_doubt(source, None),
            Self::DrainHorizon(broker, seq) => store.brokers.put_drain_horizon(broker, *seq),
            Self::Forgotten(key) => store.unresolved.write(key, now),
            Self::Disabled(broker, disabled) => store.brokers.put_disabled(broker, disabled.as_ref()),
            Self::Paused(broker, paused) => store.brokers.put_paused(broker, paused.as_ref()),
        }
    }

    /// The dead letter that it makes.
    pub(crate) fn letter(&self) -> Option<&DeadLetter> {
        match self {
            Self::DeadLettered { letter, .. } => Some(letter),
            Self::OfPartition(_, record) => record.letter(),
            _ => None,
        }
    }

    /// The ledger entry that this record is about, if it ends a delivery with one.
    fn outcome(&self, at: UnixMillis) -> Option<(&LedgerKey, LedgerEntry)> {
        match self {
            Self::Delivered { key, digest, failed_attempts, .. } => {
                let (outcome, failed_attempts) = (Outcome::Delivered, *failed_attempts);
                Some((key, LedgerEntry { outcome, digest: *digest, failed_attempts, at }))
            }
            Self::DeadLettered { letter, key: Some((key, digest)), .. } => {
                let (outcome, failed_attempts) = (Outcome::DeadLettered, letter.history.attempts);
                Some((key, LedgerEntry { outcome, digest: *digest, failed_attempts, at }))
            }
            _ => None,
        }
    }

    fn put_outcome(&self, store: &Store, at: UnixMillis) -> Result<(), StateFault> {
        let Some((key, entry)) = self.outcome(at) else { return Ok(()) };
        store.buckets.insert(key.as_bytes(), &entry.to_bytes()?)
    }
}

impl Store {
    /// Writes `records`, in this order, and returns once they are durable. For tools, while no line runs.
    ///
    /// # Errors
    /// A fault of the store; then some of them may be written.
    pub fn put_all(&self, records: &[Record]) -> Result<(), StateFault> {
        let touched = self.touched(records.iter())?;
        self.commit_of(touched, |now| {
            let mut nowhere = Changes::default();
            records.iter().try_for_each(|record| record.write(self, now, &mut nowhere))
        })
    }
}

/// The entry that says that a delivery waits.
pub(crate) fn spilled_entry(delivery: &SpilledDelivery, at: UnixMillis) -> LedgerEntry {
    let (digest, failed_attempts) = (delivery.event.digest, delivery.history.attempts);
    LedgerEntry { outcome: Outcome::Spilled, digest, failed_attempts, at }
}

/// Tells the log of a partition what has become of an event, if that is known here.
fn known(store: &Store, source: &Arc<str>, key: &LedgerKey, changes: &mut Changes) -> Result<(), StateFault> {
    if !changes.are_of(source) {
        return Ok(());
    }
    let entry = store.look_up(key)?.filter(|entry| entry.outcome != Outcome::Spilled);
    if let Some(entry) = entry {
        changes.outcome(source, key, entry);
    }
    Ok(())
}

/// Tells the log of a delivery that waits here since before its partition's state went there.
fn adopt(store: &Store, (broker, seq): &SpillRef, changes: &mut Changes) -> Result<(), StateFault> {
    // It may have been sent meanwhile.
    let Some(mut delivery) = store.spill.read(broker, *seq..*seq + 1, 1)?.pop() else { return Ok(()) };
    // The doubt stays here.
    delivery.may_repeat |= *seq < store.brokers.doubt(broker)?;
    changes.waiting(&delivery);
    let key = LedgerKey::new(broker, &delivery.event.event_id);
    let entry = store.look_up(&key)?.filter(|entry| entry.outcome == Outcome::Spilled);
    if let Some(entry) = entry {
        changes.outcome(&delivery.event.position.source, &key, entry);
    }
    Ok(())
}

/// The load's row first: without its letter it costs a look-up, and a letter without it is passed unseen.
fn put_letter(store: &Store, letter: &DeadLetter) -> Result<(), StateFault> {
    store.overtaken.put(letter)?;
    match store.dead.put(letter)? {
        Some(replaced) if replaced.load_id != letter.load_id => store.overtaken.remove(&replaced),
        _ => Ok(()),
    }
}

/// Removes a letter and its load's row, unless another has replaced it.
pub(crate) fn remove_letter(store: &Store, letter: &DeadLetter) -> Result<(), StateFault> {
    if store.dead.remove(letter)? { store.overtaken.remove(letter) } else { Ok(()) }
}

/// Whether the event may be sent: it has no entry, or is a dead letter.
fn is_open(store: &Store, key: &LedgerKey, digest: BodyDigest) -> Result<bool, StateFault> {
    let Some(value) = store.buckets.get(key.as_bytes())? else { return Ok(true) };
    let entry = LedgerEntry::from_bytes(&value)?;
    Ok(entry.outcome == Outcome::DeadLettered && entry.digest == digest)
}

fn unspill(store: &Store, spilled: Option<&SpillRef>) -> Result<(), StateFault> {
    spilled.map_or(Ok(()), |(broker, seq)| store.spill.remove(broker, *seq))
}
