//! What a broker's deliveries are signed with: `secrets` after Standard Webhooks, and `signatures` of other schemes.

use http::HeaderName;
use stages::{
    HEADER_SIGNATURES_MAX, HeaderSignature, HeaderSignatureError, SIGNING_KEYS_MAX, Signer, SigningKey,
};

use super::{
    fetch_secret::secret,
    problem::Refusal,
    secret::{Secret, SecretRef},
    section::{Item, Section},
};

/// The references to the signing keys, and their signer; none if one is wrong, which has been reported. Without
/// `secrets` there is no key, which only a broker with `signatures` may have.
pub(super) fn standard(s: &mut Section<'_, '_>) -> Option<(Vec<SecretRef>, Signer)> {
    s.know("secrets", None, None);
    let Some(item) = s.item("secrets") else {
        if s.item("signatures").is_none() {
            s.report_missing("secrets", "name at least one signing key: secrets = [\"env:NAME\"]");
            return None;
        }
        return Some((Vec::new(), Signer::default()));
    };
    let elements = s.list(&item)?;
    if elements.is_empty() || elements.len() > SIGNING_KEYS_MAX {
        let problem = format!("has {} elements", elements.len());
        let remedy = format!("name 1 to {SIGNING_KEYS_MAX} signing keys, the newest first");
        s.report_hidden(&item, Refusal::new(problem, remedy));
    }
    let mut fetched: Vec<Secret> = Vec::new();
    let mut keys = Vec::new();
    for element in &elements {
        let Some(secret) = secret(s, element) else { continue };
        match SigningKey::parse(secret.expose()) {
            Err(error) => {
                let remedy = "make one: whsec_ and the standard base64 of 24 to 64 random bytes";
                s.report(element, Refusal::new(format!("names no signing key: {error}"), remedy));
            }
            Ok(_) if fetched.iter().any(|other| other.expose() == secret.expose()) => {
                s.report(element, Refusal::new("names the same signing key again", "leave it out"));
            }
            Ok(key) => {
                keys.push(key);
                fetched.push(secret);
            }
        }
    }
    let references = fetched.into_iter().map(|secret| secret.reference().clone()).collect();
    Some((references, Signer::new(keys).ok()?))
}

/// The signatures in other headers; those without a secret of their own use the newest of `signer`.
pub(super) fn others(s: &mut Section<'_, '_>, signer: Option<&Signer>) -> Vec<HeaderSignature> {
    s.know("signatures", None, None);
    let Some(item) = s.item("signatures") else { return Vec::new() };
    let Some(elements) = s.list(&item) else { return Vec::new() };
    if elements.is_empty() || elements.len() > HEADER_SIGNATURES_MAX {
        let problem = format!("has {} elements", elements.len());
        let remedy = format!("give 1 to {HEADER_SIGNATURES_MAX}, such as {EXAMPLE}");
        s.report_hidden(&item, Refusal::new(problem, remedy));
    }
    elements.iter().filter_map(|element| signature(s, element, signer)).collect()
}

const EXAMPLE: &str =
    "{ header = \"x-hub-signature-256\", value = \"sha256={hex}\", secret = \"file:PATH\" }";

fn signature<'d>(
    s: &mut Section<'_, 'd>,
    item: &Item<'d>,
    signer: Option<&Signer>,
) -> Option<HeaderSignature> {
    let (mut header, mut value, mut over, mut own) = (None, None, None, None);
    for (name, entry) in s.entries(item)? {
        match name {
            "header" => header = Some(entry),
            "value" => value = Some(entry),
            "over" => over = Some(entry),
            "secret" => own = Some(entry),
            _ => {
                let remedy = "leave it out; the keys here are header, value, over, secret";
                s.report_hidden(&entry, Refusal::new("is not a key of a signature", remedy));
            }
        }
    }
    let (Some(header), Some(value)) = (header, value) else {
        s.report_hidden(item, Refusal::new("names no header or no value", format!("write {EXAMPLE}")));
        return None;
    };
    let name = header.value.as_str().and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let Some(name) = name else {
        s.report(&header, Refusal::new("is not the name of a header", "use letters, digits and -"));
        return None;
    };
    let own = match &own {
        None => None,
        Some(item) => Some(secret(s, item)?),
    };
    let shared = signer.and_then(Signer::first).and_then(SigningKey::hmac);
    let key = own.as_ref().map_or("", Secret::expose);
    let mut signature = match HeaderSignature::new(name, value.value.as_str()?, key.as_bytes()) {
        Ok(signature) => signature,
        Err(error @ HeaderSignatureError::Reserved) => {
            s.report(&header, refusal(&error));
            return None;
        }
        Err(error) => {
            s.report(&value, refusal(&error));
            return None;
        }
    };
    match (own, shared) {
        (Some(_), _) => {}
        (None, Some(shared)) => signature = signature.with_key(shared.clone()),
        (None, None) => {
            let remedy = "name one, secret = \"file:PATH\", or put a whsec_ key first in `secrets`";
            s.report_hidden(item, Refusal::new("has no secret to sign with", remedy));
            return None;
        }
    }
    let Some(over) = over else { return Some(signature) };
    match signature.over(over.value.as_str().unwrap_or_default()) {
        Ok(signature) => Some(signature),
        Err(error) => {
            s.report(&over, refusal(&error));
            None
        }
    }
}

fn refusal(error: &HeaderSignatureError) -> Refusal {
    let remedy = match error {
        HeaderSignatureError::Reserved => "name another one",
        HeaderSignatureError::Place(_) => {
            "the places of `value` are {hex}, {base64}, {timestamp}, {id}; those of `over` are {body}, {timestamp}, {id}"
        }
        HeaderSignatureError::NoSignature => "put {hex} or {base64} into it",
        HeaderSignatureError::NoBody => "put {body} into it",
        HeaderSignatureError::Unprintable => "shorten it",
    };
    Refusal::new(error.to_string(), remedy)
}
