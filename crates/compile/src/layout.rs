//! The shape of a policy in the policy store, in 64-bit words. The C twin is `bpf/abi.h`.
//!
//! A policy is one run of words. Every position in it is relative to its first word, so that it can lie
//! anywhere in the store.
//!
//! ```text
//! 0            magic << 32 | words in all
//! 1 ..= 9      ingress: one word per table (n << 32 | position), then default and summaries
//! 10 ..= 18    egress:  the same
//! 19 ..= 36    the subnet's network ACL: both directions again
//! …            rule records, tables, classes
//! ```
//!
//! * A **table** maps a value to a class: sorted entries, the last one at or below the value decides. An
//!   entry is `first << 32 | class` for 32-bit values, and three words (high, low, class) for IPv6.
//! * A **class** is the set of rules that match its values: for each summary word (64 bitmap words) a pair
//!   `summary`, `position of the first non-zero bitmap word`. Zero words are not stored. Class 0 is empty.
//! * A **rule record** is `flags << 40 | action << 32 | counter slot`. Rules are numbered in decision order,
//!   so the first set bit of the AND of all classes is the rule that decides.
//! * A policy behind no **network ACL** that denies anything has nothing but the default word for it. The records of an ACL
//!   have the number of the entry where others have their counter slot.

/// Marks a policy; guards against reading words that are none.
pub const MAGIC: u32 = 0x5ec1_0002;
/// Words before the first rule record.
pub const HEADER_WORDS: u32 = 1 + 4 * DIRECTION_WORDS;
/// Words of one direction in the header.
pub const DIRECTION_WORDS: u32 = 9;
/// Value of the source-port table for a packet without ports.
pub const NO_PORT: u32 = 0x1_0000;
/// Bitmap words, and so summary words times 64, of the largest policy.
pub const BITMAP_WORDS_MAX: u32 = sekimori_core::limits::POLICY_RULES_MAX / 64;

/// A table of one direction, and its word in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Rule records.
    Rules = 0,
    /// Protocol and destination port, or ICMP type and code.
    Services = 1,
    /// IPv4 peers.
    Peers4 = 2,
    /// IPv6 peers.
    Peers6 = 3,
    /// Groups of the peer.
    Groups = 4,
    /// Own IPv4 addresses; absent when no rule names one.
    Locals4 = 5,
    /// Own IPv6 addresses; absent when no rule names one.
    Locals6 = 6,
    /// Source ports; absent when no rule names one.
    SourcePorts = 7,
}

/// Header word, within a direction, of default and summaries: `flags << 32 | summary words`.
pub const DEFAULTS_WORD: u32 = 8;
/// In the defaults word: what matches no rule is allowed.
pub const DEFAULT_ALLOW: u32 = 1;
/// In the defaults word: all TCP from or to everywhere is allowed, IPv4.
pub const OPEN_TCP4: u32 = 1 << 1;
/// The same for UDP over IPv4.
pub const OPEN_UDP4: u32 = 1 << 2;
/// The same for TCP over IPv6.
pub const OPEN_TCP6: u32 = 1 << 3;
/// The same for UDP over IPv6.
pub const OPEN_UDP6: u32 = 1 << 4;

/// A rule record's action: drop.
pub const ACTION_DENY: u32 = 0;
/// A rule record's action: pass and begin a flow.
pub const ACTION_ALLOW: u32 = 1;
/// A rule record's action: pass without a flow (bypass set).
pub const ACTION_BYPASS: u32 = 2;

/// A rule record's flag: its peer is the whole of an address family.
pub const RULE_WORLD: u32 = 1;
/// A rule record's flag: the hidden intra-group accept.
pub const RULE_INTRA: u32 = 2;

/// A rule record's flag: a platform policy.
pub const RULE_PLATFORM: u32 = 4;

/// The first word of a direction in the header.
#[must_use]
pub fn direction_base(direction: sekimori_core::rule::Direction) -> u32 {
    match direction {
        sekimori_core::rule::Direction::Ingress => 1,
        sekimori_core::rule::Direction::Egress => 1 + DIRECTION_WORDS,
    }
}

/// The same of the network ACL.
#[must_use]
pub fn acl_base(direction: sekimori_core::rule::Direction) -> u32 {
    2 * DIRECTION_WORDS + direction_base(direction)
}

/// Two halves in a word.
#[must_use]
pub fn pair(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

/// The halves of a word: (high, low).
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the point is to cut a word in two")]
pub fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}
