//! The documents of a stream, split as kubectl splits them, so that an error in one document can be told by that document's number:
//! YAML at the lines that begin with `---`, JSON where one object ends and the next begins.

use serde::de::IgnoredAny;

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
    parts.into_iter().skip(usize::from(leading_blank)).flat_map(objects)
}

/// The JSON objects of a part, as jq writes them one after the other; any other part itself.
fn objects(part: Part<'_>) -> Vec<Part<'_>> {
    let mut values = serde_json::Deserializer::from_str(part.text).into_iter::<IgnoredAny>();
    let mut objects = Vec::new();
    let (mut start, mut line) = (0, part.line);
    while part.text[start..].trim_start().starts_with('{') && matches!(values.next(), Some(Ok(_))) {
        let text = &part.text[start..values.byte_offset()];
        objects.push(Part { text, line });
        start += text.len();
        line += text.matches('\n').count();
    }
    let is_all = part.text[start..].trim().is_empty();
    if is_all && objects.len() > 1 { objects } else { vec![part] }
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}
