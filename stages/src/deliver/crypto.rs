//! The process's crypto provider.

use rustls::crypto::{CryptoProvider, ring};

/// Makes `ring` the process's crypto provider, unless it has one: TLS asks for the process's.
pub fn install_crypto() {
    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_err() {
        tracing::debug!("another thread has installed a crypto provider first; that one is used");
    }
}
