//! Who calls, and what that opens (SPEC §1). Each extractor is decided before the body is read.

use crate::ApiContext;
use crate::http::{Fault, Problem};
use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use rules::names::{ActivityId, CompanyName, RecurringName, Tenant, TypeName};
use shared::tenancy::Actor;
use std::fmt;
use std::str::FromStr;

const X_API_KEY: &str = "x-api-key";
const BEARER: &str = "bearer";

/// The holder of a valid key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For the audit log.
    pub actor: Actor,
    /// The company whose key it is; `None` for the admin key.
    company: Option<CompanyName>,
}

impl Caller {
    /// # Errors
    /// 403 for anyone but the admin.
    pub fn require_admin(&self) -> Result<(), Problem> {
        match self.company {
            None => Ok(()),
            Some(_) => Err(Problem::forbidden("this needs the admin key")),
        }
    }

    /// A company key opens its own company alone, whether or not another one exists.
    ///
    /// # Errors
    /// 403 outside it.
    pub fn may_enter(&self, company: &str) -> Result<(), Problem> {
        match &self.company {
            Some(own) if own.as_str() != company => {
                Err(Problem::forbidden("the key belongs to another company"))
            }
            _ => Ok(()),
        }
    }
}

impl FromRequestParts<ApiContext> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let key = presented(&parts.headers)?;
        if context.admin_key.opens(&key) {
            return Ok(Self { actor: Actor::Admin, company: None });
        }
        match context.tenancy.authenticate(&key).await? {
            Some(key) => Ok(Self { actor: Actor::Key(key.id), company: Some(key.company) }),
            None => Err(Problem::unauthorized("the key is unknown")),
        }
    }
}

/// Whether a request carries a key at all, valid or not.
pub fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(X_API_KEY)
}

/// The key of a request: `authorization: Bearer KEY` or `x-api-key: KEY`; if both, the same.
fn presented(headers: &HeaderMap) -> Result<String, Problem> {
    let mut found: Option<String> = None;
    let bearer = headers.get_all(AUTHORIZATION).iter().map(|value| (value, true));
    let plain = headers.get_all(X_API_KEY).iter().map(|value| (value, false));
    for (value, is_bearer) in bearer.chain(plain) {
        let text = value.to_str().map_err(|_| Problem::unauthorized("the key is unknown"))?.trim();
        let key = match text.split_once(' ') {
            Some((scheme, key)) if is_bearer && scheme.eq_ignore_ascii_case(BEARER) => key.trim(),
            _ if is_bearer => return Err(Problem::unauthorized("the authorization scheme must be Bearer")),
            _ => text,
        };
        if found.as_ref().is_some_and(|other| other != key) {
            return Err(Problem::unauthorized("the request carries two different keys"));
        }
        found = Some(key.to_owned());
    }
    match found {
        Some(key) if !key.is_empty() => Ok(key),
        _ => Err(Problem::unauthorized("send `authorization: Bearer KEY` or `x-api-key: KEY`")),
    }
}

/// A caller and the company of the path, which its key opens.
pub struct InCompany {
    /// Who calls.
    pub caller: Caller,
    /// The path's company.
    pub company: CompanyName,
}

/// A caller and the solution of the path, which its key opens. Whether the solution exists is not said.
pub struct InSolution {
    /// For the audit log.
    pub actor: Actor,
    /// The path's company and solution.
    pub tenant: Tenant,
}

/// Something below a solution, named by the path's last parameter.
pub struct In<N> {
    /// For the audit log.
    pub actor: Actor,
    /// The path's company and solution.
    pub tenant: Tenant,
    /// What is named.
    pub name: N,
}

/// A name that paths have a parameter for.
pub trait PathName: FromStr<Err: fmt::Display> + Send {
    /// The parameter's name.
    const PARAMETER: &'static str;
}

impl PathName for CompanyName {
    const PARAMETER: &'static str = "company";
}

impl PathName for rules::names::SolutionName {
    const PARAMETER: &'static str = "solution";
}

impl PathName for TypeName {
    const PARAMETER: &'static str = "type";
}

impl PathName for RecurringName {
    const PARAMETER: &'static str = "name";
}

impl PathName for ActivityId {
    const PARAMETER: &'static str = "id";
}

fn named<N: PathName>(params: &RawPathParams) -> Result<N, Problem> {
    let text = params.iter().find(|(name, _)| *name == N::PARAMETER).map_or("", |(_, text)| text);
    text.parse().map_err(|error: N::Err| {
        Problem::invalid(vec![Fault::new(format!("path:{}", N::PARAMETER), error.to_string())])
    })
}

async fn enter(
    parts: &mut Parts,
    context: &ApiContext,
) -> Result<(Caller, CompanyName, RawPathParams), Problem> {
    let caller = Caller::from_request_parts(parts, context).await?;
    let params = RawPathParams::from_request_parts(parts, context)
        .await
        .map_err(|error| Problem::invalid(vec![Fault::new("path:", error.to_string())]))?;
    let company =
        params.iter().find(|(name, _)| *name == CompanyName::PARAMETER).map_or("", |(_, text)| text);
    caller.may_enter(company)?;
    let company = named(&params)?;
    Ok((caller, company, params))
}

impl FromRequestParts<ApiContext> for InCompany {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let (caller, company, _) = enter(parts, context).await?;
        Ok(Self { caller, company })
    }
}

impl FromRequestParts<ApiContext> for InSolution {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let (caller, company, params) = enter(parts, context).await?;
        let tenant = context.tenancy.tenant(company, named(&params)?).await?;
        Ok(Self { actor: caller.actor, tenant })
    }
}

impl<N: PathName> FromRequestParts<ApiContext> for In<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let (caller, company, params) = enter(parts, context).await?;
        let name = named(&params)?;
        let tenant = context.tenancy.tenant(company, named(&params)?).await?;
        Ok(Self { actor: caller.actor, tenant, name })
    }
}

/// An id below a company: of an API key.
pub struct KeyInCompany {
    /// For the audit log.
    pub actor: Actor,
    /// The path's company.
    pub company: CompanyName,
    /// The key's id.
    pub id: ActivityId,
}

impl FromRequestParts<ApiContext> for KeyInCompany {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &ApiContext) -> Result<Self, Problem> {
        let (caller, company, params) = enter(parts, context).await?;
        Ok(Self { actor: caller.actor, company, id: named(&params)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_from_either_header() {
        for (given, expect) in [
            (vec![("authorization", "Bearer k")], Ok("k")),
            (vec![("authorization", "bEaReR  k ")], Ok("k")),
            (vec![("x-api-key", "k")], Ok("k")),
            (vec![("x-api-key", "k"), ("authorization", "Bearer k")], Ok("k")),
            (vec![], Err(())),
            (vec![("x-api-key", "")], Err(())),
            (vec![("authorization", "Basic a2V5")], Err(())),
            (vec![("authorization", "k")], Err(())),
            (vec![("x-api-key", "a"), ("authorization", "Bearer b")], Err(())),
            (vec![("x-api-key", "a"), ("x-api-key", "b")], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            given.iter().for_each(|(name, value)| {
                headers.append(*name, value.parse().unwrap());
            });
            assert_eq!(presented(&headers).as_deref().map_err(|_| ()), expect, "{given:?}");
        }
    }
}
