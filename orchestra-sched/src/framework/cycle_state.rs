use std::{
    any::{Any, TypeId},
    fmt,
};

/// What plugins keep during the decision about one pod, by type: written before nodes are looked at, read for each of them.
///
/// ```
/// use orchestra_sched::framework::CycleState;
/// struct Wanted(u32);
/// let mut state = CycleState::default();
/// state.write(Wanted(3));
/// assert_eq!(state.read::<Wanted>().map(|wanted| wanted.0), Some(3));
/// ```
#[derive(Default)]
pub struct CycleState {
    // A handful of entries: a search in a row of them is faster than a map.
    entries: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
}

impl CycleState {
    /// Keeps `value`, in the place of one of the same type.
    pub fn write<T: Any + Send + Sync>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        self.entries.retain(|(other, _)| *other != id);
        self.entries.push((id, Box::new(value)));
    }

    /// The value of this type.
    pub fn read<T: Any + Send + Sync>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        let (_, value) = self.entries.iter().find(|(other, _)| *other == id)?;
        value.downcast_ref()
    }

    /// The same, to be changed.
    pub fn read_mut<T: Any + Send + Sync>(&mut self) -> Option<&mut T> {
        let id = TypeId::of::<T>();
        let (_, value) = self.entries.iter_mut().find(|(other, _)| *other == id)?;
        value.downcast_mut()
    }
}

impl fmt::Debug for CycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CycleState").field("entries", &self.entries.len()).finish()
    }
}
