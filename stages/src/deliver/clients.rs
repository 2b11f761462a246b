//! The HTTP clients: one reqwest client for each shard and each [`Reach`].
//!
//! A client's connections are driven by the runtime that opened them, so each shard has its own and must use no
//! other. A connection that one broker may open must not carry another's deliveries, so brokers that may reach
//! different networks, trust different authorities, show different certificates or go through different proxies have
//! different clients.
//!
//! A client does exactly one POST: no redirect is followed, nothing is sent again, no proxy is taken from the
//! environment, no cookie is kept, no answer is decompressed. (A request that finds its kept connection closed moves
//! to another one, but only if not a byte of it was written.)

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use reqwest::{Client, Proxy, redirect, retry};
use rustc_hash::FxHashMap;
use rustls::{ClientConfig, client::Resumption};
use tokio::time::Instant;

use super::{
    client_error::HttpClientError,
    crypto::install_crypto,
    egress::Egress,
    reach::{EgressProxy, Reach},
    renewed_client::RenewedClient,
    resolver::{GuardedResolver, Lookup, SystemLookup},
    tls,
};

/// TCP keepalive: the idle time before the first probe, and the interval of probes.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long written data and keepalive probes may go unacknowledged (RFC 5482, tcp(7)) before the connection is
/// closed.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How many headers an answer may have: ten times what browsers and servers are usually content with. The client library
/// sets room for as many aside for each answer, 64 bytes each; with no more than this the allocator keeps it at hand.
const HEADERS_MAX: usize = 1024;
/// How many bytes they may have with HTTP/2. With HTTP/1.1 it is what the client library allows, about 400 KiB.
const HEADER_LIST_MAX: u32 = 256 << 10;

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
    /// How long a connection may be used for further requests, so that a host that moves to another address is followed.
    pub connection_age_max: Duration,
    /// Certificate authorities to trust besides the system's: PEM, one or more certificates each.
    pub extra_ca_pem: Vec<Vec<u8>>,
}

/// One client for each shard, all with the same reach.
#[derive(Clone)]
pub(crate) struct ClientSet(Arc<[RenewedClient]>);

impl ClientSet {
    /// The client of shard `shard` for a request that begins now; numbers beyond the last shard start over at the first.
    pub(crate) fn of(&self, shard: usize) -> Client {
        self.0[shard % self.0.len()].at(Instant::now())
    }
}

/// Unused sets are dropped when there are this many.
const SETS_KEPT: usize = 64;

/// The HTTP clients of all shards. A clone shares them.
#[derive(Clone)]
pub struct HttpClients(Arc<Shared>);

struct Shared {
    shards: usize,
    options: HttpOptions,
    tls: ClientConfig,
    lookup: Arc<dyn Lookup>,
    /// Whether answers say what was seen of TLS.
    tells_tls: bool,
    sets: Mutex<FxHashMap<Reach, ClientSet>>,
}

impl HttpClients {
    /// Clients for `shards` shards, which resolve names with the system's resolver. Each endpoint says which networks
    /// it may reach.
    ///
    /// # Errors
    /// There are no shards, a certificate authority cannot be read, no authority is known at all, or the client library
    /// refuses the options.
    pub fn new(shards: usize, options: &HttpOptions) -> Result<Self, HttpClientError> {
        Self::with_lookup(shards, options, Arc::new(SystemLookup))
    }

    /// As [`HttpClients::new`] for one shard, with answers that say what was seen of TLS.
    pub(super) fn telling(options: &HttpOptions) -> Result<Self, HttpClientError> {
        Self::made(1, options, Arc::new(SystemLookup), true)
    }

    /// As [`HttpClients::new`], with another resolver; its addresses are checked all the same.
    ///
    /// # Errors
    /// As for [`HttpClients::new`].
    pub fn with_lookup(
        shards: usize,
        options: &HttpOptions,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, HttpClientError> {
        Self::made(shards, options, lookup, false)
    }

    fn made(
        shards: usize,
        options: &HttpOptions,
        lookup: Arc<dyn Lookup>,
        tells_tls: bool,
    ) -> Result<Self, HttpClientError> {
        if shards == 0 {
            return Err(HttpClientError::NoShards);
        }
        install_crypto();
        let tls = tls::config(&options.extra_ca_pem, None)?;
        let (options, sets) = (options.clone(), Mutex::default());
        let clients = Self(Arc::new(Shared { shards, options, tls, lookup, tells_tls, sets }));
        // So that wrong options are found at the start and not at the first delivery.
        clients.reaching(&Reach::default())?;
        Ok(clients)
    }

    /// The clients with this reach, shared by all who ask for the same.
    ///
    /// # Errors
    /// The client library refuses the options.
    pub(crate) fn reaching(&self, reach: &Reach) -> Result<ClientSet, HttpClientError> {
        let mut sets = self.0.sets.lock();
        if let Some(set) = sets.get(reach) {
            return Ok(set.clone());
        }
        if sets.len() >= SETS_KEPT {
            sets.retain(|_, set| Arc::strong_count(&set.0) > 1);
        }
        let Shared { shards, options, tls, lookup, tells_tls, .. } = &*self.0;
        let (tls, tells_tls) = match &reach.tls {
            None => (tls.clone(), *tells_tls),
            Some(own) => (tls::config(&options.extra_ca_pem, Some(own))?, *tells_tls),
        };
        let egress = Egress { allow_networks: reach.networks.to_vec(), ..Egress::default() };
        let resolver = match &reach.proxy {
            None => GuardedResolver::new(lookup.clone(), egress),
            // Only the proxy's own name is resolved here.
            Some(_) => GuardedResolver::unguarded(lookup.clone()),
        };
        let (resolver, proxy) = (Arc::new(resolver), reach.proxy.clone());
        let client = |_| {
            let (options, resolver, mut tls) = (options.clone(), resolver.clone(), tls.clone());
            let proxy = proxy.clone();
            // Each shard has its own TLS session cache: a shared one would fill up with the first few brokers and need
            // a lock. The client's successors use it too.
            tls.resumption = Resumption::default();
            RenewedClient::new(options.connection_age_max, move || {
                client(&options, tls.clone(), resolver.clone(), proxy.as_deref(), tells_tls)
            })
        };
        let set = ClientSet((0..*shards).map(client).collect::<Result<_, _>>()?);
        sets.insert(reach.clone(), set.clone());
        Ok(set)
    }
}

impl fmt::Debug for HttpClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClients").field("shards", &self.0.shards).finish()
    }
}

fn client(
    options: &HttpOptions,
    tls: ClientConfig,
    resolver: Arc<GuardedResolver>,
    proxy: Option<&EgressProxy>,
    tells_tls: bool,
) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .tls_info(tells_tls)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        // Zero: otherwise each request is copied so that it can be sent again.
        .retry(retry::never().max_retries_per_request(0))
        // Of name resolution, TCP and TLS together. It is shared out over a name's addresses, so that one which never
        // answers leaves time for the next.
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_per_host_max)
        // An answer is not less an answer for its many headers, for a header on several lines (RFC 9112, section 5.2), or for
        // one that is none: a status that was read says whether the event was taken.
        .http1_max_headers(HEADERS_MAX)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(USER_TIMEOUT);
    let builder = match proxy {
        None => builder,
        Some(EgressProxy { url, credentials }) => {
            let proxy = Proxy::all(url.clone())?;
            builder.proxy(match credentials {
                None => proxy,
                Some((user, password)) => proxy.basic_auth(user.as_str(), password.as_str()),
            })
        }
    };
    builder.build()
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

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
        let two = HttpClients::new(2, &http_options()).unwrap().reaching(&Reach::default()).unwrap();
        assert_eq!(two.0.len(), 2);
        drop((two.of(0), two.of(1), two.of(2)));
    }

    #[test]
    fn the_same_networks_have_the_same_clients_and_other_networks_others() {
        let clients = HttpClients::new(1, &http_options()).unwrap();
        let copy = clients.clone();
        let network = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        let reaching = |clients: &HttpClients, networks: &[IpNet]| {
            clients.reaching(&Reach { networks: networks.into(), ..Reach::default() }).unwrap()
        };
        let (none, inside) = (reaching(&clients, &[]), reaching(&clients, &network("10.0.0.0/8")));
        assert!(!Arc::ptr_eq(&none.0, &inside.0));
        assert!(Arc::ptr_eq(&none.0, &reaching(&copy, &[]).0));
        for other in 0..2 * SETS_KEPT {
            drop(reaching(&clients, &network(&format!("10.{other}.0.0/16"))));
        }
        assert!(clients.0.sets.lock().len() <= SETS_KEPT + 1, "sets that nobody uses are kept for ever");
        assert!(Arc::ptr_eq(&inside.0, &reaching(&clients, &network("10.0.0.0/8")).0));
    }

    #[test]
    fn an_authority_that_is_none_is_refused() {
        assert!(matches!(with_authority(b"no pem"), Err(HttpClientError::NoCertificate { number: 1 })));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(matches!(with_authority(broken), Err(HttpClientError::Certificate { number: 1, .. })));
        let not_one = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(with_authority(not_one), Err(HttpClientError::Tls(_))));
    }
}
