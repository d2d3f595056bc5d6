//! Where a text stops being JSON, in the words of Go's `encoding/json`.

/// How deeply values may be nested (`maxNestingDepth`).
const MAX_DEPTH: usize = 10_000;

/// What is wrong with `text` as one JSON value; `None` if it is one.
pub fn error(text: &[u8]) -> Option<String> {
    Scanner { text, at: 0 }.document().err()
}

/// What a value is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Array,
    Object,
}

/// Reads values one after another without recursion: the text may be nested as deeply as it likes.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), String> {
        let mut within = Vec::new();
        loop {
            if let Some(opened) = self.begin_value()? {
                within.push(opened);
                if within.len() > MAX_DEPTH {
                    return Err("exceeded max depth".to_owned());
                }
                if !self.closes_at_once(opened)? {
                    continue;
                }
                within.pop();
            }
            self.close(&mut within)?;
            if within.is_empty() {
                return match self.token() {
                    Some(byte) => Err(unexpected(byte, "after top-level value")),
                    None => Ok(()),
                };
            }
        }
    }

    /// Reads a value that has no parts, or the beginning of one that has.
    fn begin_value(&mut self) -> Result<Option<Within>, String> {
        match self.next_token()? {
            b'{' => return Ok(Some(Within::Object)),
            b'[' => return Ok(Some(Within::Array)),
            b'"' => self.string()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            first @ (b'-' | b'0'..=b'9') => self.number(first)?,
            other => return Err(unexpected(other, "looking for beginning of value")),
        }
        Ok(None)
    }

    /// Whether what was just opened has no parts; if it has, the key before the first value is read.
    fn closes_at_once(&mut self, opened: Within) -> Result<bool, String> {
        let end = if opened == Within::Object { b'}' } else { b']' };
        if self.token() == Some(end) {
            self.at += 1;
            return Ok(true);
        }
        if opened == Within::Object {
            self.key()?;
        }
        Ok(false)
    }

    /// Closes all that ends after a value, up to where the next value begins.
    fn close(&mut self, within: &mut Vec<Within>) -> Result<(), String> {
        while let Some(innermost) = within.last() {
            match (innermost, self.next_token()?) {
                (Within::Object, b',') => return self.key(),
                (Within::Array, b',') => return Ok(()),
                (Within::Object, b'}') | (Within::Array, b']') => drop(within.pop()),
                (Within::Object, other) => return Err(unexpected(other, "after object key:value pair")),
                (Within::Array, other) => return Err(unexpected(other, "after array element")),
            }
        }
        Ok(())
    }

    fn key(&mut self) -> Result<(), String> {
        match self.next_token()? {
            b'"' => self.string()?,
            other => return Err(unexpected(other, "looking for beginning of object key string")),
        }
        match self.next_token()? {
            b':' => Ok(()),
            other => Err(unexpected(other, "after object key")),
        }
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => (0..4).try_for_each(|_| match self.next()? {
                        digit if digit.is_ascii_hexdigit() => Ok(()),
                        other => Err(unexpected(other, "in \\u hexadecimal character escape")),
                    })?,
                    other => return Err(unexpected(other, "in string escape code")),
                },
                control @ ..0x20 => return Err(unexpected(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), String> {
        literal.bytes().skip(1).try_for_each(|expected| match self.next()? {
            found if found == expected => Ok(()),
            other => {
                let expected = char::from(expected);
                Err(unexpected(other, &format!("in literal {literal} (expecting '{expected}')")))
            }
        })
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        let leading = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if leading != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, place: &str) -> Result<u8, String> {
        match self.next()? {
            digit if digit.is_ascii_digit() => Ok(digit),
            other => Err(unexpected(other, place)),
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or("unexpected end of JSON input")?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is no space.
    fn token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    fn next_token(&mut self) -> Result<u8, String> {
        self.token();
        self.next()
    }
}

fn unexpected(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0b => "\\v".to_owned(),
        0x0c => "\\f".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("invalid character '{shown}' {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_error() {
        for text in ["null", " {} ", "[]", r#"{"a":[1,-0.5e+3,true,false,"\u00e9\n"],"b":{"c":null}}"#, "0"] {
            assert_eq!(error(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_unexpected_is_named_with_its_place() {
        let cases: [(&[u8], &str); 17] = [
            (b"", "unexpected end of JSON input"),
            (b"{\"a\":", "unexpected end of JSON input"),
            (b"{bad", "invalid character 'b' looking for beginning of object key string"),
            (b"{'a'", "invalid character '\\'' looking for beginning of object key string"),
            (b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            (b"{\"a\" 1}", "invalid character '1' after object key"),
            (b"{\"a\":1 \"b\"", "invalid character '\"' after object key:value pair"),
            (b"[1 2]", "invalid character '2' after array element"),
            (b"[1,]", "invalid character ']' looking for beginning of value"),
            (b"{} x", "invalid character 'x' after top-level value"),
            (b"\x81", "invalid character '\\x81' looking for beginning of value"),
            (b"\"\n\"", "invalid character '\\n' in string literal"),
            (b"\"\\x\"", "invalid character 'x' in string escape code"),
            (b"\"\\u12g\"", "invalid character 'g' in \\u hexadecimal character escape"),
            (b"tru3", "invalid character '3' in literal true (expecting 'e')"),
            (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
            (b"01", "invalid character '1' after top-level value"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text).as_deref(), Some(expected), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(error(&[b'['; 100_000]).as_deref(), Some("exceeded max depth"));
    }
}
