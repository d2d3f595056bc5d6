//! Protobuf's wire format: fields, each a number and either an integer or bytes.

use super::ProtobufError;

/// The content of a field. Fixed-width numbers, which no message of Kubernetes' served kinds has, are skipped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

/// What is left of a message.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, ProtobufError> {
        while !self.0.is_empty() {
            let tag = self.varint()?;
            let wire = match tag & 7 {
                0 => Wire::Varint(self.varint()?),
                1 => {
                    self.take(8)?;
                    continue;
                }
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Overflow)?;
                    Wire::Bytes(self.take(length)?)
                }
                5 => {
                    self.take(4)?;
                    continue;
                }
                other => return Err(ProtobufError::WireType(other)),
            };
            return Ok(Some((tag >> 3, wire)));
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtobufError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the lowest first, the high bit set on all but the last.
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(ProtobufError::Overflow)
    }
}

/// `bytes` as text.
pub(super) fn text(bytes: &[u8], field: &str) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Value(field.to_owned()))
}
