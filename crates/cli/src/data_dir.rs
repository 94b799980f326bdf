//! The data directory: who may use it, which part belongs to whom, and that one `up` uses it at a time.
//!
//! | path | owner | what |
//! |---|---|---|
//! | `lock` | root | held by the `up` that runs; holds its process id |
//! | `format` | root | that this is a data directory, and of which form |
//! | `host` | root | the name of this host in the world |
//! | `credentials.env`, `ca.pem` | whoever called `sudo` | for clients |
//! | `server/` | the server's user | the store, keys and sockets; root writes nothing through a name in it |
//! | `agent/` | root | what the agent has made, and its pins |

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use nix::unistd::{Uid, User};
use sekimori_core::ids::HostId;

use crate::{
    credentials::{Owner, write_file},
    exit::Failure,
};

/// The form of a data directory. A later release that changes it raises the number.
const FORMAT: &str = "sekimori data directory 1\n";
/// The user that the server runs as if there is one of this name.
const SERVER_USER: &str = "sekimori";
/// The server's user where no user `sekimori` exists: a number that Debian gives to nobody.
const SERVER_UID: u32 = 47_617;
/// The longest path of the agents' socket that the kernel takes.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// How often a lock is tried: a process that was killed a moment ago takes a while to let go of what it had.
const LOCK_TRIES_MAX: u32 = 100;
/// The time between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A data directory that is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, locks it, and gives each part to its owner.
    ///
    /// # Errors
    /// When somebody else uses it, or it is not a data directory of this release and this server's user.
    pub(crate) fn open(path: &Path, server: Owner) -> Result<Self, Failure> {
        let dir = Self::lock(&create(path)?)?;
        dir.check_format()?;
        dir.ensure_part(&dir.server(), server)?;
        dir.ensure_part(&dir.agent(), ROOT)?;
        let socket = dir.feed_socket();
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let too_long = anyhow!("`{}` is too long for a socket; use a shorter data directory", socket.display());
            return Err(too_long.into());
        }
        Ok(dir)
    }

    /// Locks a directory that is there, and changes nothing else in it. `None`: it is not a data directory.
    ///
    /// # Errors
    /// When an `up` runs in it, or it is of another form.
    pub(crate) fn open_existing(path: &Path) -> Result<Option<Self>, Failure> {
        if !path.join("format").exists() {
            return Ok(None);
        }
        let path = fs::canonicalize(path).with_context(|| format!("cannot use `{}`", path.display()))?;
        check_owner(&path)?;
        let dir = Self::lock(&path)?;
        dir.check_format()?;
        Ok(Some(dir))
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's part.
    pub(crate) fn server(&self) -> PathBuf {
        self.path.join("server")
    }

    /// The agent's part.
    pub(crate) fn agent(&self) -> PathBuf {
        self.path.join("agent")
    }

    /// Where the agent finds the server.
    pub(crate) fn feed_socket(&self) -> PathBuf {
        self.server().join(FEED_SOCKET)
    }

    /// The name of this host. It is kept: instances belong to a name, and machines are renamed.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn host(&self) -> anyhow::Result<HostId> {
        let path = self.path.join("host");
        match fs::read_to_string(&path) {
            Ok(name) if is_host(name.trim()) => Ok(HostId::from(name.trim())),
            Ok(_) => bail!("`{}` does not hold the name of a host; restore it from a backup", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = host_name();
                let kept = write_file(&path, format!("{name}\n").as_bytes(), 0o644, ROOT);
                kept.with_context(|| format!("cannot write `{}`", path.display()))?;
                Ok(HostId::from(name))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }

    fn lock(path: &Path) -> Result<Self, Failure> {
        let file = path.join("lock");
        let cannot = |error: io::Error| anyhow!("cannot lock `{}`: {error}", file.display());
        let mut lock = OpenOptions::new();
        let lock = lock.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(NO_FOLLOW);
        let mut lock = lock.open(&file).map_err(cannot)?;
        let mut tries_left = LOCK_TRIES_MAX;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries_left > 0 => thread::park_timeout(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock).into()),
                Err(TryLockError::Error(error)) => return Err(cannot(error).into()),
            }
            tries_left -= 1;
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(cannot)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Marks an empty directory as ours; leaves one alone that holds something else.
    fn check_format(&self) -> anyhow::Result<()> {
        let (dir, path) = (self.path.display(), self.path.join("format"));
        match fs::read_to_string(&path) {
            Ok(found) if found == FORMAT => Ok(()),
            Ok(found) => {
                let found = found.lines().next().unwrap_or_default();
                bail!(
                    "`{dir}` is a `{found}`, and this release reads `{}`; use the release that made it",
                    FORMAT.trim()
                )
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut others = fs::read_dir(&self.path)?.filter_map(Result::ok);
                let others =
                    others.find(|entry| !["lock", "format.new"].iter().any(|ours| entry.file_name() == *ours));
                if let Some(other) = others {
                    let other = other.file_name();
                    bail!("`{dir}` holds `{}` and is no data directory; name an empty one", other.display());
                }
                write_file(&path, FORMAT.as_bytes(), 0o644, ROOT)
                    .with_context(|| format!("cannot write `{}`", path.display()))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }

    fn ensure_part(&self, part: &Path, owner: Owner) -> anyhow::Result<()> {
        let shown = part.display();
        if let Err(error) = fs::DirBuilder::new().mode(0o700).create(part)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("cannot make `{shown}`"));
        }
        let found = fs::symlink_metadata(part).with_context(|| format!("cannot look at `{shown}`"))?;
        if !found.is_dir() {
            bail!("`{shown}` is not a directory; move it away");
        }
        let is_empty = || fs::read_dir(part).is_ok_and(|mut entries| entries.next().is_none());
        if found.uid() != owner.uid && is_empty() {
            chown(part, Some(owner.uid), Some(owner.gid)).with_context(|| format!("cannot give away `{shown}`"))?;
        } else if found.uid() != owner.uid {
            let (has, wants) = (found.uid(), owner.uid);
            bail!(
                "`{shown}` belongs to user id {has}, not {wants}; use --server-user {has}, or `chown -R {wants}` it"
            );
        }
        fs::set_permissions(part, Permissions::from_mode(0o700)).with_context(|| format!("cannot close `{shown}`"))
    }
}

/// The socket of the agents in the server's part.
pub(crate) const FEED_SOCKET: &str = "feed.sock";

/// Root.
const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// A name is opened itself, or not at all.
const NO_FOLLOW: i32 = nix::fcntl::OFlag::O_NOFOLLOW.bits();

/// Who the server runs as: what `--server-user` names, or the default.
///
/// # Errors
/// When there is no such user, or it is root.
pub(crate) fn server_user(wanted: Option<&str>) -> Result<Owner, Failure> {
    let owner = |user: User| Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() };
    let by_name =
        |name: &str| User::from_name(name).map_err(|error| anyhow!("cannot look up user `{name}`: {error}"));
    let found = match (wanted, wanted.map(str::parse::<u32>)) {
        (None, _) | (_, None) => by_name(SERVER_USER)?.map_or(Owner { uid: SERVER_UID, gid: SERVER_UID }, owner),
        (Some(_), Some(Ok(uid))) => {
            let known =
                User::from_uid(Uid::from_raw(uid)).map_err(|error| anyhow!("cannot look up {uid}: {error}"))?;
            known.map_or(Owner { uid, gid: uid }, owner)
        }
        (Some(name), Some(Err(_))) => match by_name(name)? {
            Some(user) => owner(user),
            None => return Err(Failure::usage(format!("no user `{name}`; name one that exists, or a number"))),
        },
    };
    if found.uid == 0 || found.gid == 0 {
        return Err(Failure::usage("the server never runs as root; name another user with --server-user"));
    }
    Ok(found)
}

/// Who called `sudo`, or root: files for people are given to them.
pub(crate) fn caller(env: impl Fn(&str) -> Option<String>) -> Owner {
    let number = |name| env(name).and_then(|value| value.parse().ok());
    match (number("SUDO_UID"), number("SUDO_GID")) {
        (Some(uid), Some(gid)) => Owner { uid, gid },
        (None, _) | (_, None) => ROOT,
    }
}

/// # Errors
/// Says who has to run the command.
pub(crate) fn require_root(command: &str) -> Result<(), Failure> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    Err(anyhow!("`sekimori {command}` changes interfaces of this host, which takes root; run it with sudo").into())
}

fn create(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    if !path.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .with_context(|| format!("cannot make `{shown}`"))?;
    }
    let path = fs::canonicalize(path).with_context(|| format!("cannot use `{shown}`"))?;
    if !path.is_dir() {
        bail!("`{shown}` is not a directory; name one");
    }
    check_owner(&path)?;
    Ok(path)
}

/// Whoever may write the directory could have root write elsewhere.
fn check_owner(path: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?;
    let caller = caller(crate::connection::environment);
    if found.uid() != ROOT.uid && found.uid() != caller.uid {
        bail!(
            "`{}` belongs to user id {}; a data directory belongs to root, so `chown root` it",
            path.display(),
            found.uid()
        );
    }
    if found.mode() & 0o022 != 0 {
        bail!("`{}` can be written by others; use another, or `chmod go-w` it", path.display());
    }
    Ok(())
}

fn in_use(path: &Path, lock: &mut File) -> anyhow::Error {
    let (mut pid, dir) = (String::new(), path.display());
    let read = lock.rewind().and_then(|()| lock.take(32).read_to_string(&mut pid));
    match pid.trim() {
        pid if read.is_ok() && !pid.is_empty() => {
            anyhow!("`{dir}` is in use by process {pid}; stop it with `kill {pid}`, or use another data directory")
        }
        _ => anyhow!("`{dir}` is in use by another sekimori; stop that one, or use another data directory"),
    }
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if is_host(name) { name.to_owned() } else { "localhost".to_owned() }
}

fn is_host(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.len() <= 253 && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test's own user in the place of everybody's.
    fn me() -> Owner {
        Owner { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
    }

    fn locked(path: &Path) -> DataDir {
        DataDir::lock(path).unwrap()
    }

    #[test]
    fn a_second_user_is_refused_and_told_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let held = locked(dir.path());
        let refused = DataDir::lock(dir.path()).map(drop).unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by process {};", std::process::id())), "{refused}");
        drop(held);
        locked(dir.path());
    }

    #[test]
    fn a_directory_with_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "precious").unwrap();
        let refused = locked(dir.path()).check_format().unwrap_err().to_string();
        assert!(refused.contains("`thesis.tex`"), "{refused}");
        assert!(!dir.path().join("format").exists());
    }

    #[test]
    fn another_form_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("format"), "sekimori data directory 9\n").unwrap();
        let refused = locked(dir.path()).check_format().unwrap_err().to_string();
        assert!(refused.contains("`sekimori data directory 9`"), "{refused}");
    }

    #[test]
    fn a_part_is_private_and_of_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (data, part) = (locked(dir.path()), dir.path().join("server"));
        data.ensure_part(&part, me()).unwrap();
        data.ensure_part(&part, me()).unwrap();
        assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(part.join("store"), "").unwrap();
        let other = Owner { uid: me().uid + 1, gid: me().gid };
        let refused = data.ensure_part(&part, other).unwrap_err().to_string();
        assert!(refused.contains(&format!("--server-user {}", me().uid)), "{refused}");
    }

    #[test]
    fn a_part_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("server");
        std::os::unix::fs::symlink("/tmp", &part).unwrap();
        assert!(locked(dir.path()).ensure_part(&part, me()).unwrap_err().to_string().contains("not a directory"));
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(check_owner(dir.path()).unwrap_err().to_string().contains("written by others"));
    }

    #[test]
    fn the_host_keeps_its_first_name() {
        if !Uid::effective().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let data = locked(dir.path());
        let first = data.host().unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("host")).unwrap(), format!("{first}\n"));
        fs::write(dir.path().join("host"), "before\n").unwrap();
        assert_eq!(data.host().unwrap().as_str(), "before");
        fs::write(dir.path().join("host"), "a b\n").unwrap();
        assert!(data.host().is_err());
    }

    #[test]
    fn the_server_is_never_root() {
        assert_eq!(server_user(Some("1234")).unwrap(), Owner { uid: 1234, gid: 1234 });
        assert!(server_user(Some("root")).unwrap_err().to_string().contains("never runs as root"));
        assert!(server_user(Some("0")).unwrap_err().to_string().contains("never runs as root"));
        assert!(server_user(Some("no-such-user")).unwrap_err().to_string().contains("`no-such-user`"));
    }

    #[test]
    fn files_for_people_go_to_who_called_sudo() {
        let env = |name: &str| matches!(name, "SUDO_UID" | "SUDO_GID").then(|| "1000".to_owned());
        assert_eq!(caller(env), Owner { uid: 1000, gid: 1000 });
        assert_eq!(caller(|_| None), ROOT);
    }
}
