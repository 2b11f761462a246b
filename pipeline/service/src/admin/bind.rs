//! Binds the admin endpoint's address or socket. Done before the run begins, so that an unusable one stops it.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use super::fault::AdminFault;
use crate::config::{AdminListen, SOCKET_PATH_MAX};

/// A bound listener that is not served yet.
#[derive(Debug)]
pub(super) enum BoundListener {
    Socket(UnixListener),
    Address(TcpListener),
}

/// Binds `listen`; none if it is off.
pub(super) fn bind(listen: &AdminListen) -> Result<Option<BoundListener>, AdminFault> {
    match listen {
        AdminListen::Off => Ok(None),
        AdminListen::Socket(path) => socket(path).map(|listener| Some(BoundListener::Socket(listener))),
        AdminListen::Address(addr) => {
            let bound = TcpListener::bind(addr).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            let bound = bound.map_err(|error| AdminFault::Address { addr: *addr, error })?;
            Ok(Some(BoundListener::Address(bound)))
        }
    }
}

fn socket(path: &Path) -> Result<UnixListener, AdminFault> {
    let fault = |error: io::Error| AdminFault::Socket { path: path.to_owned(), error };
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(AdminFault::TooLong { path: path.to_owned(), max: SOCKET_PATH_MAX });
    }
    // Left by a killed process: nobody listens there.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(AdminFault::InUse { path: path.to_owned() });
        }
        fs::remove_file(path).map_err(fault)?;
    }
    let listener = UnixListener::bind(path).map_err(fault)?;
    // Connecting needs write permission, which only the owner has.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_and_what_a_killed_process_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = socket(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(socket(&path), Err(AdminFault::InUse { .. })));
        drop(first);
        assert!(path.exists());
        drop(socket(&path).unwrap());
        let file = dir.path().join("a-file");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(socket(&file), Err(AdminFault::Socket { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"mine", "what is no socket is left alone");
        let long = dir.path().join("x".repeat(SOCKET_PATH_MAX));
        assert!(matches!(socket(&long), Err(AdminFault::TooLong { .. })));
    }
}
