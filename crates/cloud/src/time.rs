//! Moments as the clouds write them. Nothing here reads a clock.

use jiff::fmt::strtime;
use sekimori_core::time::Timestamp;

/// `2018-12-12T07:28:38Z`.
pub(crate) fn to_seconds(moment: Timestamp) -> String {
    format(moment, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2018-12-12T07:28Z`: how ECS writes the creation time of an instance.
pub(crate) fn to_minutes(moment: Timestamp) -> String {
    format(moment, "%Y-%m-%dT%H:%MZ")
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
    fn a_moment_out_of_range_is_empty_rather_than_a_panic() {
        assert_eq!(to_seconds(Timestamp(i64::MAX)), "");
    }
}
