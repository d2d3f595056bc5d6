//! The ways to be broken, by what they concern.

mod commits;
mod races;
mod reads;
mod times;
mod watches;

pub(crate) use self::{commits::*, races::*, reads::*, times::*, watches::*};
use crate::broken::Flaw;

pub(crate) struct NoFlaw;

impl Flaw for NoFlaw {}
