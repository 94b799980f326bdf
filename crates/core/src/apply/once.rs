//! A command under a client's token.

use std::sync::Arc;

use super::Draft;
use crate::{
    change::Change,
    command::{Command, Outcome},
    refusal::Refusal,
    token::{Ticket, Token},
};

impl Draft<'_> {
    /// A token is remembered with what was done under it, and not when the command is refused: what was
    /// refused may succeed another time.
    pub(super) fn once(&mut self, ticket: &Ticket, command: &Command) -> Result<Outcome, Refusal> {
        let now = self.context.now;
        if let Some(done) = self.world.tokens().live(&ticket.account, &ticket.text, now) {
            let is_same = done.ticket.request == ticket.request;
            let other = || Refusal::TokenReused { token: ticket.text.clone() };
            return if is_same { Ok(done.outcome.clone()) } else { Err(other()) };
        }
        let outcome = self.run(command)?;
        for text in self.world.tokens().outdated(&ticket.account, now) {
            self.put(Change::DeleteToken { account: ticket.account.clone(), text });
        }
        let token = Token { ticket: ticket.clone(), outcome: outcome.clone(), at: now };
        self.put(Change::PutToken(Arc::new(token)));
        Ok(outcome)
    }
}
