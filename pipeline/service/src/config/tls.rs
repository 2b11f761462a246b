//! Reads `tls` and the files beside it, which must exist, for every section that names a cluster.

use std::path::PathBuf;

use super::{problem::Refusal, section::Section};

/// The keys that only mean something with `tls`, of any cluster.
pub(super) const TLS_FILES: [&str; 3] = ["tls_ca_file", "tls_cert_file", "tls_key_file"];

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tls {
    /// The authorities to trust; none if they are not named.
    pub(super) ca_file: Option<PathBuf>,
    /// The certificate and the key to show, in this order.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Reads `tls` and [`TLS_FILES`]; none without TLS. `wanted` is whether the section needs a cluster, so that something may
/// be missing or out of place.
pub(super) fn read(s: &mut Section<'_, '_>, wanted: bool) -> Option<Tls> {
    let on = s.flag("tls", false);
    let ca_file = file(s, "tls_ca_file");
    let (cert_file, key_file) = (file(s, "tls_cert_file"), file(s, "tls_key_file"));
    if !on {
        if wanted {
            TLS_FILES.into_iter().for_each(|key| without_tls(s, key));
        }
        return None;
    }
    let client = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some((cert_file, key_file)),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() { "tls_cert_file" } else { "tls_key_file" };
            if s.item(missing).is_none() && wanted {
                s.report_missing(missing, "a certificate and its key belong together: give both or neither");
            }
            None
        }
    };
    Some(Tls { ca_file, client })
}

/// Reports `key` if it is there although TLS is off.
pub(super) fn without_tls(s: &mut Section<'_, '_>, key: &'static str) {
    if let Some(item) = s.item(key) {
        s.report(&item, Refusal::new("has no meaning without TLS", "set tls = true, or leave it out"));
    }
}

/// A file that is there.
fn file(s: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    s.know(key, None, None);
    let item = s.item(key)?;
    let path = s.path_of(&item)?;
    if path.is_file() {
        return Some(path);
    }
    s.report(
        &item,
        Refusal::new("is not a file", "give the path of a PEM file; a relative one starts at this file"),
    );
    None
}
