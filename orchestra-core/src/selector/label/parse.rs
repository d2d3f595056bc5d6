//! The grammar of `k8s.io/apimachinery/pkg/labels`, with its words for what is wrong.

use super::{Operator, ParseError, Requirement};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'static str),
    End,
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) => text,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }
}

/// Longer symbols first.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    tokens.push(Token::End);
    tokens
}

pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, ParseError> {
    Parser { tokens: tokens(text), at: 0 }.requirements()
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirements(mut self) -> Result<Vec<Requirement>, ParseError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) | Token::Symbol("!") => {
                    let requirement = self.requirement();
                    requirements
                        .push(requirement.map_err(|e| ParseError(format!("unable to parse requirement: {e}")))?);
                }
                Token::End if requirements.is_empty() => return Ok(requirements),
                found => return expected(found, "!, identifier, or 'end of string'"),
            }
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => {
                    if !matches!(self.peek(), Token::Word(_) | Token::Symbol("!")) {
                        return expected(self.peek(), "identifier after ','");
                    }
                }
                found => return expected(&found, "',' or 'end of string'"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, ParseError> {
        if *self.peek() == Token::Symbol("!") {
            self.next();
            let key = self.key()?;
            return Ok(Requirement { key, operator: Operator::DoesNotExist });
        }
        let key = self.key()?;
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(Requirement { key, operator: Operator::Exists });
        }
        let operator = match self.next() {
            Token::Word("in") => Operator::In(self.values(&key)?),
            Token::Word("notin") => Operator::NotIn(self.values(&key)?),
            Token::Symbol("=" | "==") => Operator::In(vec![self.exact_value(&key)?]),
            Token::Symbol("!=") => Operator::NotIn(vec![self.exact_value(&key)?]),
            Token::Symbol(">") => Operator::GreaterThan(self.bound(&key)?),
            Token::Symbol("<") => Operator::LessThan(self.bound(&key)?),
            found => return expected(&found, "in, notin, =, ==, !=, gt, lt"),
        };
        Ok(Requirement { key, operator })
    }

    fn key(&mut self) -> Result<String, ParseError> {
        match self.next() {
            Token::Word(key) => Ok(key.to_owned()),
            found => expected(&found, "identifier"),
        }
    }

    /// A value; an empty one where the selector goes on or ends.
    fn exact_value(&mut self, key: &str) -> Result<String, ParseError> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(value) => {
                let value = checked_value(key, value)?;
                self.next();
                Ok(value)
            }
            found => expected(found, "identifier"),
        }
    }

    fn bound(&mut self, key: &str) -> Result<i64, ParseError> {
        let value = self.exact_value(key)?;
        value.parse().map_err(|_| {
            ParseError(format!(
                "values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, ParseError> {
        match self.next() {
            Token::Symbol("(") => {}
            found => return Err(ParseError(format!("found '{}' expected: '('", found.text()))),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(value) => {
                    values.push(checked_value(key, value)?);
                    match self.next() {
                        Token::Symbol(",") => {}
                        Token::Symbol(")") => break,
                        found => return expected(&found, "',' or ')'"),
                    }
                }
                Token::Symbol(",") => values.push(String::new()),
                Token::Symbol(")") => {
                    values.push(String::new());
                    break;
                }
                found => return expected(&found, "',', ')' or identifier"),
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }
}

fn checked_value(key: &str, value: &str) -> Result<String, ParseError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if value.len() > 63 {
        return Err(ParseError(format!("values[0][{key}]: Invalid value: {value:?}: must be no more than 63 bytes")));
    }
    if value.chars().all(inner) && alphanumeric(value.chars().next()) && alphanumeric(value.chars().next_back()) {
        return Ok(value.to_owned());
    }
    Err(ParseError(format!(
        "values[0][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    )))
}

fn expected<T>(found: &Token<'_>, what: &str) -> Result<T, ParseError> {
    Err(ParseError(format!("found '{}', expected: {what}", found.text())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        requirements(text).unwrap_err().to_string()
    }

    #[test]
    fn errors_are_worded_as_kubernetes_words_them() {
        assert_eq!(error("a b"), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
        assert_eq!(error("="), "found '=', expected: !, identifier, or 'end of string'");
        assert_eq!(error("a,"), "found '', expected: identifier after ','");
        assert_eq!(error("a in b"), "unable to parse requirement: found 'b' expected: '('");
    }

    #[test]
    fn every_operator_parses() {
        let text = "a=1,b==2,c!=3,d in (x,y),e notin (z),f,!g,h>4,i<5,j=";
        let printed: Vec<String> = requirements(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["a=1", "b=2", "c!=3", "d in (x,y)", "e!=z", "f", "!g", "h>4", "i<5", "j="]);
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(error("a=-").contains("a valid label must be"));
        assert!(error("n>x").contains("the value must be an integer"));
    }
}
