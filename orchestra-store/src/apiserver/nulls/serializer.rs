//! The serializer that adds what is absent to structs, and passes all else on.

use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
        SerializeTupleVariant,
    },
};

use super::{Fields, WithNulls, of_part};

/// A serializer, or a part of one, that adds what is absent.
pub(super) struct Nulls<S> {
    pub(super) inner: S,
    pub(super) fields: Option<Fields>,
}

/// A struct of which some fields must not be absent.
pub(super) struct NullStruct<S> {
    inner: S,
    absent: Fields,
    /// Which of them were written, as bits.
    written: u8,
}

macro_rules! scalars {
    ($($method:ident($($argument:ident: $ty:ty),*)),* $(,)?) => { $(
        fn $method(self, $($argument: $ty),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($argument),*)
        }
    )* };
}

macro_rules! compounds {
    ($($method:ident($($argument:ident: $ty:ty),*) -> $compound:ident),* $(,)?) => { $(
        fn $method(self, $($argument: $ty),*) -> Result<Self::$compound, S::Error> {
            Ok(Nulls { inner: self.inner.$method($($argument),*)?, fields: None })
        }
    )* };
}

impl<S: Serializer> Serializer for Nulls<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Nulls<S::SerializeSeq>;
    type SerializeTuple = Nulls<S::SerializeTuple>;
    type SerializeTupleStruct = Nulls<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Nulls<S::SerializeTupleVariant>;
    type SerializeMap = Nulls<S::SerializeMap>;
    type SerializeStruct = NullStruct<S::SerializeStruct>;
    type SerializeStructVariant = Nulls<S::SerializeStructVariant>;

    scalars! {
        serialize_bool(v: bool), serialize_i8(v: i8), serialize_i16(v: i16), serialize_i32(v: i32), serialize_i64(v: i64),
        serialize_i128(v: i128), serialize_u8(v: u8), serialize_u16(v: u16), serialize_u32(v: u32), serialize_u64(v: u64),
        serialize_u128(v: u128), serialize_f32(v: f32), serialize_f64(v: f64), serialize_char(v: char),
        serialize_str(v: &str), serialize_bytes(v: &[u8]), serialize_none(), serialize_unit(),
        serialize_unit_struct(name: &'static str),
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str),
    }

    compounds! {
        serialize_seq(len: Option<usize>) -> SerializeSeq,
        serialize_tuple(len: usize) -> SerializeTuple,
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct,
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant,
        serialize_map(len: Option<usize>) -> SerializeMap,
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeStructVariant,
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&WithNulls::part(value))
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &WithNulls::part(value))
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &WithNulls::part(value))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let absent = self.fields.unwrap_or_else(|| of_part(name));
        // The length is only a hint, except that an empty struct may be closed at once.
        let inner = self.inner.serialize_struct(name, len + absent.len())?;
        Ok(NullStruct { inner, absent, written: 0 })
    }

    fn collect_str<T: ?Sized + std::fmt::Display>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<S: SerializeStruct> SerializeStruct for NullStruct<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        if let Some(i) = self.absent.iter().position(|field| *field == key) {
            self.written |= 1 << i;
        }
        self.inner.serialize_field(key, &WithNulls::part(value))
    }

    fn end(mut self) -> Result<S::Ok, S::Error> {
        for (i, field) in self.absent.iter().enumerate() {
            if self.written & (1 << i) == 0 {
                self.inner.serialize_field(field, &())?;
            }
        }
        self.inner.end()
    }
}

macro_rules! parts {
    ($($part:ident { $($method:ident),* }),* $(,)?) => { $(
        impl<S: $part> $part for Nulls<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            $(fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&WithNulls::part(value))
            })*

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )* };
}

parts! {
    SerializeSeq { serialize_element },
    SerializeTuple { serialize_element },
    SerializeTupleStruct { serialize_field },
    SerializeTupleVariant { serialize_field },
}

impl<S: SerializeMap> SerializeMap for Nulls<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&WithNulls::part(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

impl<S: SerializeStructVariant> SerializeStructVariant for Nulls<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_field(key, &WithNulls::part(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
