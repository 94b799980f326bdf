//! Moments as the clouds write them. Nothing here reads a clock.

use jiff::fmt::strtime;
use sekimori_core::time::Timestamp;

/// `2018-12-12T07:28:38Z`.
#[must_use]
pub fn to_seconds(moment: Timestamp) -> String {
    format(moment, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2018-12-12T07:28Z`: how ECS writes the creation time of an instance.
pub(crate) fn to_minutes(moment: Timestamp) -> String {
    format(moment, "%Y-%m-%dT%H:%MZ")
}

/// `20181212T0728Z`: a moment in the name of a file.
pub(crate) fn to_basic_minutes(moment: Timestamp) -> String {
    format(moment, "%Y%m%dT%H%MZ")
}

/// Reads `20181212T0728Z` and no other form.
pub(crate) fn parse_basic_minutes(text: &str) -> Option<Timestamp> {
    parse_basic(&format!("{}00Z", text.strip_suffix('Z')?))
}

/// Reads `2018-12-12T07:28:38Z` and no other form.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let shape = "dddd-dd-ddTdd:dd:ddZ";
    let fits = |(own, wanted): (u8, u8)| if wanted == b'd' { own.is_ascii_digit() } else { own == wanted };
    if text.len() != shape.len() || !text.bytes().zip(shape.bytes()).all(fits) {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_second()))
}

/// `2018-12-12T07:28:38.000Z`: how EC2 writes moments.
pub(crate) fn to_millis(moment: Timestamp) -> String {
    format(moment, "%Y-%m-%dT%H:%M:%S.000Z")
}

/// Reads `20181212T072838Z` and no other form.
pub(crate) fn parse_basic(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() != 16 {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (day, clock) = ((part(0, 4), part(4, 6), part(6, 8)), (part(9, 11), part(11, 13), part(13, 16)));
    let extended = format!("{}-{}-{}{}{}:{}:{}", day.0, day.1, day.2, part(8, 9), clock.0, clock.1, clock.2);
    parse(&extended)
}

/// Reads `2018-12-12T07:28:38`, with or without a fraction of a second, and a `Z`.
pub(crate) fn parse_loosely(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if (1..=9).contains(&fraction.len()) && is_number(fraction) => whole,
        Some(_) => return None,
        None => text,
    };
    parse(&format!("{whole}Z"))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A moment outside the years that the clouds can write becomes an empty text.
fn format(moment: Timestamp, form: &str) -> String {
    let moment = jiff::Timestamp::from_second(moment.0).ok();
    moment.and_then(|moment| strtime::format(form, moment).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_the_same_moment() {
        let moment = Timestamp(1_544_599_718);
        assert_eq!(to_seconds(moment), "2018-12-12T07:28:38Z");
        assert_eq!(to_minutes(moment), "2018-12-12T07:28Z");
        assert_eq!(parse("2018-12-12T07:28:38Z"), Some(moment));
    }

    #[test]
    fn reads_one_form_only() {
        let others =
            ["", "2018-12-12T07:28Z", "2018-12-12 07:28:38Z", "2018-13-12T07:28:38Z", "2018-12-12T07:28:38+00"];
        for text in others {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_forms_of_amazon_are_read_and_written() {
        let moment = Timestamp(1_544_599_718);
        assert_eq!(to_millis(moment), "2018-12-12T07:28:38.000Z");
        assert_eq!(parse_basic("20181212T072838Z"), Some(moment));
        assert_eq!(to_basic_minutes(moment), "20181212T0728Z");
        assert_eq!(parse_basic_minutes("20181212T0728Z"), Some(Timestamp(1_544_599_680)));
        for text in ["", "Z", "20181212T072838Z", "20181212T0728", "東Z"] {
            assert_eq!(parse_basic_minutes(text), None, "{text}");
        }
        for text in ["", "20181212T072838", "20181212T0728380", "2018-12-12T07:28", "20181212 072838Z", "東東東東東x"]
        {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        for text in
            ["2018-12-12T07:28:38", "2018-12-12T07:28:38Z", "2018-12-12T07:28:38.000Z", "2018-12-12T07:28:38.5"]
        {
            assert_eq!(parse_loosely(text), Some(moment), "{text}");
        }
        for text in ["2018-12-12T07:28:38.Z", "2018-12-12T07:28:38.xZ", "2018-12-12", "2018-12-12T07:28:38+01:00"] {
            assert_eq!(parse_loosely(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_out_of_range_is_empty_rather_than_a_panic() {
        assert_eq!(to_seconds(Timestamp(i64::MAX)), "");
    }
}
