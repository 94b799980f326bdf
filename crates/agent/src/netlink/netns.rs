//! Network namespaces under `/run/netns`, as `ip netns` keeps them.
//!
//! Namespaces are made and entered on threads of their own that end with the work, so no other thread of the
//! process ever leaves the namespace it started in. Nothing here decides whose a name is: [`create`] never
//! takes over a name that exists, and [`delete`] is for callers that know the name to be theirs.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{NSFS_MAGIC, fstatfs, statfs},
};

/// Where named namespaces live.
pub const DIRECTORY: &str = "/run/netns";

/// The longest name that is accepted.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether [`DIRECTORY`] is known to be a shared mount point.
static DIRECTORY_SHARED: Mutex<bool> = Mutex::new(false);

/// An open network namespace. It lives at least as long as this.
#[derive(Debug)]
pub struct NetNs {
    name: String,
    file: File,
}

/// Which namespace a name stands for: another one of the same name has another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl NetNs {
    /// Opens a namespace by name. `None`: there is no such name, or it is not that of a namespace.
    ///
    /// # Errors
    /// When the name cannot be used, or the file cannot be opened.
    pub fn open(name: &str) -> io::Result<Option<Self>> {
        let file = match File::open(path(name)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_namespace = fstatfs(&file)?.filesystem_type() == NSFS_MAGIC;
        Ok(is_namespace.then(|| Self { name: name.to_owned(), file }))
    }

    /// The namespace that this process runs in.
    ///
    /// # Errors
    /// When the kernel does not let it be opened.
    pub fn own() -> io::Result<Self> {
        Ok(Self { name: "of the host".to_owned(), file: File::open("/proc/thread-self/ns/net")? })
    }

    /// Opens a namespace by the path of its file. `None`: there is no such file, or it is not that of a namespace. What is no
    /// namespace is not opened: paths come from the server, which is less trusted than this code.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn at(path: &str) -> io::Result<Option<Self>> {
        match statfs(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(status) if status.filesystem_type() != NSFS_MAGIC => return Ok(None),
            Ok(_) => {}
        }
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let is_namespace = fstatfs(&file)?.filesystem_type() == NSFS_MAGIC;
        Ok(is_namespace.then(|| Self { name: path.to_owned(), file }))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which namespace this is.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn identity(&self) -> io::Result<Identity> {
        Ok(identity_of(&self.file.metadata()?))
    }

    /// Gives the namespace its name again after someone took the name away.
    ///
    /// # Errors
    /// When the name exists, or cannot be mounted.
    pub fn publish(&self) -> io::Result<()> {
        publish(&self.name, &format!("/proc/thread-self/fd/{}", self.file.as_raw_fd()))
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes a namespace, runs `prepare` inside, and only then gives it its name.
///
/// # Errors
/// `AlreadyExists` when the name exists; else what `prepare` or the kernel refused.
pub fn create<T: Send>(name: &str, prepare: impl FnOnce() -> io::Result<T> + Send) -> io::Result<(NetNs, T)> {
    on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let prepared = prepare()?;
        let file = File::open("/proc/thread-self/ns/net")?;
        publish(name, "/proc/thread-self/ns/net")?;
        Ok((NetNs { name: name.to_owned(), file }, prepared))
    })
}

/// Takes a name away, as `ip netns del` does. The namespace lives on while processes are in it. A name that
/// does not exist is no error.
///
/// # Errors
/// When the name cannot be used, unmounted or removed.
pub fn delete(name: &str) -> io::Result<()> {
    let path = path(name)?;
    match umount2(&path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives a name that was taken away back to the namespace that had it, if a process lives there; whether one does. What is looked for in is what
/// `/proc` shows of each process, a look for each.
///
/// # Errors
/// When the name cannot be used, or not be mounted.
pub fn give_back(name: &str, known: Identity) -> io::Result<bool> {
    if identity(name)?.is_some() {
        return Ok(false);
    }
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let processes = fs::read_dir("/proc")?.filter_map(Result::ok).filter(|entry| is_process(&entry.file_name()));
    for process in processes {
        let path = process.path().join("ns/net");
        if !fs::metadata(&path).is_ok_and(|found| identity_of(&found) == known) {
            continue;
        }
        // It may have ended meanwhile, or gone elsewhere.
        let Ok(file) = File::open(&path) else { continue };
        if identity_of(&file.metadata()?) == known {
            NetNs { name: name.to_owned(), file }.publish()?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is anything of this name.
///
/// # Errors
/// When the name cannot be used, or the directory cannot be read.
pub fn exists(name: &str) -> io::Result<bool> {
    Ok(identity(name)?.is_some())
}

/// What a name stands for, without opening it.
///
/// # Errors
/// When the name cannot be used, or the directory cannot be read.
pub fn identity(name: &str) -> io::Result<Option<Identity>> {
    match fs::symlink_metadata(path(name)?) {
        Ok(metadata) => Ok(Some(identity_of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the path of a namespace's file stands for.
///
/// # Errors
/// When it cannot be looked at.
pub fn identity_at(path: &str) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(identity_of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Runs `f` on a thread of its own that has entered a network namespace. A panic of `f` is passed on.
///
/// # Errors
/// When no thread can be started, or the namespace cannot be entered; `f` has not run then.
pub fn within<T: Send>(ns: BorrowedFd<'_>, f: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_thread(|| {
        setns(ns, CloneFlags::CLONE_NEWNET)?;
        Ok(f())
    })
}

fn on_thread<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, f)?;
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn identity_of(metadata: &fs::Metadata) -> Identity {
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

/// The file of a name. Names come from the server, which is less trusted than this code.
fn path(name: &str) -> io::Result<PathBuf> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts_well || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let message = format!(
            "`{name}` cannot name a namespace; use at most {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Binds a namespace file to a name that must not exist.
fn publish(name: &str, source: &str) -> io::Result<()> {
    let target = path(name)?;
    share_directory()?;
    OpenOptions::new().write(true).create_new(true).open(&target)?;
    let bound = mount(Some(source), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    bound.map_err(|error| {
        // The error of the mount is the one to tell; a file that stays is taken for a leftover later.
        let _ = fs::remove_file(&target);
        error.into()
    })
}

/// Makes the directory a shared mount point, so that names are seen in every mount namespace. Once for each
/// process, under the lock that `ip netns` takes for the same work.
fn share_directory() -> io::Result<()> {
    let mut shared = DIRECTORY_SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if *shared && Path::new(DIRECTORY).is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
    let lock = File::open(DIRECTORY)?;
    lock.lock()?;
    if make_shared() == Err(Errno::EINVAL) {
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(DIRECTORY), DIRECTORY, None::<&str>, bind, None::<&str>)?;
        make_shared()?;
    }
    *shared = true;
    Ok(())
}

fn make_shared() -> nix::Result<()> {
    mount(None::<&str>, DIRECTORY, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_leave_the_directory() {
        for name in ["", ".", "..", "a/b", "../a", "-a", "a b", "a\0", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(path(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(path("vpc-0a.outside").unwrap(), Path::new("/run/netns/vpc-0a.outside"));
    }
}
