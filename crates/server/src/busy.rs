//! Client tokens whose request is being carried out. What was carried out is in the world, not here.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use sekimori_core::ids::AccountId;

type Key = (AccountId, String);

/// See the module. There are never more than requests in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<Mutex<BTreeSet<Key>>>);

/// A token that is in use until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    busy: Busy,
    key: Key,
}

impl Busy {
    /// Takes a token; `None` when a request with it is being carried out.
    pub(crate) fn enter(&self, account: &AccountId, token: &str) -> Option<Entered> {
        let key = (account.clone(), token.to_owned());
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_new.then(|| Entered { busy: self.clone(), key })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.busy.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_in_use_once_for_each_account_until_its_request_ends() {
        let busy = Busy::default();
        let (one, other) = (AccountId::from("1"), AccountId::from("2"));
        let first = busy.enter(&one, "t");
        assert!(first.is_some() && busy.enter(&one, "t").is_none());
        assert!(busy.enter(&one, "u").is_some() && busy.enter(&other, "t").is_some());
        drop(first);
        assert!(busy.enter(&one, "t").is_some());
    }
}
