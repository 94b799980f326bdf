//! A report as JUnit XML: a suite for each control, a failed case for each finding, and one case for all that passed.

use std::fmt::Write as _;

use super::{Asked, Finding, Report, sarif::in_one_line};

/// The report as JUnit XML.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures, mut skipped, mut errors) = (0, 0, 0, 0);
    for asked in &report.controls {
        let suite = Suite::of(report, asked);
        tests += suite.tests;
        failures += suite.failures;
        skipped += suite.skipped;
        errors += suite.errors;
        suites.push_str(&suite.text);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"sekimori comply\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{suites}</testsuites>\n"
    )
}

#[derive(Default)]
struct Suite {
    tests: usize,
    failures: usize,
    skipped: usize,
    errors: usize,
    text: String,
}

impl Suite {
    fn of(report: &Report, asked: &Asked) -> Self {
        let mut suite = Self::default();
        let mut cases = String::new();
        for finding in report.findings.iter().filter(|finding| finding.control == asked.id) {
            suite.case(&mut cases, asked, &finding.id, &outcome(finding));
            match finding.suppression {
                Some(_) => suite.skipped += 1,
                None => suite.failures += 1,
            }
        }
        for unjudged in report.unjudged.iter().filter(|unjudged| unjudged.control == asked.id) {
            let outcome = format!("<error message=\"{}\"/>", escaped(&unjudged.reason));
            suite.case(&mut cases, asked, &format!("{}/{}", asked.id, unjudged.resource), &outcome);
            suite.errors += 1;
        }
        let passed = asked.checked - asked.failed;
        if passed > 0 || suite.tests == 0 {
            suite.case(&mut cases, asked, &format!("{}: {passed} resources comply", asked.id), "");
        }
        let Self { tests, failures, skipped, errors, .. } = suite;
        let name = escaped(&format!("{} {}", asked.id, asked.title));
        suite.text = format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" \
             skipped=\"{skipped}\">\n{cases}  </testsuite>\n"
        );
        suite
    }

    fn case(&mut self, cases: &mut String, asked: &Asked, name: &str, outcome: &str) {
        self.tests += 1;
        let (name, class) = (escaped(name), escaped(&asked.id));
        // Writing into a string cannot fail.
        let _ = writeln!(cases, "    <testcase classname=\"{class}\" name=\"{name}\">{outcome}</testcase>");
    }
}

fn outcome(finding: &Finding) -> String {
    if let Some(suppression) = &finding.suppression {
        let message = format!("suppressed until {}: {}", suppression.expires, suppression.reason);
        return format!("<skipped message=\"{}\"/>", escaped(&message));
    }
    let causes: Vec<String> = finding.causes.iter().map(in_one_line).collect();
    let message = format!("{} does not comply ({})", finding.resource.id, finding.severity);
    format!(
        "<failure type=\"{}\" message=\"{}\">{}</failure>",
        escaped(&finding.control),
        escaped(&message),
        escaped(&causes.join("\n"))
    )
}

/// A text as XML 1.0 can hold it: characters that it cannot are replaced.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push_str(&format!("&#{};", u32::from(character))),
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => safe.push(character),
            _ => safe.push('\u{fffd}'),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_an_owner_writes_breaks_the_document() {
        assert_eq!(escaped("a<b>&\"\u{0}\u{1b}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}&#10;");
    }
}
