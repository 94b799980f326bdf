//! The server as a child process of `up`: started without privileges, restarted when it dies, stopped with us.
//!
//! The agent goes on while the server is away, and the kernel enforces in any case. Every process is started
//! on the main thread, because the kernel ties a child to the *thread* that made it.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sekimori_server::{STOP_TIMEOUT, api::Bootstrap, bootstrap, control_socket_in};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    credentials::{Credentials, Owner, write_file},
    data_dir::{self, DataDir},
    exit::BUSY,
    log,
};

/// How long a server may take until it serves: opening a large store takes a while.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The time between two looks whether it serves.
const START_PAUSE: Duration = Duration::from_millis(20);
/// The pause before the first restart. It doubles with every start that fails, up to the second number.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often a first start is tried while an earlier server is still ending.
const BUSY_STARTS_MAX: u32 = 6;

/// A server, kept running.
pub(crate) struct Supervisor<'a> {
    dir: &'a DataDir,
    user: Owner,
    /// What the server is started with. Its port is fixed after the first start.
    args: ServerCommand,
    /// Who gets the credentials.
    caller: Owner,
    child: Child,
    told: Bootstrap,
}

/// The arguments of a server process.
#[derive(Clone, Debug)]
pub(crate) struct ServerCommand {
    /// Where to listen; replaced by the real address when the server has chosen a port.
    pub(crate) listen: std::net::SocketAddr,
    /// Everything else.
    pub(crate) others: Vec<OsString>,
}

impl<'a> Supervisor<'a> {
    /// Starts a server and waits until it serves. A server that cannot start is told at once.
    ///
    /// # Errors
    /// When it ends instead; its own message is on standard error by then.
    pub(crate) async fn start(
        dir: &'a DataDir,
        user: Owner,
        mut args: ServerCommand,
        caller: Owner,
    ) -> anyhow::Result<Self> {
        let mut pause = BACKOFF.0;
        for attempt in 1.. {
            match start(dir, user, &args).await? {
                Start::Serves(child, told) => {
                    args.listen = told.listen;
                    let supervisor = Self { dir, user, args, caller, child: *child, told: *told };
                    supervisor.publish()?;
                    return Ok(supervisor);
                }
                Start::Ended(status) if status.code() != Some(BUSY.into()) || attempt >= BUSY_STARTS_MAX => {
                    bail!("the server did not start ({}); what it said is above", ended(status));
                }
                Start::Ended(_) => sleep(pause).await,
            }
            pause *= 2;
        }
        Err(anyhow!("the server did not start"))
    }

    /// What the server has told.
    pub(crate) fn told(&self) -> &Bootstrap {
        &self.told
    }

    /// Restarts the server whenever it dies, for ever.
    ///
    /// # Errors
    /// When no process can be started or waited for any more.
    pub(crate) async fn keep(&mut self) -> anyhow::Result<()> {
        let mut pause = BACKOFF.0;
        loop {
            let served_since = Instant::now();
            let status = self.child.wait().await.context("cannot wait for the server")?;
            if served_since.elapsed() > BACKOFF.1 {
                pause = BACKOFF.0;
            }
            loop {
                tracing::error!(status = ended(status), "the server ended; enforcement goes on, starting it again");
                sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
                if self.restart().await? {
                    break;
                }
            }
        }
    }

    async fn restart(&mut self) -> anyhow::Result<bool> {
        match start(self.dir, self.user, &self.args).await? {
            Start::Ended(_) => Ok(false),
            Start::Serves(child, told) => {
                self.child = *child;
                if *told != self.told {
                    self.told = *told;
                    self.publish()?;
                }
                Ok(true)
            }
        }
    }

    /// Stops the server, and waits until it has finished what it was doing.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended a moment ago.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if timeout(STOP_TIMEOUT + Duration::from_secs(5), self.child.wait()).await.is_err() {
            tracing::warn!("the server does not stop, so it is killed; nothing acknowledged is lost");
            // The process is gone after this, or was before.
            let _ = self.child.kill().await;
        }
    }

    /// Writes what clients need to know.
    fn publish(&self) -> anyhow::Result<()> {
        let (dir, ca) = (self.dir.path(), self.dir.path().join("ca.pem"));
        if let Some(pem) = &self.told.tls_ca_pem {
            write_file(&ca, pem.as_bytes(), 0o644, self.caller)
                .with_context(|| format!("cannot write `{}`", ca.display()))?;
        }
        let ca = self.told.tls_ca_pem.is_some().then_some(ca);
        Credentials::of(&self.told, ca.as_deref())?.write(dir, self.caller)
    }
}

/// What became of a start.
enum Start {
    Serves(Box<Child>, Box<Bootstrap>),
    Ended(ExitStatus),
}

async fn start(dir: &DataDir, user: Owner, args: &ServerCommand) -> anyhow::Result<Start> {
    let mut child = command(&dir.server(), user, args).spawn().context("cannot start the server process")?;
    let socket = control_socket_in(&dir.server());
    let serves = async {
        loop {
            match bootstrap::fetch(&socket).await {
                Ok(told) => return told,
                Err(_) => sleep(START_PAUSE).await,
            }
        }
    };
    tokio::select! {
        status = child.wait() => Ok(Start::Ended(status.context("cannot wait for the server")?)),
        told = timeout(START_TIMEOUT, serves) => match told {
            Ok(told) => Ok(Start::Serves(Box::new(child), Box::new(told))),
            Err(_) => bail!("the server does not serve after {} seconds; see what it said above", START_TIMEOUT.as_secs()),
        },
    }
}

/// This same program as `sekimori server`, in the server's own directory. It starts as root and gives that up
/// before it opens anything; see [`crate::privilege`].
fn command(dir: &Path, user: Owner, args: &ServerCommand) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("sekimori").arg("server").args(&args.others);
    command.arg(format!("--listen={}", args.listen));
    command.arg(format!("--feed-socket={}", data_dir::FEED_SOCKET));
    command.arg(format!("--agent-uid={}", nix::unistd::getuid()));
    command.arg(format!("--drop-to={}:{}", user.uid, user.gid));
    command.arg(format!("--parent={}", std::process::id()));
    command.current_dir(dir).env_clear();
    for name in [log::VARIABLE, "NO_COLOR", "RUST_BACKTRACE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    // A group of its own: Ctrl-C in a terminal is for us, and we stop the server in order.
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "it has ended".to_owned(),
    }
}
