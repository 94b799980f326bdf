//! Starts everything in the order that loses nothing, and stops it in the reverse order.

use std::{fs::File, future::Future, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, oneshot},
};

use sekimori_core::{
    apply::State,
    bypass::BypassSet,
    command::{Command, NewAccount},
    world::{AccessKey, Dialect, World},
};

use crate::{
    ServerConfig, TlsConfig,
    api::{Bootstrap, KeyTold},
    app::{App, DIAGNOSES_MAX, system},
    bootstrap,
    busy::Busy,
    callers::Callers,
    commit::{self, Writer, Writing},
    counts::{self, Counts},
    feed::{self, Feed},
    files, flows,
    hosts::Hosts,
    http::{self, Tls},
    metrics::Refusals,
    native, outside,
    past::Past,
    records::Records,
    replay::Replay,
    secrets::{self, Secrets},
    store::{self, RedbStore, Store, StoreError},
    timer,
    usage::{self, Usage},
};

/// The accounts that a new server begins with, one of each dialect.
const FIRST_ACCOUNT: &str = "default";

/// Runs a server until `shutdown` is ready; then stops accepting, finishes the requests in flight and what
/// waits for the writer.
///
/// # Errors
/// When the configuration or the directory cannot be used. The message names what, and the remedy.
pub async fn run(config: ServerConfig, shutdown: impl Future) -> anyhow::Result<()> {
    run_on(config, |dir| Ok(Arc::new(RedbStore::open(dir)?)), shutdown).await
}

/// As [`run`], on a store that the caller opens in the server's directory.
///
/// # Errors
/// As [`run`], and when the store cannot be opened.
pub async fn run_on(
    config: ServerConfig,
    open: impl FnOnce(&Path) -> Result<Arc<dyn Store>, StoreError>,
    shutdown: impl Future,
) -> anyhow::Result<()> {
    check_exposure(&config)?;
    let bypass = config.bypass.as_deref().map(parse_bypass).transpose()?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on `{}`", config.listen))?;
    let Open { app, feed, feed_socket, control_socket, tls, writer, lock } =
        Open::dir(&config, open, listener.local_addr()?)?;
    prepare(&app, bypass).await?;
    let told = bootstrap(&config, &app, listener.local_addr()?, tls.as_ref())?;
    tracing::info!(
        listen = %told.listen, tls = told.tls, revision = app.committer.world().revision().0, "the server serves"
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let agents = tokio::spawn(feed.serve(feed_socket, stopped));
    let control = tokio::spawn(bootstrap::serve(control_socket, config.agent_uid, told));
    let saving = tokio::spawn(keep_usage(Arc::clone(&app.usage)));
    let counting = tokio::spawn(keep_counts(Arc::clone(&app.hosts.counts)));
    let timer = tokio::spawn(timer::keep(app.committer.clone(), Arc::clone(&app.stuck)));
    let (usage, flows, counts) =
        (Arc::clone(&app.usage), Arc::clone(&app.hosts.flows), Arc::clone(&app.hosts.counts));
    let looking = tokio::spawn(flows::keep(Arc::clone(&flows), app.committer.clone()));
    let shutdown = async {
        shutdown.await;
        flows.close();
    };
    http::serve(listener, tls.map(|tls| tls.acceptor), http::router(app), shutdown).await;
    control.abort();
    timer.abort();
    looking.abort();
    drop(stop);
    let agents = agents.await;
    writer.stop().await;
    saving.abort();
    counting.abort();
    save_usage(usage).await;
    save_counts(counts).await;
    agents.context("the feed did not end well")?;
    tracing::info!("the server has stopped");
    drop(lock);
    Ok(())
}

/// Writes down when rules were used, now and then.
async fn keep_usage(usage: Arc<Usage>) {
    loop {
        tokio::time::sleep(usage::SAVE_EVERY).await;
        save_usage(Arc::clone(&usage)).await;
    }
}

/// Writes down what was counted, now and then.
async fn keep_counts(counts: Arc<Counts>) {
    loop {
        tokio::time::sleep(counts::SAVE_EVERY).await;
        save_counts(Arc::clone(&counts)).await;
    }
}

/// A failure is told and tried again: agents keep what is over until it is written down.
async fn save_counts(counts: Arc<Counts>) {
    let saved = tokio::task::spawn_blocking(move || counts.save(None)).await;
    if let Ok(Err(error)) = saved {
        tracing::warn!(%error, "what was counted cannot be written down");
    }
}

/// A failure is told and tried again: nothing depends on it but an answer about idle rules.
async fn save_usage(usage: Arc<Usage>) {
    let saved = tokio::task::spawn_blocking(move || usage.save()).await;
    if let Ok(Err(error)) = saved {
        tracing::warn!(%error, "the last uses of rules cannot be written");
    }
}

/// Plain HTTP beyond this machine needs to be asked for.
fn check_exposure(config: &ServerConfig) -> anyhow::Result<()> {
    if config.tls == TlsConfig::Off && !config.insecure && !config.listen.ip().is_loopback() {
        bail!(
            "`{}` can be reached from other machines, and plain HTTP shows them the operator's token; use TLS \
             (--tls-cert and --tls-key, or a generated certificate), listen on 127.0.0.1, or say --insecure",
            config.listen
        );
    }
    Ok(())
}

fn parse_bypass(items: &[String]) -> anyhow::Result<BypassSet> {
    BypassSet::from_items(items.iter().map(String::as_str)).map_err(|message| anyhow::anyhow!(message))
}

/// Everything that is open while a server runs.
struct Open {
    app: Arc<App>,
    feed: Feed,
    feed_socket: UnixListener,
    control_socket: UnixListener,
    tls: Option<Tls>,
    writer: Writer,
    lock: File,
}

impl Open {
    /// Opens the directory. The lock first: it keeps a second server from everything else.
    fn dir(
        config: &ServerConfig,
        open: impl FnOnce(&Path) -> Result<Arc<dyn Store>, StoreError>,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        let dir: &Path = &config.dir;
        files::create_private_dir(dir).with_context(|| format!("cannot make the directory `{}`", dir.display()))?;
        let lock = store::lock(dir)?;
        let secrets = Secrets::open(dir, RedbStore::is_expected_in(dir))?;
        let store = open(dir)?;
        let state = State::new(store.read()?);
        let replay = Arc::new(Replay::open(dir, outside::now())?);
        let tls = http::prepare(&config.tls, dir, listen)?;
        let (feed_socket, control_socket) = (feed::listen(&config.feed_socket)?, bootstrap::listen(dir)?);
        let usage = Arc::new(Usage::open(dir, outside::now())?);
        let hosts = Arc::new(Hosts::with(Counts::open(dir)?));
        let writing = Writing {
            store: Arc::clone(&store),
            replay: Arc::clone(&replay),
            hosts: Arc::clone(&hosts),
            limits: config.limits,
        };
        let (committer, writer) = commit::start(writing, state)?;
        let records = Arc::new(Records::new(dir));
        let (agent_uid, region, limits) = (config.agent_uid, config.region.clone(), config.limits);
        let past = Past::of(Arc::clone(&store));
        let feed = Feed {
            store,
            committer: committer.clone(),
            hosts: Arc::clone(&hosts),
            usage: Arc::clone(&usage),
            records: Arc::clone(&records),
            agent_uid,
        };
        let diagnoses = Semaphore::new(DIAGNOSES_MAX);
        let app = Arc::new(App {
            committer,
            hosts,
            secrets,
            replay,
            callers: Callers::default(),
            busy: Busy::default(),
            diagnoses,
            questions: Default::default(),
            refusals: Refusals::default(),
            usage,
            past,
            records,
            stuck: Default::default(),
            region,
            limits,
        });
        Ok(Self { app, feed, feed_socket, control_socket, tls, writer, lock })
    }
}

/// Makes the first account of each dialect, and sets the bypass set that was asked for.
async fn prepare(app: &App, bypass: Option<BypassSet>) -> anyhow::Result<()> {
    for dialect in [Dialect::Ecs, Dialect::Ec2] {
        if app.committer.world().accounts().any(|account| account.dialect == dialect) {
            continue;
        }
        let (key, secret) = secrets::new_access_key(dialect)?;
        let sealed_secret = app.secrets.seal(&key, &secret)?;
        let first = NewAccount { id: None, dialect, name: FIRST_ACCOUNT.to_owned(), key, sealed_secret };
        app.committer.commit(system("CreateAccount"), Command::CreateAccount(first)).await?;
    }
    if let Some(bypass) = bypass {
        app.committer.commit(system("SetBypass"), Command::SetBypass { bypass }).await?;
    }
    Ok(())
}

/// What the parent process is told.
fn bootstrap(config: &ServerConfig, app: &App, listen: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<Bootstrap> {
    let world = app.committer.world();
    let told = |dialect: Dialect| -> anyhow::Result<KeyTold> {
        let key = first_key(&world, dialect).with_context(|| {
            format!("no account of dialect {dialect} has an access key; make one with `account create`")
        })?;
        let secret = app.secrets.unseal(&key.id, &key.sealed_secret)?;
        let region = native::region_of(dialect, &config.region).to_owned();
        Ok(KeyTold { access_key_id: key.id.to_string(), access_key_secret: secret.to_string(), region })
    };
    Ok(Bootstrap {
        ecs: told(Dialect::Ecs)?,
        ec2: told(Dialect::Ec2)?,
        token: app.secrets.token().to_owned(),
        listen,
        tls_ca_pem: tls.and_then(|tls| tls.ca_pem.clone()),
        tls: tls.is_some(),
    })
}

/// The key of the account of a dialect that was made first.
fn first_key(world: &World, dialect: Dialect) -> Option<&AccessKey> {
    let accounts = world.accounts().filter(|account| account.dialect == dialect);
    let first = accounts.min_by_key(|account| (account.name != FIRST_ACCOUNT, account.created_at, &account.id))?;
    let keys = world.keys().filter(|key| key.account == first.id);
    keys.min_by_key(|key| (key.created_at, &key.id)).map(|key| &**key)
}
