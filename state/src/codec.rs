//! Encodes and decodes stored values: a version byte, then bincode's legacy layout.
//!
//! A type whose layout grows gets a version of its own beside the first ([`encode_as`]); older values stay readable
//! by their version byte ([`version_of`]).
//!
//! No other file calls bincode's functions (the crate is no longer maintained; its derives stand on the types, and
//! `answer` implements its traits for one of them).
//! Replacing it means a new version byte here and no other change.

use bincode::{Decode, Encode, config};

use crate::fault::StateFault;

/// The version byte of every type's first layout. A reader meets an unknown one with [`StateFault::Undecodable`].
const VERSION: u8 = 1;

/// The largest value that is decoded, in bytes: above every configurable record size, below what could exhaust
/// memory.
const VALUE_MAX: usize = 64 * 1024 * 1024;

/// What is stored under one key of a table: for most types what is derived for them, for one with several layouts its
/// own choice among them.
pub(crate) trait Layout: Sized {
    /// As bytes, its version first.
    fn to_layout(&self, tree: &'static str) -> Result<Vec<u8>, StateFault>;

    /// From these bytes.
    fn from_layout(tree: &'static str, bytes: &[u8]) -> Result<Self, StateFault>;
}

impl<T: Encode + Decode<()>> Layout for T {
    fn to_layout(&self, tree: &'static str) -> Result<Vec<u8>, StateFault> {
        encode(tree, self)
    }

    fn from_layout(tree: &'static str, bytes: &[u8]) -> Result<Self, StateFault> {
        decode(tree, bytes)
    }
}

/// `value` as bytes.
///
/// # Errors
/// [`StateFault::Undecodable`] if the value cannot be encoded, which no type in this crate can cause.
pub(crate) fn encode<T: Encode>(tree: &'static str, value: &T) -> Result<Vec<u8>, StateFault> {
    encode_as(VERSION, tree, value)
}

/// `value` as bytes of this version.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_as<T: Encode>(
    version: u8,
    tree: &'static str,
    value: &T,
) -> Result<Vec<u8>, StateFault> {
    let mut bytes = Vec::with_capacity(64);
    bytes.push(version);
    bincode::encode_into_std_write(value, &mut bytes, config::legacy())
        .map_err(|error| StateFault::Undecodable { tree, detail: error.to_string() })?;
    Ok(bytes)
}

/// The value that `bytes` hold.
///
/// # Errors
/// [`StateFault::Undecodable`] on an unknown version byte, a cut value, or bytes left over.
pub(crate) fn decode<T: Decode<()>>(tree: &'static str, bytes: &[u8]) -> Result<T, StateFault> {
    decode_as(VERSION, tree, bytes)
}

/// The value that `bytes` of this version hold.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_as<T: Decode<()>>(
    version: u8,
    tree: &'static str,
    bytes: &[u8],
) -> Result<T, StateFault> {
    let undecodable = |detail: String| StateFault::Undecodable { tree, detail };
    let rest = match bytes.split_first() {
        Some((found, rest)) if *found == version => rest,
        found => {
            let found = found.map(|(found, _)| found);
            return Err(undecodable(format!("version byte {found:?}, expected {version}")));
        }
    };
    let limited = config::legacy().with_limit::<VALUE_MAX>();
    let (value, read) =
        bincode::decode_from_slice(rest, limited).map_err(|error| undecodable(error.to_string()))?;
    if read != rest.len() {
        return Err(undecodable(format!("{} bytes left over", rest.len() - read)));
    }
    Ok(value)
}

/// The version byte of a stored value, if it has one.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BodyDigest, FailedAttempt, History, LedgerEntry, Outcome};

    proptest! {
        #[test]
        fn a_history_survives_the_round_trip(attempts in 0u32.., cause in "[^\0]{0,50}", at in 0u64.., arrived: bool) {
            let failed = FailedAttempt { at, status: Some(503), cause, may_have_arrived: arrived, answer: None };
            let history = History { attempts, counted: 1, may_have_arrived: arrived, last: vec![failed] };
            let bytes = encode("test", &history).unwrap();
            prop_assert_eq!(decode::<History>("test", &bytes).unwrap(), history);
        }

        #[test]
        fn any_bytes_give_a_value_or_a_fault_but_never_a_panic(bytes: Vec<u8>) {
            let _either = decode::<History>("test", &bytes);
        }

        #[test]
        fn a_cut_value_is_a_fault(cut in 0usize..30) {
            let entry = LedgerEntry { outcome: Outcome::Delivered, digest: BodyDigest::of(b"x"), failed_attempts: 0, at: 7 };
            let bytes = encode("test", &entry).unwrap();
            prop_assume!(cut < bytes.len());
            prop_assert!(decode::<LedgerEntry>("test", &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn an_unknown_version_byte_is_a_fault_and_names_the_tree() {
        let error = decode::<History>("dead", &[9, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("dead") && error.contains('9'), "{error}");
    }

    #[test]
    fn the_layout_of_a_ledger_entry_is_fixed() {
        let entry = LedgerEntry {
            outcome: Outcome::DeadLettered,
            digest: BodyDigest::of(b""),
            failed_attempts: 3,
            at: 258,
        };
        let bytes = encode("ledger", &entry).unwrap();
        assert_eq!((bytes.len(), &bytes[..5], &bytes[21..25]), (33, &[1, 2, 0, 0, 0][..], &[3, 0, 0, 0][..]));
    }
}
