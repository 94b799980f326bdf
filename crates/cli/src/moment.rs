//! Moments on the command line: dates as people write them, and as they are printed. Always UTC.

use clap::Args;
use jiff::{ToSpan as _, fmt::strtime};
use sekimori_core::time::Timestamp;

/// Reads `2026-10-01`, `2026-10-01T08:00:00Z`, or so long before now: `30s`, `10m`, `2h`, `30d`.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    before(jiff::Timestamp::now(), text)
}

fn before(now: jiff::Timestamp, text: &str) -> Result<Timestamp, String> {
    let input = text;
    let bad = || format!("`{input}` is not a date; write 2026-10-01, 2026-10-01T08:00:00Z, 30d, 2h, 10m or 30s");
    let units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    if let Some((count, unit_s)) = units.iter().find_map(|(unit, s)| Some((text.strip_suffix(*unit)?, *s))) {
        let count: i64 = count.parse().map_err(|_| bad())?;
        let ago_s = count.checked_mul(unit_s).filter(|ago| (0..=36_500 * 86_400).contains(ago)).ok_or_else(bad)?;
        let moment = now.checked_sub(ago_s.seconds()).map_err(|_| bad())?;
        return Ok(Timestamp(moment.as_second()));
    }
    let midnight = format!("{text}T00:00:00Z");
    let text = if text.contains('T') { text } else { &midnight };
    let moment: jiff::Timestamp = text.parse().map_err(|_| bad())?;
    Ok(Timestamp(moment.as_second()))
}

/// When a question is about.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct When {
    /// As it was at this revision, or at this time: 30s, 10m, 2h, 1d or a moment
    #[arg(long, value_name = "REVISION|TIME", value_parser = parse_at)]
    at: Option<At>,
}

/// A revision or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// This was the newest revision.
    Revision(u64),
    /// At this time.
    Time(Timestamp),
}

impl When {
    /// Whether the question is about what is, and not about what was.
    pub(crate) fn is_now(&self) -> bool {
        self.at.is_none()
    }

    /// As the native API is asked.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        match self.at {
            None => Vec::new(),
            Some(At::Revision(revision)) => vec![("at", revision.to_string())],
            Some(At::Time(moment)) => vec![("at_time", moment.0.to_string())],
        }
    }
}

/// Reads a revision, with or without an `r`, or what [`parse`] reads.
pub(crate) fn parse_at(text: &str) -> Result<At, String> {
    let revision = text.strip_prefix('r').unwrap_or(text).parse().map(At::Revision);
    revision.or_else(|_| parse(text).map(At::Time)).map_err(|error| format!("{error}, or a revision"))
}

/// `2026-10-01T08:00:00Z`.
pub(crate) fn show(moment: Timestamp) -> String {
    let known = jiff::Timestamp::from_second(moment.0);
    known.map_or_else(|_| format!("second {}", moment.0), |moment| moment.to_string())
}

/// `2026-10-01T08:00:00.120Z`, of milliseconds since 1970.
pub(crate) fn show_ms(at_ms: u64) -> String {
    let known = i64::try_from(at_ms).ok().and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
    known.map_or_else(|| format!("millisecond {at_ms}"), |moment| format!("{moment:.3}"))
}

/// `2026-10-01`.
pub(crate) fn today() -> String {
    // A moment of now can always be written.
    strtime::format("%Y-%m-%d", jiff::Timestamp::now()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms_and_shown_in_one() {
        let now = jiff::Timestamp::from_second(1_790_000_000).unwrap();
        assert_eq!(before(now, "2026-10-01").map(show), Ok("2026-10-01T00:00:00Z".to_owned()));
        assert_eq!(before(now, "2026-10-01T08:00:00Z").map(show), Ok("2026-10-01T08:00:00Z".to_owned()));
        assert_eq!(before(now, "1d"), Ok(Timestamp(1_790_000_000 - 86_400)));
        assert_eq!(before(now, "10m"), Ok(Timestamp(1_790_000_000 - 600)));
        assert_eq!(before(now, "2h"), before(now, "7200s"));
        assert_eq!(show_ms(1_790_000_000_120), "2026-09-21T14:13:20.120Z");
        for text in ["", "d", "m", "-5m", "-1d", "yesterday", "2026-13-01", "99999999d"] {
            assert!(before(now, text).unwrap_err().contains("is not a date"), "{text}");
        }
    }
}
