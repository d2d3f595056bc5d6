//! How near the processors are to each other, for comparison: threads that change the same memory wait that long for it. On a virtual
//! machine it changes by the minute.

use std::{
    num::NonZero,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

const TRIPS: u32 = 100_000;

/// How long a line of memory takes from one processor to another and back, as the mean of many times; `None` where there is but one.
pub(crate) fn round_trip() -> Option<Duration> {
    if thread::available_parallelism().map_or(1, NonZero::get) < 2 {
        return None;
    }
    let turn = AtomicU32::new(0);
    let play = |own: u32| {
        for trip in 0..TRIPS {
            while turn.load(Ordering::Acquire) != 2 * trip + own {
                std::hint::spin_loop();
            }
            turn.store(2 * trip + own + 1, Ordering::Release);
        }
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| play(1));
        play(0);
    });
    Some(begun.elapsed() / TRIPS)
}
