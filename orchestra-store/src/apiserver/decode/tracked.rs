use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt,
};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::CowStrDeserializer},
};

use orchestra_core::quantity::Quantity;

use super::{Findings, go_time, type_error};

/// A step of the path to the value that is being decoded.
#[derive(Clone, Debug)]
pub(super) enum Segment<'de> {
    Field(Cow<'de, str>),
    Key(Cow<'de, str>),
    Index(usize),
}

/// What was found while decoding.
#[derive(Default)]
pub(super) struct Record<'de> {
    path: RefCell<Vec<Segment<'de>>>,
    /// The keys so far of the objects on the path, each object's after those of the one around it.
    keys: RefCell<Vec<Cow<'de, str>>>,
    findings: RefCell<Findings>,
    type_error: RefCell<Option<String>>,
    /// What the next text is to be, where the API checks it while decoding.
    form: Cell<Option<Form>>,
    /// The name of the innermost struct, and whether the value in hand is a field of it.
    structure: Cell<Option<&'static str>>,
}

impl Record<'_> {
    pub(super) fn into_findings(self) -> Findings {
        self.findings.into_inner()
    }

    pub(super) fn into_type_error(self) -> Option<String> {
        self.type_error.into_inner()
    }

    /// The path with indices, as strict decoding prints it: `spec.containers[0].nam`.
    fn full_path(&self) -> String {
        let mut text = String::new();
        for segment in self.path.borrow().iter() {
            match segment {
                Segment::Field(name) | Segment::Key(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// The path without indices and keys, as `encoding/json` prints it.
    fn field_path(&self) -> String {
        let path = self.path.borrow();
        let fields = path.iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_ref()),
            Segment::Key(_) | Segment::Index(_) => None,
        });
        fields.collect::<Vec<_>>().join(".")
    }

    fn note_unknown(&self) {
        let path = self.full_path();
        // Every object has a type, also if its Rust type need not read it, as those of kube's derive macro `CustomResource`.
        if matches!(&*path, "apiVersion" | "kind") {
            return;
        }
        let mut findings = self.findings.borrow_mut();
        // That it occurs twice does not matter then.
        findings.0.pop_if(|last| *last == duplicate(&path));
        findings.note(format!("unknown field {path:?}"));
    }

    fn note_duplicate(&self, key: &str) {
        let path = self.full_path();
        let dot = if path.is_empty() { "" } else { "." };
        self.findings.borrow_mut().note(duplicate(&format!("{path}{dot}{key}")));
    }

    /// Keeps the first error, told in Go's words; `expected` is the Go type.
    fn note_error<E: fmt::Display>(&self, error: E, expected: &str) -> E {
        let mut noted = self.type_error.borrow_mut();
        if noted.is_none() {
            let structure = self.structure.get().unwrap_or_default();
            *noted = Some(type_error::describe(&error.to_string(), expected, structure, &self.field_path()));
        }
        error
    }
}

fn duplicate(path: &str) -> String {
    format!("duplicate field {path:?}")
}

/// A deserializer that notes in a [`Record`] what passes through it.
pub(super) struct Tracked<'r, 'de, D> {
    inner: D,
    record: &'r Record<'de>,
}

impl<'r, 'de, D> Tracked<'r, 'de, D> {
    pub(super) fn new(inner: D, record: &'r Record<'de>) -> Self {
        Self { inner, record }
    }
}

macro_rules! scalars {
    ($($method:ident: $go:literal),* $(,)?) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor).map_err(|error| self.record.note_error(error, $go))
        }
    )* };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tracked<'_, 'de, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool: "bool",
        deserialize_i8: "int8",
        deserialize_i16: "int16",
        deserialize_i32: "int32",
        deserialize_i64: "int64",
        deserialize_i128: "int64",
        deserialize_u8: "uint8",
        deserialize_u16: "uint16",
        deserialize_u32: "uint32",
        deserialize_u64: "uint64",
        deserialize_u128: "uint64",
        deserialize_f32: "float32",
        deserialize_f64: "float64",
        deserialize_char: "string",
        deserialize_bytes: "[]uint8",
        deserialize_byte_buf: "[]uint8",
        deserialize_unit: "",
        deserialize_identifier: "string",
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        // A quantity may be a number or text.
        if let Some(form) = record.form.take() {
            let wrapped = Wrap { visitor, record, frame: Frame::Text(form) };
            return self.inner.deserialize_any(wrapped).map_err(|error| record.note_error(error, "resource.Quantity"));
        }
        self.inner.deserialize_any(visitor).map_err(|error| record.note_error(error, ""))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        let wrapped = Wrap { visitor, record, frame: Frame::text(record.form.take()) };
        self.inner.deserialize_str(wrapped).map_err(|error| record.note_error(error, "string"))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        let wrapped = Wrap { visitor, record, frame: Frame::text(record.form.take()) };
        self.inner.deserialize_string(wrapped).map_err(|error| record.note_error(error, "string"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        self.inner.deserialize_option(Wrap { visitor, record, frame: Frame::Inherit })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        record.form.set(Form::of(name));
        self.inner.deserialize_newtype_struct(name, Wrap { visitor, record, frame: Frame::Inherit })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        let wrapped = Wrap { visitor, record, frame: Frame::Sequence };
        self.inner
            .deserialize_seq(wrapped)
            .map_err(|error| record.note_error(error, &type_error::slice_of(std::any::type_name::<V::Value>())))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        self.inner.deserialize_tuple(len, Wrap { visitor, record, frame: Frame::Sequence })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let record = self.record;
        self.inner.deserialize_tuple_struct(name, len, Wrap { visitor, record, frame: Frame::Sequence })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let record = self.record;
        let wrapped = Wrap { visitor, record, frame: Frame::Map };
        self.inner
            .deserialize_map(wrapped)
            .map_err(|error| record.note_error(error, &type_error::map_of(std::any::type_name::<V::Value>())))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let record = self.record;
        let wrapped = Wrap { visitor, record, frame: Frame::Struct(name) };
        self.inner
            .deserialize_struct(name, fields, wrapped)
            .map_err(|error| record.note_error(error, &format!("v1.{}", type_error::last_segment(name))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor).map_err(|error| self.record.note_error(error, "string"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.record.note_unknown();
        self.inner.deserialize_ignored_any(visitor)
    }
}

/// What a visitor is about to see.
#[derive(Clone, Copy)]
enum Frame {
    /// The same value in a wrapping.
    Inherit,
    Text(Form),
    Sequence,
    Map,
    Struct(&'static str),
}

impl Frame {
    fn text(form: Option<Form>) -> Self {
        form.map_or(Self::Inherit, Self::Text)
    }
}

/// Texts that Kubernetes reads while it decodes, so that a malformed one is a bad request, not an invalid object.
#[derive(Clone, Copy)]
enum Form {
    Quantity,
    Time(go_time::Layout),
}

impl Form {
    /// The form of the texts of a type.
    fn of(name: &str) -> Option<Self> {
        match name {
            "Quantity" => Some(Self::Quantity),
            "Time" => Some(Self::Time(go_time::Layout::Rfc3339)),
            "MicroTime" => Some(Self::Time(go_time::Layout::Micro)),
            _ => None,
        }
    }

    fn error(self, text: &str) -> Option<String> {
        match self {
            Self::Quantity => text.parse::<Quantity>().err().map(|error| error.to_string()),
            Self::Time(layout) => go_time::error(layout, text),
        }
    }
}

/// A visitor whose parts are tracked in turn.
struct Wrap<'r, 'de, V> {
    visitor: V,
    record: &'r Record<'de>,
    frame: Frame,
}

macro_rules! forwarded {
    ($($method:ident: $ty:ty),* $(,)?) => { $(
        fn $method<E: de::Error>(self, value: $ty) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )* };
}

impl<V> Wrap<'_, '_, V> {
    fn check<E: de::Error>(&self, text: &str) -> Result<(), E> {
        match self.frame {
            Frame::Text(form) => form.error(text).map_or(Ok(()), |error| Err(E::custom(error))),
            _ => Ok(()),
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Wrap<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        self.check(text)?;
        self.visitor.visit_str(text)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        self.check(text)?;
        self.visitor.visit_borrowed_str(text)
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<V::Value, E> {
        self.check(&text)?;
        self.visitor.visit_string(text)
    }

    forwarded! {
        visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Tracked::new(inner, self.record))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Tracked::new(inner, self.record))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(TrackedSeq { inner, record: self.record, index: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let record = self.record;
        let outer = record.structure.get();
        let structure = match self.frame {
            Frame::Struct(name) => Some(type_error::last_segment(name)),
            _ => outer,
        };
        record.structure.set(structure);
        let segment = if matches!(self.frame, Frame::Map) { Segment::Key } else { Segment::Field };
        let result = self.visitor.visit_map(TrackedMap { inner, record, segment, key: None, seen: Seen::new(record) });
        // After an error the position stays, for the message.
        if result.is_ok() {
            record.structure.set(outer);
        }
        result
    }
}

struct TrackedSeq<'r, 'de, A> {
    inner: A,
    record: &'r Record<'de>,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for TrackedSeq<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.record.path.borrow_mut().push(Segment::Index(self.index));
        let element = self.inner.next_element_seed(TrackedSeed { seed, record: self.record })?;
        self.record.path.borrow_mut().pop();
        self.index += 1;
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct TrackedMap<'r, 'de, A> {
    inner: A,
    record: &'r Record<'de>,
    segment: fn(Cow<'de, str>) -> Segment<'de>,
    key: Option<Cow<'de, str>>,
    seen: Seen<'r, 'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TrackedMap<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.inner.next_key_seed(KeySeed)? else { return Ok(None) };
        if !self.seen.insert(Cow::clone(&key)) {
            self.record.note_duplicate(&key);
        }
        let deserializer: CowStrDeserializer<'_, A::Error> = Cow::clone(&key).into_deserializer();
        self.key = Some(key);
        seed.deserialize(deserializer).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.record.path.borrow_mut().push((self.segment)(self.key.take().unwrap_or_default()));
        let value = self.inner.next_value_seed(TrackedSeed { seed, record: self.record })?;
        self.record.path.borrow_mut().pop();
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// The keys of one object so far: few as a rule, at the end of the record's, and a hash set when there are many.
struct Seen<'r, 'de> {
    record: &'r Record<'de>,
    /// Where this object's keys begin.
    start: usize,
    many: HashSet<Cow<'de, str>>,
}

impl<'r, 'de> Seen<'r, 'de> {
    const FEW: usize = 24;

    fn new(record: &'r Record<'de>) -> Self {
        Self { record, start: record.keys.borrow().len(), many: HashSet::new() }
    }

    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        let mut keys = self.record.keys.borrow_mut();
        let few = keys.get(self.start..).unwrap_or_default();
        if few.contains(&key) || (!self.many.is_empty() && self.many.contains(&key)) {
            return false;
        }
        if few.len() < Self::FEW {
            keys.push(key);
        } else {
            self.many.insert(key);
        }
        true
    }
}

impl Drop for Seen<'_, '_> {
    fn drop(&mut self) {
        self.record.keys.borrow_mut().truncate(self.start);
    }
}

struct TrackedSeed<'r, 'de, S> {
    seed: S,
    record: &'r Record<'de>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for TrackedSeed<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Tracked::new(inner, self.record))
    }
}

/// Takes a key as it is, borrowed where the input allows.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<Cow<'de, str>, D::Error> {
        inner.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }

    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_string<E: de::Error>(self, key: String) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key))
    }
}
