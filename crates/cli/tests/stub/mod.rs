//! A server that gives one canned answer to everything and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// A server on a free port. It ends with the test's process.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    asked: Receiver<String>,
}

impl Stub {
    pub(crate) fn answering(status: &'static str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ask, asked) = channel();
        let body = body.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), status, &body, &ask);
            }
        });
        Self { address, asked }
    }

    /// The head of the next request.
    pub(crate) fn asked(&self) -> String {
        self.asked.try_recv().expect("the server was asked")
    }

    pub(crate) fn was_left_alone(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

fn answer(mut stream: TcpStream, status: &str, body: &str, ask: &Sender<String>) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    while lines.read_line(&mut head).is_ok_and(|read| read > 2) {}
    ask.send(head.to_ascii_lowercase()).unwrap();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // A client that has gone is part of some tests.
    let _ = stream.write_all(answer.as_bytes());
}
