//! Imports a source from a file: this directory then owns it, at the place where it was, with the deliveries that
//! waited for it.
//!
//! The durable steps: (1) the whole file is read and validated, and nothing has changed yet; (2) a mark that the
//! source is being imported, and the numbers its deliveries will have; (3) deliveries and ledger entries; (4) in one
//! commit, the checkpoint and the doubt are written and the mark is removed. After an interruption before (4) the
//! source is not read here until the import is repeated, and the deliveries of (3) are removed when the directory is
//! opened.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc};

use super::{
    PartitionTransfer, TransferFault,
    file::{Frame, Header, Reader},
    merge::merge,
    recover::{COMMIT_MAX, recover},
    validate,
};
use crate::{
    outcome::LedgerKey,
    ownership::{Owner, Ownership},
    spill::SpillUsage,
    spilled::SpillSeq,
    store::Store,
    text::Word,
};

/// What may be imported.
#[derive(Clone)]
pub struct ImportRules<'a> {
    /// The prefix of the config's source names.
    pub sources: &'a str,
    /// Whether the config has a source of this name, and a checkpoint with this mark belongs to it.
    pub is_source: &'a dyn Fn(&str, &[u8]) -> bool,
    /// The brokers that the config names.
    pub brokers: &'a [String],
    /// The most bytes that may wait on disk for one broker.
    pub spill_broker_max: u64,
    /// The most bytes that may wait on disk for all.
    pub spill_total_max: u64,
}

impl fmt::Debug for ImportRules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportRules").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// Number and bytes of each broker's deliveries in the file.
type Incoming = BTreeMap<Arc<str>, SpillUsage>;
/// The numbers assigned to each broker's deliveries.
type Numbers = BTreeMap<Arc<str>, Range<SpillSeq>>;

impl Store {
    /// Imports the source in `file`.
    ///
    /// Deliveries go behind those that wait for their brokers, in their order. Ledger entries keep their time; of two
    /// entries the later one stays, and a delivered one always does.
    ///
    /// # Errors
    /// [`TransferFault`]; nothing has changed, unless the state directory failed or the file has changed meanwhile: then the
    /// source is not read here until it is imported again.
    pub fn import(&self, file: &Path, rules: &ImportRules<'_>) -> Result<PartitionTransfer, TransferFault> {
        let (reader, header, incoming) = self.validate(file, rules)?;
        let queued = self.reserve_numbers(file, &header, &incoming)?;
        let handed_over = self.take_in(reader, &header, queued);
        if handed_over.is_err()
            && let Err(fault) = recover(self)
        {
            // It is done at the next open.
            tracing::warn!(%fault, "what an interrupted import has written is not removed yet");
        }
        let handed_over = handed_over?;
        self.activate(&header)?;
        Ok(handed_over)
    }

    /// Step 1.
    pub(super) fn validate(
        &self,
        file: &Path,
        rules: &ImportRules<'_>,
    ) -> Result<(Reader, Header, Incoming), TransferFault> {
        let (mut reader, header) = Reader::open(file)?;
        let unfit = |detail: String| TransferFault::Unfit { path: file.to_owned(), detail };
        let (mut incoming, mut wrong) =
            (Incoming::new(), validate::header(&header, self.options.clock.now()).err());
        while let Some(frame) = reader.next()? {
            if let Frame::Entry(kept) = &frame {
                wrong = wrong.or_else(|| validate::entry(kept, &header).err());
            }
            if let Frame::Delivery(moved) = frame {
                let delivery = self.spill.decode(&moved.broker, 0, &moved.value);
                let delivery = delivery.map_err(|fault| reader.unreadable(fault))?;
                wrong = wrong.or_else(|| validate::delivery(&delivery, moved.entry.as_ref(), &header).err());
                let usage = incoming.entry(moved.broker).or_default();
                usage.deliveries += 1;
                usage.bytes += moved.value.len() as u64;
            }
        }
        if !header.source.starts_with(rules.sources) {
            return Err(TransferFault::OtherSource {
                path: file.to_owned(),
                source_name: header.source.to_string(),
                expected: rules.sources.to_owned(),
            });
        }
        let known = (rules.is_source)(&header.source, &header.checkpoint.mark);
        let foreign = || format!("its checkpoint is none of {}", Word(&header.source));
        if let Some(detail) = wrong.or_else(|| (!known).then(foreign)) {
            // Checked last, so that damage is reported first.
            return Err(unfit(detail));
        }
        self.validate_move(file, &header)?;
        self.validate_brokers(&header, &incoming, rules)?;
        self.validate_room(&incoming, rules)?;
        Ok((reader, header, incoming))
    }

    fn validate_move(&self, file: &Path, header: &Header) -> Result<(), TransferFault> {
        let source_name = || header.source.to_string();
        let ownership = self.sources.ownership(&header.source)?;
        if header.generation < Ownership::least(ownership.as_ref()) {
            return Err(TransferFault::Superseded {
                path: file.to_owned(),
                source_name: source_name(),
                found: header.generation,
                known: ownership.map_or(0, |ownership| ownership.generation),
            });
        }
        match self.sources.checkpoint(&header.source)? {
            None => Ok(()),
            Some(checkpoint) => {
                Err(TransferFault::Occupied { source_name: source_name(), offset: checkpoint.offset })
            }
        }
    }

    /// Every broker in the file must be in the config, unless the file takes back what was exported from here.
    fn validate_brokers(
        &self,
        header: &Header,
        incoming: &Incoming,
        rules: &ImportRules<'_>,
    ) -> Result<(), TransferFault> {
        let ownership = self.sources.ownership(&header.source)?;
        if ownership.is_some_and(|ownership| ownership.generation == header.generation) {
            return Ok(());
        }
        let known = |broker: &str| rules.brokers.iter().any(|known| known == broker);
        match incoming.iter().find(|(broker, _)| !known(broker)) {
            None => Ok(()),
            Some((broker, usage)) => {
                Err(TransferFault::UnknownBroker { broker: broker.clone(), deliveries: usage.deliveries })
            }
        }
    }

    fn validate_room(&self, incoming: &Incoming, rules: &ImportRules<'_>) -> Result<(), TransferFault> {
        let here = self.spill.usage()?;
        for (broker, usage) in incoming {
            let used = here.get(broker).map_or(0, |usage| usage.bytes);
            let (more, max) = (usage.bytes, rules.spill_broker_max);
            if used + more > max {
                return Err(TransferFault::NoRoom { broker: broker.clone(), used, more, max });
            }
        }
        let used: u64 = here.values().map(|usage| usage.bytes).sum();
        let more: u64 = incoming.values().map(|usage| usage.bytes).sum();
        let max = rules.spill_total_max;
        if more > 0 && used + more > max {
            return Err(TransferFault::NoRoomAtAll { used, more, max });
        }
        Ok(())
    }

    /// Step 2. Returns the numbers of each broker's deliveries.
    pub(super) fn reserve_numbers(
        &self,
        file: &Path,
        header: &Header,
        incoming: &Incoming,
    ) -> Result<Numbers, TransferFault> {
        let mut numbers = Numbers::new();
        for (broker, usage) in incoming {
            // Above what an earlier run may have sent, so that no imported delivery counts as possibly sent.
            let first = self.spill.usage_of(broker)?.next_seq.max(self.brokers.drain_horizon(broker)?);
            let first = first.max(self.brokers.doubt(broker)?);
            numbers.insert(broker.clone(), first..first + usage.deliveries);
        }
        let known = self.sources.ownership(&header.source)?;
        let queued = numbers.iter().map(|(broker, numbers)| (broker.clone(), numbers.start, numbers.end));
        let owner = Owner::Importing {
            since: self.options.clock.now(),
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string(),
            least: Ownership::least(known.as_ref()),
            queued: queued.collect(),
        };
        let generation = known.map_or(0, |known| known.generation);
        self.commit(|_now| self.sources.put_ownership(&header.source, &Ownership { generation, owner }))?;
        Ok(numbers)
    }

    /// Step 3.
    pub(super) fn take_in(
        &self,
        reader: Reader,
        header: &Header,
        mut numbers: Numbers,
    ) -> Result<PartitionTransfer, TransferFault> {
        let judged = reader.checksum();
        let (mut reader, again) = reader.again()?;
        let changed = |reader: &Reader| TransferFault::Changed {
            path: reader.path().to_owned(),
            source_name: header.source.to_string(),
        };
        if again != *header {
            return Err(changed(&reader));
        }
        let mut ended = false;
        while !ended {
            self.commit(|now| {
                for _ in 0..COMMIT_MAX {
                    match reader.next().map_err(|_fault| changed(&reader))? {
                        None => {
                            ended = true;
                            break;
                        }
                        Some(Frame::Entry(kept)) => merge(self, &kept.key, kept.entry, now)?,
                        Some(Frame::Unresolved(digests)) => self.unresolved.add(&digests, now)?,
                        Some(Frame::Delivery(moved)) => {
                            let seq = numbers.get_mut(&moved.broker).and_then(Iterator::next);
                            let seq = seq.ok_or_else(|| changed(&reader))?;
                            let mut delivery = self.spill.decode(&moved.broker, seq, &moved.value)?;
                            delivery.keep_by_monotonic(self.clock());
                            self.spill.put(&delivery)?;
                            if let Some(entry) = moved.entry {
                                let key = LedgerKey::new(&moved.broker, &delivery.event.event_id);
                                merge(self, key.as_bytes(), entry, now)?;
                            }
                        }
                    }
                }
                Ok::<_, TransferFault>(())
            })?;
        }
        if reader.checksum() != judged {
            return Err(changed(&reader));
        }
        let (counts, bytes) = reader.counts();
        Ok(PartitionTransfer::new(header, counts, bytes))
    }

    /// Step 4.
    pub(super) fn activate(&self, header: &Header) -> Result<(), TransferFault> {
        // Records that were read here but not settled may have been sent, too.
        let doubt = header.horizon.max(self.sources.doubt(&header.source)?);
        let ownership = Ownership { generation: header.generation, owner: Owner::Here };
        Ok(self.commit(|_now| {
            self.sources.take_in(&header.source, &ownership, &header.checkpoint, doubt.as_ref())
        })?)
    }
}
