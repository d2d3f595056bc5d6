//! Times as Go's `time.Parse` reads them, and what it says of those that it refuses.

/// How a time is written: that of the layout's name in Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `metav1.Time`: seconds, and a fraction if there is one.
    Rfc3339,
    /// `metav1.MicroTime`: exactly six digits after the second.
    Micro,
}

impl Layout {
    fn text(self) -> &'static str {
        match self {
            Self::Rfc3339 => "2006-01-02T15:04:05Z07:00",
            Self::Micro => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// Why `text` is no time of that layout.
pub(super) fn error(layout: Layout, text: &str) -> Option<String> {
    let why = check(layout, text).err()?;
    Some(format!(
        "parsing time {}{}",
        quote(text),
        match why {
            Refusal::Unlike { rest, element } => {
                format!(" as {:?}: cannot parse {} as {element:?}", layout.text(), quote(rest))
            }
            Refusal::OutOfRange(what) => format!(": {what} out of range"),
            Refusal::Extra(rest) => format!(": extra text: {}", quote(rest)),
        }
    ))
}

enum Refusal<'a> {
    Unlike { rest: &'a str, element: &'static str },
    OutOfRange(&'static str),
    Extra(&'a str),
}

fn check(layout: Layout, text: &str) -> Result<(), Refusal<'_>> {
    let mut rest = text;
    let year = fixed(&mut rest, 4, "2006")?;
    skip(&mut rest, "-")?;
    let month = within(fixed(&mut rest, 2, "01")?, 1..=12, "month")?;
    skip(&mut rest, "-")?;
    let day = short(&mut rest, "02")?;
    skip(&mut rest, "T")?;
    within(short(&mut rest, "15")?, 0..=23, "hour")?;
    skip(&mut rest, ":")?;
    within(fixed(&mut rest, 2, "04")?, 0..=59, "minute")?;
    skip(&mut rest, ":")?;
    within(fixed(&mut rest, 2, "05")?, 0..=59, "second")?;
    match layout {
        Layout::Rfc3339 => any_fraction(&mut rest),
        Layout::Micro => micros(&mut rest)?,
    }
    zone(&mut rest)?;
    if !rest.is_empty() {
        return Err(Refusal::Extra(rest));
    }
    within(day, 1..=days(year, month), "day").map(drop)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A number of exactly so many digits.
fn fixed<'a>(rest: &mut &'a str, count: usize, element: &'static str) -> Result<u32, Refusal<'a>> {
    let unlike = Refusal::Unlike { rest, element };
    if digits(rest) < count {
        return Err(unlike);
    }
    let (number, after) = rest.split_at(count);
    *rest = after;
    number.parse().map_err(|_| unlike)
}

/// A number of two digits, or of one, which Go takes here too.
fn short<'a>(rest: &mut &'a str, element: &'static str) -> Result<u32, Refusal<'a>> {
    fixed(rest, digits(rest).clamp(1, 2), element)
}

fn within<'a>(number: u32, range: std::ops::RangeInclusive<u32>, what: &'static str) -> Result<u32, Refusal<'a>> {
    if range.contains(&number) { Ok(number) } else { Err(Refusal::OutOfRange(what)) }
}

fn skip<'a>(rest: &mut &'a str, separator: &'static str) -> Result<(), Refusal<'a>> {
    *rest = rest.strip_prefix(separator).ok_or(Refusal::Unlike { rest, element: separator })?;
    Ok(())
}

fn any_fraction(rest: &mut &str) {
    if let Some(fraction) = rest.strip_prefix(['.', ',']).filter(|fraction| digits(fraction) > 0) {
        *rest = &fraction[digits(fraction)..];
    }
}

fn micros<'a>(rest: &mut &'a str) -> Result<(), Refusal<'a>> {
    let unlike = Refusal::Unlike { rest, element: ".000000" };
    let Some(fraction) = rest.strip_prefix(['.', ',']).filter(|fraction| digits(fraction) >= 6) else {
        return Err(unlike);
    };
    *rest = &fraction[6..];
    Ok(())
}

fn zone<'a>(rest: &mut &'a str) -> Result<(), Refusal<'a>> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Ok(());
    }
    let unlike = || Refusal::Unlike { rest, element: "Z07:00" };
    let mut offset = rest.strip_prefix(['+', '-']).ok_or_else(unlike)?;
    let hours = fixed(&mut offset, 2, "").map_err(|_| unlike())?;
    offset = offset.strip_prefix(':').ok_or_else(unlike)?;
    let minutes = fixed(&mut offset, 2, "").map_err(|_| unlike())?;
    within(hours, 0..=24, "time zone offset hour")?;
    within(minutes, 0..=60, "time zone offset minute")?;
    *rest = offset;
    Ok(())
}

fn days(year: u32, month: u32) -> u32 {
    let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leaps => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// As the package `time` quotes: what is not printable ASCII byte by byte.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' | 0x7f => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(layout: Layout, text: &str) -> String {
        error(layout, text).unwrap_or_default()
    }

    #[test]
    fn what_go_reads_is_no_error() {
        for text in ["2026-01-01T00:00:00Z", "2024-02-29T23:59:59.5+02:00", "2026-01-1T1:00:00,123456789Z"] {
            assert_eq!(error(Layout::Rfc3339, text), None, "{text}");
        }
        assert_eq!(error(Layout::Micro, "2026-01-01T00:00:00.000001Z"), None);
    }

    #[test]
    fn what_go_refuses_is_told_in_its_words() {
        let unlike = r#" as "2006-01-02T15:04:05Z07:00": cannot parse"#;
        for (text, why) in [
            ("x", format!(r#"{unlike} "x" as "2006""#)),
            ("", format!(r#"{unlike} "" as "2006""#)),
            ("2026-1-01T00:00:00Z", format!(r#"{unlike} "1-01T00:00:00Z" as "01""#)),
            ("2026-01-01 00:00:00Z", format!(r#"{unlike} " 00:00:00Z" as "T""#)),
            ("2026-01-01T00:00:00", format!(r#"{unlike} "" as "Z07:00""#)),
            ("2026-01-01T00:00:00+2:00", format!(r#"{unlike} "+2:00" as "Z07:00""#)),
            ("2026-13-01T00:00:00Z", ": month out of range".to_owned()),
            ("2026-02-29T00:00:00Z", ": day out of range".to_owned()),
            ("2026-01-01T24:00:00Z", ": hour out of range".to_owned()),
            ("2026-01-01T00:00:60Z", ": second out of range".to_owned()),
            ("2026-01-01T00:00:00Zulu", r#": extra text: "ulu""#.to_owned()),
        ] {
            assert_eq!(said(Layout::Rfc3339, text), format!("parsing time {text:?}{why}"));
        }
        let micro = r#"parsing time "2026-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#;
        assert_eq!(said(Layout::Micro, "2026-01-01T00:00:00Z"), micro);
        assert!(said(Layout::Rfc3339, "ä\"\n").starts_with(r#"parsing time "\xc3\xa4\"\x0a" as"#));
    }
}
