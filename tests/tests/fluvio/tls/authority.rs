//! An authority of the scenario's own, and the certificates it signs: names enter, PEM leaves.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The authority's own certificate, PEM.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate for `name`.
    pub(super) fn server(&self, name: &str) -> Signed {
        self.sign(vec![name.to_owned()], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate.
    pub(super) fn client(&self) -> Signed {
        self.sign(Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, names: Vec<String>, purpose: ExtendedKeyUsagePurpose) -> Signed {
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Signed { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
