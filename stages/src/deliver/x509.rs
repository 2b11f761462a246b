//! What a message about a certificate needs to know of it (RFC 5280, section 4.1). Nothing is verified here.

use yasna::{ASN1Result, BERReader, BERReaderSeq, Tag, models::ObjectIdentifier, parse_der};

/// The attributes of a name that are shown, and how: the usual ones, the most telling first.
const ATTRIBUTES: [(&[u64], &str); 3] =
    [(&[2, 5, 4, 3], "CN"), (&[2, 5, 4, 11], "OU"), (&[2, 5, 4, 10], "O")];
/// The extension that says whether a certificate is an authority's.
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];

/// What is told of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct X509 {
    /// Whose it is, as `CN=tms`; empty if the usual names are not there.
    pub(super) subject: String,
    /// Who has signed it.
    pub(super) issuer: String,
    /// Whether both are the same.
    pub(super) is_self_signed: bool,
    /// 1, 2 or 3.
    pub(super) version: u64,
    /// Whether it says that it is an authority's.
    pub(super) is_authority: bool,
}

impl X509 {
    /// Reads a certificate; none if it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let certificate = reader.next().read_sequence(to_be_signed)?;
                // How it is signed, and the signature.
                reader.next().read_der()?;
                reader.next().read_der()?;
                Ok(certificate)
            })
        })
        .ok()
    }
}

fn to_be_signed(reader: &mut BERReaderSeq<'_, '_>) -> ASN1Result<X509> {
    let version =
        reader.read_default(0, |reader| reader.read_tagged(Tag::context(0), |reader| reader.read_u64()))?;
    // Its number, and how it is signed.
    reader.next().read_der()?;
    reader.next().read_der()?;
    let issuer = reader.next().read_der()?;
    // When it is valid.
    reader.next().read_der()?;
    let subject = reader.next().read_der()?;
    // The key, and identifiers that nobody uses.
    reader.next().read_der()?;
    for tag in [1, 2].map(Tag::context) {
        reader
            .read_optional(|reader| reader.read_tagged_implicit(tag, |reader| reader.read_bitvec_bytes()))?;
    }
    let is_authority = reader.read_optional(|reader| reader.read_tagged(Tag::context(3), is_authority))?;
    Ok(X509 {
        subject: name(&subject),
        issuer: name(&issuer),
        is_self_signed: subject == issuer,
        version: version.saturating_add(1),
        is_authority: is_authority.unwrap_or_default(),
    })
}

/// Whether these extensions say so.
fn is_authority(reader: BERReader<'_, '_>) -> ASN1Result<bool> {
    let mut found = false;
    reader.read_sequence_of(|reader| {
        reader.read_sequence(|reader| {
            let which = reader.next().read_oid()?;
            reader.read_default(false, |reader| reader.read_bool())?;
            let value = reader.next().read_bytes()?;
            if which == ObjectIdentifier::from_slice(BASIC_CONSTRAINTS) {
                found = parse_der(&value, |reader| {
                    reader.read_sequence(|reader| {
                        let is_one = reader.read_default(false, |reader| reader.read_bool())?;
                        reader.read_optional(|reader| reader.read_u64())?;
                        Ok(is_one)
                    })
                })?;
            }
            Ok(())
        })
    })?;
    Ok(found)
}

/// The usual attributes of a name in one text.
fn name(der: &[u8]) -> String {
    let attributes = parse_der(der, |reader| {
        reader.collect_sequence_of(|reader| {
            reader.collect_set_of(|reader| {
                reader
                    .read_sequence(|reader| Ok((reader.next().read_oid()?, reader.next().read_tagged_der()?)))
            })
        })
    });
    let attributes: Vec<_> = attributes.unwrap_or_default().into_iter().flatten().collect();
    let shown = ATTRIBUTES.iter().filter_map(|(id, shown)| {
        let (_, value) = attributes.iter().find(|(which, _)| which.components() == id)?;
        Some(format!("{shown}={}", String::from_utf8_lossy(value.value())))
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

    use super::*;

    fn certificate(is_ca: IsCa) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["tms.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "tms");
        params.distinguished_name.push(DnType::OrganizationName, "Acme Freight");
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_known_by_its_names_its_version_and_what_it_is_for() {
        let server = X509::read(&certificate(IsCa::NoCa)).unwrap();
        assert_eq!((server.version, server.is_self_signed, server.is_authority), (3, true, false));
        assert!(
            server.subject.starts_with("CN=") && server.subject.ends_with(", O=Acme Freight"),
            "{server:?}"
        );
        let authority = X509::read(&certificate(IsCa::Ca(BasicConstraints::Constrained(1)))).unwrap();
        assert!(authority.is_authority);
    }

    #[test]
    fn what_is_no_certificate_is_none_however_much_it_looks_like_one() {
        let whole = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        for end in 0..whole.len() {
            assert_eq!(X509::read(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _either = X509::read(&damaged);
        }
    }
}
