//! The legacy model's config for a run, from its profile and the receivers' addresses.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    legacy::{LegacyBroker, LegacyConfig},
    traffic::profile::Profile,
};

/// Writes the config of the model into `dir`; gives its path.
///
/// # Errors
/// The file cannot be written.
pub fn write_legacy_config(
    dir: &Path,
    log: &Path,
    profile: &Profile,
    addresses: &[SocketAddr],
) -> io::Result<PathBuf> {
    let legacy = &profile.legacy;
    let brokers = profile.brokers.iter().zip(addresses).map(|(broker, address)| {
        let url = format!("http://{address}/webhooks").parse().map_err(io::Error::other)?;
        Ok(LegacyBroker::new(&broker.id, url, &broker.subscription()))
    });
    let config = LegacyConfig {
        partitions: legacy.partitions,
        consumers: legacy.consumers,
        commit_interval: legacy.commit_interval,
        session: legacy.session,
        timeout: legacy.timeout,
        query: legacy.query,
        poison_restart: legacy.poison_restart,
        poison_max: legacy.poison_max,
        ..LegacyConfig::of_run(log.to_owned(), brokers.collect::<io::Result<_>>()?)
    };
    config.save(dir)
}
