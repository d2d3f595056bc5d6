//! `Warning` headers, as kube-apiserver writes them (`apiserver/pkg/endpoints/filters/warning.go`).

use std::collections::HashSet;

use http::HeaderValue;

/// How many characters all warnings of an answer may have, and each of them when they have more.
const MOST: usize = 4 * 1024;
const MOST_EACH: usize = 256;

/// The headers: each warning once, and short ones if they are many.
pub(super) fn headers(warnings: &[String]) -> Vec<HeaderValue> {
    let mut seen = HashSet::new();
    let once: Vec<&str> = warnings.iter().map(String::as_str).filter(|text| seen.insert(*text)).collect();
    let total: usize = once.iter().map(|text| text.chars().count()).sum();
    let limit = if total > MOST { MOST_EACH } else { MOST };
    let mut left = MOST;
    let fits = once.into_iter().map_while(|text| {
        let text: String = text.chars().take(limit).collect();
        let room = left;
        left = left.saturating_sub(text.chars().count());
        (room > 0).then_some(text)
    });
    fits.filter_map(|text| header(&text)).collect()
}

/// RFC 7234's warn-text is a quoted string; 299 is a miscellaneous persistent warning. What cannot be in a header is not told.
fn header(text: &str) -> Option<HeaderValue> {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_bytes(format!("299 - \"{escaped}\"").as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &[String]) -> Vec<String> {
        let headers = headers(warnings).into_iter();
        headers.map(|header| String::from_utf8(header.as_bytes().to_vec()).unwrap()).collect()
    }

    #[test]
    fn each_warning_is_told_once_and_quoted() {
        let warnings = ["a \"b\" \\".to_owned(), "c".to_owned(), "c".to_owned(), "d\n".to_owned()];
        assert_eq!(texts(&warnings), [r#"299 - "a \"b\" \\""#, r#"299 - "c""#]);
    }

    #[test]
    fn many_are_cut_short_and_too_many_left_out() {
        let few: Vec<String> = (0..4).map(|i| format!("{i}{}", "ä".repeat(1_000))).collect();
        assert!(texts(&few).iter().all(|text| text.chars().count() > 1_000));
        let many: Vec<String> = (0..40).map(|i| format!("{i:02}{}", "ä".repeat(1_000))).collect();
        let told = texts(&many);
        assert_eq!((told.len(), told[0].chars().count()), (MOST / MOST_EACH, MOST_EACH + "299 - \"\"".len()));
    }
}
