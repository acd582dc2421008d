//! What a seed has beside activities of a type: channels, recurring rules, notifications, reminders, rolling.

use super::plan::{Op, RECEIVERS, Script, admin, base, owner};
use super::process::Role;
use serde_json::{Value, json};

type Tenant = (&'static str, &'static str);

impl Script<'_> {
    /// One of them, for a tenant.
    pub fn extra(&mut self, tenant: Tenant, setup: &mut Vec<Op>) {
        let role = match self.dice.below(5) {
            0 => {
                self.channel(tenant, setup);
                return;
            }
            1 => {
                self.recurring(tenant);
                Role::Expander
            }
            2 => {
                self.notifications(tenant, setup);
                Role::Resender
            }
            3 => {
                self.reminders(tenant, setup);
                Role::Sender
            }
            _ => {
                self.rolling(tenant, setup);
                Role::Roller
            }
        };
        if !self.roles.contains(&role) {
            self.roles.push(role);
        }
    }

    fn receiver(&self, (company, solution): Tenant, place: &str) -> String {
        format!("{RECEIVERS}/{company}/{solution}/{place}")
    }

    /// Activities of a channel; their provider reports by itself what came of them.
    fn channel(&mut self, tenant: Tenant, setup: &mut Vec<Op>) {
        let config = json!({
            "provider": "YOM",
            "baseUrl": self.receiver(tenant, "yom"),
            "credentials": {"apiKey": "simulated"},
            "settings": {"timeoutSeconds": self.dice.pick(&[2, 10])},
        });
        setup.push(admin("PUT", format!("{}/dispatch-configs/EMAIL", base(tenant)), config));
        for number in 0..self.dice.between(1, 5) {
            let second = self.dice.between(0, self.seconds * 4 / 5);
            let id = format!("c{number}");
            let body = json!({
                "channel": "EMAIL", "type": "MESSAGE", "reason": "simulated", "id": id,
                "commerce": {"assignment": "shop", "targetUsers": []},
                "attributes": {"owner": owner(tenant), "id": id},
            });
            self.ids.push((tenant, id, second));
            self.add(second, tenant, "POST", "/activities", body);
        }
    }

    /// A rule with an end, paused now and then.
    fn recurring(&mut self, tenant: Tenant) {
        let starts = self.dice.between(90, 200);
        let ends = starts + self.dice.between(60, self.seconds);
        let (start, end) = (self.at(starts), self.at(ends));
        let name = format!("rule{}", self.ops.len());
        let mut body = json!({
            "activityType": "call",
            "parameter": {"id": name, "owner": owner(tenant), "object": "o0"},
            "expression": format!("*/{} * * * *", self.dice.pick(&[1, 2, 5])),
            "startAt": start.to_rfc3339(), "endAt": end.to_rfc3339(),
        });
        if self.dice.chance(300) {
            body["retries"] = json!(self.dice.between(0, 4));
        }
        let path = format!("/recurring-activities/{name}");
        self.add(1, tenant, "PUT", &path, body);
        if let Some((_, put)) = self.ops.last_mut() {
            put.repeats = 9;
        }
        if self.dice.chance(400) {
            let second = self.dice.between(60, self.seconds);
            let state = |state: &str| json!({"serverState": state});
            self.add(second, tenant, "PUT", &format!("{path}/server-state"), state("paused"));
            let second = second + self.dice.pick(&[5, 60, 300]);
            for late in [0, 400] {
                self.add(second + late, tenant, "PUT", &format!("{path}/server-state"), state("running"));
            }
        }
    }

    fn notifications(&mut self, tenant: Tenant, setup: &mut Vec<Op>) {
        let kind = json!({
            "uri": self.receiver(tenant, "note"),
            "maxRetries": self.dice.between(0, 4),
            "rules": {"first": {"attempt": 1, "retryAfterS": self.dice.between(0, 120), "retries": self.dice.between(1, 4)}},
        });
        setup.push(admin("PUT", format!("{}/notification-types/note", base(tenant)), kind));
        for number in 0..self.dice.between(1, 4) {
            let second = self.dice.between(0, self.seconds * 4 / 5);
            let id = format!("n{number}");
            let body = json!({"type": "note", "id": id, "payload": {"id": id, "owner": owner(tenant)}});
            self.add(second, tenant, "POST", "/notifications", body);
            if self.dice.chance(300) {
                let second = second + self.dice.between(0, 400);
                self.add(second, tenant, "POST", &format!("/notifications/{id}/resend"), Value::Null);
            }
        }
    }

    fn reminders(&mut self, tenant: Tenant, setup: &mut Vec<Op>) {
        let (company, solution) = tenant;
        let path = format!("/api/reminder/configuration/{company}/{solution}");
        let mut configuration = json!({
            "notificationKey": "simulated", "accountCode": "simulated", "dialogServiceUri": self.receiver(tenant, "dialog"),
        });
        if self.dice.chance(500) {
            configuration["webhookUrl"] = json!(self.receiver(tenant, "hook"));
        }
        setup.push(admin("PUT", path, configuration));
        for number in 0..self.dice.between(1, 4) {
            let second = self.dice.between(0, self.seconds / 2);
            let times = self.dice.between(1, 3);
            let kind = usize::try_from(number).unwrap_or_default();
            // All but the first have send times that have passed when they are written.
            let passed = if kind == 0 { 0 } else { 250 };
            let send_times: Vec<String> = (0..times)
                .map(|_| {
                    let after = self.dice.between(10, 400);
                    self.at(second + after - passed).to_rfc3339()
                })
                .collect();
            let catch_up = ["all", "latest", "none"][kind % 3];
            let last = self.dice.below(2);
            // Two recipients, spelled differently.
            let (country_code, phone_number) = match kind % 4 {
                0 => ("1", format!("20255501{last}")),
                1 => ("+1", format!("(202) 555-01{last}")),
                2 => ("1", format!("+1 202 555 01{last}")),
                _ => ("+1", format!("+1.202.55501{last}")),
            };
            let body = json!({
                "countryCode": country_code, "phoneNumber": phone_number, "notificationTemplateName": "visit",
                "templateParameters": [{"owner": owner(tenant)}], "sendTimes": send_times, "catchUp": catch_up,
            });
            let path = format!("/api/reminder/{company}/{solution}/r{number}");
            self.add_path(second, tenant, "PUT", path.clone(), body);
            if self.dice.chance(200) {
                let second = second + self.dice.between(0, 400);
                self.add_path(second, tenant, "DELETE", path, Value::Null);
            }
        }
        if self.dice.chance(500) {
            let second = self.dice.between(0, self.seconds);
            let secret = local::embedded::TEST_PROCESSOR_SECRET;
            let path = format!("/api/reminder/item/pending/send?secret={secret}");
            self.add_path(second, tenant, "POST", path, Value::Null);
        }
    }

    /// What is finished goes to the tenant's receivers after a while.
    fn rolling(&mut self, tenant: Tenant, setup: &mut Vec<Op>) {
        // Days: from half a minute to ten.
        let mut period = || self.dice.between(30, 600) as f64 / 86_400.0;
        let (success, dead_letter) = (period(), period());
        let body = json!({
            "successUri": self.receiver(tenant, "roll/success"), "successPeriod": success,
            "deadLetterUri": self.receiver(tenant, "roll/dead"), "deadLetterPeriod": dead_letter,
        });
        setup.push(admin("PUT", base(tenant), body));
    }
}
