//! JSON as Go's encoder indents it, one line a value.

use serde_json::{Map, Value};

use super::form::{Fields, Form};

/// The lines of a struct with `fields`.
pub(super) fn lines(fields: Fields, value: &Value) -> Vec<String> {
    let mut lines = Lines { done: Vec::new(), current: String::new() };
    lines.structure(fields, value, 0);
    lines.end();
    lines.done
}

struct Lines {
    done: Vec<String>,
    current: String,
}

impl Lines {
    fn end(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
    }

    /// Begins a line at a depth.
    fn begin(&mut self, depth: usize) {
        self.end();
        self.current.extend(std::iter::repeat_n(' ', depth));
    }

    fn scalar(&mut self, value: &Value) {
        self.current.push_str(&encoded(value));
    }

    fn structure(&mut self, fields: Fields, value: &Value, depth: usize) {
        let none = Map::new();
        let given = value.as_object().unwrap_or(&none);
        self.current.push('{');
        for (index, (name, form)) in fields.iter().enumerate() {
            self.key(name, index, depth);
            // Names in the API differ from Go's in case alone.
            let value = given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            self.field(*form, value.filter(|value| !value.is_null()), depth + 1);
        }
        self.begin(depth);
        self.current.push('}');
    }

    fn key(&mut self, name: &str, index: usize, depth: usize) {
        if index > 0 {
            self.current.push(',');
        }
        self.begin(depth + 1);
        self.current.push_str(&encoded(&Value::from(name)));
        self.current.push_str(": ");
    }

    fn field(&mut self, form: Form, value: Option<&Value>, depth: usize) {
        match (form, value) {
            (Form::Text, None) => self.current.push_str("\"\""),
            (Form::Flag, None) => self.current.push_str("false"),
            (Form::Number, None) => self.current.push('0'),
            (Form::Held(fields), value) => self.structure(fields, value.unwrap_or(&Value::Null), depth),
            (_, None) => self.current.push_str("null"),
            (Form::Struct(fields), Some(value)) => self.structure(fields, value, depth),
            (Form::List(fields), Some(Value::Array(items))) => {
                self.list(items, depth, &mut |lines, item| lines.structure(fields, item, depth + 1));
            }
            (Form::Unknown, Some(value)) => self.any(value, depth, true),
            (_, Some(value)) => self.any(value, depth, false),
        }
    }

    fn list(&mut self, items: &[Value], depth: usize, each: &mut dyn FnMut(&mut Self, &Value)) {
        if items.is_empty() {
            return self.current.push_str("[]");
        }
        self.current.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.current.push(',');
            }
            self.begin(depth + 1);
            each(self, item);
        }
        self.begin(depth);
        self.current.push(']');
    }

    /// A value of no known form; `is_struct` if keys are fields' names, which Go writes with a capital.
    fn any(&mut self, value: &Value, depth: usize, is_struct: bool) {
        match value {
            Value::Array(items) => {
                self.list(items, depth, &mut |lines, item| lines.any(item, depth + 1, is_struct));
            }
            Value::Object(fields) if fields.is_empty() => self.current.push_str("{}"),
            Value::Object(fields) => {
                self.current.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    let name = if is_struct { capital(name) } else { name.clone() };
                    self.key(&name, index, depth);
                    self.any(value, depth + 1, is_struct);
                }
                self.begin(depth);
                self.current.push('}');
            }
            scalar => self.scalar(scalar),
        }
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// Go escapes what HTML would take for markup.
fn encoded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
