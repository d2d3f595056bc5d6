use redb::{ReadTransaction, ReadableTable};

use super::{CHUNKS, EngineError, POSITION, Position, guarded};
use crate::durable::record::Place;

/// The file as of some write.
pub(in crate::durable) struct Snapshot(pub(super) ReadTransaction);

impl Snapshot {
    pub(in crate::durable) fn position(&self) -> Result<Position, EngineError> {
        guarded(|| {
            let table = match self.0.open_table(POSITION) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Position::default()),
                table => table?,
            };
            let Some(row) = table.get(())? else { return Err(EngineError::Corrupt("it has no position".to_owned())) };
            let (revision, oldest) = row.value();
            Ok(Position { revision, oldest })
        })
    }

    /// Shows every chunk, in the order of places.
    pub(in crate::durable) fn for_each<E: From<EngineError>>(
        &self,
        mut show: impl FnMut(Place, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let table = match guarded(|| Ok(self.0.open_table(CHUNKS))) {
            Ok(Err(redb::TableError::TableDoesNotExist(_))) => return Ok(()),
            table => table?.map_err(EngineError::from)?,
        };
        let mut rows = guarded(|| Ok(table.iter()?))?;
        while let Some((place, value)) = guarded(|| Ok(rows.next().transpose()?))? {
            show(place.value(), value.value())?;
        }
        Ok(())
    }
}
