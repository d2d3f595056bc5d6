use std::io::{self, Read, Write};

/// A checksum goes along with what is read or written.
pub(super) struct Summed<I> {
    pub(super) inner: I,
    hasher: crc32fast::Hasher,
}

impl<I> Summed<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner, hasher: crc32fast::Hasher::new() }
    }

    pub(super) fn sum(&self) -> u32 {
        self.hasher.clone().finalize()
    }
}

impl<W: Write> Summed<W> {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Summed<R> {
    pub(super) fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    pub(super) fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }
}
