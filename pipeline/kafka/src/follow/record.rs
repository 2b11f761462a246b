//! The records of the state topics as bytes: a version byte, a kind, the epoch of whoever wrote it, then what it says.
//!
//! Numbers are little-endian; ledger entries, checkpoints and waiting deliveries are as a state directory stores them,
//! times by the wall clock. A record of another version is refused, never guessed at.

use std::sync::Arc;

use state::{Checkpoint, Horizon, LedgerEntry, Position, SpilledDelivery, StateFault};

/// The version byte of both topics' records.
const VERSION: u8 = 1;
const OUTCOME: u8 = 1;
const HORIZON: u8 = 2;
const CLAIM: u8 = 3;
const RELEASED: u8 = 4;
const WAITING: u8 = 5;
/// The key of a claim in the topic of waiting deliveries. A delivery's begins with its broker's name, which has no zero
/// byte and is not empty.
pub(super) const CLAIM_KEY: &[u8] = b"\0claim";
/// How long the number in a delivery's key is: the position's epoch and its offset.
const PLACE: usize = 16;
/// How long the index behind it is, of one of several events of a record.
const INDEX: usize = 4;

/// Somebody takes a partition up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The claimant's name, for people.
    pub(crate) member: Arc<str>,
    /// By which the claimant knows its own claim.
    pub(crate) nonce: u128,
}

/// What a record of either topic says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// An event has an outcome at a broker.
    Outcome { broker: Arc<str>, event_id: Arc<str>, entry: LedgerEntry },
    /// The partition may be read up to here; none after a clean end.
    Horizon(Option<Horizon>),
    /// Somebody takes the partition up.
    Claim(Claim),
    /// The partition was given up in good order, settled up to here.
    Released(Option<Checkpoint>),
    /// A delivery waits.
    Waiting(Box<SpilledDelivery>),
}

/// A record, and the epoch of whoever wrote it. A claim in the ledger's topic makes an epoch and is written before that
/// is known: it says 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateValue {
    pub(crate) epoch: u64,
    pub(crate) said: Said,
}

impl StateValue {
    /// The bytes of its record.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`] for names that are too long to be any.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StateFault> {
        let mut bytes = Vec::with_capacity(128);
        let kind = match &self.said {
            Said::Outcome { .. } => OUTCOME,
            Said::Horizon(_) => HORIZON,
            Said::Claim(_) => CLAIM,
            Said::Released(_) => RELEASED,
            Said::Waiting(_) => WAITING,
        };
        bytes.extend_from_slice(&[VERSION, kind]);
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        match &self.said {
            Said::Outcome { broker, event_id, entry } => {
                put_text(&mut bytes, broker)?;
                put_text(&mut bytes, event_id)?;
                bytes.extend_from_slice(&entry.to_bytes()?);
            }
            Said::Horizon(None) | Said::Released(None) => {}
            Said::Horizon(Some(Horizon { epoch, offset })) => {
                bytes.extend_from_slice(&epoch.to_le_bytes());
                bytes.extend_from_slice(&offset.to_le_bytes());
            }
            Said::Claim(Claim { member, nonce }) => {
                bytes.extend_from_slice(&nonce.to_le_bytes());
                bytes.extend_from_slice(member.as_bytes());
            }
            Said::Released(Some(checkpoint)) => bytes.extend_from_slice(&checkpoint.to_bytes()?),
            Said::Waiting(delivery) => {
                put_text(&mut bytes, &delivery.broker)?;
                bytes.extend_from_slice(&delivery.to_bytes()?);
            }
        }
        Ok(bytes)
    }

    /// What `bytes` say, or why that cannot be told.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "it is cut".to_owned();
        let (&[version, kind], rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        if version != VERSION {
            return Err(format!("it has version {version}, and this program knows version {VERSION}"));
        }
        let (epoch, rest) = number(rest).ok_or_else(cut)?;
        let said = match kind {
            OUTCOME => {
                let (broker, rest) = text(rest)?;
                let (event_id, rest) = text(rest)?;
                let entry = LedgerEntry::from_bytes(rest).map_err(|fault| fault.to_string())?;
                Said::Outcome { broker, event_id, entry }
            }
            HORIZON if rest.is_empty() => Said::Horizon(None),
            HORIZON => {
                let (epoch, rest) = number(rest).ok_or_else(cut)?;
                let (offset, rest) = number(rest).ok_or_else(cut)?;
                nothing_left(rest)?;
                Said::Horizon(Some(Horizon { epoch, offset }))
            }
            CLAIM => {
                let (nonce, member) = rest.split_first_chunk().ok_or_else(cut)?;
                let member = str::from_utf8(member).map_err(|fault| fault.to_string())?;
                Said::Claim(Claim { member: Arc::from(member), nonce: u128::from_le_bytes(*nonce) })
            }
            RELEASED if rest.is_empty() => Said::Released(None),
            RELEASED => {
                let checkpoint = Checkpoint::from_bytes(rest).map_err(|fault| fault.to_string())?;
                Said::Released(Some(checkpoint))
            }
            WAITING => {
                let (broker, rest) = text(rest)?;
                let delivery = SpilledDelivery::from_bytes(&broker, 0, rest);
                Said::Waiting(Box::new(delivery.map_err(|fault| fault.to_string())?))
            }
            kind => return Err(format!("it has kind {kind}, which this program does not know")),
        };
        Ok(Self { epoch, said })
    }
}

/// The name of a delivery that waits: its broker, and where its event stands in the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WaitingKey(Box<[u8]>);

impl WaitingKey {
    /// The delivery to `broker` of the event at `position`.
    pub(crate) fn new(broker: &str, position: &Position) -> Self {
        let mut key = Vec::with_capacity(broker.len() + 1 + PLACE);
        key.extend_from_slice(broker.as_bytes());
        key.push(0);
        key.extend_from_slice(&position.epoch.to_be_bytes());
        key.extend_from_slice(&position.offset.to_be_bytes());
        // One of several events of its record.
        if let Some(index) = position.index {
            key.extend_from_slice(&index.to_be_bytes());
        }
        Self(key.into())
    }

    /// The name in a record's key; none if it is not one of a delivery.
    pub(crate) fn of_bytes(key: &[u8]) -> Option<Self> {
        // No broker's name has a zero byte.
        let broker = key.iter().position(|byte| *byte == 0)?;
        let place = key.len() - broker - 1;
        let is_one = broker > 0 && (place == PLACE || place == PLACE + INDEX);
        is_one.then(|| Self(key.into()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) -> Result<(), StateFault> {
    let too_long = |_| StateFault::Undecodable {
        tree: "state topic",
        detail: format!("a name of {} bytes is longer than 65535", text.len()),
    };
    bytes.extend_from_slice(&u16::try_from(text.len()).map_err(too_long)?.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

fn text(bytes: &[u8]) -> Result<(Arc<str>, &[u8]), String> {
    let parted = bytes.split_first_chunk().and_then(|(len, rest)| {
        let len: &[u8; 2] = len;
        rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
    });
    let (text, rest) = parted.ok_or("it is cut")?;
    Ok((Arc::from(str::from_utf8(text).map_err(|fault| fault.to_string())?), rest))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u64::from_le_bytes(*number), rest))
}

fn nothing_left(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over", rest.len())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::follow::testing::{entry, waiting};

    fn round_trip(said: Said) {
        let value = StateValue { epoch: 7, said };
        assert_eq!(StateValue::decode(&value.encode().unwrap()).as_ref(), Ok(&value));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            broker in "[a-z]{1,20}", event_id in ".{0,60}", attempts: u32, offset: u64, nonce: u128,
            mark in proptest::collection::vec(any::<u8>(), 0..64), body: Vec<u8>, at: u64,
        ) {
            let (broker, event_id): (Arc<str>, Arc<str>) = (broker.into(), event_id.into());
            round_trip(Said::Outcome {
                broker: broker.clone(),
                event_id: event_id.clone(),
                entry: LedgerEntry { failed_attempts: attempts, ..entry(state::Outcome::Spilled, at) },
            });
            round_trip(Said::Horizon(Some(Horizon { epoch: nonce as u64, offset })));
            round_trip(Said::Claim(Claim { member: event_id, nonce }));
            round_trip(Said::Released(Some(Checkpoint { epoch: 0, offset, mark })));
            let delivery = waiting(&broker, "load", offset, &body);
            let key = WaitingKey::new(&broker, &delivery.event.position);
            let read = WaitingKey::of_bytes(key.as_bytes());
            prop_assert_eq!(read.as_ref(), Some(&key));
            let nth = WaitingKey::new(&broker, &delivery.event.position.of_event(at as u32));
            let read = WaitingKey::of_bytes(nth.as_bytes());
            prop_assert_eq!(read.as_ref(), Some(&nth));
            prop_assert_ne!(nth, key);
            let of_row = SpilledDelivery { row: Some(at as i64), ..delivery.clone() };
            round_trip(Said::Waiting(Box::new(delivery)));
            round_trip(Said::Waiting(Box::new(of_row)));
        }

        #[test]
        fn no_bytes_make_it_panic_and_a_cut_record_is_refused(bytes: Vec<u8>, cut in 0usize..60) {
            let _either = StateValue::decode(&bytes);
            let _either = StateValue::decode(&[&[VERSION], &*bytes].concat());
            let _either = WaitingKey::of_bytes(&bytes);
            let said = Said::Outcome { broker: "b".into(), event_id: "e".into(), entry: entry(state::Outcome::Delivered, 1) };
            let whole = StateValue { epoch: 1, said }.encode().unwrap();
            prop_assume!(cut < whole.len());
            prop_assert!(StateValue::decode(&whole[..cut]).is_err());
        }
    }

    /// They stand on clusters: whatever changes, these are read as they were written.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_records_of_every_kind() {
        macro_rules! seed {
            ($name:literal) => {
                include_bytes!(concat!("../../../../tests/fuzz/corpus/kafka_state/", $name))
            };
        }
        let said = |bytes: &[u8]| StateValue::decode(bytes).unwrap().said;
        assert!(matches!(said(seed!("outcome")), Said::Outcome { event_id, .. } if &*event_id == "evt-1"));
        assert_eq!(said(seed!("horizon")), Said::Horizon(Some(Horizon { epoch: 0, offset: 1024 })));
        assert_eq!(said(seed!("horizon_none")), Said::Horizon(None));
        assert!(matches!(said(seed!("claim")), Said::Claim(claim) if &*claim.member == "member-1"));
        assert!(matches!(said(seed!("released")), Said::Released(Some(to)) if to.offset == 4_711));
        assert!(matches!(said(seed!("waiting")), Said::Waiting(waits) if waits.event.position.offset == 42));
        assert!(WaitingKey::of_bytes(seed!("key")).is_some());
    }

    #[test]
    fn what_ends_cleanly_says_nothing_more_and_a_newer_version_is_named() {
        round_trip(Said::Horizon(None));
        round_trip(Said::Released(None));
        let mut newer = StateValue { epoch: 1, said: Said::Horizon(None) }.encode().unwrap();
        // Kept on clusters: the same for ever.
        assert_eq!(newer, [1, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
        newer[0] = 2;
        assert!(StateValue::decode(&newer).unwrap_err().contains("version 2"));
        assert_eq!(WaitingKey::of_bytes(CLAIM_KEY), None);
    }
}
