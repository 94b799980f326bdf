//! Turns to answer questions that take a while: few at a time, few that wait for theirs, and for the rest the word to come again.
//!
//! Each of them is answered on a thread of its own and holds a copy of the world, so without a bound whoever asks much takes the
//! processors and the memory of everything else.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Questions that are answered at a time.
pub const QUESTIONS_AT_A_TIME_MAX: usize = 4;
/// Questions that wait for their turn.
pub const QUESTIONS_WAITING_MAX: usize = 32;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A turn, for as long as this is there.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        let places = Semaphore::new(QUESTIONS_AT_A_TIME_MAX + QUESTIONS_WAITING_MAX);
        Self { places: Arc::new(places), turns: Arc::new(Semaphore::new(QUESTIONS_AT_A_TIME_MAX)) }
    }
}

impl Turns {
    /// Waits for a turn, in the order of asking; `None` when too many wait already.
    pub(crate) async fn take(&self) -> Option<Turn> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(Turn { _place: place, _turn: turn })
    }

    /// Whether nobody else may wait.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn few_are_answered_at_a_time_few_wait_and_the_rest_is_told_to_come_again() {
        let turns = Turns::default();
        let mut running = Vec::new();
        for _ in 0..QUESTIONS_AT_A_TIME_MAX {
            running.push(turns.take().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..QUESTIONS_WAITING_MAX).map(|_| Box::pin(turns.take())).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()), "they wait");
        assert!(turns.take().now_or_never().is_some_and(|turn| turn.is_none()), "one more does not");
        running.pop();
        assert!(waiting.iter_mut().any(|one| one.as_mut().now_or_never().is_some_and(|turn| turn.is_some())));
        // Who goes away leaves a place.
        drop(waiting);
        assert!(turns.take().await.is_some());
    }
}
