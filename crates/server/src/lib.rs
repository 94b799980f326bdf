//! The only writer: HTTP, commit, store, feed and the native API.
//!
//! One process, without privileges. The way of a request: [`http`](BODY_BYTES_MAX) reads it, the cloud's API
//! or the native API turns it into a command, [`commit`] has it judged and made durable in the [`store`], the
//! client is answered, and the [`feed`] tells the agents. It never touches the data plane, and of the
//! data directory only the part that is its own.
//!
//! | path | what |
//! |---|---|
//! | `GET /healthz` | whether the API serves and the kernel enforces |
//! | `/v1/…` | the native API ([`api`]), with the operator's token |
//! | everything else | the clouds' APIs |

#![warn(clippy::wildcard_enum_match_arm)]

pub mod api;
mod app;
pub mod bootstrap;
mod busy;
mod callers;
mod cloud_api;
pub mod commit;
pub mod counts;
pub mod feed;
mod files;
pub mod flows;
pub mod hosts;
mod http;
pub mod live;
pub mod local;
pub mod metrics;
mod native;
pub mod offline;
mod outside;
mod past;
pub mod records;
pub mod replay;
mod run;
pub mod secrets;
mod sessions;
pub mod store;
mod stuck;
#[cfg(test)]
mod testing;
mod timer;
mod turns;
pub mod usage;
pub mod verify;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use sekimori_core::limits::LimitMode;

pub use self::{
    callers::{CALLERS_KEPT_S, CALLERS_MAX},
    http::{
        BODY_BYTES_MAX, BODY_TIMEOUT, CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, HEADER_BYTES_MAX, HEADER_TIMEOUT,
        REQUEST_TIMEOUT, SEND_TIMEOUT, STOP_TIMEOUT,
    },
    native::{
        APPLY_REQUESTS_MAX, DIFF_EVENTS_MAX, FLOWS_LISTED_MAX, HISTORY_LISTED_MAX, NATIVE_BODY_BYTES_MAX,
        VERIFY_S_MAX, WAIT_S_MAX,
    },
    run::{run, run_on},
    store::LockError,
    turns::{QUESTIONS_AT_A_TIME_MAX, QUESTIONS_WAITING_MAX},
};

/// What a server is told when it starts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The server's own directory; may be `.`.
    pub dir: PathBuf,
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: TlsConfig,
    /// Allows plain HTTP beyond loopback.
    pub insecure: bool,
    /// Which limits hold.
    pub limits: LimitMode,
    /// The socket that agents connect to.
    pub feed_socket: PathBuf,
    /// The user that agents and the parent process run as.
    pub agent_uid: u32,
    /// The bypass set to begin with; `None` keeps the stored one.
    pub bypass: Option<Vec<String>>,
    /// The region that new credentials name.
    pub region: String,
}

/// How the port is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// Plain HTTP.
    Off,
    /// TLS with the operator's certificate.
    Files {
        /// The certificate chain, PEM.
        cert: PathBuf,
        /// The private key, PEM.
        key: PathBuf,
    },
    /// TLS with a certificate that the server makes and keeps in its directory.
    Generated,
}

/// Where the control socket of a server's directory is; see [`bootstrap::fetch`].
#[must_use]
pub fn control_socket_in(dir: &Path) -> PathBuf {
    bootstrap::socket_in(dir)
}
