//! Patterns of names: what `*`, and in EC2 also `?` and a backslash, stand for.
//!
//! Matching takes at most the product of both lengths; patterns are bounded where they are read.

/// One sign of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Exactly this character.
    One(char),
    /// Any one character.
    Any,
    /// Any characters, also none.
    Many,
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    signs: Vec<Sign>,
}

impl Pattern {
    /// `*` stands for any characters.
    #[must_use]
    pub fn with_stars(text: &str) -> Self {
        Self { signs: text.chars().map(|c| if c == '*' { Sign::Many } else { Sign::One(c) }).collect() }
    }

    /// `*` stands for any characters, `?` for any one; a backslash takes the meaning from either.
    #[must_use]
    pub fn with_escapes(text: &str) -> Self {
        let (mut signs, mut rest) = (Vec::new(), text.chars());
        while let Some(c) = rest.next() {
            signs.push(match c {
                '*' => Sign::Many,
                '?' => Sign::Any,
                '\\' => Sign::One(rest.next().unwrap_or('\\')),
                c => Sign::One(c),
            });
        }
        Self { signs }
    }

    /// Whether a text is what the pattern stands for, from end to end.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut sign, mut at) = (0, 0);
        // Where to go on when the last star takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match (self.signs.get(sign), text.get(at)) {
                (Some(Sign::Many), _) => {
                    retry = Some((sign + 1, at));
                    sign += 1;
                }
                (Some(Sign::Any), _) => (sign, at) = (sign + 1, at + 1),
                (Some(Sign::One(wanted)), Some(found)) if wanted == found => (sign, at) = (sign + 1, at + 1),
                (Some(Sign::One(_)) | None, _) => {
                    let Some((after, from)) = retry else { return false };
                    retry = Some((after, from + 1));
                    (sign, at) = (after, from + 1);
                }
            }
        }
        self.signs.iter().skip(sign).all(|sign| *sign == Sign::Many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in
            [("web", "web"), ("w*b", "web"), ("*", ""), ("*e*", "web"), ("w**b", "wb"), ("東*", "東京"), ("?", "?")]
        {
            assert!(Pattern::with_stars(pattern).matches(name), "{pattern} {name}");
        }
        for (pattern, name) in [("web", "webs"), ("w*b", "wbs"), ("*ab", "b"), ("ab*ab", "ab"), ("*x*", "web")] {
            assert!(!Pattern::with_stars(pattern).matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_question_mark_is_one_character_and_a_backslash_means_what_follows() {
        for (pattern, name) in
            [("w?b", "web"), ("??", "東京"), (r"\*", "*"), (r"a\?*", "a?bc"), (r"\\", r"\"), (r"a\", r"a\")]
        {
            assert!(Pattern::with_escapes(pattern).matches(name), "{pattern} {name}");
        }
        for (pattern, name) in [("w?b", "wb"), ("?", ""), (r"\*", "a"), (r"a\?", "ab")] {
            assert!(!Pattern::with_escapes(pattern).matches(name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn what_a_pattern_is_made_of_matches(parts in proptest::collection::vec("[ab]{0,3}", 1..6), fill in "[ab]{0,4}") {
            let pattern = Pattern::with_escapes(&parts.join("*"));
            prop_assert!(pattern.matches(&parts.join(&fill)));
            let longer = parts.join(&fill) + "c";
            prop_assert!(!pattern.matches(&longer) || parts.last().is_some_and(String::is_empty) && parts.len() > 1);
        }
    }
}
