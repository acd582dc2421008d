//! What may go wrong, and how often: another mixture for each seed, so that some are rough in one way and some in all.

use super::dice::Dice;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;

use super::gate::ServiceAnswer;

/// Rates in thousandths, each of what it is a rate of.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Of service calls: the process dies, before or after the call took effect.
    pub crash: u32,
    /// Of service calls: it fails.
    pub fail: u32,
    /// Of calls: it waits for seconds.
    pub slow: u32,
    /// Of calls: the whole process stands still for minutes.
    pub freeze: u32,
    /// Of batches of statements, messages and transactions: a part is refused.
    pub partial: u32,
    /// Of refused statements of a batch: the answer does not show the item.
    pub bare: u32,
    /// Not a rate: write units a second that a partition takes ([`super::capacity`]); 0 for any number.
    pub partition_rate: u32,
    /// Of reads of an index: it shows what was seconds ago.
    pub stale: u32,
    /// Of messages: comes twice.
    pub twice: u32,
    /// Of messages: lost.
    pub lost: u32,
    /// Of messages: late, after others.
    pub late: u32,
    /// Of messages handled: is not deleted.
    pub kept: u32,
    /// Of calls to receivers: no success.
    pub receiver: u32,
    /// Of idle processes, at each step: taken down.
    pub retire: u32,
    /// Clocks are wrong by so many milliseconds at most.
    pub skew_ms: i64,
}

impl Faults {
    /// A seed's mixture.
    pub fn of(dice: &mut Dice) -> Self {
        let mut rate = |rates: &[u32]| dice.pick(rates);
        Self {
            crash: rate(&[0, 0, 3, 8, 20]),
            fail: rate(&[0, 0, 5, 15, 60]),
            slow: rate(&[0, 0, 5, 20]),
            freeze: rate(&[0, 2, 8, 30]),
            partial: rate(&[0, 0, 20, 100]),
            bare: 0,
            partition_rate: 0,
            stale: rate(&[0, 0, 100, 500]),
            twice: rate(&[0, 50, 200]),
            lost: rate(&[0, 50, 200]),
            late: rate(&[0, 100, 300]),
            kept: rate(&[0, 20, 100]),
            receiver: rate(&[50, 200, 400, 700]),
            retire: rate(&[0, 1, 5]),
            skew_ms: i64::from(rate(&[0, 0, 500, 2_000])),
        }
    }

    /// The same, with what later seeds were given beside it, from `dice` of their own: the other stories stay what they were.
    pub fn throttled(self, dice: &mut Dice) -> Self {
        Self { bare: dice.pick(&[0, 300, 1_000]), partition_rate: dice.pick(&[0, 0, 4, 10]), ..self }
    }

    /// Nothing goes wrong, but for the clocks.
    pub fn calm(&self) -> Self {
        Self { skew_ms: self.skew_ms, ..Self::default() }
    }
}

/// How a service call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Refused for being too much; never took effect.
    Throttled,
    /// 5xx.
    Internal,
    /// No answer in time.
    TimedOut,
    /// The connection is cut.
    Cut,
}

impl Failure {
    /// One by lot, with whether the call took effect.
    pub fn of(dice: &mut Dice) -> (Self, bool) {
        match dice.below(7) {
            0 | 1 => (Self::Throttled, false),
            2 => (Self::Internal, false),
            3 => (Self::Internal, true),
            4 => (Self::TimedOut, true),
            5 => (Self::Cut, false),
            _ => (Self::Cut, true),
        }
    }

    /// As the caller of `target` sees it.
    pub fn answer(self, target: &str) -> ServiceAnswer {
        let dynamodb = target.starts_with("DynamoDB");
        let (status, kind) = match self {
            Self::Throttled if dynamodb => (400, "ProvisionedThroughputExceededException"),
            Self::Throttled => (400, "ThrottlingException"),
            Self::Internal if dynamodb => (500, "InternalServerError"),
            Self::Internal => (503, "ServiceUnavailable"),
            Self::TimedOut => return Err(ConnectorError::timeout("simulated".into())),
            Self::Cut => return Err(ConnectorError::io("simulated".into())),
        };
        respond(status, format!(r#"{{"__type":"com.amazonaws#{kind}","message":"simulated"}}"#).into_bytes())
    }
}

/// An answer with a JSON body.
pub fn respond(status: u16, body: Vec<u8>) -> ServiceAnswer {
    let status = StatusCode::try_from(status).expect("a status of an AWS service");
    let mut response = Response::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}
