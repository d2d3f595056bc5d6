use tokio::time::Instant;

use super::{
    super::{Family, PortKey, RuleSet},
    applied::Applied,
    names::TABLE,
    program::{NftError, Program},
    table::{fixed_part, rule_count, rules_in},
    transaction::Transaction,
};

/// Brings sets of rules into force, one after the other, each by a transaction that changes no more than it must.
///
/// It remembers what it has put into the tables; [`forget`](Self::forget) when somebody else has changed them. The first transaction, one
/// after a failure and one after the node's address or the configuration changed make the tables anew, still in one step for the packets
/// that pass: connections go on, and only the clients of session affinity are forgotten.
///
/// ```no_run
/// # async fn example(rules: orchestra_runtime::proxy::RuleSet) -> Result<(), orchestra_runtime::proxy::NftError> {
/// use orchestra_runtime::proxy::{Applier, Program};
///
/// let mut applier = Applier::new(Program::new("nft"));
/// applier.apply(&rules).await?;
/// applier.clean_up().await
/// # }
/// ```
#[derive(Debug)]
pub struct Applier {
    nft: Program,
    applied: Option<Applied>,
    /// The fixed part of the tables as it was when they were made.
    made: Option<String>,
}

/// What an [`Applier::apply`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether the tables were made anew.
    pub full: bool,
    /// The ports whose rules are other than before, in no order.
    pub ports: Vec<PortKey>,
}

impl Applier {
    /// One that knows nothing of the tables yet.
    pub fn new(nft: Program) -> Self {
        Self { nft, applied: None, made: None }
    }

    /// Brings `wanted` into force.
    ///
    /// # Errors
    /// The program cannot be run, or refuses. What was in force still is, and the next call makes the tables anew.
    pub async fn apply(&mut self, wanted: &RuleSet) -> Result<Change, NftError> {
        let now = Instant::now();
        // While a transaction is on its way nobody knows what is in force, nor after one that was cancelled.
        let applied = self.applied.take().filter(|applied| applied.leads_to(wanted));
        let (applied, transaction, change) = match applied {
            Some(mut applied) => {
                let mut transaction = Transaction::default();
                let ports = applied.step(wanted, &mut transaction, now);
                (applied, transaction, Change { full: false, ports })
            }
            None => {
                let (applied, transaction) = Applied::fresh(wanted, now);
                let ports = applied.ports.keys().cloned().collect();
                (applied, transaction, Change { full: true, ports })
            }
        };
        self.commit(applied, transaction).await?;
        if change.full {
            self.made = self.made_by_us(wanted).await;
        }
        Ok(change)
    }

    /// When [`tidy`](Self::tidy) will have something to do; `None` if nothing is out of use.
    pub fn tidy_at(&self) -> Option<Instant> {
        self.applied.as_ref().and_then(Applied::tidy_at)
    }

    /// Removes what has been out of use for a second: chains, and elements that packets on their way may still have looked up.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn tidy(&mut self) -> Result<(), NftError> {
        let Some(mut applied) = self.applied.take() else { return Ok(()) };
        let transaction = applied.tidy(Instant::now());
        self.commit(applied, transaction).await
    }

    /// Whether the tables are still those that were made, with all chains and rules that do not depend on Services: they have numbers, which nobody
    /// can give them again. An element that somebody else removed is not seen; it is noticed when it is to be changed. Knowing nothing of the tables,
    /// they are as they should be.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn is_intact(&self) -> Result<bool, NftError> {
        match &self.made {
            Some(made) if self.applied.is_some() => Ok(*made == self.fixed_part().await?),
            None if self.applied.is_some() => Ok(false),
            _ => Ok(true),
        }
    }

    /// The fixed part of tables that were made this moment; `None` if somebody else was at them before it could be read.
    async fn made_by_us(&self, wanted: &RuleSet) -> Option<String> {
        let made = self.fixed_part().await.ok()?;
        let rules = Family::ALL.map(|family| rule_count(family, wanted.node(), wanted.config()));
        (rules_in(&made) == rules.iter().sum::<usize>()).then_some(made)
    }

    async fn fixed_part(&self) -> Result<String, NftError> {
        let mut fixed = String::new();
        for family in Family::ALL {
            let family = family.to_string();
            // With numbers and without elements. Asked for one table, nft 1.0 reads all elements nonetheless.
            fixed += &fixed_part(&self.nft.run(&["-a", "-t", "list", "ruleset", &family], "").await?);
        }
        Ok(fixed)
    }

    /// Knows nothing of the tables any more: the next transaction makes them anew.
    pub fn forget(&mut self) {
        self.applied = None;
    }

    /// Removes the tables, whoever made them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn clean_up(&mut self) -> Result<(), NftError> {
        self.applied = None;
        // Adding first makes deleting possible where there is no such table.
        let commands = Family::ALL.map(|family| format!("add table {family} {TABLE}\ndelete table {family} {TABLE}\n"));
        self.nft.run(&["-f", "-"], &commands.concat()).await.map(drop)
    }

    async fn commit(&mut self, applied: Applied, transaction: Transaction) -> Result<(), NftError> {
        for commands in transaction.finish() {
            self.nft.run(&["-f", "-"], &commands).await?;
        }
        self.applied = Some(applied);
        Ok(())
    }
}
