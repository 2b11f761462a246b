//! What can be wrong with an endpoint. Each error names the thing, what was found and the way out, and no secret.

use super::EXTRA_HEADERS_MAX;
use crate::deliver::url_rules::UrlError;

/// Why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The URL cannot be posted to.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A reserved header.
    #[error("extra header {name} is set by the connection or by the signature: remove it")]
    HeaderReserved {
        /// The header.
        name: String,
    },
    /// A header has several values.
    #[error("extra header {name} is there twice (case does not matter): keep one")]
    HeaderTwice {
        /// The header.
        name: String,
    },
    /// There are too many headers.
    #[error("there are {count} extra headers: at most {EXTRA_HEADERS_MAX} are allowed")]
    Headers {
        /// How many were given.
        count: usize,
    },
    /// A signature has the header of another, or of the config.
    #[error("header {name} is set twice, by a signature and by another one or an extra header: keep one")]
    SignatureTwice {
        /// The header.
        name: String,
    },
    /// The timeout is zero.
    #[error("the endpoint's timeout is zero: no delivery could ever succeed")]
    Timeout,
}
