//! A live TCP connection that carries data whenever the test wants.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use sekimori_core::address::Family;

use super::{
    Lab, fail,
    host::Host,
    must,
    observe::{Answer, Attempt, Finding},
    pause,
};

/// How long an end may wait before it acknowledges what it has received. A change that is to meet the next data
/// must come later.
const ACKNOWLEDGED: Duration = Duration::from_millis(60);
/// How long a connection, or its end, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Both ends of a connection.
#[derive(Debug)]
pub struct Wire {
    client: TcpStream,
    server: TcpStream,
    from: Host,
    to: Host,
    round: u64,
}

impl Lab {
    /// Opens a connection, which must be allowed.
    pub fn connect(&mut self, from: &str, to: &str, port: u16, family: Family) -> Wire {
        let (from, to) = (self.host(from), self.host(to));
        let at = SocketAddr::new(to.address(family), port);
        let listener = to.listen(at);
        let client = from.call(SocketAddr::new(from.address(family), self.fresh_port()), at);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok((server, _)) = listener.accept() {
                must("make a stream non-blocking", server.set_nonblocking(true));
                return Wire { client, server, from, to, round: 0 };
            }
            if Instant::now() > until {
                fail(&format!("no connection from `{}` to `{}`", from.name, to.name));
            }
            pause(Duration::from_millis(1));
        }
    }

    /// Sends some bytes over a connection and back.
    pub fn talk(&mut self, wire: &mut Wire) -> Finding {
        wire.round += 1;
        let (from, to) = (wire.from.clone(), wire.to.clone());
        let client = must("copy a stream", wire.client.try_clone());
        let server = must("copy a stream", wire.server.try_clone());
        let token = wire.round.to_be_bytes();
        let talk = Talk { client, server, token, heard: Vec::new(), has_sent: false };
        let finding = self.observe(&from, &to, || Box::new(talk));
        pause(ACKNOWLEDGED);
        finding
    }
}

impl Wire {
    /// Sends from the client something that is to be answered with resets. Whether each end is told: client, server.
    pub fn resets(&mut self) -> (bool, bool) {
        must("send data", self.client.write_all(b"is anybody there?"));
        let until = Instant::now() + PATIENCE;
        let mut told = (false, false);
        while told != (true, true) && Instant::now() < until {
            told.0 |= is_reset(&mut self.client);
            told.1 |= is_reset(&mut self.server);
            pause(Duration::from_millis(1));
        }
        told
    }

    /// Whether both ends believe the connection to be open, as they do when it was cut in silence.
    pub fn is_open(&mut self) -> bool {
        [&mut self.client, &mut self.server].into_iter().all(|end| {
            let error = end.take_error().ok().flatten();
            let read = end.read(&mut [0; 64]).map_err(|error| error.kind());
            error.is_none() && !matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
        })
    }
}

fn is_reset(end: &mut TcpStream) -> bool {
    matches!(end.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

/// A token on its way there and back.
struct Talk {
    client: TcpStream,
    server: TcpStream,
    token: [u8; 8],
    heard: Vec<u8>,
    has_sent: bool,
}

impl Talk {
    fn step(&mut self) -> std::io::Result<bool> {
        if !self.has_sent {
            self.client.write_all(&self.token)?;
            self.has_sent = true;
        }
        let mut room = [0; 64];
        let asked = allow_none(self.server.read(&mut room))?;
        self.server.write_all(&room[..asked])?;
        let answered = allow_none(self.client.read(&mut room))?;
        self.heard.extend(&room[..answered]);
        Ok(self.heard.ends_with(&self.token))
    }
}

/// Nothing to read yet is nothing; the end of a stream is an error.
fn allow_none(read: std::io::Result<usize>) -> std::io::Result<usize> {
    match read {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

impl Attempt for Talk {
    fn poll(&mut self) -> Option<Answer> {
        match self.step() {
            Ok(is_back) => is_back.then_some(Answer::Passes),
            Err(_) => Some(Answer::Refused),
        }
    }
}
