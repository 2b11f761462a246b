//! `[admin]`: where a running process can be queried and controlled.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{http::token, problem::Refusal, secret::Secret, section::Section};

/// The longest path of a socket, in bytes: `sun_path` of unix(7) less its end.
pub const SOCKET_PATH_MAX: usize = 107;

/// The default, beside the state.
const SOCKET: &str = "admin.sock";

/// Where a running process can be queried.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// The listener (default `unix:admin.sock`; a relative path starts at the state directory). An address that is
    /// not loopback needs a token.
    pub listen: AdminListen,
    /// The required bearer token. Without one, everybody who can open the socket, or everyone on this machine, is
    /// admitted.
    pub token: Option<Secret>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// Nowhere.
    Off,
    /// A Unix socket.
    Socket(PathBuf),
    /// An address.
    Address(SocketAddr),
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Address(addr) => write!(f, "{addr}"),
        }
    }
}

impl AdminConfig {
    pub(super) fn read(s: &mut Section<'_, '_>, state: &Path) -> Self {
        let listen = listen(s, state);
        let token = token(s);
        let is_open = token.is_none() && !s.findings.has_problem(&s.key("token"));
        let beyond = matches!(listen, AdminListen::Address(addr) if !addr.ip().to_canonical().is_loopback());
        if let Some(item) = s.item("listen").filter(|_| is_open && beyond) {
            let problem =
                "can be reached from other machines, and without a token anyone there may disable brokers";
            let remedy = "set token = \"env:NAME\" or \"file:PATH\" beside it, or listen on 127.0.0.1";
            s.report(&item, Refusal::new(problem, remedy));
        }
        Self { listen, token }
    }
}

fn listen(s: &mut Section<'_, '_>, state: &Path) -> AdminListen {
    let default = AdminListen::Socket(state.join(SOCKET));
    s.know("listen", Some(format!("unix:{SOCKET}")), None);
    let Some(item) = s.item("listen") else { return default };
    match read_listen(item.value.as_str().unwrap_or_default(), state) {
        Ok(listen) => listen,
        Err(refusal) => {
            s.report(&item, refusal);
            default
        }
    }
}

fn read_listen(text: &str, state: &Path) -> Result<AdminListen, Refusal> {
    const REMEDY: &str =
        "give \"unix:PATH\", an address and a port such as \"127.0.0.1:9464\", or \"off\", in quotes";
    if text == "off" {
        return Ok(AdminListen::Off);
    }
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        let path = state.join(path);
        let len = path.as_os_str().len();
        if len > SOCKET_PATH_MAX {
            let problem = format!("is a path of {len} bytes, {SOCKET_PATH_MAX} is the system's limit");
            return Err(Refusal::new(problem, "give a shorter one, such as \"unix:/run/loadline.sock\""));
        }
        return Ok(AdminListen::Socket(path));
    }
    match text.parse::<SocketAddr>() {
        Ok(addr) if addr.port() == 0 => {
            Err(Refusal::new("has port 0: nobody would know which one was free", "give a port"))
        }
        Ok(addr) => Ok(AdminListen::Address(addr)),
        Err(_) => Err(Refusal::new("is not a place to listen", REMEDY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AdminListen, String> {
        read_listen(text, Path::new("/var/state")).map_err(|refusal| refusal.problem)
    }

    #[test]
    fn a_place_is_a_socket_an_address_or_off() {
        let socket = |path: &str| Ok(AdminListen::Socket(path.into()));
        assert_eq!(read("off"), Ok(AdminListen::Off));
        assert_eq!(read("unix:admin.sock"), socket("/var/state/admin.sock"));
        assert_eq!(read("unix:/run/a.sock"), socket("/run/a.sock"));
        assert_eq!(read("[::1]:9464"), Ok(AdminListen::Address(([0, 0, 0, 0, 0, 0, 0, 1], 9464).into())));
        for wrong in ["", "unix:", "admin.sock", "localhost:9464", "127.0.0.1"] {
            assert!(read(wrong).unwrap_err().contains("not a place"), "{wrong}");
        }
        assert!(read("127.0.0.1:0").unwrap_err().contains("port 0"));
        let long = format!("unix:/{}", "x".repeat(SOCKET_PATH_MAX));
        assert!(read(&long).unwrap_err().contains("108 bytes"));
    }
}
