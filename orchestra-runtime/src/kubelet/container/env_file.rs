//! Files of variables, which containers of a pod write for those that start after them (KEP-3721).

/// Why a file is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadFile;

/// The value of `key` in a file of lines `KEY='value'`. A value is what lies between the quotes, line ends included; there is no other way
/// to write one. Lines that begin with `#` are comments.
pub(super) fn value(text: &str, key: &str) -> Result<Option<String>, BadFile> {
    let mut rest = text.trim_start();
    let mut found = None;
    while !rest.is_empty() {
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
            continue;
        }
        let (name, value) = rest.split_once('=').ok_or(BadFile)?;
        if name.contains('\n') {
            return Err(BadFile);
        }
        let value = value.trim_start_matches([' ', '\t']).strip_prefix('\'').ok_or(BadFile)?;
        let (value, after) = value.split_once('\'').ok_or(BadFile)?;
        let (line, next) = after.split_once('\n').unwrap_or((after, ""));
        if !line.trim().is_empty() {
            return Err(BadFile);
        }
        // As in a shell, the last one counts.
        if name.trim() == key {
            found = Some(value.to_owned());
        }
        rest = next.trim_start();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_lies_between_quotes() {
        let text = "# comment\n\n  A = 'a # b'\nMULTI='line1\nline2'\r\nEMPTY=''\nA='again'";
        let of = |key| value(text, key).unwrap();
        assert_eq!(of("A").as_deref(), Some("again"));
        assert_eq!(of("MULTI").as_deref(), Some("line1\nline2"));
        assert_eq!(of("EMPTY").as_deref(), Some(""));
        assert_eq!(of("NONE"), None);
        assert_eq!(value("", "A"), Ok(None));
    }

    #[test]
    fn nothing_else_is_a_file_of_variables() {
        for text in ["A=a", "A=\"a\"", "A='a''b'", "A='a'$B", "A='a", "A", "A\nB='b'", "export"] {
            assert_eq!(value(text, "A"), Err(BadFile), "{text}");
        }
    }
}
