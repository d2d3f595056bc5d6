use k8s_openapi::api::core::v1::Taint as ApiTaint;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// They are not scheduled here.
    NoSchedule,
    /// They are scheduled elsewhere if possible.
    PreferNoSchedule,
    /// They are not scheduled here, and evicted if they run here.
    NoExecute,
}

impl Effect {
    /// Reads the API's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }

    /// Whether an untolerated taint keeps a pod off the node.
    pub fn is_hard(self) -> bool {
        self != Self::PreferNoSchedule
    }
}

/// A node's taint, read once for all pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value; empty if there is none.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

impl Taint {
    /// Reads an API taint; `None` if its effect is unknown, which then has no effect.
    pub fn read(taint: &ApiTaint) -> Option<Self> {
        let effect = Effect::parse(&taint.effect)?;
        Some(Self { key: taint.key.clone(), value: taint.value.clone().unwrap_or_default(), effect })
    }
}
