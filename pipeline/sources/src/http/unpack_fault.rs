//! Why there are no records in a body.

use std::io;

use super::body::BodyFault;

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackFault {
    #[error("the body has more than {max} bytes when it is decompressed; post it in parts")]
    TooLarge { max: usize },
    #[error("the body is compressed to less than one byte in {max}; post it in parts, or as it is")]
    TooDense { max: usize },
    #[error("the body has more than {max} gzip members; compress it as one")]
    TooManyMembers { max: usize },
    #[error("the body could not be decompressed in time; nothing of it was accepted")]
    TooSlow,
    #[error("the body is not gzip, as its Content-Encoding says: {0}")]
    NotGzip(io::Error),
    #[error(transparent)]
    Body(#[from] BodyFault),
    #[error("the body could not be read now; nothing of it was accepted, post it again")]
    Interrupted,
}
