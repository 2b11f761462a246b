//! The deliveries that wait on disk: one queue per broker, in arrival order, read back in the same order.
//!
//! Keys are the broker's name, a zero byte and the delivery's number in big-endian order, so that a range scan is the
//! queue. Writing and removing is the ledger thread's alone; anyone may read.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    attempt::History,
    clock::UnixMillis,
    codec, envelope,
    event::{BodyDigest, Event},
    fault::StateFault,
    position::Position,
    spilled::{SpillSeq, SpilledDelivery},
    table::Table,
    trace_parent::TraceParent,
};

const TREE: &str = "spill";

/// The spill of all brokers.
#[derive(Clone, Debug)]
pub struct Spill(Table);

/// How much one broker has waiting on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpillUsage {
    /// Deliveries waiting.
    pub deliveries: u64,
    /// Their bytes as stored, without the store's own overhead.
    pub bytes: u64,
    /// The number the next delivery of this broker gets.
    pub next_seq: SpillSeq,
}

/// The version byte of [`Traced`].
const TRACED: u8 = 2;

/// A delivery on disk whose event has no place in a trace: the first layout, and still the one such deliveries have.
#[derive(Encode, Decode)]
struct Stored {
    position: Position,
    event_id: Arc<str>,
    load_id: Arc<str>,
    status: Arc<str>,
    occurred_at: UnixMillis,
    sequence: Option<u64>,
    read_at: UnixMillis,
    digest: BodyDigest,
    history: History,
    not_before: UnixMillis,
    may_repeat: bool,
    body: Vec<u8>,
}

/// One whose event has a place in a trace.
type Traced = (Stored, TraceParent);

impl Spill {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.accounted(broker_part))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0
    }

    /// Up to `max` deliveries of `broker` whose numbers are in `range`, oldest first.
    ///
    /// # Errors
    /// A fault of the store, or [`StateFault::Undecodable`].
    pub fn read(
        &self,
        broker: &Arc<str>,
        range: Range<SpillSeq>,
        max: usize,
    ) -> Result<Vec<SpilledDelivery>, StateFault> {
        let found = self.0.range(key(broker, range.start)..key(broker, range.end));
        found
            .filter_map(|item| {
                item.and_then(|(key, value)| self.decode_item(broker, &key, &value)).transpose()
            })
            .take(max)
            .collect()
    }

    /// Every delivery, by broker and in its order, read one at a time.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<SpilledDelivery, StateFault>> + use<'_> {
        let mut last: Arc<str> = Arc::from("");
        self.0.range(..).filter_map(move |item| {
            let decoded = item.and_then(|(key, value)| {
                let (broker, _) = split_key(&key)?;
                if *broker != *last {
                    last = Arc::from(broker);
                }
                self.decode_item(&last, &key, &value)
            });
            decoded.transpose()
        })
    }

    /// The deliveries of `broker` whose numbers are in `range`, read one at a time.
    pub fn each(
        &self,
        broker: Arc<str>,
        range: Range<SpillSeq>,
    ) -> impl Iterator<Item = Result<SpilledDelivery, StateFault>> + use<'_> {
        let found = self.0.range(key(&broker, range.start)..key(&broker, range.end));
        found.filter_map(move |item| {
            item.and_then(|(key, value)| self.decode_item(&broker, &key, &value)).transpose()
        })
    }

    /// What waits, per broker; visits every delivery, so it is for the start and for tools.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn usage(&self) -> Result<BTreeMap<Arc<str>, SpillUsage>, StateFault> {
        let mut usage: BTreeMap<Arc<str>, SpillUsage> = BTreeMap::new();
        for item in self.0.range(..) {
            let (key, value) = item?;
            let (broker, seq) = split_key(&key)?;
            if !usage.contains_key(broker) {
                usage.insert(Arc::from(broker), SpillUsage::default());
            }
            if let Some(of) = usage.get_mut(broker) {
                of.deliveries += 1;
                of.bytes += envelope::size(&value);
                of.next_seq = seq + 1;
            }
        }
        Ok(usage)
    }

    /// What waits for `broker`; visits every delivery of it.
    ///
    /// # Errors
    /// A fault of the store.
    pub fn usage_of(&self, broker: &str) -> Result<SpillUsage, StateFault> {
        let mut usage = SpillUsage::default();
        for item in self.0.range(key(broker, 0)..=key(broker, SpillSeq::MAX)) {
            let (key, value) = item?;
            let (_, seq) = split_key(&key)?;
            usage.deliveries += 1;
            usage.bytes += envelope::size(&value);
            usage.next_seq = seq + 1;
        }
        Ok(usage)
    }

    /// The bytes `delivery` would take, near enough to keep a bound by; its history is not counted.
    #[must_use]
    pub fn cost(delivery: &SpilledDelivery) -> u64 {
        Self::cost_of(&delivery.event)
    }

    /// The bytes a delivery of `event` would take.
    #[must_use]
    pub fn cost_of(event: &Event) -> u64 {
        let texts =
            event.event_id.len() + event.load_id.len() + event.status.len() + event.position.source.len();
        (event.body.len() + texts + 160) as u64
    }

    pub(crate) fn put(&self, delivery: &SpilledDelivery) -> Result<(), StateFault> {
        self.0.put_encoded(&key(&delivery.broker, delivery.seq), &self.encode(delivery)?)
    }

    /// A delivery as it is kept, without its broker and its number.
    ///
    /// # Errors
    /// As for [`LedgerEntry::to_bytes`](crate::LedgerEntry::to_bytes).
    pub fn encode(&self, delivery: &SpilledDelivery) -> Result<Vec<u8>, StateFault> {
        let event = &delivery.event;
        let stored = Stored {
            position: event.position.clone(),
            event_id: event.event_id.clone(),
            load_id: event.load_id.clone(),
            status: event.status.clone(),
            occurred_at: event.occurred_at,
            sequence: event.sequence,
            read_at: event.read_at,
            digest: event.digest,
            history: delivery.history.clone(),
            not_before: delivery.not_before,
            may_repeat: delivery.may_repeat,
            body: event.body.to_vec(),
        };
        match event.traceparent {
            None => codec::encode(TREE, &stored),
            Some(traceparent) => codec::encode_as::<Traced>(TRACED, TREE, &(stored, traceparent)),
        }
    }

    pub(crate) fn remove(&self, broker: &str, seq: SpillSeq) -> Result<(), StateFault> {
        self.0.remove(&key(broker, seq))
    }

    /// The delivery of which `value` was found under `key`; none if it has been removed since.
    fn decode_item(
        &self,
        broker: &Arc<str>,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<SpilledDelivery>, StateFault> {
        let (_, seq) = split_key(key)?;
        let bare = self.0.bare(key, value)?;
        bare.map(|bare| self.decode(broker, seq, &bare)).transpose()
    }

    /// The delivery under `key`, from its value without its envelope.
    pub(crate) fn decode_item_bare(&self, key: &[u8], value: &[u8]) -> Result<SpilledDelivery, StateFault> {
        let (broker, seq) = split_key(key)?;
        self.decode(&Arc::from(broker), seq, value)
    }

    /// The delivery that [`encode`](Self::encode) has made bytes of, for this broker and with this number.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn decode(
        &self,
        broker: &Arc<str>,
        seq: SpillSeq,
        value: &[u8],
    ) -> Result<SpilledDelivery, StateFault> {
        let (stored, traceparent) = if codec::version_of(value) == Some(TRACED) {
            let (stored, traceparent): Traced = codec::decode_as(TRACED, TREE, value)?;
            (stored, Some(traceparent))
        } else {
            (codec::decode(TREE, value)?, None)
        };
        let event = Event {
            position: stored.position,
            event_id: stored.event_id,
            load_id: stored.load_id,
            status: stored.status,
            occurred_at: stored.occurred_at,
            sequence: stored.sequence,
            traceparent,
            read_at: stored.read_at,
            body: Bytes::from(stored.body),
            digest: stored.digest,
        };
        Ok(SpilledDelivery {
            broker: broker.clone(),
            seq,
            event,
            history: stored.history,
            not_before: stored.not_before,
            may_repeat: stored.may_repeat,
        })
    }
}

pub(crate) fn key(broker: &str, seq: SpillSeq) -> Vec<u8> {
    let mut key = Vec::with_capacity(broker.len() + 9);
    key.extend_from_slice(broker.as_bytes());
    key.push(0);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// The part of a key that says whose delivery it is.
fn broker_part(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(9)]
}

fn split_key(key: &[u8]) -> Result<(&str, SpillSeq), StateFault> {
    let undecodable = || StateFault::Undecodable { tree: TREE, detail: format!("key {key:?}") };
    let (name, seq) = key.split_at_checked(key.len().wrapping_sub(9)).ok_or_else(undecodable)?;
    let seq = seq.strip_prefix(&[0]).and_then(|seq| seq.try_into().ok()).ok_or_else(undecodable)?;
    Ok((std::str::from_utf8(name).map_err(|_| undecodable())?, SpillSeq::from_be_bytes(seq)))
}
