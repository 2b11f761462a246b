//! Checks a broker's URL as far as possible without the network. What a name resolves to is checked at each
//! connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use url::{Host, Url};

use crate::deliver::egress::{AddressRefused, Egress, is_this_machine};

/// Why a URL cannot be posted to; shows no more of it than scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL.
    #[error("the endpoint's url cannot be read: {0}; write it as https://host/path")]
    Parse(#[from] url::ParseError),
    /// The scheme is not allowed.
    #[error("the endpoint's scheme is {scheme}: use https, or http where `allow_http` is set")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// A user name or a password stands in the URL.
    #[error(
        "the endpoint's url for {host} has a user name or password in it: send it as an extra header instead"
    )]
    UserInfo {
        /// The host.
        host: String,
    },
    /// A fragment is never sent.
    #[error("the endpoint's url for {host} has a fragment (#…), which is never sent: remove it")]
    Fragment {
        /// The host.
        host: String,
    },
    /// The URL has characters, or a length, that a request cannot carry.
    #[error("the endpoint's url for {host} cannot stand in a request: shorten it or percent-encode it")]
    Unsendable {
        /// The host.
        host: String,
    },
    /// The host is an address that is not allowed.
    #[error(transparent)]
    Address(#[from] AddressRefused),
}

/// Everything that is wrong with `url` under this policy; nothing if it can be posted to.
#[must_use]
pub fn url_errors(url: &Url, egress: &Egress) -> Vec<UrlError> {
    let scheme = url.scheme();
    let mut errors = Vec::new();
    if scheme != "https" && !(scheme == "http" && egress.allow_http) {
        errors.push(UrlError::Scheme { scheme: scheme.to_owned() });
    }
    if !["https", "http"].contains(&scheme) {
        // Further checks would depend on that scheme's own rules.
        return errors;
    }
    let Some(named) = url.host() else { return vec![url::ParseError::EmptyHost.into()] };
    let host = named.to_string();
    if !url.username().is_empty() || url.password().is_some() {
        errors.push(UrlError::UserInfo { host: host.clone() });
    }
    if url.fragment().is_some() {
        errors.push(UrlError::Fragment { host: host.clone() });
    }
    let addresses = addresses_of(&named);
    if let Some(&address) = addresses.first()
        && !addresses.iter().any(|address| egress.permits(*address))
    {
        errors.push(AddressRefused { address, host: host.clone() }.into());
    }
    // As the HTTP client converts it for each request.
    if url.as_str().parse::<Uri>().is_err() {
        errors.push(UrlError::Unsendable { host });
    }
    errors
}

/// The addresses of a host that are known without DNS: its own, and those of `localhost`.
fn addresses_of(host: &Host<&str>) -> Vec<IpAddr> {
    match *host {
        // The parser has read every spelling of an address (0x7f.1, 2130706433, …) as the address it is.
        Host::Ipv4(address) => vec![address.into()],
        Host::Ipv6(address) => vec![address.into()],
        Host::Domain(name) if is_this_machine(name) => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Host::Domain(_) => Vec::new(),
    }
}
