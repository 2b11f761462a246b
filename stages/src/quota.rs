//! How fast a broker may be served.

/// A broker's quota.
#[derive(Debug)]
pub struct Quota;
