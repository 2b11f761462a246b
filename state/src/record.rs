//! What can be put on record, and in which order its parts are written so that a crash between them loses nothing.

use std::sync::Arc;

use crate::{
    account::{BROKERS, DEAD, SOURCES, SPILL},
    brokers::{self, Disabled, Paused},
    checkpoint::{Checkpoint, Horizon},
    clock::UnixMillis,
    dead::DeadLetter,
    dead_letters,
    event::BodyDigest,
    fault::StateFault,
    files::FileRecord,
    intake::EmbeddedLog,
    intake_log::IntakePost,
    outcome::{LedgerEntry, LedgerKey, Outcome},
    sources, spill,
    spilled::{SpillSeq, SpilledDelivery},
    store::Store,
};

/// A spilled delivery's name: whose it is, and its number.
pub type SpillRef = (Arc<str>, SpillSeq);

/// Something to remember.
#[derive(Clone, Debug)]
pub enum Record {
    /// A broker took an event.
    Delivered {
        /// Which event, at which broker.
        key: LedgerKey,
        /// The digest of what was delivered.
        digest: BodyDigest,
        /// How many attempts failed before.
        failed_attempts: u32,
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// A record or a delivery became a dead letter.
    DeadLettered {
        /// The letter.
        letter: Box<DeadLetter>,
        /// The ledger entry it stands for; none if another outcome keeps that entry, or it never became an event.
        key: Option<(LedgerKey, BodyDigest)>,
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// A delivery goes to disk, or changes there.
    Spilled(Box<SpilledDelivery>),
    /// A delivery comes back from a dead letter and goes to disk, to be sent again.
    Replayed {
        /// The delivery, with a number above all that its broker has on disk.
        delivery: Box<SpilledDelivery>,
        /// The letter it stood for, which goes; none if the letter stands for other deliveries too.
        letter: Option<Box<DeadLetter>>,
    },
    /// A dead letter goes: nothing is left to do about it, or an operator said so. One that has changed stays.
    LetterRemoved(Box<DeadLetter>),
    /// All dead letters up to this place in the order of their recording have been published.
    LettersPublished(u64),
    /// Nothing has to be remembered of the outcome itself: a duplicate, or an event no broker wants.
    Noted {
        /// The spilled delivery this ends, if it was one.
        spilled: Option<SpillRef>,
    },
    /// A producer's post is accepted.
    Accepted(IntakePost),
    /// A source has been settled up to here.
    Checkpoint(Arc<str>, Checkpoint),
    /// Something of a source's files.
    File(Arc<str>, FileRecord),
    /// A source is going to be read up to here; none when a run ends in good order.
    Horizon(Arc<str>, Option<Horizon>),
    /// A run has got past the place up to which an earlier one may have sent a source.
    Past(Arc<str>),
    /// A broker's spill is going to be sent up to this number; zero when a run ends in good order.
    DrainHorizon(Arc<str>, SpillSeq),
    /// A broker gets nothing any more, or again.
    Disabled(Arc<str>, Option<Disabled>),
    /// A broker is sent nothing for now, or again.
    Paused(Arc<str>, Option<Paused>),
}

impl Record {
    /// Names every key that [`write`](Self::write) may change in a tree that is accounted for, by the tree's number.
    pub(crate) fn touches(&self, touched: &mut Vec<(u8, Vec<u8>)>) {
        let waiting = |spilled: &Option<SpillRef>| {
            spilled.as_ref().map(|(broker, seq)| (SPILL, spill::key(broker, *seq)))
        };
        match self {
            Self::Delivered { spilled, .. } | Self::Noted { spilled } => touched.extend(waiting(spilled)),
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
            Self::Past(source) => touched.push((SOURCES, sources::key(b'u', source))),
            Self::File(source, file) => touched.push((SOURCES, sources::file_key(source, file))),
            Self::DrainHorizon(broker, _) => touched.push((BROKERS, brokers::key(b'h', broker))),
            Self::Disabled(broker, _) => touched.push((BROKERS, brokers::key(b'd', broker))),
            Self::Paused(broker, _) => touched.push((BROKERS, brokers::key(b'p', broker))),
            Self::LettersPublished(_) | Self::Accepted(_) => {}
        }
    }

    /// Writes the record's parts. What makes a delivery reappear (a spilled value) is written before what makes it
    /// look taken care of (a ledger entry), and removed only after what replaces it is written.
    pub(crate) fn write(&self, store: &Store, now: UnixMillis) -> Result<(), StateFault> {
        match self {
            Self::Delivered { key, digest, failed_attempts, spilled } => {
                put_entry(store, key, Outcome::Delivered, *digest, *failed_attempts, now)?;
                store.unresolved.settle(key)?;
                unspill(store, spilled.as_ref())
            }
            Self::DeadLettered { letter, key, spilled } => {
                store.dead.put(letter)?;
                if let Some((key, digest)) = key {
                    put_entry(store, key, Outcome::DeadLettered, *digest, letter.history.attempts, now)?;
                    store.unresolved.settle(key)?;
                }
                unspill(store, spilled.as_ref())
            }
            Self::Spilled(delivery) => {
                store.spill.put(delivery)?;
                let key = LedgerKey::new(&delivery.broker, &delivery.event.event_id);
                // What is on record already stands: a duplicate or a conflict is told from it when its turn comes.
                if store.buckets.get(key.as_bytes())?.is_some() {
                    return Ok(());
                }
                put_entry(
                    store,
                    &key,
                    Outcome::Spilled,
                    delivery.event.digest,
                    delivery.history.attempts,
                    now,
                )
            }
            Self::Replayed { delivery, letter } => {
                store.spill.put(delivery)?;
                let SpilledDelivery { broker, event, history, .. } = &**delivery;
                let key = LedgerKey::new(broker, &event.event_id);
                // What was delivered, or under another body, stands: it is told from it when its turn comes.
                if is_open(store, &key, event.digest)? {
                    put_entry(store, &key, Outcome::Spilled, event.digest, history.attempts, now)?;
                }
                letter.as_ref().map_or(Ok(()), |letter| store.dead.remove(letter))
            }
            Self::LetterRemoved(letter) => store.dead.remove(letter),
            Self::LettersPublished(to) => store.dead.publish(*to),
            Self::Noted { spilled } => unspill(store, spilled.as_ref()),
            Self::Accepted(post) => store.intake.write(&store.db, post),
            Self::Checkpoint(source, checkpoint) => {
                store.sources.put_checkpoint(source, checkpoint)?;
                if source.as_ref() == EmbeddedLog::SOURCE { store.intake.settle(checkpoint) } else { Ok(()) }
            }
            Self::File(source, file) => store.sources.put_file(source, file),
            Self::Horizon(source, horizon) => store.sources.put_horizon(source, horizon.as_ref()),
            Self::Past(source) => store.sources.put_doubt(source, None),
            Self::DrainHorizon(broker, seq) => store.brokers.put_drain_horizon(broker, *seq),
            Self::Disabled(broker, disabled) => store.brokers.put_disabled(broker, disabled.as_ref()),
            Self::Paused(broker, paused) => store.brokers.put_paused(broker, paused.as_ref()),
        }
    }
}

fn put_entry(
    store: &Store,
    key: &LedgerKey,
    outcome: Outcome,
    digest: BodyDigest,
    failed_attempts: u32,
    at: UnixMillis,
) -> Result<(), StateFault> {
    let entry = LedgerEntry { outcome, digest, failed_attempts, at };
    store.buckets.insert(key.as_bytes(), &entry.to_bytes()?)
}

/// Whether the event may be sent: nothing is on record of it, or its dead letter.
fn is_open(store: &Store, key: &LedgerKey, digest: BodyDigest) -> Result<bool, StateFault> {
    let Some(value) = store.buckets.get(key.as_bytes())? else { return Ok(true) };
    let entry = LedgerEntry::from_bytes(&value)?;
    Ok(entry.outcome == Outcome::DeadLettered && entry.digest == digest)
}

fn unspill(store: &Store, spilled: Option<&SpillRef>) -> Result<(), StateFault> {
    spilled.map_or(Ok(()), |(broker, seq)| store.spill.remove(broker, *seq))
}
