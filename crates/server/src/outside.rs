//! The clock and the randomness of the process: the only place that reads either.
//!
//! Everything behind it takes time and entropy as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use sekimori_core::{ids::IdSource, time::Timestamp};

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes; check that getrandom(2) is permitted")]
pub struct NoEntropy;

/// The time now. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// A stream of fresh ids.
pub(crate) fn id_source() -> Result<IdSource, NoEntropy> {
    Ok(IdSource::new(u64::from_be_bytes(random()?)))
}

/// A fresh request id in the clouds' shape: a version 4 UUID in capitals.
pub(crate) fn request_id() -> Result<String, NoEntropy> {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = random::<16>()?;
    let (version, variant) = (g & 0x0f | 0x40, i & 0x3f | 0x80);
    Ok(format!(
        "{a:02X}{b:02X}{c:02X}{d:02X}-{e:02X}{f:02X}-{version:02X}{h:02X}-{variant:02X}{j:02X}-\
         {k:02X}{l:02X}{m:02X}{n:02X}{o:02X}{p:02X}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid_and_never_the_same() {
        let (one, other) = (request_id().unwrap(), request_id().unwrap());
        assert_ne!(one, other);
        let parts: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(one.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)));
    }
}
