//! Frames as fast as a link takes them, and a watch at every place where one may arrive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    fail, frames,
    host::{FRAME_BYTES_MAX, Host},
    pause,
};

/// Frames between two rests: the changes need a CPU too.
const BURST: usize = 128;
/// The rest.
const REST: Duration = Duration::from_micros(500);

/// A number that is counted up by a thread until it is told to stop.
#[derive(Debug)]
pub struct Counting {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    worker: JoinHandle<()>,
}

impl Counting {
    fn start(mut work: impl FnMut(&AtomicU64) + Send + 'static) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (done, counter) = (Arc::clone(&stop), Arc::clone(&count));
        let worker = std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                work(&counter);
            }
        });
        Self { stop, count, worker }
    }

    /// The number until now.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends the counting.
    #[must_use]
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if self.worker.join().is_err() {
            fail("a counting thread has broken");
        }
        self.count.load(Ordering::Relaxed)
    }
}

/// Sends frames from a host, one after another and again from the first. Counts what was sent.
#[must_use]
pub fn flood(from: &Host, frames: Vec<Vec<u8>>) -> Counting {
    let link = from.link();
    let mut next = 0;
    Counting::start(move |sent| {
        for _ in 0..BURST {
            let Some(frame) = frames.get(next) else { return };
            next = (next + 1) % frames.len();
            // A full queue is what a flood makes.
            sent.fetch_add(u64::from(link.send(frame).is_ok()), Ordering::Relaxed);
        }
        pause(REST);
    })
}

/// Counts the frames made by hand that arrive at a host, and tells of each.
#[must_use]
pub fn watch(at: &Host) -> Counting {
    let (link, own) = (at.link(), at.mac);
    let mut room = vec![0; FRAME_BYTES_MAX];
    Counting::start(move |arrived| {
        while let Some(frame) = link.receive(&mut room) {
            if frame.get(..6) == Some(own.as_slice()) && frames::is_marked(frame) {
                arrived.fetch_add(1, Ordering::Relaxed);
                eprintln!("arrived: {}", frames::describe(frame));
            }
        }
        pause(Duration::from_millis(1));
    })
}
