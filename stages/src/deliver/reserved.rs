//! Headers that a config must not set.

use http::HeaderName;

/// Those of the connection and the message (RFC 9110, sections 7.2, 7.6.1, 8.6 and 10.1.1), which the HTTP client sets, and
/// those of W3C Trace Context, which belong to one event.
pub(super) const RESERVED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The prefixes of other reserved headers: Loadline's own, and those for a proxy.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "loadline-", "proxy-"];

/// Whether a header is reserved, so that a config must not set it.
#[must_use]
pub fn is_reserved_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
