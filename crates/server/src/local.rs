//! Unix sockets that only one user may use: who is at the other end is asked of the kernel.
//!
//! The file mode is not trusted for that; every connection's peer credentials are checked.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// The longest path of a Unix socket that the kernel takes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What goes wrong with a local socket.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The path does not fit into a socket address.
    #[error("`{}` is longer than the {SOCKET_PATH_BYTES_MAX} bytes of a socket path; use a shorter one", .0.display())]
    TooLong(PathBuf),
    /// Something else has the name.
    #[error("`{}` is not a socket; move it away", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on `{}`: {source}; check the directory and its permissions", path.display())]
    Failed {
        /// The path.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
}

/// Listens on a path. A socket that is there is taken to be left over: the store's lock tells that no other
/// server runs in the directory.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, LocalError> {
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(LocalError::TooLong(path.to_owned()));
    }
    let failed = |source| LocalError::Failed { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(LocalError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Checks who has connected.
///
/// # Errors
/// Says who may, for the log and for the peer.
pub(crate) fn check_peer(stream: &UnixStream, uid: u32) -> Result<(), String> {
    let found = stream.peer_cred().map_err(|error| format!("the kernel does not tell who has connected: {error}"))?;
    if found.uid() == uid {
        return Ok(());
    }
    Err(format!("user id {} may not use this socket; only {uid} may", found.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(listen(&path).unwrap());
        listen(&path).unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(listen(&file), Err(LocalError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_does_not_fit_is_named() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        let error = listen(&path).unwrap_err().to_string();
        assert!(error.contains("shorter"), "{error}");
    }

    #[tokio::test]
    async fn another_user_is_told_apart() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = nix::unistd::getuid().as_raw();
        assert_eq!(check_peer(&one, own), Ok(()));
        let refused = check_peer(&one, own + 1).unwrap_err();
        assert!(refused.contains(&format!("user id {own} may not")), "{refused}");
    }
}
