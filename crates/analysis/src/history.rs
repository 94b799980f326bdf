//! What was changed, by whom and when: a commit in words.

mod words;

use sekimori_core::{
    change::{Change, Commit, Row},
    time::Timestamp,
    world::{Revision, World},
};
use serde::{Deserialize, Serialize};

use self::words::words;

/// A commit, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub revision: Revision,
    /// When it was committed.
    pub at: Timestamp,
    /// Access key id, or `operator`, or `system`.
    pub who: String,
    /// The operation of the cloud, or of the native API.
    pub operation: String,
    /// The address that the request came from, if it came over the network.
    pub from: Option<String>,
    /// The id that the client was given for its request.
    pub request_id: String,
    /// What it changed, in order.
    pub changes: Vec<Told>,
}

/// A change. What only answers a client's repeated request is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What it is about: `group/sg-1`, `rule/sg-1/sgr-2`.
    pub about: String,
    /// Whether it is gone.
    pub is_gone: bool,
    /// What it says from then on, as far as people decide by it.
    pub words: Option<String>,
}

/// Which entries are asked for; what is `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who it was.
    pub who: Option<String>,
    /// The operation, whatever its case.
    pub operation: Option<String>,
    /// The id of something that changed, or of the group whose rule did.
    pub about: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether a commit is asked for.
    #[must_use]
    pub fn holds(&self, commit: &Commit) -> bool {
        let actor = &commit.actor;
        self.who.as_ref().is_none_or(|who| *who == actor.who)
            && self.operation.as_ref().is_none_or(|operation| operation.eq_ignore_ascii_case(&actor.operation))
            && self.since.is_none_or(|since| commit.at >= since)
            && self.until.is_none_or(|until| commit.at <= until)
            && self.about.as_ref().is_none_or(|id| commit.changes.iter().any(|change| is_about(change, id)))
    }
}

/// A commit in words. Names that a rule mentions are those of `world`, which may be a later one.
#[must_use]
pub fn tell(world: &World, commit: &Commit) -> Entry {
    let told = commit.changes.iter().filter(|change| !matches!(change.row(), Row::Token(..)));
    Entry {
        revision: commit.revision,
        at: commit.at,
        who: commit.actor.who.clone(),
        operation: commit.actor.operation.clone(),
        from: commit.actor.from.clone(),
        request_id: commit.actor.request_id.clone(),
        changes: told
            .map(|change| Told { about: name(change), is_gone: change.is_delete(), words: words(world, change) })
            .collect(),
    }
}

/// The name of a change's row, without what sorts it in a store.
fn name(change: &Change) -> String {
    let key = change.row().to_key();
    key.split_once('/').map(|(_, name)| name.to_owned()).unwrap_or(key)
}

fn is_about(change: &Change, id: &str) -> bool {
    name(change).split('/').skip(1).any(|part| part == id)
}

#[cfg(test)]
mod tests;
