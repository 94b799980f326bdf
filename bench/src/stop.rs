//! The wish to end early: whoever waits or loops asks here, so that ctrl-C still cleans up.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

/// Whether to go on.
#[derive(Debug, Default)]
pub struct Stop {
    is_raised: Mutex<bool>,
    woken: Condvar,
}

impl Stop {
    /// Raised by SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// When the runtime cannot listen to signals.
    pub fn on_signals(runtime: &tokio::runtime::Runtime) -> anyhow::Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let stop = Arc::clone(&stop);
            let mut signals = runtime.block_on(async { signal(kind) })?;
            runtime.spawn(async move {
                signals.recv().await;
                stop.raise();
            });
        }
        Ok(stop)
    }

    /// Tells everybody to end.
    pub fn raise(&self) {
        *self.is_raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_all();
    }

    /// Fails when it is time to end.
    ///
    /// # Errors
    /// After a signal.
    pub fn check(&self) -> anyhow::Result<()> {
        self.pause(Duration::ZERO)
    }

    /// Waits, unless it is time to end.
    ///
    /// # Errors
    /// After a signal.
    pub fn pause(&self, duration: Duration) -> anyhow::Result<()> {
        let raised = self.is_raised.lock().unwrap_or_else(PoisonError::into_inner);
        let (raised, _) = self
            .woken
            .wait_timeout_while(raised, duration, |raised| !*raised)
            .unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(!*raised, "interrupted; everything that was made is removed");
        Ok(())
    }
}
