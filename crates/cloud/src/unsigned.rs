//! A request of either cloud that nobody has signed: what it asks for, as the cloud itself would read and refuse it.
//!
//! It is for callers who are trusted otherwise, such as the operator. Decoding and error codes are those of [`Api`]; nothing here
//! reads a parameter or knows a code.

use sekimori_core::{
    command::Command,
    ids::AccountId,
    refusal::Refusal,
    world::{Dialect, World},
};

use crate::{
    RawRequest,
    api::{self, Api, Operation, Trouble},
    ec2, ecs,
    failure::Failure,
    params::Params,
};

/// A request that was read, of one dialect.
#[derive(Clone, Debug)]
pub enum Unsigned {
    /// Of Alibaba Cloud.
    Ecs(Box<ecs::Call>),
    /// Of Amazon.
    Ec2(Box<ec2::Call>),
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A change.
    Change {
        /// The command for the writer.
        command: Box<Command>,
        /// Whether the request itself says that the change is only to be judged (`DryRun`).
        is_dry_run: bool,
    },
    /// A question, which changes nothing.
    Question,
}

/// The dialect that the parameters of a request tell by their `Version`.
#[must_use]
pub fn dialect_of(query: &str) -> Option<Dialect> {
    let params = Params::parse(query, None).ok()?;
    params.filled("Version")?;
    let raw = RawRequest { method: "GET", path: "/", query, headers: &[], body: &[] };
    Some(api::dialect_of(&raw))
}

/// The values of the parameters of a request, of which some may be names of things.
pub fn values_of(query: &str) -> impl Iterator<Item = String> {
    form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned())
}

/// Parameters by name as they stand in a query.
#[must_use]
pub fn query_of<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

impl Unsigned {
    /// Reads the parameters of a request, as they stand in a query. A request of EC2 names no region; it is about the one given.
    ///
    /// # Errors
    /// What the cloud would answer when they cannot be read or name no operation.
    pub fn read(dialect: Dialect, query: &str, region: &str, request_id: &str) -> Result<Self, Failure> {
        match dialect {
            Dialect::Ecs => {
                let call = ecs::Call::unsigned(query, request_id);
                call.map(|call| Self::Ecs(Box::new(call))).map_err(|fault| fault.failure(None))
            }
            Dialect::Ec2 => {
                let call = ec2::Call::unsigned(query, region, request_id);
                let version = ec2::catalog::Version::Ec2;
                call.map(|call| Self::Ec2(Box::new(call))).map_err(|fault| fault.failure(None, version))
            }
        }
    }

    /// The operation's name.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Ecs(call) => call.operation(),
            Self::Ec2(call) => call.operation(),
        }
    }

    /// What an account asks for with it.
    ///
    /// # Errors
    /// What the cloud would answer when the parameters make no request.
    pub fn decode(&self, world: &World, account: &AccountId) -> Result<Asked, Failure> {
        match self {
            Self::Ecs(call) => decode(&**call, world, account),
            Self::Ec2(call) => decode(&**call, world, account),
        }
    }

    /// What the cloud would answer when the command is refused.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> Failure {
        match self {
            Self::Ecs(call) => told(&**call, Trouble::Refused(refusal)),
            Self::Ec2(call) => told(&**call, Trouble::Refused(refusal)),
        }
    }
}

fn decode<C: Api>(call: &C, world: &World, account: &AccountId) -> Result<Asked, Failure> {
    match call.decode(world, account).map_err(|fault| call.failure(&fault))? {
        Operation::Command(command) => Ok(Asked::Change { command: Box::new(command), is_dry_run: false }),
        Operation::DryRun(command) => Ok(Asked::Change { command: Box::new(command), is_dry_run: true }),
        Operation::Query(_) => Ok(Asked::Question),
    }
}

fn told<C: Api>(call: &C, trouble: Trouble) -> Failure {
    call.failure(&trouble.into())
}

#[cfg(test)]
mod tests {
    use sekimori_core::time::Timestamp;

    use super::*;

    #[test]
    fn the_version_tells_the_dialect() {
        assert_eq!(dialect_of("Action=X&Version=2016-11-15"), Some(Dialect::Ec2));
        assert_eq!(dialect_of("Action=X&Version=2014-05-26"), Some(Dialect::Ecs));
        assert_eq!(dialect_of("Action=X"), None);
    }

    #[test]
    fn an_operation_is_found_without_a_version_and_an_unknown_one_is_refused_as_the_cloud_does() {
        let read = |dialect, query| Unsigned::read(dialect, query, "us-east-1", "R-1");
        assert_eq!(read(Dialect::Ecs, "Action=CreateVpc").unwrap().operation(), "CreateVpc");
        let ingress = "Action=AuthorizeSecurityGroupIngress";
        assert_eq!(read(Dialect::Ec2, ingress).unwrap().operation(), "AuthorizeSecurityGroupIngress");
        assert_eq!(read(Dialect::Ecs, ingress).unwrap_err().code, "InvalidAction.NotFound");
        assert_eq!(read(Dialect::Ec2, "Action=Nothing").unwrap_err().code, "InvalidAction");
        assert_eq!(read(Dialect::Ec2, "").unwrap_err().code, "MissingAction");
        assert_eq!(read(Dialect::Ecs, "Action=A&Action=B").unwrap_err().status, 400);
        let elsewhere = Unsigned::read(Dialect::Ec2, ingress, "mars-1", "R-1");
        assert_eq!(elsewhere.unwrap_err().code, "AuthFailure");
    }

    #[test]
    fn what_nobody_signed_is_never_verified() {
        let query = "Action=CreateVpc&AccessKeyId=k&Signature=s&SignatureNonce=n&Timestamp=2026-11-22T05:12:14Z";
        let ecs = ecs::Call::unsigned(query, "R-1").unwrap();
        let now = Timestamp(1_795_324_334);
        assert!(ecs.verify(b"", now).is_err() && ecs.key_id().as_str().is_empty() && ecs.nonce().is_none());
        let ec2 = ec2::Call::unsigned("Action=CreateVpc", "us-east-1", "R-1").unwrap();
        assert!(ec2.verify(b"", now).is_err() && ec2.key_id().as_str().is_empty());
    }
}
