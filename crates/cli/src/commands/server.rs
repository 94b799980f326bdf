//! `sekimori server`: the part that reads the network, alone and without privileges. `up` runs it as its child.
//!
//! Started by root, it becomes another user first ([`crate::privilege`]) and opens everything after that.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use nix::unistd::{Pid, Uid};
use sekimori_core::limits::LimitMode;
use sekimori_server::{ServerConfig, TlsConfig, store::StoreError};
use tokio::signal::unix::{SignalKind, signal};

use super::bypass;
use crate::{
    credentials::{Owner, is_plain},
    exit::{Answer, Failure, Outcome},
    log, privilege,
};

/// Options that `up` and `server` share.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServeArgs {
    /// Which limits hold: the cloud's numbers, or only what this host can hold
    #[arg(long, value_enum, default_value_t = Limits::Cloud)]
    limits: Limits,
    /// TLS: the certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Protection")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// TLS: the private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Protection")]
    pub(crate) tls_key: Option<PathBuf>,
    /// TLS: with a certificate that is made in the data directory
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "insecure"], help_heading = "Protection")]
    pub(crate) tls_generate: bool,
    /// Allow plain HTTP beyond this machine
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], help_heading = "Protection")]
    insecure: bool,
    /// Traffic that passes before any rule: dhcp, none, or udp/123@169.254.169.123; replaces what was set
    #[arg(long, value_name = "ITEM", value_parser = bypass::item)]
    bypass: Vec<String>,
    /// The region that clients are told
    #[arg(long, default_value = "cn-hangzhou", value_name = "REGION", value_parser = region)]
    region: String,
}

/// Whose numbers limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Limits {
    /// The cloud's.
    Cloud,
    /// The host's.
    Host,
}

/// The arguments.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  sekimori server --dir . --listen 127.0.0.1:8470 --feed-socket feed.sock --agent-uid 0"
)]
pub(crate) struct ServerArgs {
    /// The server's own directory
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Where the API listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The socket that agents connect to
    #[arg(long, default_value = "feed.sock", value_name = "FILE")]
    feed_socket: PathBuf,
    /// The user that agents run as
    #[arg(long, default_value_t = 0, value_name = "UID")]
    agent_uid: u32,
    /// Become this user and group before anything else
    #[arg(long, value_name = "UID:GID", value_parser = owner, requires = "parent")]
    drop_to: Option<Owner>,
    /// End when this process, the parent, ends
    #[arg(long, value_name = "PID", requires = "drop_to")]
    parent: Option<i32>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl ServeArgs {
    /// Whether plain HTTP would be seen by other machines without having been asked for.
    pub(crate) fn is_exposed(&self, listen: SocketAddr) -> bool {
        let is_protected = self.tls_cert.is_some() || self.tls_generate || self.insecure;
        !is_protected && !listen.ip().is_loopback()
    }

    /// The same options with other files for the certificate and its key.
    pub(crate) fn with_certificate(&self, tls_cert: Option<PathBuf>, tls_key: Option<PathBuf>) -> Self {
        Self { tls_cert, tls_key, ..self.clone() }
    }

    /// The same options, as words of a command line.
    pub(crate) fn to_words(&self) -> Vec<OsString> {
        let with = |option: &str, value: &OsString| {
            let mut word = OsString::from(format!("--{option}="));
            word.push(value);
            word
        };
        let limits = match self.limits {
            Limits::Cloud => "cloud",
            Limits::Host => "host",
        };
        let mut words = vec![with("limits", &limits.into()), with("region", &self.region.clone().into())];
        words.extend(self.tls_cert.as_ref().map(|file| with("tls-cert", &file.into())));
        words.extend(self.tls_key.as_ref().map(|file| with("tls-key", &file.into())));
        words.extend(self.tls_generate.then(|| "--tls-generate".into()));
        words.extend(self.insecure.then(|| "--insecure".into()));
        words.extend(self.bypass.iter().map(|item| with("bypass", &item.into())));
        words
    }

    fn tls(&self) -> TlsConfig {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => TlsConfig::Files { cert: cert.clone(), key: key.clone() },
            (None, _) | (_, None) if self.tls_generate => TlsConfig::Generated,
            (None, _) | (_, None) => TlsConfig::Off,
        }
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: ServerArgs) -> Outcome {
    match (args.drop_to, args.parent) {
        (Some(user), Some(parent)) => privilege::drop_to(user, Pid::from_raw(parent))?,
        (None, _) | (_, None) if Uid::effective().is_root() => {
            return Err(
                anyhow!("the server never runs as root; start it as another user, or use `sekimori up`").into()
            );
        }
        (None, _) | (_, None) => {}
    }
    log::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(serve(config(args))).map_err(classify)?;
    Ok(Answer::Yes)
}

async fn serve(config: ServerConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    sekimori_server::run(config, stop).await
}

fn config(args: ServerArgs) -> ServerConfig {
    let ServerArgs { dir, listen, feed_socket, agent_uid, serve, .. } = args;
    let tls = serve.tls();
    let ServeArgs { limits, insecure, bypass, region, .. } = serve;
    let limits = match limits {
        Limits::Cloud => LimitMode::Cloud,
        Limits::Host => LimitMode::Host,
    };
    let bypass = (!bypass.is_empty()).then_some(bypass);
    ServerConfig { dir, listen, tls, insecure, limits, feed_socket, agent_uid, bypass, region }
}

/// A directory or port that is taken may be an earlier server's that is still ending.
fn classify(error: anyhow::Error) -> Failure {
    let is_busy = error.chain().any(|cause| {
        let is_taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
        matches!(cause.downcast_ref(), Some(StoreError::InUse { .. })) || cause.downcast_ref().is_some_and(is_taken)
    });
    if is_busy { Failure::Busy(error) } else { Failure::Failed(error) }
}

fn owner(text: &str) -> Result<Owner, String> {
    let parsed = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    match parsed {
        Some((0, _) | (_, 0)) => Err("the server never runs as root; name another user".to_owned()),
        Some((uid, gid)) => Ok(Owner { uid, gid }),
        None => Err(format!("`{text}` is not a user; write UID:GID")),
    }
}

fn region(text: &str) -> Result<String, String> {
    if is_plain(text) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is not a region; write a name such as cn-hangzhou"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(words: &[&str]) -> ServeArgs {
        Only::parse_from(["x"].iter().chain(words)).serve
    }

    #[test]
    fn options_reach_the_child_as_they_were_given() {
        let every: [&[&str]; 4] = [
            &[],
            &["--limits", "host", "--insecure", "--region", "eu-central-1"],
            &["--tls-cert", "/a b/cert.pem", "--tls-key=-key.pem"],
            &["--tls-generate", "--bypass", "dhcp", "--bypass", "udp/123@169.254.169.123"],
        ];
        for words in every {
            let given = parse(words);
            let passed_on = Only::parse_from([OsString::from("x")].into_iter().chain(given.to_words())).serve;
            assert_eq!(passed_on, given);
        }
    }

    #[test]
    fn plain_http_beyond_this_machine_must_be_asked_for() {
        let (near, far) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        assert!(!parse(&[]).is_exposed(near) && parse(&[]).is_exposed(far));
        assert!(!parse(&["--insecure"]).is_exposed(far) && !parse(&["--tls-generate"]).is_exposed(far));
    }

    #[test]
    fn a_taken_port_or_directory_is_worth_another_try() {
        let taken = anyhow::Error::from(io::Error::from(io::ErrorKind::AddrInUse)).context("cannot listen");
        assert_eq!(classify(taken).code(), 75);
        assert_eq!(classify(StoreError::InUse { file: "/d".into() }.into()).code(), 75);
        assert_eq!(classify(anyhow!("the store is damaged")).code(), 1);
    }

    #[test]
    fn root_is_no_user_to_become() {
        assert_eq!(owner("47617:47617"), Ok(Owner { uid: 47_617, gid: 47_617 }));
        assert!(owner("0:5").is_err() && owner("5:0").is_err() && owner("5").is_err() && owner("-1:1").is_err());
    }
}
