//! The real binary under measurement: `sekimori up` in a directory of its own.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

use crate::{
    ec2,
    ecs::{Client, Key},
    stop::Stop,
};

/// How long a server may take to serve, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Which of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The one that reads the network.
    Server,
    /// The one that started it, which is the agent.
    Up,
    /// Both at once.
    Both,
}

/// A `sekimori up` that is ended, with everything that it made, when this goes.
pub struct Server {
    binary: PathBuf,
    dir: PathBuf,
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one on a directory, new or not, and waits until it serves and the kernel enforces.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(dir: &Path, stop: &Stop) -> anyhow::Result<Self> {
        let binary = binary()?;
        let base = dir.parent().context("the data directory has no parent")?;
        fs::create_dir_all(base).with_context(|| format!("cannot create `{}`", base.display()))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let child = spawn(&binary, dir, port)?;
        let mut server = Self { binary, dir: dir.to_owned(), child, port };
        server.wait_until_ready(stop)?;
        Ok(server)
    }

    /// Ends it in order and starts it again; returns how long the start took.
    ///
    /// # Errors
    /// When it does not end, or start.
    pub fn restart(&mut self, stop: &Stop) -> anyhow::Result<Duration> {
        self.stop()?;
        let started = Instant::now();
        self.start_again(stop)?;
        Ok(started.elapsed())
    }

    /// Kills processes of it, as a lack of memory would: nothing is ended in order.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(&mut self, whom: Whom) -> anyhow::Result<()> {
        let (up, server) = (self.child.id(), self.server_pid());
        if whom != Whom::Up {
            let server = server.context("there is no server's process")?;
            kill(Pid::from_raw(server.cast_signed()), Signal::SIGKILL)?;
        }
        if whom != Whom::Server {
            kill(Pid::from_raw(up.cast_signed()), Signal::SIGKILL)?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// Starts it again after its end.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self, stop: &Stop) -> anyhow::Result<()> {
        self.child = spawn(&self.binary, &self.dir, self.port)?;
        self.wait_until_ready(stop)
    }

    /// Waits until it serves, and the kernel enforces what was committed.
    ///
    /// # Errors
    /// When it ends, or does not serve in time.
    pub fn wait_until_ready(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/healthz", self.port);
        wait_until(&mut self.child, &url, stop)
            .with_context(|| format!("`sekimori up` does not serve: {}", self.log()))
    }

    /// The memory that its processes hold, in MiB: (the server's, the agent's with its kernel maps' pages).
    ///
    /// # Errors
    /// When the processes cannot be read.
    pub fn resident_mib(&self) -> anyhow::Result<(f64, f64)> {
        let server = self.server_pid().context("there is no server's process")?;
        Ok((resident_mib_of(server)?, resident_mib_of(self.child.id())?))
    }

    /// The process of `up`'s that reads the network, while there is one.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        let up = self.child.id();
        let tasks = fs::read_dir(format!("/proc/{up}/task")).ok()?;
        let children = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let all = children.collect::<Vec<_>>().join(" ");
        all.split_whitespace().find_map(|pid| pid.parse().ok().filter(|pid| is_server(*pid)))
    }

    /// What the process that is the agent has taken of the CPU.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn agent_cpu(&self) -> anyhow::Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.child.id().cast_signed()))?;
        Ok(Duration::from(clock_gettime(clock)?))
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it has said until now.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log_of(&self.dir)).unwrap_or_default()
    }

    /// A client with the first account's key.
    ///
    /// # Errors
    /// When there are no credentials.
    pub fn client(&self) -> anyhow::Result<Client> {
        let key = Key {
            id: self.credential("ALIBABA_CLOUD_ACCESS_KEY_ID")?,
            secret: self.credential("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?,
        };
        let (endpoint, token) = (self.credential("SEKIMORI_ENDPOINT")?, self.credential("SEKIMORI_TOKEN")?);
        Ok(Client::new(endpoint, token, self.credential("ALIBABA_CLOUD_REGION_ID")?, key))
    }

    /// A client with the key of the first EC2 account.
    ///
    /// # Errors
    /// When there are no credentials.
    pub fn ec2_client(&self) -> anyhow::Result<ec2::Client> {
        let (id, secret) = (self.credential("AWS_ACCESS_KEY_ID")?, self.credential("AWS_SECRET_ACCESS_KEY")?);
        Ok(ec2::Client::new(&self.credential("AWS_ENDPOINT_URL")?, Key { id, secret }))
    }

    fn credential(&self, name: &str) -> anyhow::Result<String> {
        let path = self.dir.join("credentials.env");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let found = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
        let found = found.map(|(_, value)| value.trim().to_owned());
        found.with_context(|| format!("`{}` has no `{name}`", path.display()))
    }

    /// Ends it in order. What it enforced stays in place.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        }
        let never = Stop::default();
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
            }
            never.pause(PAUSE)?;
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        let down = Command::new(&self.binary).args(["down", "--data-dir"]).arg(&self.dir).output()?;
        let words = String::from_utf8_lossy(&down.stderr);
        anyhow::ensure!(down.status.success(), "`sekimori down` says: {}", words.trim());
        fs::remove_file(log_of(&self.dir))?;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("cannot remove `{}`: {error:#}", self.dir.display());
        }
    }
}

fn spawn(binary: &Path, dir: &Path, port: u16) -> anyhow::Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(log_of(dir))?;
    let mut command = Command::new(binary);
    command.args(["up", "--limits", "host", "--listen"]).arg(format!("127.0.0.1:{port}"));
    command.arg("--data-dir").arg(dir).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
    // Ctrl-C is for us, who then end it in order.
    let child = command.process_group(0).spawn();
    child.with_context(|| format!("cannot run `{}`", binary.display()))
}

/// Waits until a server that was started answers at an address.
///
/// # Errors
/// When it ends, or does not answer in time.
pub(crate) fn wait_until(child: &mut Child, url: &str, stop: &Stop) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while get(url).is_err() {
        anyhow::ensure!(child.try_wait()?.is_none(), "it has ended");
        anyhow::ensure!(Instant::now() < until, "nobody answers at `{url}`");
        stop.pause(PAUSE)?;
    }
    Ok(())
}

/// One answer, which must not take long: who asks asks again.
fn get(url: &str) -> Result<(), ureq::Error> {
    ureq::get(url).config().timeout_global(Some(Duration::from_secs(5))).build().call().map(drop)
}

/// `VmRSS` of a process.
pub(crate) fn resident_mib_of(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("no process {pid}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn is_server(pid: u32) -> bool {
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.split('\0').any(|word| word == "server")
}

/// Beside the data directory, which must hold nothing else.
fn log_of(dir: &Path) -> PathBuf {
    dir.with_extension("log")
}

/// The binary that was built together with this one.
fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("sekimori");
    anyhow::ensure!(path.exists(), "there is no `{}`; build it with `make build`", path.display());
    Ok(path)
}
