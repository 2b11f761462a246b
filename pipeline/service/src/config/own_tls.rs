//! TLS of a broker's own: `ca_file`, and the certificate it is shown, `tls_cert_file` and `tls_key_file`. The files are read
//! whenever the config is, so a reload takes new ones.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use stages::{HttpClientError, OwnTls};

use super::{
    file_modes::{Exposure, exposure},
    problem::Refusal,
    section::{Item, Section},
};

/// The largest file, in bytes: a set of public authorities is a quarter of that.
const PEM_MAX: u64 = 1 << 20;

/// Where the files are, for a reader of `loadline try`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities to trust as well.
    pub ca: Option<PathBuf>,
    /// The certificate to show, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The files that the keys name.
pub(super) fn files(s: &mut Section<'_, '_>) -> TlsFiles {
    let [ca, cert, key] = ["ca_file", "tls_cert_file", "tls_key_file"].map(|key| {
        let item = s.item(key)?;
        s.path_of(&item)
    });
    TlsFiles { ca, own: cert.zip(key) }
}

/// None if it has none of its own, or if that is wrong, which has been reported.
pub(super) fn read(s: &mut Section<'_, '_>) -> Option<Arc<OwnTls>> {
    for key in ["ca_file", "tls_cert_file", "tls_key_file"] {
        s.know(key, None, None);
    }
    let ca_file = s.item("ca_file");
    let (cert_file, key_file) = (s.item("tls_cert_file"), s.item("tls_key_file"));
    if ca_file.is_none() && cert_file.is_none() && key_file.is_none() {
        return None;
    }
    if cert_file.is_some() != key_file.is_some() {
        let missing = if cert_file.is_none() { "tls_cert_file" } else { "tls_key_file" };
        s.report_missing(missing, "a certificate and its key belong together: give both or neither");
        return None;
    }
    let authorities = ca_file.as_ref().map(|item| pem(s, item, false));
    let chain = cert_file.as_ref().map(|item| pem(s, item, false));
    let key = key_file.as_ref().map(|item| pem(s, item, true));
    // What cannot be read has been reported.
    let (authorities, chain, key) = (whole(authorities)?, whole(chain)?, whole(key)?);
    let identity = chain.as_deref().zip(key.as_deref());
    match OwnTls::new(authorities.as_deref(), identity) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(error) => {
            let item = match error {
                HttpClientError::OwnCertificate => cert_file,
                HttpClientError::OwnKey | HttpClientError::OwnPair(_) => key_file,
                _ => ca_file,
            };
            let problem = match &error {
                HttpClientError::OwnCertificate | HttpClientError::NoCertificate { .. } => {
                    "holds no certificate"
                }
                HttpClientError::OwnKey => "holds no key that can be read",
                HttpClientError::OwnPair(_) => "is not the key of the certificate in tls_cert_file",
                _ => "holds a certificate that cannot be read",
            };
            let remedy = "give PEM: a certificate before those it was signed by, a key without a password";
            if let Some(item) = item {
                s.report(&item, Refusal::new(problem, remedy));
            }
            None
        }
    }
}

/// `Some(None)` for a file that is not named, none for one that cannot be read.
fn whole(read: Option<Option<Vec<u8>>>) -> Option<Option<Vec<u8>>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn pem<'d>(s: &mut Section<'_, 'd>, item: &Item<'d>, is_secret: bool) -> Option<Vec<u8>> {
    let path = s.path_of(item)?;
    let read = File::open(path).and_then(|file| {
        let exposure = exposure(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(PEM_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>((bytes, exposure))
    });
    let refusal = match read {
        Ok((bytes, _)) if bytes.len() as u64 > PEM_MAX => {
            Refusal::new(format!("names a file of more than {PEM_MAX} bytes"), "name a PEM file")
        }
        Ok((_, Exposure::Writable(mode))) if is_secret => Refusal::new(
            format!("names a file that everyone on this machine may write (mode {mode:04o})"),
            "make it its owner's alone: chmod 600; and replace the key",
        ),
        Ok((bytes, exposure)) => {
            if let (true, Exposure::Readable(mode)) = (is_secret, exposure) {
                let problem = format!("names a file that others on this machine may read (mode {mode:04o})");
                let refusal = Refusal::new(problem, "make it its owner's alone: chmod 600");
                s.findings.warn(&item.location, refusal);
            }
            return Some(bytes);
        }
        Err(error) => Refusal::new(
            format!("names a file that cannot be read: {}", error.kind()),
            "give the path of a PEM file; a relative one starts where the config file is",
        ),
    };
    s.report(item, refusal);
    None
}
