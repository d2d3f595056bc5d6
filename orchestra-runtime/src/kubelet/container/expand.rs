//! References to variables, `$(NAME)`, in what a container is started with.

/// Puts values in place of `$(NAME)`. What `value` does not know stays as it is written, `$$` stands for `$`, and everything else
/// for itself: `third_party/forked/golang/expansion`.
pub(in crate::kubelet) fn expand(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some((name, tail)) = reference {
            match value(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&rest[at..rest.len() - tail.len()]),
            }
            rest = tail;
            continue;
        }
        out.push('$');
        rest = after.strip_prefix('$').unwrap_or(after);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_as_in_kubernetes() {
        let value = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$(A)".to_owned()),
            _ => None,
        };
        for (text, expanded) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "a"),
            ("-$(A)-$(A)-", "-a-a-"),
            ("$(EMPTY)!", "!"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$()", "$()"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$$$$(A)", "$$(A)"),
            ("$(DOLLAR)", "$(A)"),
            ("$A ${A} $", "$A ${A} $"),
            ("$$", "$"),
            ("$(A", "$(A"),
            ("$($(A))", "$($(A))"),
            ("ä$ß$(A)ü", "ä$ßaü"),
        ] {
            assert_eq!(expand(text, value), expanded, "{text}");
        }
    }
}
