//! `proxy`: the forward proxy that deliveries leave through, for all brokers or for one.

use std::sync::Arc;

use ::url::Url;
use stages::EgressProxy;

use super::{
    fetch_secret::secret,
    problem::Refusal,
    section::{Item, Section},
};

/// The proxy that the key names; `default` if it is not there, none if it is `"none"`.
pub(super) fn read(
    s: &mut Section<'_, '_>,
    shown: Option<&str>,
    default: Option<&Arc<EgressProxy>>,
) -> Option<Arc<EgressProxy>> {
    s.know("proxy", shown.map(str::to_owned), None);
    let Some(item) = s.item("proxy") else { return default.cloned() };
    if item.value.as_str() == Some("none") {
        return None;
    }
    let (mut address, mut credentials) = (Some(item.clone()), None);
    if item.value.is_table() {
        address = None;
        for (name, entry) in s.entries(&item)? {
            match name {
                "url" => address = Some(entry),
                "credentials" => credentials = Some(entry),
                _ => {
                    let remedy = "leave it out; the keys here are url and credentials";
                    s.report_hidden(&entry, Refusal::new("is not a key of a proxy", remedy));
                }
            }
        }
    }
    let Some(address) = address else {
        s.report_hidden(&item, Refusal::new("names no proxy", format!("write it as {EXAMPLE}")));
        return None;
    };
    let url = url(s, &address)?;
    let credentials = match credentials {
        None => None,
        Some(item) => Some(user_and_password(s, &item)?),
    };
    Some(Arc::new(EgressProxy { url, credentials }))
}

const EXAMPLE: &str = "\"http://proxy.example:3128\", or { url = \"…\", credentials = \"file:PATH\" }";

fn url(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<Url> {
    let url = item.value.as_str().and_then(|text| Url::parse(text).ok());
    let Some(url) = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host()) else {
        s.report_hidden(item, Refusal::new("is not the URL of a proxy", format!("write it as {EXAMPLE}")));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "take them out, and name a file with USER:PASSWORD: credentials = \"file:PATH\"";
        s.report_hidden(item, Refusal::new("has a user name or a password in it", remedy));
        return None;
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let refusal = Refusal::new("has more than a host and a port", "take out everything behind the port");
        s.report_hidden(item, refusal);
        return None;
    }
    Some(url)
}

fn user_and_password(s: &mut Section<'_, '_>, item: &Item<'_>) -> Option<(String, String)> {
    let secret = secret(s, item)?;
    let Some((user, password)) = secret.expose().split_once(':') else {
        s.report(item, Refusal::new("names no user and password", "put USER:PASSWORD there, alone"));
        return None;
    };
    Some((user.to_owned(), password.to_owned()))
}
