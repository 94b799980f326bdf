//! Records of flow logs read back: files that a server wrote, and those that Amazon and Alibaba Cloud leave in a store.
//!
//! The first line of a file of EC2 names its fields; a line of ECS is an object that names its own. A line that is not what the file says is an
//! error, never left out. Of all lines together the uses are kept: who met whom by which protocol and port, once, however many flows that were.
//! A record of an answer is no use of a rule, so it is told apart: by its TCP flags, or by the record of what it answers.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde_json::Value;

use sekimori_core::{
    flow_record::Observed,
    ids::EniId,
    limits::{OBSERVED_MAX, RECORD_TUPLES_MAX},
    rule::Direction,
};

use crate::{ec2::records::is_field, records::NONE};

/// TCP and UDP, whose records have ports.
const WITH_PORTS: [u8; 2] = [6, 17];
/// ICMP and ICMPv6, of which records tell no type.
const WITH_TYPES: [u8; 2] = [1, 58];
const TCP: u8 = 6;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// Why a file is no file of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A line that means nothing.
    #[error("`{file}`, line {line}: {reason}")]
    Wrong {
        /// Which file.
        file: String,
        /// Which line, counted from one.
        line: usize,
        /// What is wrong, and what it would have to be.
        reason: String,
    },
    /// More than can be held at a time.
    #[error(
        "the files hold more than {RECORD_TUPLES_MAX} different flows; give fewer files, of a shorter time or of fewer interfaces"
    )]
    TooManyFlows,
    /// More than can be asked about at a time.
    #[error(
        "the files show more than {OBSERVED_MAX} different uses; give fewer files, of a shorter time or of fewer interfaces"
    )]
    TooManyUses,
}

/// What files of records say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// What was let pass, without answers, each use once.
    pub observed: Vec<Observed>,
    /// Seconds since 1970 of the first traffic, as far as it is told.
    pub first_s: Option<i64>,
    /// Records of traffic that was let pass.
    pub passed: u64,
    /// Records of traffic that was refused.
    pub refused: u64,
    /// Records that answer others.
    pub answers: u64,
    /// Records of ICMP, which tell no type, so that no rule can be found for them.
    pub untyped: u64,
    /// Records that tell of missing ones.
    pub skipped: u64,
}

/// Reads files, one line after the other.
#[derive(Debug, Default)]
pub struct Reader {
    file: String,
    line: usize,
    form: Option<Form>,
    flows: BTreeMap<Tuple, Seen>,
    told: Records,
}

/// How a file is written.
#[derive(Clone, Debug)]
enum Form {
    Ec2(Arc<[String]>),
    Ecs,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tuple {
    eni: EniId,
    protocol: u8,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

#[derive(Clone, Debug, Default)]
struct Seen {
    direction: Option<Direction>,
    flags: u8,
    records: u64,
}

/// A record, by the names of its fields.
type Fields<'a> = BTreeMap<&'a str, &'a str>;

impl Reader {
    /// The lines that follow are of this file.
    pub fn begin(&mut self, file: &str) {
        (self.file, self.line, self.form) = (file.to_owned(), 0, None);
    }

    /// Takes in the next line.
    ///
    /// # Errors
    /// When it is not what the file says it is, or there is too much.
    pub fn line(&mut self, text: &str) -> Result<(), RecordError> {
        self.line += 1;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(());
        }
        match self.form.clone() {
            None if text.starts_with('{') => {
                self.form = Some(Form::Ecs);
                self.object(text)
            }
            None => {
                self.form = Some(Form::Ec2(self.header(text)?));
                Ok(())
            }
            Some(Form::Ecs) => self.object(text),
            Some(Form::Ec2(fields)) => self.values(&fields, text),
        }
    }

    /// The names of the fields.
    fn header(&self, text: &str) -> Result<Arc<[String]>, RecordError> {
        let fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let has = |name: &str| fields.iter().any(|field| field == name);
        if !fields.iter().any(|field| is_field(field)) {
            return Err(self.wrong("the first line has to name the fields, as files of flow logs in S3 do"));
        }
        let pairs = [("srcaddr", "pkt-srcaddr"), ("dstaddr", "pkt-dstaddr")];
        let missing_end = pairs.into_iter().find(|(one, other)| !has(one) && !has(other)).map(|(one, _)| one);
        let needed = ["interface-id", "protocol", "srcport", "dstport", "start", "action"].into_iter();
        let missing = needed.filter(|name| !has(name)).chain(missing_end).next();
        match missing {
            Some(name) => Err(self.wrong(format!("the fields are without `{name}`; log it, or give other files"))),
            None => Ok(fields.into()),
        }
    }

    /// Values with blanks between them.
    fn values(&mut self, fields: &[String], text: &str) -> Result<(), RecordError> {
        let values: Vec<&str> = text.split_whitespace().collect();
        if values.len() != fields.len() {
            let (found, named) = (values.len(), fields.len());
            return Err(self.wrong(format!(
                "it has {found} values for the {named} fields of the first line; download the file again if it is cut off"
            )));
        }
        let record: Fields<'_> = fields.iter().map(String::as_str).zip(values).collect();
        self.record(&record, "interface-id", record.get("flow-direction").copied())
    }

    /// An object of names and values.
    fn object(&mut self, text: &str) -> Result<(), RecordError> {
        let unreadable = |error: serde_json::Error| self.wrong(format!("it is no JSON object: {error}"));
        let object: BTreeMap<String, Value> = serde_json::from_str(text).map_err(unreadable)?;
        let texts: BTreeMap<&str, String> = object
            .iter()
            .filter_map(|(name, value)| match value {
                Value::String(text) => Some((name.as_str(), text.clone())),
                Value::Number(number) => Some((name.as_str(), number.to_string())),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            })
            .collect();
        let record: Fields<'_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        self.record(&record, "eni-id", record.get("direction").copied())
    }

    fn record(&mut self, record: &Fields<'_>, interface: &str, way: Option<&str>) -> Result<(), RecordError> {
        match record.get("log-status").copied() {
            Some("NODATA") => return Ok(()),
            Some("SKIPDATA") => {
                self.told.skipped += 1;
                return Ok(());
            }
            None | Some("OK" | NONE) => {}
            Some(other) => return Err(self.wrong(format!("log-status `{other}` is none of OK, NODATA and SKIPDATA"))),
        }
        match self.value(record, "action")? {
            "ACCEPT" => self.told.passed += 1,
            "REJECT" => {
                self.told.refused += 1;
                return Ok(());
            }
            other => return Err(self.wrong(format!("action `{other}` is neither ACCEPT nor REJECT"))),
        }
        let direction = match way {
            None | Some(NONE) => None,
            Some("ingress" | "in") => Some(Direction::Ingress),
            Some("egress" | "out") => Some(Direction::Egress),
            Some(other) => return Err(self.wrong(format!("direction `{other}` is neither in nor out"))),
        };
        let protocol: u8 = self.number(record, "protocol")?;
        let end = |own: &str, packet: &str, port: &str| {
            // What the packet had, where the other shows the interface's first address in its place.
            let shown = record.get(packet).filter(|text| **text != NONE);
            let text = shown.copied().map_or_else(|| self.value(record, own), Ok)?;
            let address: IpAddr = text.parse().map_err(|_| self.wrong(format!("{own} `{text}` is no address")))?;
            Ok::<_, RecordError>((address, self.number::<u16>(record, port)?))
        };
        let (source, destination) =
            (end("srcaddr", "pkt-srcaddr", "srcport")?, end("dstaddr", "pkt-dstaddr", "dstport")?);
        if source.0.is_ipv4() != destination.0.is_ipv4() {
            return Err(self.wrong("its addresses are not of one IP version"));
        }
        let flags = match record.get("tcp-flags") {
            None | Some(&NONE) => 0,
            Some(_) => self.number::<u8>(record, "tcp-flags")?,
        };
        let start: i64 = self.number(record, "start")?;
        self.told.first_s = Some(self.told.first_s.map_or(start, |first| first.min(start)));
        let eni = EniId::from(self.value(record, interface)?);
        let seen = self.flows.entry(Tuple { eni, protocol, source, destination }).or_default();
        seen.direction = seen.direction.or(direction);
        seen.flags |= flags;
        seen.records += 1;
        if self.flows.len() > RECORD_TUPLES_MAX { Err(RecordError::TooManyFlows) } else { Ok(()) }
    }

    fn value<'b>(&self, record: &Fields<'b>, name: &str) -> Result<&'b str, RecordError> {
        let value = record.get(name).copied().filter(|value| *value != NONE);
        value.ok_or_else(|| self.wrong(format!("it has no `{name}`")))
    }

    fn number<T: std::str::FromStr>(&self, record: &Fields<'_>, name: &str) -> Result<T, RecordError> {
        let text = self.value(record, name)?;
        text.parse().map_err(|_| self.wrong(format!("{name} `{text}` is no number that it can be")))
    }

    fn wrong(&self, reason: impl Into<String>) -> RecordError {
        RecordError::Wrong { file: self.file.clone(), line: self.line, reason: reason.into() }
    }

    /// What all files have said.
    ///
    /// # Errors
    /// When that is too much for one question.
    pub fn finish(self) -> Result<Records, RecordError> {
        let Self { flows, mut told, .. } = self;
        let mut uses: BTreeMap<Observed, u64> = BTreeMap::new();
        for (tuple, seen) in &flows {
            if WITH_TYPES.contains(&tuple.protocol) {
                told.untyped += seen.records;
                continue;
            }
            if is_answer(tuple, seen, &flows) {
                told.answers += seen.records;
                continue;
            }
            let port = WITH_PORTS.contains(&tuple.protocol).then_some(tuple.destination.1);
            let one = Observed {
                eni: tuple.eni.clone(),
                direction: seen.direction,
                protocol: tuple.protocol,
                source: tuple.source.0,
                destination: tuple.destination.0,
                port,
                records: 0,
            };
            *uses.entry(one).or_default() += seen.records;
            if uses.len() > OBSERVED_MAX {
                return Err(RecordError::TooManyUses);
            }
        }
        told.observed = uses.into_iter().map(|(one, records)| Observed { records, ..one }).collect();
        Ok(told)
    }
}

/// Whether a record tells of answers: its flags say so, or those of what it answers, or, where no flags were logged, it goes to the higher
/// port of the two. What answers nothing that is known is none.
fn is_answer(tuple: &Tuple, seen: &Seen, flows: &BTreeMap<Tuple, Seen>) -> bool {
    let begins = |protocol: u8, flags: u8| match (protocol == TCP, flags & (SYN | ACK)) {
        (true, SYN) => Some(true),
        (true, flags) if flags == SYN | ACK => Some(false),
        (true | false, _) => None,
    };
    if let Some(begins) = begins(tuple.protocol, seen.flags) {
        return !begins;
    }
    if !WITH_PORTS.contains(&tuple.protocol) {
        return false;
    }
    let Tuple { eni, protocol, source, destination } = tuple.clone();
    let Some(other) = flows.get(&Tuple { eni, protocol, source: destination, destination: source }) else {
        return false;
    };
    begins(protocol, other.flags).unwrap_or(destination.1 > source.1)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const DEFAULT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

    fn read(files: &[(&str, &str)]) -> Result<Records, RecordError> {
        let mut reader = Reader::default();
        for (name, text) in files {
            reader.begin(name);
            text.lines().try_for_each(|line| reader.line(line))?;
        }
        reader.finish()
    }

    fn shown(records: &Records) -> String {
        let line = |one: &Observed| {
            let Observed { eni, direction, protocol, source, destination, port, records } = one;
            format!("{eni} {direction:?} {protocol} {source} {destination} {port:?} {records}")
        };
        let Records { observed, first_s, passed, refused, answers, untyped, skipped } = records;
        let lines: Vec<String> = observed.iter().map(line).collect();
        format!(
            "{}\nsince {first_s:?}: {passed} passed, {refused} refused, {answers} answers, {untyped} untyped, {skipped} skipped",
            lines.join("\n")
        )
    }

    #[test]
    fn what_amazon_leaves_in_a_store_is_read_and_answers_are_told_apart_by_their_ports() {
        let text = format!(
            "{DEFAULT}
             2 123456789010 eni-1 203.0.113.9 172.31.16.139 49152 443 6 20 4249 1418530010 1418530070 ACCEPT OK
             2 123456789010 eni-1 172.31.16.139 203.0.113.9 443 49152 6 20 4249 1418530010 1418530070 ACCEPT OK
             2 123456789010 eni-1 203.0.113.9 172.31.16.139 49153 443 6 20 4249 1418529950 1418530070 ACCEPT OK
             2 123456789010 eni-1 172.31.16.139 192.0.2.53 50000 53 17 1 60 1418530010 1418530070 ACCEPT OK
             2 123456789010 eni-1 203.0.113.12 172.31.16.139 0 0 1 4 336 1432917027 1432917142 ACCEPT OK
             2 123456789010 eni-1 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK
             2 123456789010 eni-1 2001:db8::1 2001:db8::2 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK

             2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA
             2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA"
        );
        expect![[r#"
            eni-1 None 6 203.0.113.9 172.31.16.139 Some(443) 2
            eni-1 None 6 2001:db8::1 2001:db8::2 Some(22) 1
            eni-1 None 17 172.31.16.139 192.0.2.53 Some(53) 1
            since Some(1418529950): 6 passed, 1 refused, 1 answers, 1 untyped, 1 skipped"#]]
        .assert_eq(&shown(&read(&[("a.log", &text)]).unwrap()));
    }

    #[test]
    fn flags_and_directions_say_who_began_whatever_the_ports_are() {
        let ec2 = "interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr srcport dstport protocol tcp-flags flow-direction start action new-field
            eni-1 203.0.113.9 10.0.0.4 203.0.113.9 10.0.0.5 22 40000 6 3 ingress 10 ACCEPT x
            eni-1 10.0.0.4 203.0.113.9 10.0.0.5 203.0.113.9 40000 22 6 19 egress 10 ACCEPT x
            eni-1 10.0.0.4 203.0.113.9 10.0.0.4 203.0.113.9 40001 22 6 0 egress 11 ACCEPT x";
        let ecs = r#"{"__topic__":"flow_log","eni-id":"eni-2","srcaddr":"10.0.0.1","srcport":"1","dstaddr":"10.0.0.2","dstport":"8080","protocol":"6","direction":"in","start":"7","end":"9","log-status":"OK","action":"ACCEPT","tcp-flags":"2"}
            {"eni-id":"eni-2","srcaddr":"10.0.0.2","srcport":8080,"dstaddr":"10.0.0.1","dstport":1,"protocol":6,"direction":"out","start":7,"log-status":"OK","action":"ACCEPT","tcp-flags":18}
            {"eni-id":"eni-2","log-status":"NODATA","action":"-"}"#;
        expect![[r#"
            eni-1 Some(Ingress) 6 203.0.113.9 10.0.0.5 Some(40000) 1
            eni-1 Some(Egress) 6 10.0.0.4 203.0.113.9 Some(22) 1
            eni-2 Some(Ingress) 6 10.0.0.1 10.0.0.2 Some(8080) 1
            since Some(7): 5 passed, 0 refused, 2 answers, 0 untyped, 0 skipped"#]]
        .assert_eq(&shown(&read(&[("a", ec2), ("b", ecs)]).unwrap()));
    }

    #[test]
    fn what_means_nothing_is_named_with_its_line() {
        let line = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 1 1 1 2 ACCEPT OK";
        for (text, reason) in [
            (line.to_owned(), "`f`, line 1: the first line has to name the fields"),
            ("srcaddr dstaddr action".to_owned(), "line 1: the fields are without `interface-id`"),
            (DEFAULT.replace("dstaddr ", ""), "line 1: the fields are without `dstaddr`"),
            (format!("{DEFAULT}\n{line}\n2 1 eni-1 10.0"), "line 3: it has 4 values for the 14 fields"),
            (format!("{DEFAULT}\n{}", line.replace("10.0.0.2", "10.0.0")), "line 2: dstaddr `10.0.0` is no address"),
            (format!("{DEFAULT}\n{}", line.replace("10.0.0.2", "fd00::1")), "line 2: its addresses are not of one"),
            (format!("{DEFAULT}\n{}", line.replace("ACCEPT", "MAYBE")), "action `MAYBE` is neither"),
            (format!("{DEFAULT}\n{}", line.replace("OK", "FINE")), "log-status `FINE` is none of"),
            (format!("{DEFAULT}\n{}", line.replace(" 6 ", " 666 ")), "protocol `666` is no number"),
            (format!("{DEFAULT}\n{}", line.replace("eni-1", "-")), "it has no `interface-id`"),
            ("{\"eni-id\":".to_owned(), "line 1: it is no JSON object"),
        ] {
            let told = read(&[("f", &text)]).unwrap_err().to_string();
            assert!(told.contains(reason), "{text}: {told}");
        }
        assert_eq!(read(&[("f", DEFAULT)]).unwrap(), Records::default());
    }
}
