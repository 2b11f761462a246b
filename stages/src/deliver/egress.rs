//! Decides which addresses may be posted to.
//!
//! A broker's URL comes from an outsider, so it must not reach what only this machine or its network can reach.
//! Everything that the IANA special-purpose registries (RFC 6890 and later) set apart is refused, as is every form
//! that wraps an internal IPv4 address into an IPv6 one, unless the config allows that very network.
//!
//! An address in the URL itself is the config's own, including the port. A name is not: its owner can point it into
//! an allowed network at any time. Into a network that is allowed for all brokers a name may lead only at the ports
//! of web servers and at those the config lists; into one that is allowed for this broker only, at its URL's port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// IPv4 networks that are not on the public internet (IANA IPv4 special-purpose address registry, and multicast).
const REFUSED_V4: [Ipv4Net; 19] = [
    v4([0, 0, 0, 0], 8),        // this network, and the unspecified address
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // carrier-grade NAT
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // the host of a virtual machine in Azure
    v4([169, 254, 0, 0], 16),   // link-local, with the metadata services of clouds
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 31, 196, 0], 24),  // AS112
    v4([192, 52, 193, 0], 24),  // multicast relays
    v4([192, 88, 99, 0], 24),   // 6to4 relays, deprecated
    v4([192, 168, 0, 0], 16),   // private
    v4([192, 175, 48, 0], 24),  // AS112
    v4([198, 18, 0, 0], 15),    // benchmarks
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 4),      // multicast
    v4([240, 0, 0, 0], 4),      // reserved, and broadcast
];

/// The only IPv6 addresses allocated for the public internet (IANA IPv6 address space). Everything outside is
/// refused: unspecified, loopback, IPv4-compatible and -mapped, NAT64, discard, unique-local, link-local, multicast.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0], 3);

/// Special-purpose networks inside [`PUBLIC_V6`].
const REFUSED_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0], 23),     // protocol assignments: Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8], 32), // documentation
    v6([0x2002, 0], 16),     // 6to4, which wraps an IPv4 address
    AS112_V6,
    v6([0x3fff, 0], 20), // documentation
];

/// AS112 by redirection (RFC 7534).
const AS112_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48);

/// The internal networks among [`REFUSED_V4`], which a translator in this network can reach.
const INSIDE_V4: [Ipv4Net; 7] = [
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([168, 63, 129, 16], 32),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
];

/// The positions of the IPv4 address in a translator's address: behind the prefix, without the ninth byte, with zeros
/// at the end (RFC 6052, section 2.2).
const TRANSLATED: [[usize; 4]; 6] =
    [[4, 5, 6, 7], [5, 6, 7, 9], [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 2], prefix: u8) -> Ipv6Net {
    let [a, b] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Where deliveries may go. The default is the public internet over https.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Whether an endpoint may use plain http.
    pub allow_http: bool,
    /// Non-public networks that all brokers may be posted to. An IPv4-mapped IPv6 address is compared as the IPv4
    /// address.
    pub allow_networks: Vec<IpNet>,
    /// Ports, beside 443 and with plain http 80, at which a name may lead into these networks.
    pub allow_ports: Vec<u16>,
    /// Non-public networks that only this broker may be posted to, at any port.
    pub own_networks: Vec<IpNet>,
}

impl Egress {
    /// Whether a connection to `address` is allowed.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        let mut allowed = self.allow_networks.iter().chain(&self.own_networks);
        allowed.any(|network| network.contains(&canonical)) || is_public(address)
    }

    /// The networks that the name in `url` may lead to besides the public internet.
    #[must_use]
    pub fn networks_for(&self, url: &Url) -> Vec<IpNet> {
        let shared: &[IpNet] = if self.permits_port(url) { &self.allow_networks } else { &[] };
        shared.iter().chain(&self.own_networks).copied().collect()
    }

    /// Whether the port of `url` is one at which a name may lead into the networks that are allowed for all. This machine's
    /// own names count as addresses, which may be posted to at any port.
    #[must_use]
    pub fn permits_port(&self, url: &Url) -> bool {
        let is_literal = match url.host() {
            Some(Host::Domain(name)) => is_this_machine(name),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => true,
        };
        let port = url.port_or_known_default().unwrap_or_default();
        is_literal || port == 443 || (port == 80 && self.allow_http) || self.allow_ports.contains(&port)
    }
}

/// Whether `name` is `localhost` or below it, which is never resolved by DNS (RFC 6761, section 6.3).
pub(crate) fn is_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address)
                && !REFUSED_V6.iter().any(|network| network.contains(&address))
                && !leads_inside(address)
        }
    }
}

/// Whether a public IPv6 address wraps an internal IPv4 address: ISATAP (RFC 5214, section 6.1), which never leaves a
/// site, or a translator's address under its own prefix.
fn leads_inside(address: Ipv6Addr) -> bool {
    let (octets, segments) = (address.octets(), address.segments());
    if segments[4] & !0x0300 == 0 && segments[5] == 0x5efe {
        return true;
    }
    TRANSLATED.iter().any(|places| {
        let wrapped = Ipv4Addr::from(places.map(|place| octets[place]));
        let are_zero = |range: &[u8]| range.iter().all(|octet| *octet == 0);
        // A 96-bit prefix is recognised by the zeros at its end.
        let prefix_ends = places[3] < 15 || are_zero(&octets[8..12]);
        let is_form = octets[8] == 0 && prefix_ends && are_zero(&octets[places[3] + 1..]);
        is_form && INSIDE_V4.iter().any(|network| network.contains(&wrapped))
    })
}

/// An address that the config does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "address {address} of {host} is in a network that is not allowed: list the network in its broker's \
     `allow_networks`, or the port in `allow_ports` if the network is allowed for all"
)]
pub struct AddressRefused {
    /// The address; the first one if the name has several.
    pub address: IpAddr,
    /// The name it was resolved from, or the address itself.
    pub host: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn permits(allowed: &[&str], address: &str) -> bool {
        let allow_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Egress { allow_networks, ..Egress::default() }.permits(address.parse().unwrap())
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let v4 = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 \
            169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 \
            198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            168.63.129.16 192.0.0.192 192.31.196.1 192.52.193.1 192.175.48.1";
        let v6 = ":: ::1 ::8.8.8.8 ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::8.8.8.8 \
            64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:0:4136:e378::1 2001:2::1 2001:db8::1 \
            2002:7f00:1::1 2002:808:808::1 3fff::1 4000::1 fc00::1 fd12:3456::1 fe80::1 febf::1 fec0::1 ff02::1 \
            2001:1::1 2001:20::1 2001:30::1 2620:4f:8000::1 100:0:0:1::1 5f00::1 64:ff9b:1:a00:1:: \
            2606:4700::5efe:a00:1 2606:4700:0:1:200:5efe:8.8.8.8 2606:4700:0:1:300:5efe:192.168.0.1 \
            2606:4700::10.0.0.1 2606:4700::127.0.0.1 2606:4700::169.254.169.254 2606:4700::172.31.0.1 \
            2606:4700::192.168.1.1 2606:4700::100.64.0.1 2606:4700::168.63.129.16 \
            2606:4700:a00:1:: 2606:4700:0a:0:1:: 2606:4700:1:a00:0:100:: 2606:4700:1:20a:0:1:: \
            2606:4700:1:2:a:0:100::";
        for address in v4.split_whitespace().chain(v6.split_whitespace()) {
            assert!(!permits(&[], address), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_allowed_up_to_the_edges() {
        let public = "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
            169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 \
            198.20.0.0 223.255.255.255 2000::1 2001:200::1 2001:4860:4860::8888 2606:4700::1111 3ffe:ffff::1 \
            168.63.129.15 168.63.129.17 192.31.195.255 192.175.49.0 2620:4f:7fff::1 2620:4f:8001::1 \
            2606:4700::8.8.8.8 2606:4700::f00d:1 2606:4700:a00:1::1 2606:4700:0:1:1:5efe:a00:1 \
            2a03:2880:f12f:83:face:b00c:0:25de 2a00:1450:4001:80b::200e 2606:4700:1:2:a:0:100:1";
        for address in public.split_whitespace() {
            assert!(permits(&[], address), "{address}");
        }
    }

    #[test]
    fn an_allowed_network_is_allowed_and_its_neighbour_is_not() {
        assert!(permits(&["10.1.0.0/16"], "10.1.2.3") && !permits(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(permits(&["fd00:1::/32"], "fd00:1::9") && !permits(&["fd00:1::/32"], "fd00:2::9"));
        assert!(permits(&["64:ff9b::/96"], "64:ff9b::808:808"));
    }

    #[test]
    fn a_name_leads_into_an_allowed_network_at_the_ports_of_web_servers_and_those_that_are_listed() {
        let allow_networks = vec!["10.0.0.0/8".parse().unwrap()];
        let egress = Egress { allow_networks, allow_ports: vec![8443], ..Egress::default() };
        let reaches = |egress: &Egress, url: &str| !egress.networks_for(&url.parse().unwrap()).is_empty();
        for url in [
            "https://tms.example/",
            "https://tms.example:8443/",
            "https://10.0.0.1:9200/",
            "https://[fd00::1]:9200/",
            "https://localhost:9200/",
            "https://a.localhost.:9200/",
        ] {
            assert!(reaches(&egress, url), "{url}");
        }
        for url in ["https://tms.example:9200/", "https://tms.example:80/", "http://tms.example/"] {
            assert!(!reaches(&egress, url), "{url}");
        }
        let own = Egress { own_networks: vec!["10.1.0.0/16".parse().unwrap()], ..egress.clone() };
        let found = own.networks_for(&"https://tms.example:9200/".parse().unwrap());
        assert_eq!(found, own.own_networks, "its own, and nobody else's");
        assert!(own.permits([10, 1, 0, 1].into()) && own.permits([10, 2, 0, 1].into()));
        let with_http = Egress { allow_http: true, ..egress };
        assert!(
            reaches(&with_http, "http://tms.example/") && !reaches(&with_http, "http://tms.example:6379/")
        );
    }

    #[test]
    fn a_mapped_address_is_compared_as_the_one_it_stands_for() {
        assert!(permits(&["10.1.0.0/16"], "::ffff:10.1.2.3"));
        assert!(!permits(&["10.1.0.0/16"], "::ffff:10.2.0.1"));
        assert!(!permits(&["::/0"], "::ffff:10.2.0.1"));
    }

    proptest! {
        #[test]
        fn wrapping_a_private_address_never_helps(host in 0_u32..1 << 24) {
            let [_, b, c, d] = host.to_be_bytes();
            let (high, low) = (0x0a00 | u16::from(b), u16::from_be_bytes([c, d]));
            let wrapped = [
                Ipv4Addr::new(10, b, c, d).to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2606, 0x4700, 7, 7, 0, 0, high, low),
                Ipv6Addr::new(0x2606, 0x4700, 7, 7, 0x200, 0x5efe, high, low),
                Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low),
            ];
            for address in wrapped {
                prop_assert!(!Egress::default().permits(address.into()), "{}", address);
            }
        }
    }
}
