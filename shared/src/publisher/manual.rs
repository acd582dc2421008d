//! Sending a notification now because its owner wants it so.

use super::{LEASE, PublishError, Publisher, Resent};
use crate::items::notification::{Notification, NotificationView, Stepped};
use crate::tenancy::{NotificationType, Parent, ParentKind, TenancyError};
use rules::claim::Trigger;
use rules::names::{ActivityId, Tenant};
use rules::notification::{Event, Refusal, Status};
use rules::parent::Stage;

impl Publisher {
    /// Sends a notification now because its owner wants it so.
    ///
    /// # Errors
    /// [`PublishError`] when a table cannot be read or written.
    pub async fn resend(&self, tenant: &Tenant, id: &ActivityId) -> Result<Resent, PublishError> {
        let Some(view) = self.ctx.work.notification(tenant, id).await? else { return Ok(Resent::NotFound) };
        let NotificationView { mut notification, payload, .. } = view;
        if self.is_abandoned(&notification) {
            // The lost attempt counts first; what then comes is what the owner asked for.
            match self.recover(&notification).await? {
                Stepped::Applied(recovered) => notification = *recovered,
                Stepped::Refused(_) | Stepped::Lost => return Ok(Resent::Refused(Refusal::InFlight)),
            }
        }
        // One that is over is pending again, so what it is below must not be deleted in this moment.
        let mut parents = Vec::new();
        let of = self.kind(&notification).await?;
        if notification.state.status == Status::MaxRetried {
            parents = match self.parents(&notification, of.as_deref()).await? {
                Ok(parents) => parents,
                Err(gone) => return Ok(Resent::ParentGone(gone)),
            };
            if let Some(gone) = self.ctx.tenancy.gone(Stage::Writing, &mut parents).await? {
                return Ok(Resent::ParentGone(gone));
            }
        }
        let max_retries = of.map_or(notification.state.retries, |of| of.max_retries);
        let claim = self.ctx.work.new_claim(Trigger::Due, self.ctx.clock.now() + LEASE);
        let (resend, now) = (Event::Manual(claim, max_retries), self.ctx.clock.now());
        let step = self.ctx.work.step_notification(&notification, resend, None, None, now);
        Ok(match step.await? {
            Stepped::Applied(claimed) => {
                if let Some(gone) = self.ctx.tenancy.gone(Stage::Written, &mut parents).await? {
                    self.ctx.work.restore_notification(&claimed, &notification).await?;
                    return Ok(Resent::ParentGone(gone));
                }
                let now = self.ctx.clock.now();
                Resent::Tried(Box::new(self.attempt(*claimed, Some(payload), now).await))
            }
            Stepped::Refused(refusal) => Resent::Refused(refusal),
            Stepped::Lost => Resent::Refused(Refusal::InFlight),
        })
    }

    /// What a notification is created below, from the cache, or the first that there is not.
    async fn parents(
        &self,
        of: &Notification,
        kind: Option<&NotificationType>,
    ) -> Result<Result<Vec<Parent>, ParentKind>, TenancyError> {
        let Some(solution) = self.ctx.tenancy.solution(&of.tenant).await? else {
            return Ok(Err(ParentKind::Solution));
        };
        let Some(kind) = kind else { return Ok(Err(ParentKind::NotificationType(of.name.clone()))) };
        Ok(Ok(vec![solution.as_parent(), kind.as_parent(&of.tenant)]))
    }
}
