use std::collections::HashMap;

use orchestra_core::container_runtime::ContainerId;

/// The CPU time of all containers that a node ever had, as far as somebody asked while they ran: a counter, which does not go back when
/// they end.
#[derive(Debug, Default)]
pub(super) struct NodeCpu {
    running: HashMap<ContainerId, u64>,
    ended: u64,
}

impl NodeCpu {
    /// Nanoseconds of all, now that those that run have used so much.
    pub(super) fn add(&mut self, running: HashMap<ContainerId, u64>) -> u64 {
        let ended = self.running.iter().filter(|(id, _)| !running.contains_key(id)).map(|(_, nanos)| *nanos);
        self.ended = ended.fold(self.ended, u64::saturating_add);
        self.running = running;
        self.running.values().copied().fold(self.ended, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_counts_on() {
        let mut cpu = NodeCpu::default();
        let of = |used: &[(&str, u64)]| used.iter().map(|(id, nanos)| (ContainerId((*id).into()), *nanos)).collect();
        assert_eq!(cpu.add(of(&[("a", 5), ("b", 7)])), 12);
        assert_eq!(cpu.add(of(&[("b", 8)])), 13);
        assert_eq!(cpu.add(of(&[("b", 9), ("c", 1)])), 15);
        assert_eq!(cpu.add(of(&[])), 15);
    }
}
