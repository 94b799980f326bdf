//! How the process that started a server learns its credentials: over a local socket, never over a file.
//!
//! The server listens on `control.sock` in its directory and tells one JSON line to the one user that may
//! know; [`fetch`] is the other end. Nobody else gets a byte, and the line is never logged.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    api::Bootstrap,
    local::{self, LocalError},
};

/// The longest line that is read.
const BOOTSTRAP_BYTES_MAX: u64 = 64 * 1024;

/// How long either side waits for the other.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the socket of a server's directory is.
#[must_use]
pub fn socket_in(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// Asks a server that serves for its credentials.
///
/// # Errors
/// When no server listens on the path, or it does not tell this user.
pub async fn fetch(path: &Path) -> io::Result<Bootstrap> {
    let name = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    let mut stream = UnixStream::connect(path).await.map_err(name)?;
    let mut line = Zeroizing::new(Vec::new());
    let read = async { (&mut stream).take(BOOTSTRAP_BYTES_MAX).read_to_end(&mut line).await };
    timeout(BOOTSTRAP_TIMEOUT, read).await.map_err(|_| name(io::ErrorKind::TimedOut.into()))?.map_err(name)?;
    if line.is_empty() {
        let denied = io::Error::new(io::ErrorKind::PermissionDenied, "the server does not tell this user");
        return Err(name(denied));
    }
    serde_json::from_slice(&line).map_err(|error| name(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Listens in a server's directory.
pub(crate) fn listen(dir: &Path) -> Result<UnixListener, LocalError> {
    local::listen(&socket_in(dir))
}

/// Tells everyone who asks and may know. Never ends.
pub(crate) async fn serve(listener: UnixListener, uid: u32, bootstrap: Bootstrap) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = tell(stream, uid, &bootstrap).await {
                    tracing::warn!(%error, "the credentials were not told");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nobody could be let in on the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn tell(mut stream: UnixStream, uid: u32, bootstrap: &Bootstrap) -> io::Result<()> {
    local::check_peer(&stream, uid).map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason))?;
    let mut line = Zeroizing::new(serde_json::to_vec(bootstrap).map_err(io::Error::other)?);
    line.push(b'\n');
    timeout(BOOTSTRAP_TIMEOUT, stream.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::KeyTold;

    fn key(id: &str) -> KeyTold {
        let (access_key_secret, region) = ("hush".to_owned(), "cn-hangzhou".to_owned());
        KeyTold { access_key_id: id.to_owned(), access_key_secret, region }
    }

    fn bootstrap() -> Bootstrap {
        Bootstrap {
            ecs: key("LTAI"),
            ec2: key("AKIA"),
            token: "token".to_owned(),
            listen: "127.0.0.1:8080".parse().unwrap(),
            tls_ca_pem: None,
            tls: false,
        }
    }

    #[tokio::test]
    async fn the_right_user_is_told_and_another_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let own = nix::unistd::getuid().as_raw();
        for (uid, told) in [(own, true), (own + 1, false)] {
            let serving = tokio::spawn(serve(listen(dir.path()).unwrap(), uid, bootstrap()));
            let fetched = fetch(&socket_in(dir.path())).await;
            match fetched {
                Ok(found) => assert!(told && found == bootstrap()),
                Err(error) => assert!(!told && error.kind() == io::ErrorKind::PermissionDenied, "{error}"),
            }
            serving.abort();
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_listen_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = fetch(&socket_in(dir.path())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("control.sock"), "{error}");
    }
}
