//! The HTTP clients: limits and trust enter, one client for each shard and each set of networks that may be reached leaves.
//!
//! A client's connections are driven by the runtime that opened them, so each shard has its own and must use no other. A
//! connection that one broker may open must not carry another's deliveries, so brokers that may reach different networks
//! have different clients.
//! What a client does is exactly one POST: no redirect is followed, nothing is sent again, no proxy is taken from the
//! environment, no cookie is kept, no answer is decompressed. (A request that finds its kept connection closed moves to
//! another one, but only as long as not a byte of it was written.)

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use ipnet::IpNet;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use rustls::{
    ClientConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer,
        pem::{Error as PemError, PemObject},
    },
};

use crate::{
    connect::{self, Connect},
    egress::Egress,
    resolver::{GuardedResolver, Lookup, SystemLookup},
};

/// The limits of a client, and whom it trusts.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long name resolution, TCP and TLS may take together. Shorter than every endpoint's timeout, so that a
    /// failure to connect is known to be one, and the event known not to have arrived.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Shorter than receivers keep theirs, so that few are found closed.
    pub idle_timeout: Duration,
    /// How many unused connections to one host are kept by one shard. About as many as deliveries to it are in flight
    /// at a time: each one missing costs a TLS handshake, each one too many a file descriptor.
    pub idle_per_host_max: usize,
    /// Certificate authorities to trust besides the system's: PEM, one or more certificates each.
    pub extra_ca_pem: Vec<Vec<u8>>,
}

/// Why there can be no HTTP clients.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// No shard, no client.
    #[error("there are 0 shards: at least 1 is needed")]
    NoShards,
    /// A certificate authority's PEM cannot be read.
    #[error("extra certificate authority number {number} cannot be read: give its certificates as PEM")]
    Certificate {
        /// Which one, counted from 1.
        number: usize,
        /// What was found.
        source: PemError,
    },
    /// A certificate authority's PEM holds no certificate.
    #[error("extra certificate authority number {number} holds no certificate: give its certificates as PEM")]
    NoCertificate {
        /// Which one, counted from 1.
        number: usize,
    },
    /// The client could not be made.
    #[error(
        "the http client cannot be made: check the extra certificate authorities, and that the system has a set of its own (ca-certificates)"
    )]
    Build(#[from] rustls::Error),
}

/// One shard's client.
pub(crate) type HttpClient = Client<Connect, Full<Bytes>>;

/// One client for each shard, all of which may reach the same networks.
#[derive(Clone)]
pub(crate) struct ClientSet(Arc<[HttpClient]>);

impl ClientSet {
    /// The client of shard `shard`; numbers beyond the last shard start over at the first.
    pub(crate) fn of(&self, shard: usize) -> &HttpClient {
        &self.0[shard % self.0.len()]
    }
}

/// Sets that nobody uses are given up when there are this many.
const SETS_KEPT: usize = 64;

/// The HTTP clients of all shards. A clone shares them.
#[derive(Clone)]
pub struct HttpClients(Arc<Shared>);

struct Shared {
    shards: usize,
    options: HttpOptions,
    tls: ClientConfig,
    lookup: Arc<dyn Lookup>,
    /// By the networks that may be reached besides the public internet.
    sets: Mutex<FxHashMap<Vec<IpNet>, ClientSet>>,
}

impl HttpClients {
    /// Clients for `shards` shards, which resolve names with the system's resolver. Where they may lead says each endpoint.
    ///
    /// # Errors
    /// There are no shards, a certificate authority cannot be read, or no authority is known at all.
    pub fn new(shards: usize, options: &HttpOptions) -> Result<Self, HttpClientError> {
        Self::with_lookup(shards, options, Arc::new(SystemLookup))
    }

    /// The same with a resolver of your own, which the guard still stands before.
    ///
    /// # Errors
    /// As for [`HttpClients::new`].
    pub fn with_lookup(
        shards: usize,
        options: &HttpOptions,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, HttpClientError> {
        if shards == 0 {
            return Err(HttpClientError::NoShards);
        }
        install_crypto();
        let tls = connect::tls(authorities(&options.extra_ca_pem)?)?;
        let (options, sets) = (options.clone(), Mutex::default());
        Ok(Self(Arc::new(Shared { shards, options, tls, lookup, sets })))
    }

    /// The clients that reach the public internet and `networks`; the same ones for the same networks.
    pub(crate) fn reaching(&self, networks: &[IpNet]) -> ClientSet {
        let mut sets = self.0.sets.lock();
        if let Some(set) = sets.get(networks) {
            return set.clone();
        }
        if sets.len() >= SETS_KEPT {
            sets.retain(|_, set| Arc::strong_count(&set.0) > 1);
        }
        let Shared { shards, options, tls, lookup, .. } = &*self.0;
        let egress = Egress { allow_networks: networks.to_vec(), ..Egress::default() };
        let resolver = GuardedResolver::new(lookup.clone(), egress);
        let client = |_| client(options, tls.clone(), resolver.clone());
        let set = ClientSet((0..*shards).map(client).collect());
        sets.insert(networks.to_vec(), set.clone());
        set
    }
}

impl fmt::Debug for HttpClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClients").field("shards", &self.0.shards).finish()
    }
}

fn client(options: &HttpOptions, mut tls: ClientConfig, resolver: GuardedResolver) -> HttpClient {
    // Each shard remembers its own brokers' sessions: a store that all share would be full with the first few, and a lock.
    tls.resumption = Resumption::default();
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_per_host_max)
        .build(Connect::new(resolver, tls, options.connect_timeout))
}

/// Makes `ring` the process's crypto provider, unless it has one: TLS asks for the process's.
pub fn install_crypto() {
    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_err() {
        tracing::debug!("another thread has installed a crypto provider first; that one is used");
    }
}

fn authorities(pems: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, HttpClientError> {
    let mut all = Vec::new();
    for (pem, number) in pems.iter().zip(1..) {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.map_err(|source| HttpClientError::Certificate { number, source })?;
        if found.is_empty() {
            return Err(HttpClientError::NoCertificate { number });
        }
        all.extend(found);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::http_options;

    fn with_authority(pem: &[u8]) -> Result<HttpClients, HttpClientError> {
        let options = HttpOptions { extra_ca_pem: vec![pem.to_vec()], ..http_options() };
        HttpClients::new(1, &options)
    }

    #[test]
    fn no_shards_are_refused_and_shard_numbers_wrap_around() {
        let none = HttpClients::new(0, &http_options());
        assert!(matches!(none, Err(HttpClientError::NoShards)));
        let two = HttpClients::new(2, &http_options()).unwrap().reaching(&[]);
        assert!(std::ptr::eq(two.of(0), two.of(2)) && !std::ptr::eq(two.of(0), two.of(1)));
    }

    #[test]
    fn the_same_networks_have_the_same_clients_and_other_networks_others() {
        let clients = HttpClients::new(1, &http_options()).unwrap();
        let copy = clients.clone();
        let network = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let (none, inside) = (clients.reaching(&[]), clients.reaching(&network("10.0.0.0/8")));
        assert!(!std::ptr::eq(none.of(0), inside.of(0)));
        assert!(std::ptr::eq(none.of(0), copy.reaching(&[]).of(0)));
        for other in 0..2 * SETS_KEPT {
            drop(clients.reaching(&network(&format!("10.{other}.0.0/16"))));
        }
        assert!(clients.0.sets.lock().len() <= SETS_KEPT + 1, "sets that nobody uses are kept for ever");
        assert!(std::ptr::eq(inside.of(0), clients.reaching(&network("10.0.0.0/8")).of(0)));
    }

    #[test]
    fn an_authority_that_is_none_is_refused() {
        assert!(matches!(with_authority(b"no pem"), Err(HttpClientError::NoCertificate { number: 1 })));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(with_authority(broken), Err(HttpClientError::Certificate { number: 1, .. })));
        let not_one = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(with_authority(not_one), Err(HttpClientError::Build(_))));
    }
}
