use std::fmt::Write;

use super::type_error;

/// Where in the input a value is. Each place lies on the stack of the call that decodes it and points to the one around it, so
/// that the path costs nothing unless a message asks for it.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    around: Option<&'p Place<'p>>,
    segment: Segment<'p>,
    /// The innermost struct around the value, by its Rust path.
    structure: &'static str,
}

/// A step of the path to a value.
#[derive(Clone, Copy)]
pub(super) enum Segment<'p> {
    Field(&'p str),
    Key(&'p str),
    Index(usize),
}

/// The whole input. Its segment is never shown.
pub(super) const ROOT: Place<'static> = Place { around: None, segment: Segment::Index(0), structure: "" };

impl<'p> Place<'p> {
    /// The place of a part of the value.
    pub(super) fn at(&'p self, segment: Segment<'p>, structure: &'static str) -> Self {
        Self { around: Some(self), segment, structure }
    }

    pub(super) fn structure(&self) -> &'static str {
        self.structure
    }

    /// The name of the innermost struct, as Go has it.
    pub(super) fn go_structure(&self) -> &'static str {
        type_error::last_segment(self.structure)
    }

    /// The name, if this is a field of the whole input.
    pub(super) fn field_of_whole(&self) -> Option<&'p str> {
        match (self.around, self.segment) {
            (Some(Place { around: None, .. }), Segment::Field(name)) => Some(name),
            _ => None,
        }
    }

    fn segments(&self) -> Vec<Segment<'_>> {
        let mut segments = Vec::new();
        let mut place = self;
        while let Some(around) = place.around {
            segments.push(place.segment);
            place = around;
        }
        segments.reverse();
        segments
    }

    /// The path with indices, as strict decoding prints it: `spec.containers[0].nam`.
    pub(super) fn full_path(&self) -> String {
        let mut text = String::new();
        for segment in self.segments() {
            match segment {
                Segment::Field(name) | Segment::Key(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Segment::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        text
    }

    /// The path without indices and keys, as `encoding/json` prints it.
    pub(super) fn field_path(&self) -> String {
        let fields = self.segments().into_iter().filter_map(|segment| match segment {
            Segment::Field(name) => Some(name),
            Segment::Key(_) | Segment::Index(_) => None,
        });
        fields.collect::<Vec<_>>().join(".")
    }
}
