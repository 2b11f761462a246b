//! Takes a source in: a file enters, and the source is this directory's, at the place it was at, with what waited for it.
//!
//! The durable steps: (1) the whole file is read, and everything that could refuse it is looked at; nothing has changed
//! yet; (2) a mark that the source is arriving, and which numbers its deliveries will have; (3) deliveries and ledger
//! entries; (4) in one, checkpoint, doubt, and the mark goes. After an end before (4) the source is not read here until
//! the import is repeated, and the deliveries of (3) are taken back when the directory is opened.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc};

use super::{
    HandOver, HandOverFault,
    file::{Frame, Header, Reader},
    judge,
    merge::merge,
    recover::{COMMIT_MAX, recover},
};
use crate::{
    custody::{Custody, Holding},
    outcome::LedgerKey,
    spill::SpillUsage,
    spilled::SpillSeq,
    store::Store,
    text::Word,
};

/// What a directory takes in.
#[derive(Clone)]
pub struct Arrival<'a> {
    /// What the names of its sources begin with.
    pub sources: &'a str,
    /// Whether a source of this name is one of them, and a checkpoint with this mark is of it.
    pub is_source: &'a dyn Fn(&str, &[u8]) -> bool,
    /// The brokers that the config names.
    pub brokers: &'a [String],
    /// The most bytes that may wait on disk for one broker.
    pub spill_broker_max: u64,
    /// The most bytes that may wait on disk for all.
    pub spill_total_max: u64,
}

impl fmt::Debug for Arrival<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// Deliveries of each broker in the file, and their bytes.
type Incoming = BTreeMap<Arc<str>, SpillUsage>;
/// The numbers that each broker's deliveries get.
type Numbers = BTreeMap<Arc<str>, Range<SpillSeq>>;

impl Store {
    /// Makes the source in `file` this directory's own.
    ///
    /// Deliveries go behind what waits for their brokers, in their order. Ledger entries keep their time; where there is
    /// one already the later stays, and what was delivered stands.
    ///
    /// # Errors
    /// [`HandOverFault`]; nothing has changed, unless the state directory failed or the file has changed meanwhile: then the
    /// source is not read here until it is imported again.
    pub fn import(&self, file: &Path, arrival: &Arrival<'_>) -> Result<HandOver, HandOverFault> {
        let (reader, header, incoming) = self.judge(file, arrival)?;
        let queued = self.announce(file, &header, &incoming)?;
        let handed_over = self.take_in(reader, &header, queued);
        if handed_over.is_err()
            && let Err(fault) = recover(self)
        {
            // It is done when the directory is opened again.
            tracing::warn!(%fault, "what an import has put on disk is not taken back yet");
        }
        let handed_over = handed_over?;
        self.settle_in(&header)?;
        Ok(handed_over)
    }

    /// Step 1.
    pub(super) fn judge(
        &self,
        file: &Path,
        arrival: &Arrival<'_>,
    ) -> Result<(Reader, Header, Incoming), HandOverFault> {
        let (mut reader, header) = Reader::open(file)?;
        let unfit = |detail: String| HandOverFault::Unfit { path: file.to_owned(), detail };
        let (mut incoming, mut wrong) =
            (Incoming::new(), judge::header(&header, self.options.clock.now()).err());
        while let Some(frame) = reader.next()? {
            if let Frame::Entry(kept) = &frame {
                wrong = wrong.or_else(|| judge::entry(kept, &header).err());
            }
            if let Frame::Delivery(moved) = frame {
                let delivery = self.spill.decode(&moved.broker, 0, &moved.value);
                let delivery = delivery.map_err(|fault| reader.unreadable(fault))?;
                wrong = wrong.or_else(|| judge::delivery(&delivery, moved.entry.as_ref(), &header).err());
                let usage = incoming.entry(moved.broker).or_default();
                usage.deliveries += 1;
                usage.bytes += moved.value.len() as u64;
            }
        }
        if !header.source.starts_with(arrival.sources) {
            return Err(HandOverFault::OtherSource {
                path: file.to_owned(),
                source_name: header.source.to_string(),
                expected: arrival.sources.to_owned(),
            });
        }
        let known = (arrival.is_source)(&header.source, &header.checkpoint.mark);
        let foreign = || format!("its checkpoint is none of {}", Word(&header.source));
        if let Some(detail) = wrong.or_else(|| (!known).then(foreign)) {
            // Only here: a file that is damaged is that first.
            return Err(unfit(detail));
        }
        self.judge_move(file, &header)?;
        self.judge_brokers(&header, &incoming, arrival)?;
        self.judge_room(&incoming, arrival)?;
        Ok((reader, header, incoming))
    }

    fn judge_move(&self, file: &Path, header: &Header) -> Result<(), HandOverFault> {
        let source_name = || header.source.to_string();
        let custody = self.sources.custody(&header.source)?;
        if header.generation < Custody::least(custody.as_ref()) {
            return Err(HandOverFault::Superseded {
                path: file.to_owned(),
                source_name: source_name(),
                found: header.generation,
                known: custody.map_or(0, |custody| custody.generation),
            });
        }
        match self.sources.checkpoint(&header.source)? {
            None => Ok(()),
            Some(checkpoint) => {
                Err(HandOverFault::Occupied { source_name: source_name(), offset: checkpoint.offset })
            }
        }
    }

    /// Every broker must be named; but whoever takes back what was given away gets no more than there was.
    fn judge_brokers(
        &self,
        header: &Header,
        incoming: &Incoming,
        arrival: &Arrival<'_>,
    ) -> Result<(), HandOverFault> {
        let custody = self.sources.custody(&header.source)?;
        if custody.is_some_and(|custody| custody.generation == header.generation) {
            return Ok(());
        }
        let known = |broker: &str| arrival.brokers.iter().any(|known| known == broker);
        match incoming.iter().find(|(broker, _)| !known(broker)) {
            None => Ok(()),
            Some((broker, usage)) => {
                Err(HandOverFault::UnknownBroker { broker: broker.clone(), deliveries: usage.deliveries })
            }
        }
    }

    fn judge_room(&self, incoming: &Incoming, arrival: &Arrival<'_>) -> Result<(), HandOverFault> {
        let here = self.spill.usage()?;
        for (broker, usage) in incoming {
            let used = here.get(broker).map_or(0, |usage| usage.bytes);
            let (more, max) = (usage.bytes, arrival.spill_broker_max);
            if used + more > max {
                return Err(HandOverFault::NoRoom { broker: broker.clone(), used, more, max });
            }
        }
        let used: u64 = here.values().map(|usage| usage.bytes).sum();
        let more: u64 = incoming.values().map(|usage| usage.bytes).sum();
        let max = arrival.spill_total_max;
        if more > 0 && used + more > max {
            return Err(HandOverFault::NoRoomAtAll { used, more, max });
        }
        Ok(())
    }

    /// Step 2; gives the numbers of each broker's deliveries.
    pub(super) fn announce(
        &self,
        file: &Path,
        header: &Header,
        incoming: &Incoming,
    ) -> Result<Numbers, HandOverFault> {
        let mut numbers = Numbers::new();
        for (broker, usage) in incoming {
            // Above what an earlier run may have sent, so that no delivery is taken for one of its own.
            let first = self.spill.usage_of(broker)?.next_seq.max(self.brokers.drain_horizon(broker)?);
            let first = first.max(self.brokers.doubt(broker)?);
            numbers.insert(broker.clone(), first..first + usage.deliveries);
        }
        let known = self.sources.custody(&header.source)?;
        let queued = numbers.iter().map(|(broker, numbers)| (broker.clone(), numbers.start, numbers.end));
        let holding = Holding::Arriving {
            since: self.options.clock.now(),
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string(),
            least: Custody::least(known.as_ref()),
            queued: queued.collect(),
        };
        let generation = known.map_or(0, |known| known.generation);
        self.commit(|_now| self.sources.put_custody(&header.source, &Custody { generation, holding }))?;
        Ok(numbers)
    }

    /// Step 3.
    pub(super) fn take_in(
        &self,
        reader: Reader,
        header: &Header,
        mut numbers: Numbers,
    ) -> Result<HandOver, HandOverFault> {
        let judged = reader.checksum();
        let (mut reader, again) = reader.again()?;
        let changed = |reader: &Reader| HandOverFault::Changed {
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
                            delivery.event.read_at = self.clock().to_lived(delivery.event.read_at);
                            if delivery.not_before > 0 {
                                delivery.not_before = self.clock().to_lived(delivery.not_before);
                            }
                            self.spill.put(&delivery)?;
                            if let Some(entry) = moved.entry {
                                let key = LedgerKey::new(&moved.broker, &delivery.event.event_id);
                                merge(self, key.as_bytes(), entry, now)?;
                            }
                        }
                    }
                }
                Ok::<_, HandOverFault>(())
            })?;
        }
        if reader.checksum() != judged {
            return Err(changed(&reader));
        }
        let (counts, bytes) = reader.counts();
        Ok(HandOver::new(header, counts, bytes))
    }

    /// Step 4.
    pub(super) fn settle_in(&self, header: &Header) -> Result<(), HandOverFault> {
        // What was read here without being settled anywhere may have been sent as well.
        let doubt = header.horizon.max(self.sources.doubt(&header.source)?);
        let custody = Custody { generation: header.generation, holding: Holding::Here };
        Ok(self.commit(|_now| {
            self.sources.take_in(&header.source, &custody, &header.checkpoint, doubt.as_ref())
        })?)
    }
}
