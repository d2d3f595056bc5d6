//! Whether a text is the one that a value would be written as, without writing it.

use std::fmt::{self, Write};

struct Rest<'a>(&'a str);

impl Write for Rest<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Whether `text` is there and is that of `value`.
pub(super) fn shows(text: Option<&str>, value: impl fmt::Display) -> bool {
    let Some(text) = text else { return false };
    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shows_what_it_is_all_of() {
        let value = format_args!("memory://{}", 12);
        for (text, expected) in [("memory://12", true), ("memory://1", false), ("memory://123", false), ("", false)] {
            assert_eq!(shows(Some(text), value), expected, "{text:?}");
        }
        assert!(!shows(None, ""));
        assert!(shows(Some(""), ""));
    }
}
