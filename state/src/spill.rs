//! The deliveries that wait on disk: one queue per broker, in log order, read back in the same order.
//!
//! A key is the broker's name, a zero byte and the delivery's number in big-endian order, so that a range scan is the
//! queue. Only the ledger thread writes and removes; anyone may read.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::{
    attempt::History,
    clock::UnixMillis,
    codec, envelope,
    event::{BodyDigest, Event},
    fault::StateFault,
    position::StoredPosition,
    spilled::{SpillRef, SpillSeq, SpilledDelivery},
    table::Table,
    trace_parent::TraceParent,
};

const TREE: &str = "spill";

/// The spill of all brokers.
#[derive(Clone, Debug)]
pub struct Spill(Table);

/// What waits on disk for one broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpillUsage {
    /// Deliveries waiting.
    pub deliveries: u64,
    /// Their stored bytes, without the database's overhead.
    pub bytes: u64,
    /// The number the next delivery of this broker gets.
    pub next_seq: SpillSeq,
}

/// The version byte of [`Traced`].
const TRACED: u8 = 2;

/// The version byte of [`Indexed`].
const INDEXED: u8 = 3;

/// The version byte of [`Subscribed`].
const SUBSCRIBED: u8 = 4;

/// A delivery whose event has no place in a trace: the first layout, still used for such deliveries.
#[derive(Encode, Decode)]
struct Stored {
    position: StoredPosition,
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

/// A delivery whose event has a place in a trace.
type Traced = (Stored, TraceParent);

/// A delivery whose event is one of several of its record.
type Indexed = (Stored, Option<TraceParent>, u32);

/// A delivery that a row of a database made.
type Subscribed = (Stored, Option<TraceParent>, Option<u32>, i64);

impl Spill {
    pub(crate) fn new(table: Table) -> Self {
        Self(table.with_digests(broker_part))
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

    /// Every delivery, by broker and number, read one at a time.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<SpilledDelivery, StateFault>> + use<'_> {
        self.all_after(None)
    }

    /// Those of them behind this one.
    pub(crate) fn all_after(
        &self,
        after: Option<&SpillRef>,
    ) -> impl Iterator<Item = Result<SpilledDelivery, StateFault>> + use<'_> {
        let mut last: Arc<str> = Arc::from("");
        let from = after.map_or(Vec::new(), |(broker, seq)| key(broker, seq.saturating_add(1)));
        self.0.range(from..).filter_map(move |item| {
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

    /// What waits for each broker. Reads every delivery: for starts and tools only.
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

    /// What waits for `broker`. Reads each of its deliveries.
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

    /// About the bytes `delivery` would take, without its history; exact enough for a bound.
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

    /// The stored form of a delivery, without its broker and its number.
    ///
    /// # Errors
    /// As for [`SpilledDelivery::to_bytes`].
    pub fn encode(&self, delivery: &SpilledDelivery) -> Result<Vec<u8>, StateFault> {
        delivery.to_bytes()
    }

    pub(crate) fn remove(&self, broker: &str, seq: SpillSeq) -> Result<(), StateFault> {
        self.0.remove(&key(broker, seq))
    }

    /// The delivery of `value`, which was read under `key`; none if it has been removed since.
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

    /// Decodes what [`encode`](Self::encode) has encoded, for this broker and with this number.
    ///
    /// # Errors
    /// As for [`SpilledDelivery::from_bytes`].
    pub fn decode(
        &self,
        broker: &Arc<str>,
        seq: SpillSeq,
        value: &[u8],
    ) -> Result<SpilledDelivery, StateFault> {
        SpilledDelivery::from_bytes(broker, seq, value)
    }
}

impl SpilledDelivery {
    /// The stored form, without the broker and the number.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`], which no delivery can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateFault> {
        let event = &self.event;
        let stored = Stored {
            position: event.position.stored(),
            event_id: event.event_id.clone(),
            load_id: event.load_id.clone(),
            status: event.status.clone(),
            occurred_at: event.occurred_at,
            sequence: event.sequence,
            read_at: event.read_at,
            digest: event.digest,
            history: self.history.clone(),
            not_before: self.not_before,
            may_repeat: self.may_repeat,
            body: event.body.to_vec(),
        };
        match (event.position.index, event.traceparent, self.row) {
            (None, None, None) => codec::encode(TREE, &stored),
            (None, Some(traceparent), None) => {
                codec::encode_as::<Traced>(TRACED, TREE, &(stored, traceparent))
            }
            (Some(index), traceparent, None) => {
                codec::encode_as::<Indexed>(INDEXED, TREE, &(stored, traceparent, index))
            }
            (index, traceparent, Some(row)) => {
                codec::encode_as::<Subscribed>(SUBSCRIBED, TREE, &(stored, traceparent, index, row))
            }
        }
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) has encoded, for this broker and with this number.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn from_bytes(broker: &Arc<str>, seq: SpillSeq, value: &[u8]) -> Result<Self, StateFault> {
        let (stored, traceparent, index, row) = match codec::version_of(value) {
            Some(TRACED) => {
                let (stored, traceparent): Traced = codec::decode_as(TRACED, TREE, value)?;
                (stored, Some(traceparent), None, None)
            }
            Some(INDEXED) => {
                let (stored, traceparent, index): Indexed = codec::decode_as(INDEXED, TREE, value)?;
                (stored, traceparent, Some(index), None)
            }
            Some(SUBSCRIBED) => {
                let (stored, traceparent, index, row): Subscribed =
                    codec::decode_as(SUBSCRIBED, TREE, value)?;
                (stored, traceparent, index, Some(row))
            }
            _ => (codec::decode(TREE, value)?, None, None, None),
        };
        let event = Event {
            position: stored.position.with_index(index),
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
        Ok(Self {
            broker: broker.clone(),
            seq,
            event,
            history: stored.history,
            not_before: stored.not_before,
            may_repeat: stored.may_repeat,
            row,
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

/// The broker's part of a key.
fn broker_part(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(9)]
}

fn split_key(key: &[u8]) -> Result<(&str, SpillSeq), StateFault> {
    let undecodable = || StateFault::Undecodable { tree: TREE, detail: format!("key {key:?}") };
    let (name, seq) = key.split_at_checked(key.len().wrapping_sub(9)).ok_or_else(undecodable)?;
    let seq = seq.strip_prefix(&[0]).and_then(|seq| seq.try_into().ok()).ok_or_else(undecodable)?;
    Ok((std::str::from_utf8(name).map_err(|_| undecodable())?, SpillSeq::from_be_bytes(seq)))
}
