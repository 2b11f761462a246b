//! The legacy model's config for a run, from its profile and the receivers' addresses.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    legacy::{LegacyBroker, LegacyConfig, LegacyTopic},
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
    let config = config(Some(log), None, profile, addresses)?;
    LegacyConfig { deliveries: dir.join("deliveries.ndjson"), ..config }.save(dir)
}

/// Writes the config of a member of the model's group into `dir`; gives its path.
///
/// # Errors
/// The file cannot be written.
pub fn write_legacy_member(
    dir: &Path,
    topic: LegacyTopic,
    profile: &Profile,
    addresses: &[SocketAddr],
) -> io::Result<PathBuf> {
    config(None, Some(topic), profile, addresses)?.save(dir)
}

fn config(
    log: Option<&Path>,
    topic: Option<LegacyTopic>,
    profile: &Profile,
    addresses: &[SocketAddr],
) -> io::Result<LegacyConfig> {
    let legacy = &profile.legacy;
    let brokers = profile.brokers.iter().zip(addresses).map(|(broker, address)| {
        let url = format!("http://{address}/webhooks").parse().map_err(io::Error::other)?;
        Ok(LegacyBroker::new(&broker.id, url, &broker.subscription()))
    });
    let log = log.map(Path::to_owned).unwrap_or_default();
    Ok(LegacyConfig {
        topic,
        partitions: legacy.partitions,
        consumers: legacy.consumers,
        commit_interval: legacy.commit_interval,
        session: legacy.session,
        timeout: legacy.timeout,
        query: legacy.query,
        poison_restart: legacy.poison_restart,
        poison_max: legacy.poison_max,
        ..LegacyConfig::of_run(log, brokers.collect::<io::Result<_>>()?)
    })
}
