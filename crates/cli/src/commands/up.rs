//! `sekimori up`: server and agent with one command.
//!
//! This process is the agent: root, and never reading the network. The server is its child without
//! privileges ([`crate::supervise`]). Stopping leaves enforcement in place; `sekimori down` takes it away.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use sekimori_agent::{
    bpf::AttachMode,
    run::{self as agent, AgentConfig},
};
use serde::Serialize;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

use super::server::ServeArgs;
use crate::{
    cli::Common,
    connection,
    credentials::{self, Credentials, Owner, is_plain, write_file},
    data_dir::{self, DataDir},
    exit::{Answer, Failure, Outcome},
    log,
    output::{self, Page},
    supervise::{ServerCommand, Supervisor},
};

/// How long the agent may take to finish what it is writing.
const AGENT_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest certificate or key that is read.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Where the kernel tells which ports are free for everyone.
const FIRST_FREE_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// The arguments.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sudo sekimori up --data-dir /var/lib/sekimori --listen 127.0.0.1:8470\n\n\
                        Logs go to standard error; SEKIMORI_LOG filters them, for example SEKIMORI_LOG=debug.")]
pub(crate) struct UpArgs {
    /// Where the API listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8470", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The user that the server runs as [default: sekimori if there is one, else 47617]
    #[arg(long, value_name = "NAME|UID")]
    server_user: Option<String>,
    /// How programs are put on interfaces: auto is tcx where the kernel has it
    #[arg(long, value_enum, default_value_t = Attach::Auto)]
    attach: Attach,
    /// Send every packet through the routers' forwarding path, where other programs and counters of the host see it
    #[arg(long)]
    no_straight_path: bool,
    #[command(flatten)]
    serve: ServeArgs,
}

/// How programs are put on interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Attach {
    /// tcx, or clsact where the kernel has no tcx.
    Auto,
    /// clsact.
    Clsact,
}

/// Runs until it is told to stop.
pub(crate) fn run(common: &Common, args: UpArgs) -> Outcome {
    let path = connection::data_dir(&common.connection, connection::environment)?;
    if args.serve.is_exposed(args.listen) {
        return Err(Failure::usage(format!(
            "`{}` can be reached from other machines, and plain HTTP shows them the operator's token; use --tls-cert \
             and --tls-key, or --tls-generate, or listen on 127.0.0.1, or say --insecure",
            args.listen
        )));
    }
    check_port(args.listen.port())?;
    data_dir::require_root("up")?;
    log::start()?;
    let user = data_dir::server_user(args.server_user.as_deref())?;
    let dir = DataDir::open(&path, user)?;
    check_path(&dir, &args.serve)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(up(common, &args, &dir, user))?;
    Ok(Answer::Yes)
}

async fn up(common: &Common, args: &UpArgs, dir: &DataDir, user: Owner) -> Result<(), Failure> {
    // Before anything is started, so that a signal is never missed.
    let mut signals = Signals::listen()?;
    let serve = hand_over(dir, &args.serve, user)?;
    let command = ServerCommand { listen: args.listen, others: serve.to_words() };
    let caller = data_dir::caller(connection::environment);
    // Beside the server: each has work of its own before they meet.
    let mut agent = Agent::start(AgentConfig {
        dir: dir.path().to_owned(),
        feed: dir.feed_socket(),
        server_uid: user.uid,
        host: dir.host()?,
        attach: match args.attach {
            Attach::Auto => AttachMode::Auto,
            Attach::Clsact => AttachMode::Clsact,
        },
        straight_path: !args.no_straight_path,
    })?;
    let started = tokio::select! {
        server = Supervisor::start(dir, user, command, caller) => server.map(Some),
        failed = agent.failed() => Err(failed),
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before the server served");
            Ok(None)
        }
    };
    let mut server = match started {
        Ok(Some(server)) => server,
        ended => {
            agent.stop().await;
            return Ok(ended.map(drop)?);
        }
    };
    greet(common, dir, &server)?;
    let ended = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping; enforcement stays in place");
            Ok(())
        }
        broken = server.keep() => broken,
        failed = agent.failed() => Err(failed),
    };
    agent.stop().await;
    server.stop().await;
    Ok(ended?)
}

/// The agent, on a thread of its own: what it waits for in the kernel holds up nobody else.
struct Agent {
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
    thread: JoinHandle<()>,
}

impl Agent {
    fn start(config: AgentConfig) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let runtime = Handle::current();
        let work = move || {
            let stopped = async { drop(stopped.await) };
            // Nobody listens when the program is ending anyway.
            let _ = end.send(runtime.block_on(agent::run(config, stopped)));
        };
        let thread = std::thread::Builder::new().name("agent".to_owned()).spawn(work);
        Ok(Self { stop: Some(stop), ended, thread: thread.context("cannot start the agent's thread")? })
    }

    /// Returns when the agent has ended without having been told to.
    async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error.context("the agent failed; what it enforced stays in place"),
            Ok(Ok(())) | Err(_) => anyhow!("the agent ended; what it enforced stays in place, start it again"),
        }
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        if self.thread.is_finished() {
            return;
        }
        match timeout(AGENT_STOP_TIMEOUT, &mut self.ended).await {
            Ok(Ok(Err(error))) => tracing::warn!(error = format!("{error:#}"), "the agent ended with an error"),
            Ok(Ok(Ok(())) | Err(_)) => {}
            Err(_) => tracing::warn!("the agent does not stop; what it enforced stays in place"),
        }
    }
}

/// The ways in which we are told to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Puts the operator's certificate where the server can read it: its own part of the data directory, under
/// names without a path, since it may not be able to enter what lies above. A copy that is not used goes.
fn hand_over(dir: &DataDir, serve: &ServeArgs, user: Owner) -> anyhow::Result<ServeArgs> {
    let copy = |from: Option<&Path>, name: &str| -> anyhow::Result<Option<PathBuf>> {
        let to = dir.server().join(name);
        let written = match from {
            Some(from) => write_file(&to, &read_pem(from)?, 0o600, user),
            None => remove(&to),
        };
        written.with_context(|| format!("cannot write `{}`", to.display()))?;
        Ok(from.is_some().then(|| name.into()))
    };
    let cert = copy(serve.tls_cert.as_deref(), "given-cert.pem")?;
    let key = copy(serve.tls_key.as_deref(), "given-key.pem")?;
    Ok(serve.with_certificate(cert, key))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read_pem(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read `{}`; give a PEM file", path.display());
    let size = fs::metadata(path).with_context(cannot)?.len();
    if size > PEM_BYTES_MAX {
        return Err(anyhow!("{size} bytes are too many for a certificate or key")).with_context(cannot);
    }
    fs::read(path).with_context(cannot)
}

/// The server has no privilege to take a port that the kernel reserves for those who have.
fn check_port(port: u16) -> Result<(), Failure> {
    let first = fs::read_to_string(FIRST_FREE_PORT).ok().and_then(|text| text.trim().parse().ok());
    let first = first.unwrap_or(1_024);
    if port == 0 || port >= first {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "port `{port}` is reserved for privileged processes, and the server is none; use a port from {first} on, or \
         lower {FIRST_FREE_PORT}"
    )))
}

/// A certificate's path goes into the credentials, unquoted.
fn check_path(dir: &DataDir, serve: &ServeArgs) -> Result<(), Failure> {
    let path = dir.path();
    if serve.tls_generate && !path.to_str().is_some_and(is_plain) {
        let message = format!(
            "`{}` cannot stand unquoted in {}; use letters, digits, `/`, `.`, `_` and `-`",
            path.display(),
            credentials::FILE
        );
        return Err(Failure::usage(message));
    }
    Ok(())
}

/// What a person or program learns when it is up.
#[derive(Debug, Serialize)]
struct Greeting {
    endpoint: String,
    data_dir: String,
    credentials: String,
    pid: u32,
}

fn greet(common: &Common, dir: &DataDir, server: &Supervisor<'_>) -> Result<(), Failure> {
    let endpoint = Credentials::of(server.told(), None)?.get(credentials::ENDPOINT).unwrap_or_default().to_owned();
    let greeting = Greeting {
        endpoint,
        data_dir: dir.path().display().to_string(),
        credentials: dir.path().join(credentials::FILE).display().to_string(),
        pid: std::process::id(),
    };
    match output::show(common.output, &greeting, page) {
        // Whoever started it may have stopped reading, and wants it to run all the same.
        Err(Failure::ReaderGone) => Ok(()),
        other => other,
    }
}

fn page(greeting: &Greeting) -> Page {
    let Greeting { endpoint, data_dir, credentials, pid } = greeting;
    Page::default()
        .line(format!("sekimori is up at {endpoint}, process {pid}"))
        .line("")
        .line("ask it, and point clients at it:")
        .line(format!("  set -a; . {credentials}; set +a"))
        .line("  sekimori status")
        .line("stop it, with enforcement left in place: Ctrl-C or SIGTERM")
        .line("remove everything it has made, when it is stopped:")
        .line(format!("  sekimori down --data-dir {data_dir}"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_greeting_says_how_to_use_it() {
        let greeting = Greeting {
            endpoint: "http://127.0.0.1:8470".to_owned(),
            data_dir: "/d".to_owned(),
            credentials: "/d/credentials.env".to_owned(),
            pid: 7,
        };
        expect![[r#"
            sekimori is up at http://127.0.0.1:8470, process 7

            ask it, and point clients at it:
              set -a; . /d/credentials.env; set +a
              sekimori status
            stop it, with enforcement left in place: Ctrl-C or SIGTERM
            remove everything it has made, when it is stopped:
              sekimori down --data-dir /d
        "#]]
        .assert_eq(&page(&greeting).plain());
    }

    #[test]
    fn a_certificate_that_is_too_large_or_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert.pem");
        assert!(read_pem(&path).unwrap_err().to_string().contains("cert.pem"));
        fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert!(format!("{:#}", read_pem(&path).unwrap_err()).contains("too many"));
    }
}
