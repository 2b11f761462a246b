//! Where and how a broker's deliveries are posted.

/// A broker's endpoint.
#[derive(Debug)]
pub struct Endpoint;
