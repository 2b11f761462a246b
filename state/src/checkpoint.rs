//! Where a source resumes. A checkpoint is written once every record before it is settled; the next start reads from
//! exactly there.

use bincode::{Decode, Encode};

use crate::{codec, fault::StateFault};

/// The longest `mark` a source may write, in bytes: room for a device, an inode and a digest, and no more.
pub const MARK_MAX: usize = 64;

/// Where a source resumes: everything before it is settled.
///
/// Checkpoints of one source advance by (`epoch`, `offset`), as positions do; `mark` takes no part in the order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The incarnation of the source, as in [`Position`](crate::Position).
    pub epoch: u64,
    /// The place of the first record that is not settled, in the source's own unit, within the epoch.
    pub offset: u64,
    /// How the source knows its epoch again, in the source's own format, at most [`MARK_MAX`] bytes; empty if the
    /// source needs none.
    pub mark: Vec<u8>,
}

impl Checkpoint {
    /// The stored form.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`], which no checkpoint can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateFault> {
        codec::encode("sources", self)
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) has encoded.
    ///
    /// # Errors
    /// [`StateFault::Undecodable`]: an unknown version, a cut value, or bytes left over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateFault> {
        codec::decode("sources", bytes)
    }
}

/// A place in a source: how far it may have been read, as promised on disk before reading on.
///
/// After a run of which nothing more exact is known, a delivery read before the horizon and missing from the ledger may
/// have been on the wire: its next attempt is counted as a possible repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Horizon {
    /// The incarnation of the source.
    pub epoch: u64,
    /// The place within it.
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_the_codec_and_fits_the_bound_it_states() {
        let config = bincode::config::legacy();
        let before = Checkpoint { epoch: 3, offset: u64::MAX, mark: (0..MARK_MAX as u8).collect() };
        let bytes = bincode::encode_to_vec(&before, config).unwrap();
        assert_eq!(bytes.len(), 8 + 8 + 8 + MARK_MAX);
        let (after, read): (Checkpoint, usize) = bincode::decode_from_slice(&bytes, config).unwrap();
        assert_eq!((after, read), (before, bytes.len()));
    }
}
