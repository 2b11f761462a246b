//! Why a batch, or the rest of one, cannot be read.

/// Why a batch cannot be read, from some record on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BatchFault {
    /// Its compression is not supported.
    #[error("its compression has the number {codec}, which is not known")]
    Codec { codec: i16 },
    /// Its compressed content is damaged.
    #[error("it cannot be decompressed: {detail}")]
    Inflate { detail: String },
    /// It is too long when decompressed.
    #[error("decompressed it has more than the {max} bytes that source.max_bytes allows")]
    TooLong { max: usize },
    /// Its number of records differs from its number of offsets.
    #[error("it has offsets for {said} records and says that it holds {found}")]
    Count { said: u64, found: u64 },
    /// A part of a record is longer than what is left, or has a negative length.
    #[error("{what} has a length of {len}, where {left} bytes are left")]
    Length { what: &'static str, len: i64, left: usize },
    /// There are no more bytes.
    #[error("it ends within {what}")]
    Ends { what: &'static str },
    /// A varint has more than 64 bits.
    #[error("the number of {what} does not end")]
    Endless { what: &'static str },
    /// The byte that says whether there is a key is invalid.
    #[error("the byte before the key is {tag}, neither 0 nor 1")]
    Key { tag: u8 },
}

impl BatchFault {
    pub(super) fn inflate(error: impl std::fmt::Display) -> Self {
        Self::Inflate { detail: error.to_string() }
    }
}
