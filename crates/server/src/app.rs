//! What every request handler shares. It holds things; it does nothing.

use std::sync::Arc;

use sekimori_core::{change::Actor, limits::LimitMode, world::Revision};
use tokio::sync::Semaphore;

use crate::{
    busy::Busy, callers::Callers, commit::Committer, hosts::Hosts, metrics::Refusals, past::Past, records::Records,
    replay::Replay, secrets::Secrets, stuck::Stuck, turns::Turns, usage::Usage,
};

/// Diagnostic reports that are made at a time; a client that asks for more is told to try again.
pub(crate) const DIAGNOSES_MAX: usize = 4;

/// See the module.
pub(crate) struct App {
    /// The way to the writer and to the newest world.
    pub(crate) committer: Committer,
    /// What the hosts have reported.
    pub(crate) hosts: Arc<Hosts>,
    /// Keys and token.
    pub(crate) secrets: Secrets,
    /// Nonces that were used.
    pub(crate) replay: Arc<Replay>,
    /// Over which connections the operator has called.
    pub(crate) callers: Callers,
    /// Client tokens in use.
    pub(crate) busy: Busy,
    /// Turns to make a diagnostic report: [`DIAGNOSES_MAX`].
    pub(crate) diagnoses: Semaphore,
    /// Turns to answer a question.
    pub(crate) questions: Turns,
    /// Requests that were refused.
    pub(crate) refusals: Refusals,
    /// When rules were last used.
    pub(crate) usage: Arc<Usage>,
    /// What was before.
    pub(crate) past: Past,
    /// Records of flow logs.
    pub(crate) records: Arc<Records>,
    /// Rollbacks that are due and refused.
    pub(crate) stuck: Arc<Stuck>,
    /// The region that new credentials name.
    pub(crate) region: String,
    /// Which limits hold.
    pub(crate) limits: LimitMode,
}

impl App {
    /// The revision that every host enforces; the empty world's while none has reported.
    pub(crate) fn applied(&self) -> Revision {
        self.hosts.applied().unwrap_or_default()
    }
}

/// The server itself as the one who asks for a change.
pub(crate) fn system(operation: &str) -> Actor {
    let (who, operation) = ("system".to_owned(), operation.to_owned());
    Actor { who, operation, from: None, request_id: String::new() }
}
