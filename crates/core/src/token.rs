//! Client tokens: what was done under a token is remembered, so that a repeated request does it no second time.
//!
//! A token is a fact of the world like any other, so it is durable in the same transaction as what was done under
//! it. The number of tokens of an account and their age are bounded.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{command::Outcome, ids::AccountId, time::Timestamp};

/// How long a token is remembered, in seconds: a day, far longer than any client repeats a request.
pub const TOKEN_LIFETIME_S: i64 = 24 * 60 * 60;
/// Tokens of one account; beyond it the oldest are forgotten.
pub const TOKENS_PER_ACCOUNT_MAX: usize = 10_000;
/// Tokens that one command forgets at most. More than one, so that old ones go faster than new ones come.
const FORGOTTEN_MAX: usize = 16;

/// A token as a request brings it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose it is.
    pub account: AccountId,
    /// The client's text.
    pub text: String,
    /// A digest of the operation and its parameters.
    pub request: String,
}

/// A token under which a command was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// As it was brought.
    pub ticket: Ticket,
    /// What the client was told.
    pub outcome: Outcome,
    /// When the command was carried out.
    pub at: Timestamp,
}

impl Token {
    fn is_live(&self, now: Timestamp) -> bool {
        now.0.saturating_sub(self.at.0) < TOKEN_LIFETIME_S
    }
}

/// Every token that is remembered.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    by_account: OrdMap<AccountId, Own>,
}

/// The tokens of one account.
#[derive(Clone, Debug, Default)]
struct Own {
    by_text: OrdMap<String, Arc<Token>>,
    by_age: OrdSet<(Timestamp, String)>,
}

impl Tokens {
    /// The token of a text, if it is remembered still.
    #[must_use]
    pub fn live(&self, account: &AccountId, text: &str, now: Timestamp) -> Option<&Arc<Token>> {
        self.get(account, text).filter(|token| token.is_live(now))
    }

    /// The token of a text, live or not.
    pub(crate) fn get(&self, account: &AccountId, text: &str) -> Option<&Arc<Token>> {
        self.by_account.get(account)?.by_text.get(text)
    }

    /// All of them, by account and text.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.by_account.values().flat_map(|own| own.by_text.values())
    }

    /// Tokens of an account that must go before another one comes.
    #[must_use]
    pub fn outdated(&self, account: &AccountId, now: Timestamp) -> Vec<String> {
        let Some(own) = self.by_account.get(account) else { return Vec::new() };
        let too_many = (own.by_text.len() + 1).saturating_sub(TOKENS_PER_ACCOUNT_MAX);
        let is_live = |at: &Timestamp| now.0.saturating_sub(at.0) < TOKEN_LIFETIME_S;
        let oldest = own.by_age.iter().take(FORGOTTEN_MAX).enumerate();
        let old = oldest.filter(|(place, (at, _))| *place < too_many || !is_live(at));
        old.map(|(_, (_, text))| text.clone()).collect()
    }

    pub(crate) fn put(&mut self, token: &Arc<Token>) {
        let Ticket { account, text, .. } = &token.ticket;
        self.delete(account, text);
        let own = self.by_account.entry(account.clone()).or_default();
        own.by_text.insert(text.clone(), Arc::clone(token));
        own.by_age.insert((token.at, text.clone()));
    }

    pub(crate) fn delete(&mut self, account: &AccountId, text: &str) {
        let Some(own) = self.by_account.get_mut(account) else { return };
        if let Some(old) = own.by_text.remove(text) {
            own.by_age.remove(&(old.at, text.to_owned()));
        }
        if own.by_text.is_empty() {
            self.by_account.remove(account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, at: i64) -> Arc<Token> {
        let ticket = Ticket { account: "1".into(), text: text.to_owned(), request: "r".to_owned() };
        Arc::new(Token { ticket, outcome: Outcome::Done, at: Timestamp(at) })
    }

    #[test]
    fn a_token_lives_for_a_day_in_its_account() {
        let mut tokens = Tokens::default();
        tokens.put(&token("t", 100));
        let live = |account: &str, now| tokens.live(&account.into(), "t", Timestamp(now)).is_some();
        assert!(live("1", 100) && live("1", 99 + TOKEN_LIFETIME_S));
        assert!(!live("1", 100 + TOKEN_LIFETIME_S) && !live("2", 100));
    }

    #[test]
    fn the_old_go_and_a_full_account_forgets_its_oldest() {
        let mut tokens = Tokens::default();
        tokens.put(&token("new", 50));
        tokens.put(&token("old", 10));
        let account = AccountId::from("1");
        assert_eq!(tokens.outdated(&account, Timestamp(20 + TOKEN_LIFETIME_S)), ["old"]);
        assert!(tokens.outdated(&account, Timestamp(60)).is_empty());
        for number in 2..TOKENS_PER_ACCOUNT_MAX {
            tokens.put(&token(&number.to_string(), 60));
        }
        assert_eq!(tokens.outdated(&account, Timestamp(60)), ["old"]);
        tokens.delete(&account, "old");
        tokens.delete(&account, "old");
        assert!(tokens.outdated(&account, Timestamp(60)).is_empty());
        assert_eq!(tokens.iter().count(), TOKENS_PER_ACCOUNT_MAX - 1);
    }

    #[test]
    fn a_token_that_is_put_again_is_one() {
        let mut tokens = Tokens::default();
        tokens.put(&token("t", 1));
        tokens.put(&token("t", 2));
        assert_eq!(tokens.iter().count(), 1);
        assert!(tokens.outdated(&"1".into(), Timestamp(1 + TOKEN_LIFETIME_S)).is_empty());
    }
}
