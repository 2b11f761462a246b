//! Resolves host names to permitted addresses only: public ones, and those in allowed networks.
//!
//! The HTTP client connects to exactly these addresses, so a name that changes its address between check and use (DNS
//! rebinding) gains nothing. A host that is an address never gets here; it is checked when its endpoint is made.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::egress::{AddressRefused, Egress};

/// The addresses of a name, or why they are unknown.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves names.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`.
    fn addresses(&self, host: &str) -> LookupFuture;
}

/// The operating system's resolver, through tokio.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: &str) -> LookupFuture {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver that keeps only permitted addresses.
///
/// Fails with [`AddressRefused`] in its error's chain of sources if a name has addresses and none is permitted.
pub(super) struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    /// None if every address is permitted.
    egress: Option<Arc<Egress>>,
}

impl GuardedResolver {
    /// A resolver that asks `lookup` and keeps the addresses that `egress` permits.
    pub(super) fn new(lookup: Arc<dyn Lookup>, egress: Egress) -> Self {
        Self { lookup, egress: Some(Arc::new(egress)) }
    }

    /// A resolver that keeps all addresses: for the name of a proxy, which is the operator's own.
    pub(super) fn unguarded(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, egress: None }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.addresses(name.as_str());
        let egress = self.egress.clone();
        Box::pin(async move {
            let found = looking.await?;
            // Port 0: the client uses the URL's port.
            let is_permitted = |address| egress.as_ref().is_none_or(|egress| egress.permits(address));
            let permitted = found.iter().filter(|address| is_permitted(**address));
            let permitted: Vec<_> = permitted.map(|address| SocketAddr::new(*address, 0)).collect();
            match found.first() {
                None => Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address").into()),
                Some(&address) if permitted.is_empty() => {
                    Err(AddressRefused { address, host: name.as_str().to_owned() }.into())
                }
                Some(_) => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::testing::FixedLookup;

    async fn resolve(answer: &[&str]) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        let lookup = Arc::new(FixedLookup::new(answer));
        let resolver = GuardedResolver::new(lookup, Egress::default());
        Ok(resolver.resolve("tms.example".parse().unwrap()).await?.map(|address| address.ip()).collect())
    }

    #[tokio::test]
    async fn only_permitted_addresses_are_left() {
        let left =
            resolve(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111", "::ffff:1.1.1.1"]).await.unwrap();
        assert_eq!(left, ["1.1.1.1", "2606:4700::1111"].map(|address| address.parse::<IpAddr>().unwrap()));
    }

    #[tokio::test]
    async fn a_name_with_refused_addresses_only_is_refused_by_name() {
        let error = resolve(&["169.254.169.254", "::1"]).await.unwrap_err();
        let refused = error.downcast_ref::<AddressRefused>().unwrap();
        assert_eq!(
            (refused.address.to_string().as_str(), refused.host.as_str()),
            ("169.254.169.254", "tms.example")
        );
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_not_found_rather_than_refused() {
        let error = resolve(&[]).await.unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn the_system_resolver_knows_this_machine_and_the_guard_refuses_it() {
        let resolver = GuardedResolver::new(Arc::new(SystemLookup), Egress::default());
        let Err(error) = resolver.resolve("localhost".parse().unwrap()).await else { panic!("permitted") };
        assert!(error.downcast_ref::<AddressRefused>().unwrap().address.is_loopback());
    }
}
