//! Over which connections the operator has spoken to the server of late: what a change should better not cut.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use sekimori_analysis::lockout::Connection;
use sekimori_core::time::Timestamp;

/// Clients that are remembered; beyond it the oldest is forgotten.
pub const CALLERS_MAX: usize = 256;
/// For how long, in seconds.
pub const CALLERS_KEPT_S: i64 = 600;

/// By address, and by where the server was spoken to: the newest port, and when.
type Seen = BTreeMap<(IpAddr, SocketAddr), (u16, Timestamp)>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    seen: Mutex<Seen>,
}

impl Callers {
    /// The operator has called.
    pub(crate) fn note(&self, Connection { client, server }: Connection, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((client.ip(), server), (client.port(), now));
        if seen.len() > CALLERS_MAX {
            let oldest = seen.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| *key);
            oldest.map(|key| seen.remove(&key));
        }
    }

    /// The connections of the last minutes.
    pub(crate) fn recent(&self, now: Timestamp) -> Vec<Connection> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = seen.iter().filter(|(_, (_, at))| at.0 + CALLERS_KEPT_S > now.0);
        let connection = |(&(client, server), &(port, _)): (&(IpAddr, SocketAddr), &(u16, Timestamp))| Connection {
            client: SocketAddr::new(client, port),
            server,
        };
        recent.map(connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(client: &str) -> Connection {
        Connection { client: client.parse().unwrap(), server: "10.0.0.2:8470".parse().unwrap() }
    }

    #[test]
    fn who_called_of_late_is_known_with_the_newest_port_and_few_are() {
        let callers = Callers::default();
        callers.note(connection("10.0.0.1:5"), Timestamp(100));
        callers.note(connection("10.0.0.1:6"), Timestamp(200));
        assert_eq!(callers.recent(Timestamp(799)), [connection("10.0.0.1:6")]);
        assert_eq!(callers.recent(Timestamp(800)), []);
        for last in 0..=255_u8 {
            callers.note(connection(&format!("10.0.1.{last}:1")), Timestamp(300 + i64::from(last)));
        }
        let recent = callers.recent(Timestamp(600));
        assert_eq!(recent.len(), CALLERS_MAX);
        assert!(!recent.contains(&connection("10.0.0.1:6")), "the oldest is forgotten");
    }
}
