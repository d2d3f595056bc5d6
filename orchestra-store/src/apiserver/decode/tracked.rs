use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::CowStrDeserializer},
};

use super::{
    form::Form,
    key::Key,
    place::{Place, ROOT, Segment},
    record::{Keys, Record},
    type_error,
};

/// Where decoding is, and what it found.
#[derive(Clone, Copy)]
struct Tracker<'p, 'de> {
    place: &'p Place<'p>,
    record: &'p Record<'de>,
    /// What the text is to be, where the API checks it while decoding.
    form: Option<Form>,
}

impl Tracker<'_, '_> {
    /// Keeps an error. The result stays where it is: some are large, and there is one at each level.
    fn watch<T, E: fmt::Display>(self, result: &Result<T, E>, expected: impl FnOnce() -> Cow<'static, str>) {
        if let Err(error) = result {
            self.record.note_error(error, &expected(), self.place);
        }
    }
}

/// A deserializer that notes in a [`Record`] what passes through it.
pub(super) struct Tracked<'p, 'de, D> {
    inner: D,
    tracker: Tracker<'p, 'de>,
}

impl<'p, 'de, D> Tracked<'p, 'de, D> {
    /// Of the whole input.
    pub(super) fn new(inner: D, record: &'p Record<'de>) -> Self {
        Self { inner, tracker: Tracker { place: &ROOT, record, form: None } }
    }

    fn wrap<V>(&self, visitor: V, frame: Frame) -> Wrap<'p, 'de, V> {
        Wrap { visitor, tracker: self.tracker, frame }
    }
}

macro_rules! scalars {
    ($($method:ident: $go:literal),* $(,)?) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let result = self.inner.$method(visitor);
            self.tracker.watch(&result, || $go.into());
            result
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
        let tracker = self.tracker;
        // A quantity may be a number or text.
        if let Some(form) = tracker.form {
            let wrapped = self.wrap(visitor, Frame::Text(form));
            let result = self.inner.deserialize_any(wrapped);
            tracker.watch(&result, || "resource.Quantity".into());
            return result;
        }
        let result = self.inner.deserialize_any(visitor);
        tracker.watch(&result, || "".into());
        result
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::text(self.tracker.form));
        let result = self.inner.deserialize_str(wrapped);
        self.tracker.watch(&result, || "string".into());
        result
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::text(self.tracker.form));
        let result = self.inner.deserialize_string(wrapped);
        self.tracker.watch(&result, || "string".into());
        result
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Inherit);
        self.inner.deserialize_option(wrapped)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.tracker.form = Form::of(name);
        let wrapped = self.wrap(visitor, Frame::Inherit);
        self.inner.deserialize_newtype_struct(name, wrapped)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Sequence);
        let result = self.inner.deserialize_seq(wrapped);
        self.tracker.watch(&result, || type_error::slice_of(std::any::type_name::<V::Value>()).into());
        result
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Sequence);
        self.inner.deserialize_tuple(len, wrapped)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Sequence);
        self.inner.deserialize_tuple_struct(name, len, wrapped)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Map);
        let result = self.inner.deserialize_map(wrapped);
        self.tracker.watch(&result, || type_error::map_of(std::any::type_name::<V::Value>()).into());
        result
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let wrapped = self.wrap(visitor, Frame::Struct(name));
        let result = self.inner.deserialize_struct(name, fields, wrapped);
        self.tracker.watch(&result, || go_struct(name));
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let result = self.inner.deserialize_enum(name, variants, visitor);
        self.tracker.watch(&result, || "string".into());
        result
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.tracker.record.note_unknown(self.tracker.place);
        self.inner.deserialize_ignored_any(visitor)
    }
}

fn go_struct(name: &str) -> Cow<'static, str> {
    format!("v1.{}", type_error::last_segment(name)).into()
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

/// A visitor whose parts are tracked in turn.
struct Wrap<'p, 'de, V> {
    visitor: V,
    tracker: Tracker<'p, 'de>,
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
        self.visitor.visit_some(Tracked { inner, tracker: self.tracker })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Tracked { inner, tracker: self.tracker })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(TrackedSeq { inner, tracker: self.tracker, index: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Tracker { place, record, .. } = self.tracker;
        let (structure, segment): (_, fn(&str) -> Segment<'_>) = match self.frame {
            Frame::Struct(name) => (name, |name| Segment::Field(name)),
            Frame::Map => (place.structure(), |key| Segment::Key(key)),
            _ => (place.structure(), |name| Segment::Field(name)),
        };
        let keys = record.keys_of_object();
        self.visitor.visit_map(TrackedMap {
            inner,
            tracker: self.tracker,
            structure,
            segment,
            key: Cow::default(),
            keys,
        })
    }
}

struct TrackedSeq<'p, 'de, A> {
    inner: A,
    tracker: Tracker<'p, 'de>,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for TrackedSeq<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let Tracker { place, record, .. } = self.tracker;
        let place = place.at(Segment::Index(self.index), place.structure());
        self.index += 1;
        self.inner.next_element_seed(TrackedSeed { seed, tracker: Tracker { place: &place, record, form: None } })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct TrackedMap<'p, 'de, A> {
    inner: A,
    tracker: Tracker<'p, 'de>,
    structure: &'static str,
    segment: fn(&str) -> Segment<'_>,
    key: Cow<'de, str>,
    keys: Keys<'p, 'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TrackedMap<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.inner.next_key_seed(Key)? else { return Ok(None) };
        if !self.keys.insert(Cow::clone(&key)) {
            self.tracker.record.note_duplicate(self.tracker.place, &key);
        }
        let deserializer: CowStrDeserializer<'_, A::Error> = Cow::clone(&key).into_deserializer();
        self.key = key;
        seed.deserialize(deserializer).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let Tracker { place, record, .. } = self.tracker;
        let place = place.at((self.segment)(&self.key), self.structure);
        if record.knows(&place) {
            return self.inner.next_value_seed(seed);
        }
        self.inner.next_value_seed(TrackedSeed { seed, tracker: Tracker { place: &place, record, form: None } })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct TrackedSeed<'p, 'de, S> {
    seed: S,
    tracker: Tracker<'p, 'de>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for TrackedSeed<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Tracked { inner, tracker: self.tracker })
    }
}
