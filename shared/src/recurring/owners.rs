//! What the activities of rules are created below.

use super::RecurringError;
use crate::context::Context;
use crate::items::recurring::Rule;
use crate::tenancy::{ActivityType, Solution, TenancyError};
use rules::names::{Tenant, TypeName};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What the activities of a rule are created below.
#[derive(Clone)]
pub(super) struct Of {
    pub(super) solution: Arc<Solution>,
    /// `None` if there is no such type any more.
    pub(super) activity_type: Option<Arc<ActivityType>>,
}

/// What the activities of a rule are created below, as far as that is known.
#[derive(Clone)]
pub(super) enum Owner {
    /// There is its solution.
    Known(Of),
    /// There is no such solution.
    Gone,
    /// The solution or the type cannot be decoded.
    Unreadable,
}

/// The owners of some rules, each read once.
pub(super) struct Owners(HashMap<(Tenant, TypeName), Owner>);

impl Owners {
    pub(super) async fn of(ctx: &Context, rules: &[Rule]) -> Result<Self, RecurringError> {
        let mut owners = HashMap::new();
        for rule in rules {
            let key = (rule.tenant.clone(), rule.spec.activity_type.clone());
            if let Entry::Vacant(place) = owners.entry(key) {
                let (tenant, name) = place.key();
                let owner = ctx.unreadable.leave_out(Owner::of(ctx, tenant, name).await)?;
                place.insert(owner.unwrap_or(Owner::Unreadable));
            }
        }
        Ok(Self(owners))
    }

    pub(super) fn get(&self, rule: &Rule) -> Owner {
        let key = (rule.tenant.clone(), rule.spec.activity_type.clone());
        self.0.get(&key).cloned().unwrap_or(Owner::Unreadable)
    }
}

impl Owner {
    async fn of(ctx: &Context, tenant: &Tenant, name: &TypeName) -> Result<Self, TenancyError> {
        let Some(solution) = ctx.tenancy.solution(tenant).await? else { return Ok(Self::Gone) };
        let activity_type = ctx.tenancy.activity_type(tenant, name).await?;
        Ok(Self::Known(Of { solution, activity_type }))
    }
}
