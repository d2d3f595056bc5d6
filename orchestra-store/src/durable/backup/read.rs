use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use super::{END, TITLE, summed::Summed};
use crate::durable::{
    OpenError,
    chunk::{self, Chunk},
    engine::Position,
};

/// Shows the chunks of a backup, each of which is whole. That all are shown is known with the result only.
pub(super) fn read(
    file: &Path,
    mut show: impl FnMut(Position, Chunk) -> Result<(), OpenError>,
) -> Result<Position, OpenError> {
    let damaged = |reason: &str| OpenError::corrupt(file, reason);
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends too early"),
        _ => OpenError::io(file)(error),
    };
    let opened = File::open(file).map_err(OpenError::io(file))?;
    let length = opened.metadata().map_err(OpenError::io(file))?.len();
    let mut input = Summed::new(BufReader::new(opened));
    if input.take::<{ TITLE.len() }>().map_err(cut)? != TITLE {
        return Err(damaged("it is not a backup of a durable store, or of a version that is not known"));
    }
    let position = Position { revision: input.number().map_err(cut)?, oldest: input.number().map_err(cut)? };
    if input.sum().to_le_bytes() != input.take::<4>().map_err(cut)? {
        return Err(damaged("its beginning is damaged"));
    }
    let mut chunks: u64 = 0;
    loop {
        let size = input.number().map_err(cut)?;
        if size == END {
            break;
        }
        if size > length {
            return Err(damaged("the length of a part is damaged"));
        }
        let place = (input.number().map_err(cut)?, u32::from_le_bytes(input.take().map_err(cut)?));
        let mut bytes = vec![0; size as usize];
        input.read_exact(&mut bytes).map_err(cut)?;
        if chunk::records(place, &bytes).is_none() {
            return Err(damaged(&format!("the changes from revision {} on are damaged", place.0)));
        }
        chunks += 1;
        show(position, Chunk { place, bytes })?;
    }
    let told = input.number().map_err(cut)?;
    if told != chunks || input.sum().to_le_bytes() != input.take::<4>().map_err(cut)? {
        return Err(damaged("its end is damaged, or something before it is missing"));
    }
    match input.inner.read(&mut [0]).map_err(cut)? {
        0 => Ok(position),
        _ => Err(damaged("something follows its end")),
    }
}
