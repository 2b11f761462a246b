//! How a broker's receiver knows the sender: `auth`, by a fixed `authorization`, or `oauth2`, by access tokens.

use ::url::Url;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use stages::{ClientAuth, Egress, OAuth2};

use super::{
    fetch_secret::secret,
    problem::Refusal,
    section::{Item, Section},
    url::{check_url, shown_url},
};

/// The longest literal text, in bytes.
const TEXT_MAX: usize = 1024;
/// Further parameters of a token request.
const PARAMETERS_MAX: usize = 8;

/// Adds the `authorization` that `auth` asks for to `headers`.
pub(super) fn read(s: &mut Section<'_, '_>, headers: &mut HeaderMap) {
    s.know("auth", None, None);
    let Some(item) = s.item("auth") else { return };
    let Some(entries) = s.entries(&item) else { return };
    let [(kind @ ("bearer" | "basic"), reference)] = &entries[..] else {
        let remedy = "give { bearer = \"file:PATH\" }, or { basic = \"file:PATH\" } with USER:PASSWORD in it";
        s.report_hidden(&item, Refusal::new("does not say how", remedy));
        return;
    };
    if headers.contains_key(AUTHORIZATION) {
        let refusal = Refusal::new("stands beside headers.authorization", "keep one of the two");
        s.report_hidden(&item, refusal);
    }
    let Some(secret) = secret(s, reference) else { return };
    let value = match *kind {
        // Some files hold the whole value of the header.
        "bearer" => format!("Bearer {}", without_scheme(secret.expose())),
        _ if !secret.expose().contains(':') => {
            let refusal = Refusal::new("names no user and password", "put USER:PASSWORD there, alone");
            s.report(reference, refusal);
            return;
        }
        _ => format!("Basic {}", STANDARD.encode(secret.expose())),
    };
    match HeaderValue::try_from(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Err(_) => {
            let refusal =
                Refusal::new("names what cannot stand in a header", "give one line of printable text");
            s.report(reference, refusal);
        }
    }
}

/// A token without the name of its scheme before it, which no token has in itself (RFC 6750, section 2.1).
fn without_scheme(secret: &str) -> &str {
    match secret.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        _ => secret,
    }
}

/// Where access tokens come from, if the broker has `[brokers.oauth2]`.
pub(super) fn oauth2(s: &mut Section<'_, '_>, egress: &Egress, headers: &HeaderMap) -> Option<OAuth2> {
    if headers.contains_key(AUTHORIZATION)
        && let Some(item) = s.item("oauth2")
    {
        let refusal = Refusal::new("stands beside another authorization", "keep `auth`, the header, or this");
        s.report_hidden(&item, refusal);
    }
    s.section("oauth2", |s| {
        let there = s.is_there();
        let token_url = token_url(s, egress, there);
        let client_id = plain_or_secret(s, "client_id", there);
        let client_secret = client_secret(s, there);
        let client_auth =
            s.choice("client_auth", ("basic", ClientAuth::Basic), &[("body", ClientAuth::Body)]);
        s.know("scope", None, None);
        let scope = s.item("scope").and_then(|item| s.text(&item, TEXT_MAX).map(str::to_owned));
        let parameters = parameters(s);
        let (token_url, client_id, client_secret) = (token_url?, client_id?, client_secret?);
        Some(OAuth2 { token_url, client_id, client_secret, client_auth, scope, parameters })
    })
}

fn token_url(s: &mut Section<'_, '_>, egress: &Egress, there: bool) -> Option<Url> {
    s.know("token_url", None, None);
    let Some(item) = s.item("token_url") else {
        if there {
            s.report_missing("token_url", "give the address that access tokens are asked for");
        }
        return None;
    };
    let text = item.value.as_str().unwrap_or_default();
    if text.contains(['{', '}']) {
        let refusal =
            Refusal::new("has a brace: tokens are not asked for by event", "give the address alone");
        s.report_hidden(&item, refusal);
        return None;
    }
    match check_url(text, egress) {
        Ok(url) => Some(url),
        Err(refusals) => {
            let value = Url::parse(text).ok().map(|url| shown_url(&url));
            for refusal in refusals {
                s.findings.report(&item.location, value.clone(), refusal);
            }
            None
        }
    }
}

fn client_secret(s: &mut Section<'_, '_>, there: bool) -> Option<String> {
    s.know("client_secret", None, None);
    let Some(item) = s.item("client_secret") else {
        if there {
            s.report_missing("client_secret", "name it: env:NAME or file:PATH");
        }
        return None;
    };
    secret(s, &item).map(|secret| secret.expose().to_owned())
}

/// A text as it stands, or the secret it refers to.
fn plain_or_secret(s: &mut Section<'_, '_>, key: &'static str, there: bool) -> Option<String> {
    s.know(key, None, None);
    let Some(item) = s.item(key) else {
        if there {
            s.report_missing(key, "give it in quotes, or a reference to it: env:NAME or file:PATH");
        }
        return None;
    };
    let refers = |text: &str| text.starts_with("env:") || text.starts_with("file:");
    if item.value.as_str().is_some_and(refers) {
        return secret(s, &item).map(|secret| secret.expose().to_owned());
    }
    s.text(&item, TEXT_MAX).map(str::to_owned)
}

fn parameters(s: &mut Section<'_, '_>) -> Vec<(String, String)> {
    s.know("parameters", None, None);
    let Some(item) = s.item("parameters") else { return Vec::new() };
    let entries = s.entries(&item).unwrap_or_default();
    if entries.len() > PARAMETERS_MAX {
        let refusal =
            Refusal::new(format!("has {} entries", entries.len()), format!("give at most {PARAMETERS_MAX}"));
        s.report_hidden(&item, refusal);
    }
    let parameter = |(name, item): &(&str, Item<'_>)| match item.value.as_str() {
        Some(text) if text.len() <= TEXT_MAX => Some(((*name).to_owned(), text.to_owned())),
        _ => {
            let problem = format!("is not a text of at most {TEXT_MAX} bytes");
            s.report_hidden(item, Refusal::new(problem, "give it in quotes"));
            None
        }
    };
    entries.iter().filter_map(parameter).collect()
}
