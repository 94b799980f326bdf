//! What an invariant says, and how people write it: the one place that knows the grammar.
//!
//! ```text
//! invariant = end verb end [services]
//! verb      = "must-not reach" | "may reach"
//! end       = see [`crate::end`], without spaces
//! services  = service {(" " | ",") service}
//! service   = "tcp" | "udp" | "icmp" | "icmpv6" | "gre" | NUMBER, then for the first two ["/" PORT ["-" PORT]],
//!             for ICMP ["/" TYPE ["/" CODE]]
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    address::Family,
    end::{End, EndError, Word},
    rule::Protocol,
    world::World,
};

/// Services of one invariant.
pub const INVARIANT_SERVICES_MAX: usize = 32;
/// Bytes of an invariant as it is written.
pub const INVARIANT_BYTES_MAX: usize = 1_024;

const WHOLE: &str = "write FROM must-not reach TO, or FROM may reach TO, and services behind it, for example `internet \
                     must-not reach tag:role=db tcp/22`";

/// An assertion about who reaches whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Statement {
    /// Who reaches.
    pub from: End,
    /// What is said.
    pub verb: Verb,
    /// Who is reached.
    pub to: End,
    /// By which services; none is any.
    pub services: Vec<Served>,
}

/// What is said about two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// No packet gets from any of the first to any of the second.
    MustNotReach,
    /// Each of the first can reach each of the second, and gets an answer.
    MayReach,
}

/// Services of one protocol: ports, or types and codes; every one of a protocol that has neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Served {
    protocol: u8,
    first: u16,
    last: u16,
}

/// Why a text is no invariant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Too few words.
    #[error("`{0}` is not a whole invariant; {WHOLE}")]
    Unfinished(String),
    /// Too long.
    #[error(
        "the invariant has {0} bytes, more than the {INVARIANT_BYTES_MAX} that are kept; name a group or a tag instead of many ends"
    )]
    Long(usize),
    /// The verb.
    #[error("`{0}` is not what an invariant can say; write `must-not reach` or `may reach`")]
    Verb(String),
    /// An end.
    #[error(transparent)]
    End(#[from] EndError),
    /// A service.
    #[error(
        "`{0}` is not a service; write tcp/443, tcp/8000-8010, udp/53, tcp, icmp, icmp/8, icmp/8/0, icmpv6, gre or a protocol number \
         such as 47"
    )]
    Service(String),
    /// Too many services.
    #[error(
        "an invariant names at most {INVARIANT_SERVICES_MAX} services, not {0}; use ranges of ports, or a second invariant"
    )]
    Services(usize),
    /// Nothing judges what passes outside.
    #[error("what goes from the internet to the internet passes no interface; name an end inside")]
    BothOutside,
}

/// An invariant as people write it: what an end means is for a world to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    from: Word,
    verb: Verb,
    to: Word,
    services: Vec<Served>,
}

impl Written {
    /// What it says in a world: ids and names become what they stand for there.
    ///
    /// # Errors
    /// When an end means nothing or several things there.
    pub fn read(self, world: &World) -> Result<Statement, StatementError> {
        let Self { from, verb, to, services } = self;
        let statement = Statement { from: from.read(world)?, verb, to: to.read(world)?, services };
        // What is kept is read back as it was written, so it has the same bound.
        let bytes = statement.to_string().len();
        if bytes > INVARIANT_BYTES_MAX { Err(StatementError::Long(bytes)) } else { Ok(statement) }
    }
}

impl FromStr for Written {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        if text.len() > INVARIANT_BYTES_MAX {
            return Err(StatementError::Long(text.len()));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let [from, verb, reach, to, services @ ..] = words.as_slice() else {
            return Err(StatementError::Unfinished(text.to_owned()));
        };
        let verb = match (*verb, *reach) {
            ("must-not", "reach") => Verb::MustNotReach,
            ("may", "reach") => Verb::MayReach,
            (verb, reach) => return Err(StatementError::Verb(format!("{verb} {reach}"))),
        };
        let (from, to): (Word, Word) = (from.parse()?, to.parse()?);
        if from.is_internet() && to.is_internet() {
            return Err(StatementError::BothOutside);
        }
        let named = services.iter().flat_map(|word| word.split(',')).filter(|word| !word.is_empty());
        let mut services = named.map(Served::from_str).collect::<Result<Vec<_>, _>>()?;
        services.sort_unstable();
        services.dedup();
        if services.len() > INVARIANT_SERVICES_MAX {
            return Err(StatementError::Services(services.len()));
        }
        Ok(Self { from, verb, to, services })
    }
}

/// A statement as it is kept: its ends need no world to be read.
impl FromStr for Statement {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let Written { from, verb, to, services } = text.parse()?;
        Ok(Self { from: from.kept()?, verb, to: to.kept()?, services })
    }
}

impl Served {
    /// The services as numbers: `protocol << 16 | port`, or type and code in the port's place.
    #[must_use]
    pub fn span(&self) -> (u32, u32) {
        let base = u32::from(self.protocol) << 16;
        (base | u32::from(self.first), base | u32::from(self.last))
    }

    /// The only family whose packets are of this protocol, if there is one.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        Protocol::Number(self.protocol).family()
    }
}

impl FromStr for Served {
    type Err = StatementError;

    fn from_str(word: &str) -> Result<Self, StatementError> {
        let bad = || StatementError::Service(word.to_owned());
        let mut parts = word.split('/');
        let protocol = match parts.next().unwrap_or_default() {
            "icmp" => 1,
            "tcp" => 6,
            "udp" => 17,
            "gre" => 47,
            "icmpv6" => 58,
            other => number::<u8>(other).ok_or_else(bad)?,
        };
        let rest: Vec<&str> = parts.collect();
        let (first, last) = match (protocol, rest.as_slice()) {
            (_, []) => (0, u16::MAX),
            (6 | 17, [ports]) => {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?)
            }
            (1 | 58, [kind]) => {
                let kind = u16::from(number::<u8>(kind).ok_or_else(bad)?);
                (kind << 8, kind << 8 | 0xff)
            }
            (1 | 58, [kind, code]) => {
                let both = u16::from_be_bytes([number(kind).ok_or_else(bad)?, number(code).ok_or_else(bad)?]);
                (both, both)
            }
            _ => return Err(bad()),
        };
        if first > last { Err(bad()) } else { Ok(Self { protocol, first, last }) }
    }
}

/// A number as people write it: digits only, no sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MustNotReach => "must-not reach",
            Self::MayReach => "may reach",
        })
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, first, last } = *self;
        match protocol {
            1 => f.write_str("icmp")?,
            6 => f.write_str("tcp")?,
            17 => f.write_str("udp")?,
            47 => f.write_str("gre")?,
            58 => f.write_str("icmpv6")?,
            other => write!(f, "{other}")?,
        }
        let ([kind, code], [_, last_code]) = (first.to_be_bytes(), last.to_be_bytes());
        match (protocol, first, last) {
            (_, 0, u16::MAX) => Ok(()),
            (1 | 58, _, _) if (code, last_code) == (0, 0xff) => write!(f, "/{kind}"),
            (1 | 58, _, _) => write!(f, "/{kind}/{code}"),
            (_, first, last) if first == last => write!(f, "/{first}"),
            (_, first, last) => write!(f, "/{first}-{last}"),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.verb, self.to)?;
        self.services.iter().try_for_each(|service| write!(f, " {service}"))
    }
}

impl TryFrom<String> for Statement {
    type Error = StatementError;

    fn try_from(text: String) -> Result<Self, StatementError> {
        text.parse()
    }
}

impl From<Statement> for String {
    fn from(statement: Statement) -> Self {
        statement.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in [
            "internet must-not reach tag:role=db",
            "internet must-not reach tag:env=prod,role=db tcp/22 tcp/3000-3010",
            "tag:role=web may reach tag:role=db tcp/5432",
            "sg-1 must-not reach eni-2",
            "i-1 must-not reach 10.0.0.0/8 icmp icmp/8 icmp/8/0 udp gre icmpv6 132",
            "vpc-1 must-not reach vsw-1",
            "192.0.2.7 may reach subnet-1 tcp/22",
            "2001:db8::/32 must-not reach group:of-mine",
            "tag:backup must-not reach internet",
            "eni:port-7 must-not reach instance:vm-3",
        ] {
            let statement: Statement = text.parse().unwrap();
            assert_eq!(statement.to_string().parse(), Ok(statement.clone()), "{text}");
            assert_eq!(statement.to_string().split_whitespace().count(), text.split_whitespace().count());
            let json = serde_json::to_string(&statement).unwrap();
            assert_eq!(serde_json::from_str::<Statement>(&json).unwrap(), statement);
        }
        let grouped: Statement = "group:sg-1 must-not reach tag:b=2,a=1 tcp/80,tcp/22".parse().unwrap();
        assert_eq!(grouped.to_string(), "sg-1 must-not reach tag:a=1,b=2 tcp/22 tcp/80");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_a_remedy() {
        for (text, word, remedy) in [
            ("", "``", "write FROM must-not reach TO"),
            ("internet must-not reach", "`internet must-not reach`", "write FROM must-not reach TO"),
            ("internet must not reach sg-1", "`must not`", "write `must-not reach` or `may reach`"),
            ("internet may see sg-1", "`may see`", "write `must-not reach`"),
            ("world may reach sg-1", "`world`", "write internet"),
            ("sg may reach internet", "`sg`", "group:ID"),
            ("group: may reach internet", "`group:`", "group:ID"),
            ("300.0.0.1 may reach sg-1", "`300.0.0.1`", "an address or block"),
            ("10.0.0.0/40 may reach sg-1", "`10.0.0.0/40`", "the number of its leading bits"),
            ("tag: may reach sg-1", "`tag:`", "tag:KEY=VALUE"),
            ("tag:=db may reach sg-1", "`tag:=db`", "tag:KEY=VALUE"),
            ("sg-1 may reach sg-2 tcp/http", "`tcp/http`", "write tcp/443"),
            ("sg-1 may reach sg-2 tcp/90-80", "`tcp/90-80`", "write tcp/443"),
            ("sg-1 may reach sg-2 tcp/70000", "`tcp/70000`", "write tcp/443"),
            ("sg-1 may reach sg-2 gre/1", "`gre/1`", "write tcp/443"),
            ("sg-1 may reach sg-2 icmp/8/0/1", "`icmp/8/0/1`", "write tcp/443"),
            ("sg-1 may reach sg-2 -1", "`-1`", "protocol number"),
            ("internet may reach internet", "internet", "name an end inside"),
        ] {
            let error = text.parse::<Statement>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(remedy), "{text}: {error}");
        }
        let many = (0..33).map(|port| format!("tcp/{port}")).collect::<Vec<_>>().join(",");
        let error = format!("sg-1 may reach sg-2 {many}").parse::<Statement>().unwrap_err();
        assert_eq!(error, StatementError::Services(33));
        assert!(matches!("x".repeat(2_000).parse::<Statement>(), Err(StatementError::Long(2_000))));
        let tags = (0..9).map(|tag| format!("k{tag}")).collect::<Vec<_>>().join(",");
        let error = format!("tag:{tags} may reach sg-1").parse::<Statement>().unwrap_err();
        assert!(matches!(error, StatementError::End(EndError::Tags(_))));
    }

    #[test]
    fn services_are_numbers_of_one_run() {
        let span = |word: &str| word.parse::<Served>().unwrap().span();
        assert_eq!(span("tcp/22"), (6 << 16 | 22, 6 << 16 | 22));
        assert_eq!(span("icmp/8"), (1 << 16 | 0x800, 1 << 16 | 0x8ff));
        assert_eq!(span("47"), (47 << 16, 47 << 16 | 0xffff));
        assert_eq!("icmpv6".parse::<Served>().unwrap().family(), Some(Family::V6));
    }
}
