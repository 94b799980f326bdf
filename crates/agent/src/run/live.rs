//! Answers questions about live flows, one after the other and beside the changes: the tables are large.

use std::collections::VecDeque;

use sekimori_core::{
    limits::LIVE_QUESTIONS_PER_HOST_MAX,
    live_flow::{FlowsWanted, LiveFlows},
};
use tokio::task::JoinHandle;

use crate::enforcer::Enforcer;

/// What was asked and is not answered.
#[derive(Debug, Default)]
pub(super) struct LiveTeller {
    asked: VecDeque<(u64, FlowsWanted)>,
    reading: Option<(u64, JoinHandle<LiveFlows>)>,
}

impl LiveTeller {
    /// A new connection: the server asks again for what it still wants to know.
    pub(super) fn begin(&mut self) {
        self.asked.clear();
        self.reading = None;
    }

    /// Takes a question. The server has no more of them open than are kept here.
    pub(super) fn ask(&mut self, request: u64, wanted: FlowsWanted) {
        if self.asked.len() >= LIVE_QUESTIONS_PER_HOST_MAX {
            tracing::warn!(request, "too many questions about live flows wait; this one is not answered");
            return;
        }
        self.asked.push_back((request, wanted));
    }

    /// Begins to read for the next question, unless one is being read for.
    pub(super) fn read(&mut self, enforcer: &Enforcer) {
        if self.reading.is_some() {
            return;
        }
        let Some((request, wanted)) = self.asked.pop_front() else { return };
        let source = enforcer.live_source();
        let work = move || match source {
            Ok(source) => source.answer(request, &wanted),
            Err(error) => failed(request, format!("cannot open its tables of live flows: {error}")),
        };
        self.reading = Some((request, tokio::task::spawn_blocking(work)));
    }

    /// The next answer. Never ready while nothing is read; giving up waiting for it loses nothing.
    pub(super) async fn answer(&mut self) -> LiveFlows {
        let Some((request, reading)) = &mut self.reading else { return std::future::pending().await };
        let (request, ended) = (*request, reading.await);
        self.reading = None;
        ended.unwrap_or_else(|error| {
            tracing::error!(%error, "reading live flows ended badly");
            failed(request, "could not read its tables of live flows; see its agent's log".to_owned())
        })
    }
}

fn failed(request: u64, failure: String) -> LiveFlows {
    LiveFlows { request, failure: Some(failure), ..LiveFlows::default() }
}
