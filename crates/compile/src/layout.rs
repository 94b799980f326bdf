//! The shape of a policy in the policy store, in 64-bit words. The C twin is `bpf/abi.h`.
//!
//! A policy is one run of words. Every position in it is relative to its first word, so that it can lie
//! anywhere in the store.
//!
//! ```text
//! 0            magic << 32 | words in all
//! 1 ..= 9      ingress: one word per table (n << 32 | levels << 24 | position), then default and summaries
//! 10 ..= 18    egress:  the same
//! 19 ..= 36    the subnet's network ACL: both directions again
//! …            rule records, tables, classes
//! ```
//!
//! * A **table** maps a value to a class: of sorted entries, the last one at or below the value decides. Above the entries lie
//!   levels of an index, the highest, of one block, first. A **block** is a cache line: tables begin with one, and so does a
//!   policy. In it is, for each child, the value before the child's first; the search goes to the last child whose value is
//!   below the one that is looked for. The first child needs no look, and what stands for a missing child is the greatest value.
//!   * 32-bit values: 16 children in a block, two to a word, the first in the lower half; the children of the last level are
//!     runs of 8 entries `first << 32 | class`, the last run filled up with the last entry.
//!   * IPv6: 4 children in a block, first their high halves, then their low ones; the children of the last level are the
//!     entries, whose classes come after it, one to a word.
//!   * A table with one entry is one word, its class.
//!   * With a class of services stands which of the other fields its rules ask about (`ASKS_*`).
//! * A **class** is the set of rules that match its values: for each summary word (64 bitmap words) a pair
//!   `summary`, `position of the first non-zero bitmap word`. Zero words are not stored. Class 0 is empty.
//! * A **rule record** is `flags << 40 | action << 32 | counter slot`. Rules are numbered in decision order,
//!   so the first set bit of the AND of all classes is the rule that decides.
//! * A policy behind no **network ACL** that denies anything has nothing but the default word for it. The records of an ACL
//!   have the number of the entry where others have their counter slot.

/// Marks a policy; guards against reading words that are none.
pub const MAGIC: u32 = 0x5ec1_0004;
/// Words before the first rule record.
pub const HEADER_WORDS: u32 = 1 + 4 * DIRECTION_WORDS;
/// Words of one direction in the header.
pub const DIRECTION_WORDS: u32 = 9;
/// Value of the source-port table for a packet without ports.
pub const NO_PORT: u32 = 0x1_0000;
/// Bitmap words, and so summary words times 64, of the largest policy.
pub const BITMAP_WORDS_MAX: u32 = sekimori_core::limits::POLICY_RULES_MAX / 64;

/// Words of a block: a cache line.
pub const BLOCK_WORDS: usize = 8;
/// Children of a block in a table of 32-bit values.
pub const NARROW_FAN: usize = 16;
/// Entries of such a table that lie in one block.
pub const NARROW_LEAF: usize = 8;
/// Children of a block in a table of IPv6 addresses.
pub const WIDE_FAN: usize = 4;
/// In a table's word, the bits of its position: every position in a policy is smaller.
pub const POSITION_BITS: u32 = 24;

/// With a class of services: a rule in it names own addresses.
pub const ASKS_LOCALS: u32 = 1 << POSITION_BITS;
/// With a class of services: a rule in it names source ports.
pub const ASKS_SOURCE_PORTS: u32 = 2 << POSITION_BITS;
/// With a class of services: a rule in it names groups.
pub const ASKS_GROUPS: u32 = 4 << POSITION_BITS;
/// With a class of services: a rule in it names blocks of peers.
pub const ASKS_PEERS: u32 = 8 << POSITION_BITS;

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
