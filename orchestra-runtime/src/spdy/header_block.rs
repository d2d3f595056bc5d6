//! Headers on the wire: all blocks of one direction are one compressed stream.

use std::collections::BTreeMap;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{SpdyError, dictionary::DICTIONARY};

/// A stream's headers. Names are lowercase.
pub type Headers = BTreeMap<String, String>;

/// How long a block may be, however well it is compressed.
const MAX_BLOCK: usize = 256 << 10;
/// How many bytes compression may make room for at a time.
const STEP: usize = 4 << 10;

/// Writes blocks.
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Result<Self, SpdyError> {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Protocol("the dictionary was not taken"))?;
        Ok(Self(zlib))
    }

    /// The next block.
    pub(super) fn pack(&mut self, headers: &Headers) -> Result<Vec<u8>, SpdyError> {
        let mut plain = length(headers.len()).to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&length(text.len()));
            plain.extend_from_slice(text.as_bytes());
        }
        let (mut packed, mut rest) = (Vec::with_capacity(STEP), plain.as_slice());
        loop {
            let before = self.0.total_in();
            self.0
                .compress_vec(rest, &mut packed, FlushCompress::Sync)
                .map_err(|_| SpdyError::Protocol("headers cannot be compressed"))?;
            rest = rest.get(taken(self.0.total_in() - before)..).unwrap_or_default();
            // Room that is left means that everything was flushed.
            if rest.is_empty() && packed.len() < packed.capacity() {
                return Ok(packed);
            }
            packed.reserve(STEP);
        }
    }
}

/// Reads blocks.
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The headers of the next block.
    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<Headers, SpdyError> {
        parse(&self.inflate(packed)?).ok_or(SpdyError::Protocol("malformed headers"))
    }

    fn inflate(&mut self, packed: &[u8]) -> Result<Vec<u8>, SpdyError> {
        let (mut plain, mut rest) = (Vec::with_capacity(STEP), packed);
        loop {
            let (taken_before, made_before) = (self.0.total_in(), plain.len());
            let inflated = self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync);
            rest = rest.get(taken(self.0.total_in() - taken_before)..).unwrap_or_default();
            match inflated {
                Err(error) if error.needs_dictionary().is_some() => {
                    let dictionary = self.0.set_dictionary(&DICTIONARY);
                    dictionary.map_err(|_| SpdyError::Protocol("headers with another dictionary"))?;
                    continue;
                }
                Err(_) => return Err(SpdyError::Protocol("headers cannot be decompressed")),
                Ok(_) => {}
            }
            if plain.len() > MAX_BLOCK {
                return Err(SpdyError::Protocol("headers are too long"));
            }
            let full = plain.len() == plain.capacity();
            if !full && (rest.is_empty() || plain.len() == made_before) {
                return Ok(plain);
            }
            plain.reserve(STEP);
        }
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn taken(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn parse(mut plain: &[u8]) -> Option<Headers> {
    let count = number(&mut plain)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let (name, value) = (text(&mut plain)?, text(&mut plain)?);
        headers.insert(name, value);
    }
    Some(headers)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn blocks_of_one_direction_build_on_each_other() {
        let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new());
        let long = "x".repeat(100_000);
        let all = [
            headers(&[("streamtype", "error"), ("port", "80"), ("requestid", "0")]),
            headers(&[]),
            headers(&[("streamtype", "data"), ("port", "80"), ("requestid", "0")]),
            headers(&[("long", &long)]),
        ];
        let packed: Vec<_> = all.iter().map(|headers| packer.pack(headers).unwrap()).collect();
        assert!(packed[2].len() < packed[0].len(), "the second is like the first");
        for (headers, packed) in all.iter().zip(&packed) {
            assert_eq!(unpacker.unpack(packed).unwrap(), *headers);
        }
    }

    #[test]
    fn the_dictionary_is_that_of_the_draft() {
        let packed = Packer::new().unwrap().pack(&headers(&[("host", "a")])).unwrap();
        // Bytes 2 to 6 of a zlib stream are the checksum of its dictionary.
        assert_eq!(packed[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
        assert_eq!(DICTIONARY.len(), 1423);
    }

    #[test]
    fn a_block_that_unpacks_to_too_much_is_refused() {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&DICTIONARY).unwrap();
        let mut packed = Vec::with_capacity(64 << 10);
        zlib.compress_vec(&vec![0; 4 << 20], &mut packed, FlushCompress::Sync).unwrap();
        assert!(Unpacker::new().unpack(&packed).is_err());
    }
}
