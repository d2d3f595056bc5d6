//! Field selectors: `metadata.name=nginx,status.phase!=Running`.

use std::fmt;

/// One requirement of a [`Selector`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The field's path.
    pub field: String,
    /// `true` for `=` and `==`, `false` for `!=`.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// A conjunction of requirements; an empty one selects everything.
///
/// ```
/// use orchestra_core::selector::field::Selector;
/// let selector = Selector::parse("spec.nodeName=n1,status.phase!=Failed")?;
/// assert!(selector.matches(|field| match field { "spec.nodeName" => Some("n1"), _ => Some("Running") }));
/// # Ok::<(), orchestra_core::selector::field::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// Why a text is not a field selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A term has no operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole text.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash that escapes nothing.
    #[error("invalid field selector: invalid escape sequence: {0:?}")]
    Escape(String),
}

impl Selector {
    /// Parses `text`; `\`, `,` and `=` in values are escaped by a backslash.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            let error = || ParseError::Term { selector: text.to_owned(), term: term.to_owned() };
            let (field, equal, value) = split_operator(term).ok_or_else(error)?;
            requirements.push(Requirement { field: field.to_owned(), equal, value: unescape(value)? });
        }
        Ok(Self { requirements })
    }

    /// The requirements.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether all requirements hold, with `value` giving each field's value; a field that is not there is empty.
    pub fn matches<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| (value(&r.field).unwrap_or_default() == r.value) == r.equal)
    }

    /// The value that `field` must have, if the selector demands one.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_operator(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(at);
    let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
        (false, value)
    } else {
        (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?)
    };
    Some((field, equal, value))
}

fn unescape(value: &str) -> Result<String, ParseError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(ParseError::Escape(format!("\\{other}"))),
                None => return Err(ParseError::Escape("\\".to_owned())),
            },
            '=' | ',' => return Err(ParseError::Escape(c.to_string())),
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{}{}{}{value}", if i == 0 { "" } else { "," }, r.field, if r.equal { "=" } else { "!=" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_without_an_operator_is_refused() {
        let error = Selector::parse("metadata.name").unwrap_err();
        assert_eq!(error.to_string(), "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
    }

    #[test]
    fn an_escaped_comma_belongs_to_the_value() {
        let selector = Selector::parse(r"reason=a\,b,x!=1").unwrap();
        assert_eq!(selector.required_value("reason"), Some("a,b"));
        assert_eq!(selector.to_string(), r"reason=a\,b,x!=1");
    }

    #[test]
    fn an_absent_field_is_empty() {
        assert!(Selector::parse("spec.nodeName=").unwrap().matches(|_| None));
        assert!(!Selector::parse("spec.nodeName!=").unwrap().matches(|_| None));
    }
}
