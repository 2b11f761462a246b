//! The records of a group's control topic as keys and bytes: which brokers are paused or disabled in partition 0, what
//! members tell of themselves in partition 1.
//!
//! A value begins with a version byte and a kind; numbers are little-endian, texts have their length before them. A record of
//! another version is refused, never guessed at.

use std::sync::Arc;

use bytes::Bytes;
use state::{Disabled, Paused};

/// The version byte.
const VERSION: u8 = 1;
const PAUSED: u8 = 1;
const DISABLED: u8 = 2;
const MEMBER: u8 = 3;
/// The first byte of a key.
const KEY_PAUSED: u8 = b'p';
const KEY_DISABLED: u8 = b'd';
const KEY_MEMBER: u8 = b'm';
/// The longest text in a record, in bytes: a longer one is cut.
const TEXT_MAX: usize = 1_000;

/// Whether a broker is paused, or disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerSet {
    /// It is paused; none for resumed.
    Paused(Option<Paused>),
    /// It is disabled; none for enabled.
    Disabled(Option<Disabled>),
}

/// What a member says of a broker, for all of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSaid {
    /// The broker.
    pub broker: Arc<str>,
    /// What it is from now on.
    pub set: BrokerSet,
    /// Who says so, for people.
    pub by: Arc<str>,
    /// By which the member knows its own.
    pub nonce: u64,
}

/// What a member tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSaid {
    /// Its name.
    pub member: Arc<str>,
    /// Its summary; none if it has left in good order.
    pub summary: Option<Bytes>,
}

impl BrokerSaid {
    /// The key and the value of its record.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let (key, kind) = match &self.set {
            BrokerSet::Paused(_) => (KEY_PAUSED, PAUSED),
            BrokerSet::Disabled(_) => (KEY_DISABLED, DISABLED),
        };
        let mut value = vec![VERSION, kind];
        value.extend_from_slice(&self.nonce.to_le_bytes());
        put_text(&mut value, &self.by);
        match &self.set {
            BrokerSet::Paused(None) | BrokerSet::Disabled(None) => value.push(0),
            BrokerSet::Paused(Some(Paused { since })) => {
                value.push(1);
                value.extend_from_slice(&since.to_le_bytes());
            }
            BrokerSet::Disabled(Some(Disabled { since, reason })) => {
                value.push(1);
                value.extend_from_slice(&since.to_le_bytes());
                put_text(&mut value, reason);
            }
        }
        (keyed(key, &self.broker), value)
    }

    /// What a record says, or why that cannot be told.
    ///
    /// # Errors
    /// Why it is none of these.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, String> {
        let (broker, kind_of_key) = match key {
            [KEY_PAUSED, broker @ ..] => (broker, PAUSED),
            [KEY_DISABLED, broker @ ..] => (broker, DISABLED),
            _ => return Err("its key is of no kind that this program knows".to_owned()),
        };
        let rest = of_kind(value, kind_of_key)?;
        let (nonce, rest) = number(rest)?;
        let (by, rest) = text(rest)?;
        let (&is_set, rest) = rest.split_first().ok_or("it is cut")?;
        let (set, rest) = match (kind_of_key, is_set) {
            (PAUSED, 0) => (BrokerSet::Paused(None), rest),
            (DISABLED, 0) => (BrokerSet::Disabled(None), rest),
            (PAUSED, 1) => {
                let (since, rest) = number(rest)?;
                (BrokerSet::Paused(Some(Paused { since })), rest)
            }
            (DISABLED, 1) => {
                let (since, rest) = number(rest)?;
                let (reason, rest) = text(rest)?;
                (BrokerSet::Disabled(Some(Disabled { since, reason: reason.to_owned() })), rest)
            }
            _ => return Err(format!("it says {is_set}, which is neither yes nor no")),
        };
        if !rest.is_empty() {
            return Err(format!("{} bytes are left over", rest.len()));
        }
        Ok(Self { broker: Arc::from(utf8(broker)?), set, by: Arc::from(by), nonce })
    }
}

impl MemberSaid {
    /// The key and the value of its record.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let value = self.summary.as_ref().map(|summary| [&[VERSION, MEMBER], &**summary].concat());
        (keyed(KEY_MEMBER, &self.member), value)
    }

    /// What a record says, or why that cannot be told.
    ///
    /// # Errors
    /// Why it is none of these.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, String> {
        let [KEY_MEMBER, member @ ..] = key else {
            return Err("its key is of no kind that this program knows".to_owned());
        };
        let summary = value.map(|value| of_kind(value, MEMBER)).transpose()?;
        Ok(Self { member: Arc::from(utf8(member)?), summary: summary.map(Bytes::copy_from_slice) })
    }
}

fn keyed(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], name.as_bytes()].concat()
}

/// What follows the version and the kind.
fn of_kind(value: &[u8], wanted: u8) -> Result<&[u8], String> {
    let (&[version, kind], rest) = value.split_first_chunk().ok_or("it is cut")?;
    if version != VERSION {
        return Err(format!("it has version {version}, and this program knows version {VERSION}"));
    }
    if kind != wanted {
        return Err(format!("it has kind {kind}, and its key is of kind {wanted}"));
    }
    Ok(rest)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or_default().to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn text(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let (len, rest) = bytes.split_first_chunk().ok_or("it is cut")?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))).ok_or("it is cut")?;
    if text.len() > TEXT_MAX {
        return Err(format!("a text of {} bytes is longer than {TEXT_MAX}", text.len()));
    }
    Ok((utf8(text)?, rest))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(|fault| fault.to_string())
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), String> {
    let (number, rest) = bytes.split_first_chunk().ok_or("it is cut")?;
    Ok((u64::from_le_bytes(*number), rest))
}

/// Reads `bytes` as a record of either partition: two bytes of length, the key, the value; panics if one that is read is not
/// written as the same.
#[cfg(feature = "fuzzing")]
#[allow(clippy::panic, reason = "a fuzz target fails by a panic")]
pub(crate) fn decode_any(bytes: &[u8]) {
    let Some((key, value)) = bytes
        .split_first_chunk()
        .and_then(|(len, rest): (&[u8; 2], _)| rest.split_at_checked(usize::from(u16::from_le_bytes(*len))))
    else {
        return;
    };
    if let Ok(said) = BrokerSaid::decode(key, value) {
        assert_eq!(said.encode(), (key.to_vec(), value.to_vec()));
    }
    if let Ok(said) = MemberSaid::decode(key, Some(value)) {
        assert_eq!(said.encode(), (key.to_vec(), Some(value.to_vec())));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(set: BrokerSet) -> BrokerSaid {
        BrokerSaid { broker: "acme".into(), set, by: "host-1".into(), nonce: 7 }
    }

    fn all(since: u64, reason: &str) -> [BrokerSet; 4] {
        [
            BrokerSet::Paused(Some(Paused { since })),
            BrokerSet::Paused(None),
            BrokerSet::Disabled(Some(Disabled { since, reason: reason.to_owned() })),
            BrokerSet::Disabled(None),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            broker in "[a-z0-9_-]{1,64}", by in ".{0,60}", nonce: u64, since: u64, reason in ".{0,200}",
            summary in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64)),
        ) {
            for set in all(since, &reason) {
                let said = BrokerSaid { broker: Arc::from(&*broker), set, by: Arc::from(&*by), nonce };
                let (key, value) = said.encode();
                let decoded = BrokerSaid::decode(&key, &value);
                prop_assert_eq!(decoded.as_ref(), Ok(&said));
                prop_assert!(MemberSaid::decode(&key, Some(&value)).is_err());
                for cut in 0..value.len() {
                    prop_assert!(BrokerSaid::decode(&key, &value[..cut]).is_err());
                }
            }
            let said = MemberSaid { member: Arc::from(by), summary: summary.map(Bytes::from) };
            let (key, value) = said.encode();
            let decoded = MemberSaid::decode(&key, value.as_deref());
            prop_assert_eq!(decoded.as_ref(), Ok(&said));
        }

        #[test]
        fn no_bytes_make_it_panic(key: Vec<u8>, value: Vec<u8>) {
            let _either = BrokerSaid::decode(&key, &value);
            let _either = BrokerSaid::decode(&[b"d", &*key].concat(), &[&[VERSION, DISABLED], &*value].concat());
            let _either = MemberSaid::decode(&key, Some(&value));
        }
    }

    /// They stand on clusters: whatever changes, these are read as they were written.
    #[test]
    fn the_bytes_of_each_kind_stay_the_same() {
        let paused = said(BrokerSet::Paused(Some(Paused { since: 5 }))).encode();
        assert_eq!(paused.0, b"pacme");
        assert_eq!(
            paused.1,
            [&[1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 6, 0], &b"host-1"[..], &[1, 5, 0, 0, 0, 0, 0, 0, 0]].concat()
        );
        let enabled = said(BrokerSet::Disabled(None)).encode();
        assert_eq!(
            enabled,
            (b"dacme".to_vec(), [&[1, 2, 7, 0, 0, 0, 0, 0, 0, 0, 6, 0], &b"host-1"[..], &[0]].concat())
        );
        let member = MemberSaid { member: "host-1".into(), summary: Some(Bytes::from_static(b"{}")) };
        assert_eq!(member.encode(), (b"mhost-1".to_vec(), Some(b"\x01\x03{}".to_vec())));
    }

    /// Likewise; each is a length, the key and the value.
    #[test]
    fn the_seeds_of_the_fuzz_target_are_records_of_every_kind() {
        macro_rules! seed {
            ($name:literal) => {{
                let bytes: &[u8] =
                    include_bytes!(concat!("../../../../../tests/fuzz/corpus/kafka_state/", $name));
                bytes[2..].split_at(usize::from(bytes[0]))
            }};
        }
        let said = |(key, value): (&[u8], &[u8])| BrokerSaid::decode(key, value).unwrap().set;
        let since = 1_700_000_000_000;
        assert_eq!(said(seed!("control_paused")), BrokerSet::Paused(Some(Paused { since })));
        assert_eq!(said(seed!("control_resumed")), BrokerSet::Paused(None));
        let reason = "answered 410".to_owned();
        assert_eq!(said(seed!("control_disabled")), BrokerSet::Disabled(Some(Disabled { since, reason })));
        assert_eq!(said(seed!("control_enabled")), BrokerSet::Disabled(None));
        let (key, value) = seed!("control_member");
        assert_eq!(&*MemberSaid::decode(key, Some(value)).unwrap().member, "host-1");
    }

    #[test]
    fn a_newer_version_is_named_and_a_text_that_is_too_long_is_cut() {
        let (key, mut value) = said(BrokerSet::Paused(None)).encode();
        value[0] = 2;
        assert!(BrokerSaid::decode(&key, &value).unwrap_err().contains("version 2"));
        let long = said(BrokerSet::Disabled(Some(Disabled { since: 1, reason: "ä".repeat(600) })));
        let (key, value) = long.encode();
        let Ok(BrokerSaid { set: BrokerSet::Disabled(Some(cut)), .. }) = BrokerSaid::decode(&key, &value)
        else {
            panic!("it is read")
        };
        assert_eq!(cut.reason, "ä".repeat(500));
    }
}
