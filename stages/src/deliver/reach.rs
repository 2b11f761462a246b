//! What separates brokers' connections: the networks they may reach, the authorities they trust, the certificate they
//! show, and the proxy they go through. Brokers with the same share clients, others never do.

use std::{fmt, sync::Arc};

use ipnet::IpNet;
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use url::Url;

use super::{authorities::authorities, client_error::HttpClientError, crypto::install_crypto};

/// Where a broker's connections may go, and how they get there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    /// The networks that a name may lead to besides the public internet.
    pub(crate) networks: Arc<[IpNet]>,
    /// TLS that only some brokers have.
    pub(crate) tls: Option<Arc<OwnTls>>,
    /// The proxy in between.
    pub(crate) proxy: Option<Arc<EgressProxy>>,
}

/// Authorities of a broker's own, and the certificate it is shown.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct OwnTls {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// In DER; only read again to make a client.
    key: Vec<u8>,
    kind: KeyKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum KeyKind {
    Pkcs1,
    Sec1,
    Pkcs8,
}

impl OwnTls {
    /// Trusts the authorities in `authorities` too, and shows the certificate in `identity`, which is a chain and its key;
    /// all of it PEM.
    ///
    /// # Errors
    /// Something cannot be read, or the key is not the certificate's.
    pub fn new(
        authorities_pem: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, HttpClientError> {
        let authorities = match authorities_pem {
            None => Vec::new(),
            Some(pem) => authorities(&[pem.to_vec()])?,
        };
        let identity = identity.map(|(chain, key)| Identity::new(chain, key)).transpose()?;
        Ok(Self { authorities, identity })
    }

    /// The authorities.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The chain of the certificate that is shown; empty if none is.
    #[must_use]
    pub fn certificate(&self) -> &[CertificateDer<'static>] {
        self.identity.as_ref().map_or(&[], |identity| &identity.chain)
    }

    /// The chain and its key, if one is shown.
    pub(super) fn identity(&self) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        self.identity.as_ref().map(|identity| (identity.chain.clone(), identity.key()))
    }
}

impl Identity {
    fn new(chain: &[u8], key: &[u8]) -> Result<Self, HttpClientError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| HttpClientError::OwnCertificate)?;
        if chain.is_empty() {
            return Err(HttpClientError::OwnCertificate);
        }
        // The reader's own error could repeat a part of the key.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| HttpClientError::OwnKey)?;
        let (kind, der) = match &key {
            PrivateKeyDer::Pkcs1(der) => (KeyKind::Pkcs1, der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => (KeyKind::Sec1, der.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(der) => (KeyKind::Pkcs8, der.secret_pkcs8_der()),
            _ => return Err(HttpClientError::OwnKey),
        };
        let identity = Self { chain, key: der.to_vec(), kind };
        install_crypto();
        let provider = CryptoProvider::get_default().ok_or(HttpClientError::OwnKey)?;
        CertifiedKey::from_der(identity.chain.clone(), identity.key(), provider)
            .map_err(HttpClientError::OwnPair)?;
        Ok(identity)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        match self.kind {
            KeyKind::Pkcs1 => PrivateKeyDer::Pkcs1(self.key.clone().into()),
            KeyKind::Sec1 => PrivateKeyDer::Sec1(self.key.clone().into()),
            KeyKind::Pkcs8 => PrivateKeyDer::Pkcs8(self.key.clone().into()),
        }
    }
}

impl fmt::Debug for OwnTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnTls")
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity.as_ref().map(|identity| identity.chain.len()))
            .finish_non_exhaustive()
    }
}

/// A forward proxy: https goes through it by CONNECT, plain http as a request for a whole URL (RFC 9110, section 9.3.6,
/// and RFC 9112, section 3.2.2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EgressProxy {
    /// Where it is: http or https, a host and a port. It is the operator's own, so its address is not judged.
    pub url: Url,
    /// User and password, for `proxy-authorization`.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressProxy")
            .field("url", &self.url.origin().ascii_serialization())
            .field("credentials", &self.credentials.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["loadline.example".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_goes_with_its_own_key_only_and_nothing_of_the_key_is_shown() {
        let ((one, key), (_, other)) = (pair(), pair());
        let own = |chain: &str, key: &str| OwnTls::new(None, Some((chain.as_bytes(), key.as_bytes())));
        let shown = format!("{:?}", own(&one, &key).unwrap());
        assert!(shown.contains("Some(1)") && shown.len() < 80, "{shown}");
        assert!(matches!(own(&one, &other), Err(HttpClientError::OwnPair(_))));
        assert!(matches!(own("", &key), Err(HttpClientError::OwnCertificate)));
        assert!(matches!(own(&one, &one), Err(HttpClientError::OwnKey)));
        assert!(matches!(OwnTls::new(Some(b"none"), None), Err(HttpClientError::NoCertificate { .. })));
    }

    #[test]
    fn a_key_that_has_changed_makes_another_reach() {
        let (one, other) = (pair(), pair());
        let own = |(chain, key): &(String, String)| {
            OwnTls::new(None, Some((chain.as_bytes(), key.as_bytes()))).unwrap()
        };
        assert!(own(&one) == own(&one) && own(&one) != own(&other));
    }

    #[test]
    fn a_proxys_credentials_are_not_shown() {
        let credentials = Some(("user".to_owned(), "hunter2".to_owned()));
        let proxy = EgressProxy { url: "http://proxy.example:3128".parse().unwrap(), credentials };
        assert!(!format!("{proxy:?}").contains("hunter2"));
    }
}
