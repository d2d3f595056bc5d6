//! The encodings of one event, for there may be several ways to look at the same stored objects.

use bytes::Bytes;

/// A way to encode the objects of a cache; [`Cache::form`](super::Cache::form) numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form(pub(super) usize);

/// The encodings that there are of an event. Nearly always it is one, which takes no room of its own.
#[derive(Debug, Default)]
pub(super) enum Frames {
    #[default]
    None,
    One(Form, Bytes),
    Several(Vec<(Form, Bytes)>),
}

impl Frames {
    pub(super) fn get_or_insert_with(&mut self, form: Form, encode: impl FnOnce() -> Bytes) -> Bytes {
        match self {
            Self::One(known, frame) if *known == form => return frame.clone(),
            Self::Several(frames) => {
                if let Some((_, frame)) = frames.iter().find(|(known, _)| *known == form) {
                    return frame.clone();
                }
            }
            _ => {}
        }
        let frame = encode();
        *self = match std::mem::take(self) {
            Self::None => Self::One(form, frame.clone()),
            Self::One(other, first) => Self::Several(vec![(other, first), (form, frame.clone())]),
            Self::Several(mut frames) => {
                frames.push((form, frame.clone()));
                Self::Several(frames)
            }
        };
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_encoded_once() {
        let mut frames = Frames::default();
        for form in [0, 1, 2] {
            let text = form.to_string();
            assert_eq!(frames.get_or_insert_with(Form(form), || Bytes::from(text.clone())), text);
        }
        for form in [2, 0, 1] {
            assert_eq!(frames.get_or_insert_with(Form(form), || unreachable!("it is known")), form.to_string());
        }
    }
}
