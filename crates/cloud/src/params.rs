//! The flat parameters of a request: query and form body as one map, with lists as numbered names.
//!
//! Lists travel as `Permissions.2.PortRange` or `InstanceId.1`. Numbers may be sparse; items are visited in
//! numerical order. Never guesses: a name that is sent twice with two values is refused.

use std::collections::{BTreeMap, BTreeSet};

/// Parameters of one request. 100 rules of 20 fields each are 2,000.
pub const PARAMETERS_MAX: usize = 4_096;

/// Why parameters cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// There are too many.
    #[error("a request has at most {PARAMETERS_MAX} parameters; send several requests")]
    TooMany,
    /// A name was given two values.
    #[error("parameter `{0}` is given twice with different values; give it once")]
    Conflict(String),
}

/// The parameters of one request, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// Reads a query and, if the body is a form, the body.
    ///
    /// # Errors
    /// Refuses too many parameters and contradictory repetitions.
    pub fn parse(query: &str, form: Option<&[u8]>) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        for part in [Some(query.as_bytes()), form].into_iter().flatten() {
            for (seen, (name, value)) in form_urlencoded::parse(part).enumerate() {
                if seen >= PARAMETERS_MAX {
                    return Err(ParamsError::TooMany);
                }
                params.insert(name.into_owned(), value.into_owned())?;
            }
        }
        Ok(params)
    }

    /// The value of a parameter, which may be empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of a parameter that is there and not empty: clients send empty text for what they leave out.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every parameter, in the byte order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The numbers of a list's items, ascending. `01` and `+1` are no numbers.
    #[must_use]
    pub fn indices(&self, list: &str) -> Vec<u32> {
        let prefix = format!("{list}.");
        let named = self.values.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let numbers: BTreeSet<u32> = named.filter_map(|(name, _)| index(&name[prefix.len()..])).collect();
        numbers.into_iter().collect()
    }

    /// The filled values of a list of plain texts, in the order of their numbers.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let indices = self.indices(name).into_iter();
        indices.filter_map(|number| self.filled(&format!("{name}.{number}"))).collect()
    }

    fn insert(&mut self, name: String, value: String) -> Result<(), ParamsError> {
        match self.values.get(&name) {
            Some(known) if *known != value => Err(ParamsError::Conflict(name)),
            Some(_) => Ok(()),
            None if self.values.len() >= PARAMETERS_MAX => Err(ParamsError::TooMany),
            None => {
                self.values.insert(name, value);
                Ok(())
            }
        }
    }
}

fn index(rest: &str) -> Option<u32> {
    let digits = rest.split('.').next().unwrap_or_default();
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query, None).unwrap()
    }

    #[test]
    fn query_and_form_are_one_map() {
        let both = Params::parse("A=1&B=x%20y", Some(b"C=p+q&D=%E6%9D%B1")).unwrap();
        let pairs: Vec<_> = both.iter().collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x y"), ("C", "p q"), ("D", "東")]);
    }

    #[test]
    fn lists_are_sparse_and_ordered_by_number() {
        let list = params("L.10=j&L.2=b&L.1=&L.x=no&L.02=no&L.3.F=f&LL.1=no");
        assert_eq!(list.indices("L"), [1, 2, 3, 10]);
        assert_eq!(list.list("L"), ["b", "j"]);
    }

    #[test]
    fn a_repetition_counts_once_and_a_contradiction_is_refused() {
        assert_eq!(params("A=1&A=1").iter().count(), 1);
        assert_eq!(Params::parse("A=1", Some(b"A=2")), Err(ParamsError::Conflict("A".to_owned())));
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let query: String = (0..=PARAMETERS_MAX).map(|number| format!("P{number}=&")).collect();
        assert_eq!(Params::parse(&query, None), Err(ParamsError::TooMany));
        let same = "A=1&".repeat(PARAMETERS_MAX + 1);
        assert_eq!(Params::parse(&same, None), Err(ParamsError::TooMany));
    }

    #[test]
    fn what_is_not_utf8_does_not_panic() {
        assert!(Params::parse("%ff=%fe&%", Some(b"\xff\xfe=%")).is_ok());
    }
}
