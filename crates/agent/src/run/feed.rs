//! The connection to the server: framed JSON over a Unix socket, from a user that is checked.
//!
//! What comes is read by a task of its own, so that the next part of a snapshot is taken apart while the one before is applied.

use anyhow::Context as _;
use futures::{FutureExt as _, SinkExt, StreamExt as _};
use sekimori_core::feed::{FEED_VERSION, FromAgent, FromServer, Known, MESSAGE_BYTES_MAX};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::{
    bytes::Bytes,
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
};

use super::AgentConfig;

/// Messages that are read before the ones before them are done. The rest waits in the socket, and with it the server.
const READ_AHEAD: usize = 2;

type Incoming = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;

/// An open connection.
pub(super) struct Connection {
    outgoing: FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>,
    /// The last message is what has ended the connection.
    incoming: mpsc::Receiver<anyhow::Result<FromServer>>,
}

impl Connection {
    /// Calls the server and says hello. `after` is what is known already.
    pub(super) async fn open(config: &AgentConfig, after: Option<Known>) -> anyhow::Result<Self> {
        let path = config.feed.display();
        let stream =
            UnixStream::connect(&config.feed).await.with_context(|| format!("cannot connect to `{path}`"))?;
        let uid = stream.peer_cred().context("cannot tell who the server is")?.uid();
        anyhow::ensure!(
            uid == config.server_uid || uid == 0,
            "`{path}` is served by user {uid}, not by user {} of the server; stop whatever listens there",
            config.server_uid
        );
        let codec = LengthDelimitedCodec::builder().max_frame_length(MESSAGE_BYTES_MAX).new_codec();
        let (from_server, to_server) = stream.into_split();
        let (heard, incoming) = mpsc::channel(READ_AHEAD);
        tokio::spawn(read(FramedRead::new(from_server, codec.clone()), heard));
        let mut connection = Self { outgoing: FramedWrite::new(to_server, codec), incoming };
        connection.send(&FromAgent::Hello { version: FEED_VERSION, host: config.host.clone(), after }).await?;
        match connection.receive().await? {
            FromServer::Welcome { version: FEED_VERSION } => Ok(connection),
            FromServer::Welcome { version } => {
                anyhow::bail!(
                    "the server speaks version {version} of the feed, this agent {FEED_VERSION}; upgrade the older"
                )
            }
            FromServer::Refused { reason } => anyhow::bail!("the server refuses this agent: {reason}"),
            FromServer::Snapshot { .. }
            | FromServer::Commit { .. }
            | FromServer::Verify { .. }
            | FromServer::LiveFlows { .. }
            | FromServer::Watch(_)
            | FromServer::Recorded { .. }
            | FromServer::Counted { .. } => anyhow::bail!("the server did not say welcome"),
        }
    }

    pub(super) async fn send(&mut self, message: &FromAgent) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        self.outgoing.send(Bytes::from(bytes)).await.context("cannot send to the server")
    }

    /// Sends a message if the server takes it at once, and says whether it does: nothing is worth waiting for that may be lost.
    pub(super) fn offer(&mut self, message: &FromAgent) -> anyhow::Result<bool> {
        self.push()?;
        if !self.outgoing.write_buffer().is_empty() {
            return Ok(false);
        }
        let bytes = serde_json::to_vec(message)?;
        self.outgoing.start_send_unpin(Bytes::from(bytes)).context("cannot send to the server")?;
        self.push()?;
        Ok(true)
    }

    /// Sends what waits, as far as that goes at once.
    fn push(&mut self) -> anyhow::Result<()> {
        let pushed = SinkExt::<Bytes>::flush(&mut self.outgoing).now_or_never().unwrap_or(Ok(()));
        pushed.context("cannot send to the server")
    }

    pub(super) async fn receive(&mut self) -> anyhow::Result<FromServer> {
        self.incoming.recv().await.context("nobody reads what the server says any more")?
    }
}

/// Reads what the server says until it ends, or until nobody listens.
async fn read(mut incoming: Incoming, heard: mpsc::Sender<anyhow::Result<FromServer>>) {
    loop {
        let message = tokio::select! {
            () = heard.closed() => return,
            message = next(&mut incoming) => message,
        };
        let is_last = message.is_err();
        if heard.send(message).await.is_err() || is_last {
            return;
        }
    }
}

async fn next(incoming: &mut Incoming) -> anyhow::Result<FromServer> {
    let frame = incoming.next().await.context("the server has closed the connection")?;
    let frame = frame.context("cannot receive from the server")?;
    serde_json::from_slice(&frame).context("the server sent what this agent does not understand")
}
