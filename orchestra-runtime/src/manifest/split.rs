//! The documents of a YAML stream, split at the lines that begin with `---` as kubectl splits them, so that an error in one
//! document can be told by that document's number.

/// The text of one document.
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    /// How many lines of the file come before it.
    pub(super) line: usize,
}

/// Splits `text`. What stands before a first separator counts as a document only if it is more than blanks and comments.
pub(super) fn documents(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) {
            parts.push(Part { text: &text[start..offset], line: start_line });
            start = offset + "---".len();
            start_line = number;
        }
        offset += line.len();
    }
    parts.push(Part { text: &text[start..], line: start_line });
    let leading_blank = parts.len() > 1 && parts[0].text.lines().all(is_blank);
    parts.into_iter().skip(usize::from(leading_blank))
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}
