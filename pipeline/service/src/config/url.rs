//! Checks a broker's URL in the config's terms, and decides how much of it may be shown.

use ipnet::IpNet;
use stages::{Egress, UrlError, url_errors};
use url::Url;

use super::problem::Refusal;

/// Config-time check of a broker's URL.
///
/// # Errors
/// All problems of the URL.
pub(super) fn check_url(text: &str, egress: &Egress) -> Result<Url, Vec<Refusal>> {
    let checked = Url::parse(text).map_err(|error| vec![error.into()]).and_then(|url| {
        let errors = url_errors(&url, egress);
        if errors.is_empty() { Ok(url) } else { Err(errors) }
    });
    checked.map_err(|errors| errors.iter().map(refusal).collect())
}

/// What is wrong with a URL that has places.
pub(super) fn places_refusals(errors: &[UrlError]) -> Vec<Refusal> {
    errors.iter().map(refusal).collect()
}

fn refusal(error: &UrlError) -> Refusal {
    match error {
        UrlError::Parse(error) => {
            Refusal::new(format!("is not a URL: {error}"), "write it as \"https://host/path\"")
        }
        UrlError::Scheme { scheme } if scheme == "http" => {
            Refusal::new("is plain http", "use https, or set delivery.allow_http = true")
        }
        UrlError::Scheme { scheme } => Refusal::new(format!("has the scheme {scheme}"), "use https"),
        UrlError::UserInfo { .. } => Refusal::new(
            "has a user name or a password in it",
            "take them out and send them as auth = { basic = \"file:PATH\" }",
        ),
        UrlError::Fragment { .. } => {
            Refusal::new("has a fragment, which is never sent", "take out everything from the # on")
        }
        UrlError::Unsendable { .. } => {
            Refusal::new("cannot stand in a request", "shorten it or percent-encode it")
        }
        UrlError::Address(refused) => Refusal::new(
            format!("leads to {}, an address that is not on the public internet", refused.address),
            format!(
                "if that is meant, add \"{}\" to this broker's allow_networks",
                IpNet::from(refused.address.to_canonical())
            ),
        ),
    }
}

/// The part of a URL that may be shown: scheme, host and port. The rest may contain a secret, including the path.
pub(super) fn shown_url(url: &Url) -> String {
    let Some(host) = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme())) else {
        return format!("{}:…", url.scheme());
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest = if url.path() == "/" && url.query().is_none() { "" } else { "/…" };
    format!("{}://{host}{port}{rest}", url.scheme())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_a_url_is_said_at_once_and_its_secrets_are_not() {
        let text = "http://user:hunter2@10.0.0.1/hook?token=hunter2#hunter2";
        let refusals = check_url(text, &Egress::default()).unwrap_err();
        assert_eq!(refusals.len(), 4);
        assert!(!format!("{refusals:?}").contains("hunter2"));
    }

    #[test]
    fn only_scheme_host_and_port_of_a_url_are_shown() {
        let table = [
            ("https://host/", "https://host"),
            ("https://host:8443", "https://host:8443"),
            ("http://user:hunter2@10.0.0.1/hook?token=hunter2#hunter2", "http://10.0.0.1/…"),
            ("https://host/services/hunter2", "https://host/…"),
            ("https://host/?hunter2", "https://host/…"),
            ("https:\\\\user:hunter2@host\\hunter2", "https://host/…"),
            ("ftp://user:hunter2@host/hunter2", "ftp:…"),
            ("mailto:hunter2@host", "mailto:…"),
            ("data:text/plain,hunter2", "data:…"),
        ];
        for (text, shown) in table {
            assert_eq!(shown_url(&text.parse().unwrap()), shown, "{text}");
        }
    }

    #[test]
    fn the_network_to_allow_is_named_as_it_is_looked_up() {
        let refusals = check_url("https://[::ffff:10.1.2.3]/", &Egress::default()).unwrap_err();
        assert!(refusals[0].remedy.contains("\"10.1.2.3/32\""), "{refusals:?}");
        let allow_networks = vec!["10.1.2.3/32".parse().unwrap()];
        let egress = Egress { allow_networks, ..Egress::default() };
        assert!(check_url("https://[::ffff:10.1.2.3]/", &egress).is_ok());
    }
}
