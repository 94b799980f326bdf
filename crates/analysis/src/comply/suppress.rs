//! Suppressions: findings that somebody has accepted, for a reason and until a day.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Report;

/// Bytes of a file of suppressions.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Suppressions of a file.
pub const SUPPRESSIONS_MAX: usize = 10_000;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 1_000;

/// A finding that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The control.
    pub control: String,
    /// The resource.
    pub resource: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, as `2027-03-31`.
    pub expires: String,
}

/// What became of a suppression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The suppression.
    pub suppression: Suppression,
    /// What became of it.
    pub state: State,
}

/// What became of a suppression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A finding is not counted because of it.
    Applied,
    /// Its day has passed: it does nothing any more.
    Expired,
    /// There is no such finding.
    Unused,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Expired => "expired",
            Self::Unused => "matches no finding",
        })
    }
}

/// A suppression as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    control: Option<String>,
    resource: Option<String>,
    reason: Option<String>,
    expires: Option<String>,
}

/// Reads a file: a JSON array of objects with `control`, `resource`, `reason` and `expires`.
///
/// # Errors
/// In words, with the number of the suppression that is wrong, and what would be right.
pub fn read(text: &str) -> Result<Vec<Suppression>, String> {
    let written: Vec<Written> = serde_json::from_str(text).map_err(|error| {
        format!("the suppressions cannot be read: {error}; write a JSON array of control, resource, reason, expires")
    })?;
    if written.len() > SUPPRESSIONS_MAX {
        return Err(format!("{} suppressions are too many; keep at most {SUPPRESSIONS_MAX}", written.len()));
    }
    (1_usize..).zip(written).map(|(number, one)| one.read(number)).collect()
}

impl Written {
    fn read(self, number: usize) -> Result<Suppression, String> {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let missing = |what: &str, remedy: &str| format!("suppression {number} has no {what}; {remedy}");
        let control = given(self.control).ok_or_else(|| missing("control", "name one, for example EC2.18"))?;
        let resource = given(self.resource).ok_or_else(|| missing("resource", "name one, for example sg-1"))?;
        let name = format!("suppression {number} ({control}/{resource})");
        let reason = given(self.reason).ok_or_else(|| format!("{name} has no reason; say why it is accepted"))?;
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(format!("{name} has a reason of more than {REASON_CHARS_MAX} characters; shorten it"));
        }
        let expires = given(self.expires).ok_or_else(|| {
            format!("{name} has no expiry; give the last day, for example \"expires\": \"2027-03-31\"")
        })?;
        if !is_day(&expires) {
            return Err(format!("{name}: `{expires}` is not a day; write it as 2027-03-31"));
        }
        Ok(Suppression { control, resource, reason, expires })
    }
}

/// Whether a text is a day as ISO 8601 writes it, so that texts sort as days do.
fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let part = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u16>().ok());
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(5, 7), part(8, 10)) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    };
    is_shaped && (1..=days).contains(&day)
}

/// Applies suppressions to a report on a day, and tells in it what became of each.
pub fn apply(report: &mut Report, suppressions: Vec<Suppression>, today: &str) {
    for suppression in suppressions {
        let is_over = suppression.expires.as_str() < today;
        let id = format!("{}/{}", suppression.control, suppression.resource);
        let found = report.findings.iter_mut().find(|finding| finding.id.eq_ignore_ascii_case(&id));
        let state = match found {
            _ if is_over => State::Expired,
            None => State::Unused,
            Some(finding) => {
                finding.suppression = Some(suppression.clone());
                State::Applied
            }
        };
        report.suppressions.push(Told { suppression, state });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_and_expiry_are_asked_for() {
        let error = |text: &str| read(text).unwrap_err();
        assert!(
            error(r#"[{"control":"EC2.18","resource":"sg-1","expires":"2027-01-01"}]"#)
                .contains("suppression 1 (EC2.18/sg-1) has no reason; say why")
        );
        assert!(
            error(r#"[{"control":"EC2.18","resource":"sg-1","reason":"a jump host"}]"#).contains("has no expiry")
        );
        assert!(
            error(r#"[{"control":"EC2.18","resource":"sg-1","reason":" ","expires":"2027-01-01"}]"#)
                .contains("no reason")
        );
        for day in ["2027-02-29", "tomorrow", "2027-13-01", "2027-1-1", "20270101xx", "+027-01-01", "2027-00-10"] {
            let text = format!(r#"[{{"control":"c","resource":"r","reason":"x","expires":"{day}"}}]"#);
            assert!(error(&text).contains("is not a day"), "{day}");
        }
        assert!(error("{}").contains("write a JSON array"));
        assert!(error(r#"[{"control":"c","until":"x"}]"#).contains("unknown field"));
        let long =
            format!(r#"[{{"control":"c","resource":"r","reason":"{}","expires":"2027-01-01"}}]"#, "x".repeat(1001));
        assert!(error(&long).contains("shorten"));
        let good = read(r#"[{"control":"EC2.18","resource":"sg-1","reason":"why","expires":"2028-02-29"}]"#).unwrap();
        assert_eq!(good[0].expires, "2028-02-29");
    }
}
