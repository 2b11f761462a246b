//! Faults of starting the admin endpoint.

use std::{io, net::SocketAddr, path::PathBuf};

/// The endpoint cannot be started; nothing else was.
#[derive(Debug, thiserror::Error)]
pub enum AdminFault {
    /// The address cannot be listened on.
    #[error("admin.listen {addr}: {error}; choose another address or port, or \"off\"")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// The system's words.
        error: io::Error,
    },
    /// The socket cannot be made.
    #[error(
        "admin.listen unix:{path}: {error}; choose a path in a directory this process may write, or \"off\""
    )]
    Socket {
        /// The path.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The socket's path is longer than the system allows.
    #[error(
        "admin.listen unix:{path} has more than {max} bytes; set admin.listen to a shorter path or an address"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// The limit, in bytes.
        max: usize,
    },
    /// Another process listens there.
    #[error("admin.listen unix:{path} is in use by another process; give each its own `admin.listen`")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// There is no thread for it.
    #[error("the admin endpoint's thread cannot be started: {error}")]
    Thread {
        /// The system's words.
        error: io::Error,
    },
}
