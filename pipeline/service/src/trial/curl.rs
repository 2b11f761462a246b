//! A request as a command for curl. Secrets are not in it: each stands as a variable of the shell that has to be set.

use std::fmt::Write;

use super::{Prepared, prepared::Connection};

/// The command, for a POSIX shell.
#[must_use]
pub fn curl(request: &Prepared) -> String {
    let Prepared { method, url, headers, body, connection } = request;
    let mut command = format!("curl -X {method} {}", quoted(url));
    for option in options(connection) {
        // Writing to a string cannot fail.
        write!(command, " \\\n  {option}").unwrap_or_default();
    }
    for (name, value) in headers {
        let header = match value {
            Some(value) => quoted(&format!("{name}: {value}")),
            // Between double quotes, so that the shell puts the value in.
            None => format!(
                "\"{name}: ${}\"",
                name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
            ),
        };
        write!(command, " \\\n  -H {header}").unwrap_or_default();
    }
    write!(command, " \\\n  --data-binary {}", quoted(body)).unwrap_or_default();
    command
}

/// What is not as usual about the connection. Only the named proxy is used, if any.
fn options(connection: &Connection) -> Vec<String> {
    let Connection { proxy, proxy_credentials, ca_file, own_files } = connection;
    let file = |path: &std::path::Path| quoted(&path.to_string_lossy());
    let mut options = Vec::new();
    options.extend(proxy.iter().map(|url| format!("--proxy {}", quoted(url))));
    // As `USER:PASSWORD`.
    options.extend(proxy_credentials.then(|| "--proxy-user \"$PROXY_USER\"".to_owned()));
    options.extend(ca_file.iter().map(|path| format!("--cacert {}", file(path))));
    if let Some((certificate, key)) = own_files {
        options.push(format!("--cert {} --key {}", file(certificate), file(key)));
    }
    options
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written_and_no_secret_is_in_it() {
        let request = Prepared {
            method: "PUT".to_owned(),
            url: "https://tms.example/a?b='$HOME'".to_owned(),
            headers: vec![("x-api-key".to_owned(), None), ("x-a".to_owned(), Some("it's `1`".to_owned()))],
            body: "{\"a\": \"'\\n$(b)\"}".to_owned(),
            connection: Connection {
                proxy: Some("http://proxy.example:3128".to_owned()),
                proxy_credentials: true,
                ca_file: Some("/etc/a b.pem".into()),
                own_files: Some(("c.pem".into(), "c.key".into())),
            },
        };
        let script = format!(
            "curl() {{ printf '%s\\n' \"$@\"; }}; X_API_KEY=key; PROXY_USER=me:it; {}",
            curl(&request)
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let expected = [
            "-X",
            "PUT",
            &request.url,
            "--proxy",
            "http://proxy.example:3128",
            "--proxy-user",
            "me:it",
            "--cacert",
            "/etc/a b.pem",
            "--cert",
            "c.pem",
            "--key",
            "c.key",
            "-H",
            "x-api-key: key",
            "-H",
            "x-a: it's `1`",
            "--data-binary",
            &request.body,
        ];
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), expected);
    }
}
