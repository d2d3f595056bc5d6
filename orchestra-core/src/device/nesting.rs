//! How deep an expression may nest. Parser and interpreter go down by recursion: what is deeper would end the process, not only the
//! evaluation.

/// Levels of an expression, of brackets and of operators that follow one another. So many fit the smallest stack of a thread, even where
/// nothing is optimised.
pub(super) const MAX: usize = 32;

/// Whether the expression nests deeper than [`MAX`], by its brackets and the operators between them. Terms of `&&`, `||` and lists lie side
/// by side.
pub(super) fn is_too_deep(expression: &str) -> bool {
    let mut rest = expression;
    // How many operators there were since the last separator, for each open bracket.
    let mut levels = vec![0_usize];
    while let Some(next) = rest.chars().next() {
        match next {
            '"' | '\'' => {
                rest = behind_text(rest, next, false);
                continue;
            }
            'r' | 'R' if rest[1..].starts_with(['"', '\'']) => {
                let quote = if rest[1..].starts_with('"') { '"' } else { '\'' };
                rest = behind_text(&rest[1..], quote, true);
                continue;
            }
            '/' if rest.starts_with("//") => {
                rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
                continue;
            }
            '(' | '[' | '{' => {
                count(&mut levels);
                levels.push(0);
            }
            ')' | ']' | '}' if levels.len() > 1 => {
                levels.pop();
            }
            ',' | '&' | '|' => {
                if let Some(last) = levels.last_mut() {
                    *last = 0;
                }
            }
            '.' | '+' | '-' | '*' | '/' | '%' | '!' | '<' | '>' | '=' | '?' => count(&mut levels),
            ' ' if rest.starts_with(" in ") => count(&mut levels),
            _ => {}
        }
        if levels.iter().sum::<usize>() > MAX {
            return true;
        }
        rest = &rest[next.len_utf8()..];
    }
    false
}

fn count(levels: &mut [usize]) {
    if let Some(last) = levels.last_mut() {
        *last += 1;
    }
}

/// What stands behind the text with which `rest` begins.
fn behind_text(rest: &str, quote: char, is_raw: bool) -> &str {
    let triple = quote.to_string().repeat(3);
    let close = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &rest[close.len()..];
    while let Some(next) = rest.chars().next() {
        if rest.starts_with(&close) {
            return &rest[close.len()..];
        }
        rest = &rest[next.len_utf8()..];
        if next == '\\' && !is_raw {
            rest = rest.chars().next().map_or("", |escaped| &rest[escaped.len_utf8()..]);
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_chains_nest_and_terms_beside_each_other_do_not() {
        assert!(is_too_deep(&"(".repeat(MAX + 1)));
        assert!(is_too_deep(&format!("a{}", ".b".repeat(MAX + 1))));
        assert!(is_too_deep(&format!("1{}", " + 1".repeat(MAX + 1))));
        assert!(is_too_deep(&"true ? 1 : ".repeat(MAX + 1)));
        assert!(is_too_deep(&format!("{}{}", "[".repeat(MAX / 2), "!".repeat(MAX / 2 + 1))));
        assert!(!is_too_deep(&"a.b == c || ".repeat(500)));
        assert!(!is_too_deep(&format!("a in [{}]", "b.c, ".repeat(500))));
        assert!(!is_too_deep(&"f(a.b) && ".repeat(500)));
    }

    #[test]
    fn what_is_in_texts_does_not_count() {
        let many = "(".repeat(MAX + 1);
        for text in ["\"X\"", "'X'", "'''X' '''", "r'X\\'", "\"\\\"X\"", "1 // X\n"] {
            assert!(!is_too_deep(&text.replace('X', &many)), "{text}");
        }
        assert!(is_too_deep(&format!("'a' + {many}")));
    }
}
