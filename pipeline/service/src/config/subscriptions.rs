//! `[subscriptions]`: where brokers and subscriptions come from beside `[[brokers]]`, if they do.

use std::{path::PathBuf, time::Duration};

use subscriptions::{
    BROKERS_QUERY, ConnectionString, HAS_CLIENT, LOOKUP_QUERY, LastKnownOptions, Options, TlsOptions,
};

use super::{
    fetch_secret::secret,
    problem::Refusal,
    secret::SecretRef,
    section::Section,
    units::{DURATION, count, size},
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The longest query, in bytes.
const QUERY_MAX: usize = 16 << 10;
/// The most beginnings of references.
const PREFIXES_MAX: usize = 16;
/// What references in rows begin with unless the config says otherwise.
const PREFIX: &str = "env:LOADLINE_BROKER_";
/// The keys that mean something with a database only.
const KEYS: [&str; 15] = [
    "connection",
    "tls",
    "tls_ca_file",
    "connect_timeout",
    "statement_timeout",
    "backoff_min",
    "backoff_max",
    "block_max",
    "on_outage",
    "last_known_age_max",
    "last_known_memory_max",
    "poll",
    "lookup_query",
    "brokers_query",
    "secret_prefixes",
];

/// A database with brokers and subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionsConfig {
    /// How it is reached and what it is asked.
    pub options: Options,
    /// What the references to signing keys in rows may begin with (default `env:LOADLINE_BROKER_`): whoever writes rows is
    /// not to choose among all secrets of this process.
    pub secret_prefixes: Vec<SecretRef>,
}

impl SubscriptionsConfig {
    /// None if the config alone says who subscribes, or after a problem has been reported.
    pub(super) fn read(s: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = s.choice("source", ("config", false), &[("postgres", true)]);
        if let Some(item) = s.item("source").filter(|_| wanted && !HAS_CLIENT) {
            let remedy = "build it with the feature postgres, which is part of the default ones";
            s.report(&item, Refusal::new("needs a client that this build has not", remedy));
        }
        let connection = connection(s, wanted);
        let is_there = connection.is_some();
        let options = Options {
            connection: connection.unwrap_or_else(|| ConnectionString::new("")),
            tls: tls(s),
            connect_timeout: s.ranged("connect_timeout", 5 * SECOND, 100 * MILLI..=MINUTE, &DURATION),
            statement_timeout: s.ranged("statement_timeout", 5 * SECOND, 100 * MILLI..=MINUTE, &DURATION),
            backoff_min: s.ranged("backoff_min", 100 * MILLI, 10 * MILLI..=MINUTE, &DURATION),
            backoff_max: s.ranged("backoff_max", 5 * SECOND, 10 * MILLI..=5 * MINUTE, &DURATION),
            block_max: s.ranged("block_max", 256, 1..=4_096, &count()),
            last_known: last_known(s, wanted),
            poll: s.ranged("poll", SECOND, 100 * MILLI..=MINUTE, &DURATION),
            lookup_query: query(s, "lookup_query", LOOKUP_QUERY),
            brokers_query: query(s, "brokers_query", BROKERS_QUERY),
        };
        let secret_prefixes = prefixes(s);
        if !wanted && !s.findings.has_problem(&s.key("source")) {
            for key in KEYS {
                if let Some(item) = s.item(key) {
                    let remedy = "set source = \"postgres\", or leave it out";
                    s.report_hidden(&item, Refusal::new("has no meaning for source \"config\"", remedy));
                }
            }
        }
        (wanted && is_there).then_some(Self { options, secret_prefixes })
    }

    /// Whether rows may refer to this secret.
    #[must_use]
    pub fn permits(&self, reference: &SecretRef) -> bool {
        self.secret_prefixes.iter().any(|prefix| reference.begins_with(prefix))
    }
}

fn connection(s: &mut Section<'_, '_>, wanted: bool) -> Option<ConnectionString> {
    s.know("connection", None, None);
    let Some(item) = s.item("connection") else {
        if wanted {
            s.report_missing(
                "connection",
                "name where the connection string is: connection = \"env:NAME\" or \"file:PATH\"",
            );
        }
        return None;
    };
    secret(s, &item).map(|secret| ConnectionString::new(secret.expose()))
}

fn last_known(s: &mut Section<'_, '_>, wanted: bool) -> Option<LastKnownOptions> {
    let uses = s.choice("on_outage", ("hold", false), &[("last-known", true)]);
    let options = LastKnownOptions {
        age_max: s.ranged("last_known_age_max", 5 * MINUTE, SECOND..=24 * 60 * MINUTE, &DURATION),
        memory_max: s.ranged("last_known_memory_max", 64 << 20, 64 << 10..=64 << 30, &size()),
    };
    if wanted && !uses && !s.findings.has_problem(&s.key("on_outage")) {
        for key in ["last_known_age_max", "last_known_memory_max"] {
            if let Some(item) = s.item(key) {
                let remedy = "set on_outage = \"last-known\", or leave it out";
                s.report(&item, Refusal::new("has no meaning for on_outage \"hold\"", remedy));
            }
        }
    }
    uses.then_some(options)
}

fn tls(s: &mut Section<'_, '_>) -> Option<TlsOptions> {
    let on = s.flag("tls", true);
    s.know("tls_ca_file", Some("the system's authorities".to_owned()), None);
    let item = s.item("tls_ca_file");
    let ca_file: Option<PathBuf> = item.as_ref().and_then(|item| s.path_of(item));
    if let (Some(item), Some(path)) = (&item, &ca_file)
        && !path.is_file()
    {
        s.report(
            item,
            Refusal::new("is not a file", "give the path of a PEM file; a relative one starts at this file"),
        );
    }
    if !on {
        if let Some(item) = &item {
            s.report(item, Refusal::new("has no meaning without TLS", "set tls = true, or leave it out"));
        }
        return None;
    }
    Some(TlsOptions { ca_file })
}

fn query(s: &mut Section<'_, '_>, key: &'static str, default: &str) -> String {
    s.know(key, Some("for the default schema".to_owned()), None);
    let text = s.item(key).and_then(|item| s.text(&item, QUERY_MAX).map(str::to_owned));
    text.unwrap_or_else(|| default.to_owned())
}

fn prefixes(s: &mut Section<'_, '_>) -> Vec<SecretRef> {
    s.know(
        "secret_prefixes",
        Some(format!("[\"{PREFIX}\"]")),
        Some(format!("1 to {PREFIXES_MAX} beginnings")),
    );
    let Some(item) = s.item("secret_prefixes") else {
        return SecretRef::parse(PREFIX, s.findings.base).into_iter().collect();
    };
    let Some(items) = s.list(&item) else { return Vec::new() };
    if items.is_empty() || items.len() > PREFIXES_MAX {
        let remedy = format!("give 1 to {PREFIXES_MAX}");
        s.report(&item, Refusal::new(format!("has {} beginnings", items.len()), remedy));
    }
    let mut prefixes = Vec::with_capacity(items.len());
    for item in items {
        match SecretRef::parse(item.value.as_str().unwrap_or_default(), s.findings.base) {
            Ok(prefix) => prefixes.push(prefix),
            Err(fault) => {
                let remedy =
                    "write what references begin with: \"env:LOADLINE_BROKER_\" or \"file:secrets/\"";
                s.report_hidden(&item, Refusal::new(fault.to_string(), remedy));
            }
        }
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn rows_may_refer_to_what_begins_as_the_config_says_and_to_nothing_above_it() {
        let reference = |text: &str| SecretRef::parse(text, Path::new("/etc/loadline")).unwrap();
        let begins = |text: &str, prefix: &str| reference(text).begins_with(&reference(prefix));
        assert!(begins("env:LOADLINE_BROKER_ACME", PREFIX) && begins("file:secrets/acme", "file:secrets/"));
        for (text, prefix) in [
            ("env:AWS_SECRET", PREFIX),
            ("file:LOADLINE_BROKER_A", PREFIX),
            ("file:/etc/shadow", "file:secrets/"),
            ("file:secrets/../loadline.toml", "file:secrets/"),
            ("file:secretsx/acme", "file:secrets/"),
        ] {
            assert!(!begins(text, prefix), "{text} {prefix}");
        }
    }
}
