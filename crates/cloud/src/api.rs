//! What whoever serves requests does with a call, the same in both dialects; and which dialect a request speaks.

use sekimori_core::{
    command::{Command, Outcome},
    ids::{AccountId, KeyId},
    refusal::Refusal,
    time::Timestamp,
    token::Ticket,
    world::{Dialect, Revision, World},
};
use sha2::{Digest, Sha256};

use crate::{RawRequest, Reply, ec2, ecs, failure::Failure, params::Params};

/// What a call asks for; `Q` are the questions of its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<Q> {
    /// A change, for the writer.
    Command(Command),
    /// A change that is only to be judged: [`Trouble::DryRun`] is the reply to one that would succeed.
    DryRun(Command),
    /// A question, to be answered from a snapshot with [`Api::answer`].
    Query(Q),
}

/// What whoever serves requests has to say about one, in neutral words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The access key is not known.
    UnknownKey,
    /// The access key belongs to an account of the other dialect.
    WrongDialect,
    /// The nonce was used before.
    NonceUsed,
    /// Too many requests.
    Throttled,
    /// The server failed.
    Internal,
    /// The server cannot work now.
    Unavailable,
    /// The body is larger than this many bytes.
    BodyTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The request is well-formed, and was only to be checked.
    DryRun,
    /// A request with the same client token is being carried out.
    TokenBusy,
    /// The command was refused.
    Refused(Refusal),
}

/// A call of one dialect's API, from the bytes of the request to the bytes of the reply.
pub trait Api: Sized {
    /// The dialect of the accounts that may call.
    const DIALECT: Dialect;
    /// A question.
    type Query;
    /// Why a request is not answered with success.
    type Fault: From<Trouble>;

    /// Reads a request.
    ///
    /// # Errors
    /// The reply to send when it cannot be read, names no operation, or is not signed.
    fn parse(raw: &RawRequest<'_>, request_id: &str) -> Result<Self, Box<Reply>>;

    /// The access key that the request claims to be signed with.
    fn key_id(&self) -> &KeyId;

    /// The nonce, which together with the key must be new; `None` where the scheme has none.
    fn nonce(&self) -> Option<&str>;

    /// Whether the request was signed with this secret, near this moment.
    ///
    /// # Errors
    /// The fault to answer.
    fn verify(&self, secret: &[u8], now: Timestamp) -> Result<(), Self::Fault>;

    /// The operation's name.
    fn operation(&self) -> &'static str;

    /// The request's id, as given to [`Api::parse`].
    fn request_id(&self) -> &str;

    /// What a verified call asks for.
    ///
    /// # Errors
    /// The fault to answer.
    fn decode(&self, world: &World, account: &AccountId) -> Result<Operation<Self::Query>, Self::Fault>;

    /// The reply to a question, of which the kernels enforce a revision.
    fn answer(&self, query: &Self::Query, world: &World, account: &AccountId, applied: Revision) -> Reply;

    /// The reply to a command that was carried out, in the world that holds the result.
    fn outcome(&self, outcome: &Outcome, world: &World, account: &AccountId, applied: Revision) -> Reply;

    /// What the client is told about a fault.
    fn failure(&self, fault: &Self::Fault) -> Failure;

    /// The reply that reports a fault.
    fn fault(&self, fault: &Self::Fault) -> Reply;
}

/// The dialect that a request speaks, by its signature or else by its version. Nobody is believed for it.
#[must_use]
pub fn dialect_of(raw: &RawRequest<'_>) -> Dialect {
    if ec2::is_spoken_by(raw) { Dialect::Ec2 } else { Dialect::Ecs }
}

/// The reply to a request that is refused before it is read; its body may be left out.
#[must_use]
pub fn early_fault(raw: &RawRequest<'_>, request_id: &str, trouble: Trouble) -> Reply {
    match dialect_of(raw) {
        Dialect::Ecs => ecs::early_fault(raw, request_id, &trouble.into()),
        Dialect::Ec2 => ec2::early_fault(raw, request_id, &trouble.into()),
    }
}

/// A command that came with a client's token is carried out at most once.
pub(crate) fn once(token: Option<&str>, account: &AccountId, fingerprint: String, command: Command) -> Command {
    let Some(text) = token else { return command };
    let ticket = Ticket { account: account.clone(), text: text.to_owned(), request: fingerprint };
    Command::Once { ticket, command: Box::new(command) }
}

/// A digest of what is asked for, without the parameters that say who asks and how.
pub(crate) fn fingerprint(names: [&str; 2], params: &Params, envelope: &[&str]) -> String {
    let mut digest = Sha256::new();
    let meant = params.iter().filter(|(name, _)| !envelope.contains(name));
    for part in names.into_iter().chain(meant.flat_map(|(name, value)| [name, value])) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    crate::sign::hex(&digest.finalize())
}
