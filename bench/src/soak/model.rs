//! What may pass at every moment. A path is settled while no change of it is on its way; only then is it judged.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use sekimori_core::ids::IdSource;

use super::estate::Place;

/// The port of TCP that clients always reach.
pub const OPEN_TCP: u16 = 8_000;
/// The port of UDP that clients always reach.
pub const OPEN_UDP: u16 = 8_001;
/// The port of TCP at the victim that its flooder reaches.
pub const FLOODED: u16 = 8_002;
/// Ports that a rule opens and whose deletion closes them.
pub const BY_ALLOW: [u16; 4] = [8_100, 8_101, 8_102, 8_103];
/// Ports of a rule that always is, which a rule before it closes.
pub const BY_DENY: [u16; 4] = [8_110, 8_111, 8_112, 8_113];
/// Ports that a group opens at the servers that are in it.
pub const BY_GROUP: [u16; 2] = [8_200, 8_201];
/// Ports that a rule of EC2 opens at its tenant and whose deletion closes them.
pub const BY_PERMISSION: [u16; 4] = [8_300, 8_301, 8_302, 8_303];
/// Ports that nobody ever reaches.
pub const NEVER: std::ops::Range<u16> = 9_000..10_000;

/// What a port is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// By which ports that change are asked.
    #[must_use]
    pub fn of(port: u16) -> Self {
        if port.is_multiple_of(2) { Self::Tcp } else { Self::Udp }
    }

    /// As the API says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Who asks whom for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Who asks.
    pub from: Place,
    /// Whom.
    pub to: Place,
    /// How.
    pub transport: Transport,
    /// For what.
    pub port: u16,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, transport, port } = self;
        write!(f, "{from} -> {to} {}/{port}", transport.name())
    }
}

/// What becomes of a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Passes,
    /// It does not.
    Dropped,
    /// A change is on its way.
    Unsettled,
}

/// A fate, and how often it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The fate.
    pub fate: Fate,
    version: u64,
}

/// All paths.
#[derive(Debug, Default)]
pub struct Model {
    paths: Mutex<BTreeMap<Path, State>>,
}

/// What holds before the first change.
#[must_use]
pub fn at_first() -> Model {
    let model = Model::default();
    let declare = |from, to, port, fate| model.declare(Path { from, to, transport: Transport::of(port), port }, fate);
    for from in [Place::Client(0), Place::Client(1)] {
        for to in [Place::Server(0), Place::Server(1)] {
            [OPEN_TCP, OPEN_UDP].into_iter().for_each(|port| declare(from, to, port, Fate::Passes));
            BY_ALLOW.into_iter().for_each(|port| declare(from, to, port, Fate::Dropped));
            BY_DENY.into_iter().for_each(|port| declare(from, to, port, Fate::Passes));
            BY_GROUP.into_iter().for_each(|port| declare(from, to, port, Fate::Dropped));
            NEVER.take(2).for_each(|port| declare(from, to, port, Fate::Dropped));
        }
    }
    for from in [Place::Mover(0), Place::Mover(1)] {
        for to in [Place::Server(0), Place::Server(1)] {
            [OPEN_TCP, OPEN_UDP].into_iter().for_each(|port| declare(from, to, port, Fate::Dropped));
        }
    }
    let (from, to) = (Place::Tenant(0), Place::Tenant(1));
    [OPEN_TCP, OPEN_UDP].into_iter().for_each(|port| declare(from, to, port, Fate::Passes));
    BY_PERMISSION.into_iter().chain(NEVER.take(2)).for_each(|port| declare(from, to, port, Fate::Dropped));
    model
}

impl Model {
    fn declare(&self, path: Path, fate: Fate) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.insert(path, State { fate, version: 0 });
    }

    /// Gives some paths another fate.
    pub fn set(&self, fate: Fate, concerns: impl Fn(&Path) -> bool) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, state) in paths.iter_mut().filter(|(path, _)| concerns(path)) {
            *state = State { fate, version: state.version + 1 };
        }
    }

    /// How it is now.
    #[must_use]
    pub fn look(&self, path: &Path) -> Option<State> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    /// Any settled path from a place.
    #[must_use]
    pub fn any(&self, from: Place, chances: &mut IdSource) -> Option<(Path, State)> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = || paths.iter().filter(|(path, state)| path.from == from && state.fate != Fate::Unsettled);
        let count = settled().count() as u64;
        let at = chances.next_u64().checked_rem(count)?;
        settled().nth(at as usize).map(|(path, state)| (*path, *state))
    }
}
