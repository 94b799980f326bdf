//! Tokens of parts: which item a client has seen last, bound to who asked for what.
//!
//! A token is no secret and opens nothing: it only tells where to go on. It is bound so that one that belongs to
//! another list, or to another account, is refused rather than taken for a place in this one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sekimori_core::ids::AccountId;
use sha2::{Digest, Sha256};

/// The longest token.
const TOKEN_MAX: usize = 1_024;
/// Bytes of a mark: enough that no two lists share one by chance.
const MARK_BYTES: usize = 9;

/// Whose tokens they are: a digest of operation and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; MARK_BYTES]);

impl Mark {
    /// The mark of an account's calls of an operation.
    #[must_use]
    pub fn of(operation: &str, account: &AccountId) -> Self {
        let digest = Sha256::digest(format!("{operation}\n{account}"));
        let mut mark = [0; MARK_BYTES];
        mark.iter_mut().zip(digest).for_each(|(own, byte)| *own = byte);
        Self(mark)
    }

    /// The token of what comes after an item.
    pub(crate) fn token(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.0, key.as_bytes()].concat())
    }

    /// The key of the item that a token names; `None` for a token that was not given here.
    pub(crate) fn key(&self, token: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|_| token.len() <= TOKEN_MAX)?;
        String::from_utf8(bytes.strip_prefix(&self.0)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_the_operation_and_account_that_gave_it() {
        let mark = |operation: &str, account: &str| Mark::of(operation, &account.into());
        let own = mark("DescribeVpcs", "1");
        let token = own.token("vpc-東");
        assert_eq!(own.key(&token).as_deref(), Some("vpc-東"));
        assert_eq!(mark("DescribeVpcs", "2").key(&token), None);
        assert_eq!(mark("DescribeInstances", "1").key(&token), None);
        for made_up in ["", "dnBjLTE", "%", &own.token(&"k".repeat(TOKEN_MAX))] {
            assert_eq!(own.key(made_up), None, "{made_up}");
        }
        let broken = URL_SAFE_NO_PAD.encode([&own.0[..], b"\xff"].concat());
        assert_eq!(own.key(&broken), None);
    }
}
