//! What has to be left of the machine's resources, else pods are evicted: `evictionHard` of Kubernetes' kubelet.

use std::{fmt, str::FromStr};

use orchestra_core::quantity::Quantity;

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::kubelet) enum Signal {
    MemoryAvailable,
    NodefsAvailable,
    NodefsInodesFree,
    ImagefsAvailable,
    ImagefsInodesFree,
    PidAvailable,
}

impl Signal {
    const ALL: [(&'static str, Self); 6] = [
        ("memory.available", Self::MemoryAvailable),
        ("nodefs.available", Self::NodefsAvailable),
        ("nodefs.inodesFree", Self::NodefsInodesFree),
        ("imagefs.available", Self::ImagefsAvailable),
        ("imagefs.inodesFree", Self::ImagefsInodesFree),
        ("pid.available", Self::PidAvailable),
    ];
}

/// How much has to be left.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    /// Bytes, or how many.
    Absolute(u64),
    /// Of all that there is.
    Fraction(f64),
}

/// A signal and what has to be left of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::kubelet) struct Threshold {
    pub(in crate::kubelet) signal: Signal,
    amount: Amount,
}

impl Threshold {
    /// What has to be left of `capacity`.
    pub(in crate::kubelet) fn least(&self, capacity: u64) -> u64 {
        match self.amount {
            Amount::Absolute(amount) => amount,
            Amount::Fraction(fraction) => (capacity as f64 * fraction) as u64,
        }
    }
}

/// What has to be left, else pods are evicted. The default is Kubernetes'.
///
/// ```
/// use orchestra_runtime::kubelet::EvictionThresholds;
///
/// let thresholds = EvictionThresholds::parse([("memory.available", "500Mi"), ("nodefs.available", "10%")])?;
/// assert!(EvictionThresholds::parse([("memory.free", "500Mi")]).is_err());
/// # Ok::<(), orchestra_runtime::kubelet::ThresholdError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EvictionThresholds(Vec<Threshold>);

/// Why something is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// Nothing of the name is measured.
    #[error("unknown eviction signal {0:?}")]
    Signal(String),
    /// The amount is none: neither a quantity nor a percentage of at most a hundred.
    #[error("eviction signal {signal:?}: invalid threshold {amount:?}")]
    Amount {
        /// The signal.
        signal: String,
        /// What is no amount.
        amount: String,
    },
}

impl EvictionThresholds {
    /// Reads signals and amounts: a quantity, or a percentage of all that there is. Signals that are not named have no threshold.
    pub fn parse<'a>(thresholds: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ThresholdError> {
        thresholds.into_iter().map(|(signal, amount)| threshold(signal, amount)).collect::<Result<_, _>>().map(Self)
    }

    pub(in crate::kubelet) fn iter(&self) -> impl Iterator<Item = &Threshold> {
        self.0.iter()
    }

    /// What has to be left of `capacity` by a signal: nothing if it has no threshold.
    pub(in crate::kubelet) fn least(&self, signal: Signal, capacity: u64) -> u64 {
        self.iter().find(|threshold| threshold.signal == signal).map_or(0, |threshold| threshold.least(capacity))
    }
}

impl Default for EvictionThresholds {
    fn default() -> Self {
        let fraction = |signal, fraction| Threshold { signal, amount: Amount::Fraction(fraction) };
        Self(vec![
            Threshold { signal: Signal::MemoryAvailable, amount: Amount::Absolute(100 << 20) },
            fraction(Signal::NodefsAvailable, 0.1),
            fraction(Signal::NodefsInodesFree, 0.05),
            fraction(Signal::ImagefsAvailable, 0.15),
            fraction(Signal::ImagefsInodesFree, 0.05),
        ])
    }
}

fn threshold(name: &str, amount: &str) -> Result<Threshold, ThresholdError> {
    let known = Signal::ALL.into_iter().find(|(other, _)| *other == name);
    let (_, signal) = known.ok_or_else(|| ThresholdError::Signal(name.to_owned()))?;
    let invalid = |_| ThresholdError::Amount { signal: name.to_owned(), amount: amount.to_owned() };
    Ok(Threshold { signal, amount: amount.parse().map_err(invalid)? })
}

impl FromStr for Amount {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(percentage) = text.strip_suffix('%') {
            let percentage: f64 = percentage.parse().map_err(drop)?;
            return if (0.0..=100.0).contains(&percentage) { Ok(Self::Fraction(percentage / 100.0)) } else { Err(()) };
        }
        let quantity: Quantity = text.parse().map_err(drop)?;
        u64::try_from(quantity.value()).map(Self::Absolute).map_err(drop)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(_, signal)| signal == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_quantities_or_percentages() {
        let read = |amount| EvictionThresholds::parse([("memory.available", amount)]).map(|all| all.0[0].least(1_000));
        assert_eq!(read("1Ki"), Ok(1_024));
        assert_eq!(read("25%"), Ok(250));
        assert_eq!(read("100%"), Ok(1_000));
        for wrong in ["", "%", "101%", "-1%", "-1", "much", "NaN%"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let unknown = EvictionThresholds::parse([("memory", "1Ki")]).unwrap_err();
        assert_eq!(unknown.to_string(), r#"unknown eviction signal "memory""#);
    }
}
