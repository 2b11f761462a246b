//! Addresses at which no server answers.

use std::net::TcpListener;

/// An address at which nobody listens, unless somebody takes it within the scenario.
#[must_use]
pub fn unreachable_address() -> String {
    silent_address().1
}

/// One at which connections are accepted and never answered, for as long as the listener is held.
#[must_use]
pub fn silent_address() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}
