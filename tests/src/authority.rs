//! A certificate authority of a scenario's own, and the certificates it signs, as PEM.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// Its key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// A new one, with a key of its own.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Its name and that of a certificate it signs must differ: that one would pass for self-signed.
        params.distinguished_name.push(DnType::CommonName, "an authority of Loadline's tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate for `names`, which may be addresses.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Signed {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate.
    #[must_use]
    pub fn client(&self) -> Signed {
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
