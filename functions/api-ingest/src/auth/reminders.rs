//! Who may use a reminder endpoint: the holder of a key, or of one of the configuration's secrets (SPEC §1).

use super::keys::{Caller, has_key};
use crate::ApiContext;
use crate::http::{Fault, Problem, SECRET, query};
use axum::extract::{FromRequestParts, RawPathParams};
use http::Uri;
use http::request::Parts;
use rules::names::{ActivityId, CompanyName, SolutionName, Tenant};
use shared::tenancy::Actor;
use std::fmt;
use std::str::FromStr;

/// A key's holder and the configuration of the path. Secrets do not open what changes the configuration itself.
pub struct ConfigurationOwner {
    /// Who calls.
    pub caller: Caller,
    /// The path's company and solution.
    pub tenant: Tenant,
}

/// Whoever may use the configuration of the path.
pub struct InConfiguration {
    /// For the audit log.
    pub actor: Actor,
    /// The path's company and solution.
    pub tenant: Tenant,
}

/// Whoever may use the configuration of the path, and a reminder in it.
pub struct AtReminder {
    /// The path's company and solution.
    pub tenant: Tenant,
    /// The reminder.
    pub id: ActivityId,
}

/// The query's secret.
fn secret(uri: &Uri) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == SECRET)
        .map(|(_, value)| value.into_owned())
}

/// Sees to it that the request carries a valid key, or a secret whose configuration is not known.
///
/// # Errors
/// 401 without either.
pub async fn any(parts: &mut Parts, context: &ApiContext) -> Result<(), Problem> {
    if has_key(&parts.headers) || secret(&parts.uri).is_none() {
        Caller::from_request_parts(parts, context).await?;
    }
    Ok(())
}

/// Who calls, if that opens the configuration of `tenant`.
///
/// # Errors
/// 401 without a known key or secret, 403 with the key of another company.
pub async fn actor(parts: &mut Parts, context: &ApiContext, tenant: &Tenant) -> Result<Actor, Problem> {
    match secret(&parts.uri) {
        Some(secret) if !has_key(&parts.headers) => opened(context, tenant, &secret).await,
        _ => {
            let caller = Caller::from_request_parts(parts, context).await?;
            caller.may_enter(tenant.company.as_str())?;
            Ok(caller.actor)
        }
    }
}

/// Who holds `secret`, if it is one of the two of the configuration of `tenant`.
async fn opened(context: &ApiContext, tenant: &Tenant, secret: &str) -> Result<Actor, Problem> {
    let configuration = context.tenancy.reminder_configuration(tenant).await?;
    match configuration.and_then(|configuration| configuration.opened_by(secret)) {
        Some(kind) => Ok(Actor::Key(format!("reminder-{kind}"))),
        None => Err(Problem::unauthorized("the secret is unknown")),
    }
}

async fn params(parts: &mut Parts, context: &ApiContext) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, context).await;
    params.map_err(|error| Problem::invalid(vec![Fault::new("path:", error.to_string())]))
}

fn text<'p>(params: &'p RawPathParams, name: &str) -> &'p str {
    params.iter().find(|(param, _)| *param == name).map_or("", |(_, text)| text)
}

fn named<N: FromStr<Err: fmt::Display>>(params: &RawPathParams, name: &str) -> Result<N, Problem> {
    let refused =
        |error: N::Err| Problem::invalid(vec![Fault::new(format!("path:{name}"), error.to_string())]);
    text(params, name).parse().map_err(refused)
}

async fn tenant(params: &RawPathParams, context: &ApiContext) -> Result<Tenant, Problem> {
    let company: CompanyName = named(params, "agentId")?;
    let solution: SolutionName = named(params, "configurationId")?;
    Ok(context.tenancy.tenant(company, solution).await?)
}

impl FromRequestParts<ApiContext> for ConfigurationOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        if !has_key(&parts.headers) && secret(&parts.uri).is_some() {
            return Err(Problem::forbidden(
                "this needs an API key; a configuration's secret does not open it",
            ));
        }
        let caller = Caller::from_request_parts(parts, context).await?;
        let params = params(parts, context).await?;
        caller.may_enter(text(&params, "agentId"))?;
        Ok(Self { caller, tenant: tenant(&params, context).await? })
    }
}

impl FromRequestParts<ApiContext> for InConfiguration {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        if let Some(secret) = secret(&parts.uri).filter(|_| !has_key(&parts.headers)) {
            let tenant = tenant(&params(parts, context).await?, context).await?;
            return Ok(Self { actor: opened(context, &tenant, &secret).await?, tenant });
        }
        let ConfigurationOwner { caller, tenant } =
            ConfigurationOwner::from_request_parts(parts, context).await?;
        Ok(Self { actor: caller.actor, tenant })
    }
}

impl FromRequestParts<ApiContext> for AtReminder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let InConfiguration { tenant, .. } = InConfiguration::from_request_parts(parts, context).await?;
        Ok(Self { tenant, id: named(&params(parts, context).await?, "reminderId")? })
    }
}

/// Sees to it that the query has nothing but, perhaps, a secret.
///
/// # Errors
/// 400 with what else it has.
pub fn only_secret(uri: &Uri) -> Result<(), Problem> {
    query::read(uri, |query| {
        query.text(SECRET);
        Some(())
    })
}
