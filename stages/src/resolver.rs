//! Name resolution with a guard: a host name enters, only addresses that are public or in an allowed network leave.
//!
//! The HTTP client connects to what it is given here and asks no one else, so the address that was checked is the one
//! that is used: a name that changes its address between check and use (DNS rebinding) gains nothing. A host that is an
//! address itself never gets here; it is checked when its endpoint is made.

use std::{
    error::Error,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::egress::{AddressRefused, Egress};

/// The addresses of a name, or why there are none.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Who is asked for a name's addresses.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`.
    fn addresses(&self, host: &str) -> Looking;
}

/// The operating system's resolver, through tokio.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: &str) -> Looking {
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
#[derive(Clone)]
pub(crate) struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    egress: Arc<Egress>,
}

impl GuardedResolver {
    /// A resolver that asks `lookup` and obeys `egress`.
    #[must_use]
    pub(crate) fn new(lookup: Arc<dyn Lookup>, egress: Egress) -> Self {
        Self { lookup, egress: Arc::new(egress) }
    }
}

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking = self.lookup.addresses(name.as_str());
        let egress = self.egress.clone();
        Box::pin(async move {
            let found = looking.await?;
            // Port 0 stands for the port of the URL.
            let permitted = found.iter().filter(|address| egress.permits(**address));
            let permitted: Vec<_> = permitted.map(|address| SocketAddr::new(*address, 0)).collect();
            match found.first() {
                None => Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address").into()),
                Some(&address) if permitted.is_empty() => {
                    Err(AddressRefused { address, host: name.as_str().to_owned() }.into())
                }
                Some(_) => Ok(permitted.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FixedLookup;

    async fn resolve(answer: &[&str]) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        let lookup = Arc::new(FixedLookup::new(answer));
        let mut resolver = GuardedResolver::new(lookup, Egress::default());
        Ok(resolver.call("tms.example".parse().unwrap()).await?.map(|address| address.ip()).collect())
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
        let mut resolver = GuardedResolver::new(Arc::new(SystemLookup), Egress::default());
        let Err(error) = resolver.call("localhost".parse().unwrap()).await else { panic!("permitted") };
        assert!(error.downcast_ref::<AddressRefused>().unwrap().address.is_loopback());
    }
}
