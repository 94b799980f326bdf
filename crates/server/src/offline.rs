//! The native API without a server: over a world that was read from files, in this process, for one command.
//!
//! What answers is what answers in a server, so no question has a second implementation. Nothing is kept: whoever tries to change something
//! is told so.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    http::{Method, Request, header::AUTHORIZATION, header::CONTENT_TYPE},
};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
};
use tower::ServiceExt;

use sekimori_core::{
    apply::State,
    change::{Change, Commit},
    limits::LimitMode,
    world::{Revision, World},
};

use crate::{
    app::{App, DIAGNOSES_MAX, system},
    commit::{self, Writer, Writing},
    hosts::Hosts,
    http, outside,
    past::Past,
    records::Records,
    replay::{Replay, ReplayError},
    secrets::{SecretError, Secrets},
    store::{MemStore, Store, StoreError},
    usage::{Usage, UsageError},
};

/// Why files cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// No place for what a server keeps beside its store.
    #[error("no directory for what is kept while the files are asked: {0}")]
    Directory(#[from] io::Error),
    /// What is kept there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What is kept there.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// What is kept there.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The world cannot be written down.
    #[error("what the files describe cannot be taken in: {0}")]
    Store(#[from] StoreError),
    /// The request is none.
    #[error("the question cannot be asked: {0}")]
    Request(String),
    /// It was no question.
    #[error(
        "the answers come from files, so nothing can be changed; ask a server for that, or use the cloud's own tools"
    )]
    Change,
    /// It is about what happens.
    #[error("the answers come from files, which tell nothing that happens; ask a server for it")]
    Unseen,
}

/// What only hosts can tell: traffic, its counters, and what kernels hold.
const OF_HOSTS: [&str; 5] = ["/v1/flows", "/v1/flows/live", "/v1/flows/watch", "/v1/counters", "/v1/verify"];

/// An answer: the status, and what it says.
pub type OfflineAnswer = (u16, Vec<u8>);

/// See the module.
pub struct Offline {
    runtime: Runtime,
    app: Arc<App>,
    at: Revision,
    _writer: Writer,
    _dir: TempDir,
}

impl Offline {
    /// Answers about the world that these changes make out of an empty one.
    ///
    /// # Errors
    /// When what a server needs beside its store cannot be made, or a change cannot be stored.
    pub fn of(changes: Vec<Change>) -> Result<Self, OfflineError> {
        let dir = tempfile::tempdir()?;
        let now = outside::now();
        let store: Arc<dyn Store> = Arc::new(MemStore::default());
        let at = Revision(0).next();
        store.append(Revision(0), &[Commit { revision: at, at: now, actor: system("Files"), changes }])?;
        let world: World = store.read()?;
        let replay = Arc::new(Replay::open(dir.path(), now)?);
        let hosts = Arc::new(Hosts::of_files());
        let limits = LimitMode::Cloud;
        let (kept, by) = (Arc::clone(&store), Arc::clone(&replay));
        let writing = Writing { store: kept, replay: by, hosts: Arc::clone(&hosts), limits };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        // Requests of EC2 name no region: they are about the account's own.
        let region = world.vpcs().map(|vpc| vpc.region.clone()).find(|region| !region.is_empty()).unwrap_or_default();
        let (committer, writer) = commit::start(writing, State::new(world))?;
        let app = Arc::new(App {
            committer,
            hosts,
            secrets: Secrets::open(dir.path(), false)?,
            replay,
            callers: Default::default(),
            busy: Default::default(),
            diagnoses: Semaphore::new(DIAGNOSES_MAX),
            questions: Default::default(),
            refusals: Default::default(),
            usage: Arc::new(Usage::open(dir.path(), now)?),
            past: Past::of(store),
            records: Arc::new(Records::new(dir.path())),
            stuck: Default::default(),
            region,
            limits,
        });
        Ok(Self { runtime, app, at, _writer: writer, _dir: dir })
    }

    /// Asks what a client of a server would ask.
    ///
    /// # Errors
    /// When it is no request, is about what files cannot tell, or has changed something: what is here is a copy, and gone with the command.
    pub fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<OfflineAnswer, OfflineError> {
        if OF_HOSTS.contains(&path.split('?').next().unwrap_or_default()) {
            return Err(OfflineError::Unseen);
        }
        let unusable = |error: &dyn std::fmt::Display| OfflineError::Request(error.to_string());
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| unusable(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.app.secrets.token()))
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| unusable(&error))?;
        let router = http::router(Arc::clone(&self.app));
        let answered = self.runtime.block_on(async {
            let response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| unusable(&error))?;
            Ok::<_, OfflineError>((status, body.to_bytes().to_vec()))
        })?;
        if self.app.committer.world().revision() == self.at { Ok(answered) } else { Err(OfflineError::Change) }
    }
}
