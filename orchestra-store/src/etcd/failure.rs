use std::error::Error;

use orchestra_core::store::StoreError;
use tonic::{Code, ConnectError, Status};

/// What etcd, or the way to it, answered instead of a result.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There was no connection to send the request on.
    NotConnected,
    /// The member is cut off from the others, and refused the request before it did anything.
    NoLeader,
    /// Refused before anything was done; later it may not be.
    Refused,
    /// The request may have been done, or not.
    Unknown,
    /// As unknown as that: etcd says it also of the commit that filled the database, and that is done.
    NoSpace,
    InvalidArgument,
    /// Refused because of who asks.
    Unauthorized,
    /// Refused because the connection's token is no longer good; that of a new one is.
    StaleToken,
    Compacted,
    FutureRevision,
    LeaseNotFound,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn told_as(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Whether the request was certainly not done.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self.kind, Kind::Unknown | Kind::NoSpace)
    }

    /// Whether another endpoint, or a new connection to the same, may do better.
    pub(super) fn is_of_the_connection(&self) -> bool {
        matches!(self.kind, Kind::NotConnected | Kind::NoLeader | Kind::Unknown | Kind::StaleToken)
    }

    /// Whether the same will be refused again, by all endpoints.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Unauthorized | Kind::InvalidArgument)
    }

    /// As the error of a commit.
    pub(super) fn of_commit(self) -> StoreError {
        if self.is_certain() { self.into() } else { StoreError::OutcomeUnknown(self.message) }
    }
}

/// As the error of what may be repeated without harm.
impl From<Failure> for StoreError {
    fn from(Failure { kind, message }: Failure) -> Self {
        match kind {
            Kind::InvalidArgument => Self::InvalidArgument(message),
            Kind::Unauthorized => Self::Unauthorized(message),
            _ => Self::Unavailable(message),
        }
    }
}

impl From<etcd_client::Error> for Failure {
    fn from(error: etcd_client::Error) -> Self {
        use etcd_client::Error;
        match error {
            Error::GRpcStatus(status) => status.into(),
            Error::InvalidArgs(why) => Self::new(Kind::InvalidArgument, why),
            Error::InvalidUri(why) => Self::new(Kind::InvalidArgument, format!("endpoint: {why}")),
            // Connections are made when they are needed; here a TLS configuration was refused.
            Error::TransportError(why) => Self::new(Kind::InvalidArgument, chain(&why)),
            other => Self::new(Kind::Unknown, other.to_string()),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let message = match status.source() {
            Some(source) => chain(source),
            None => status.message().to_owned(),
        };
        Self { kind: kind(&status), message }
    }
}

/// etcd tells its errors by their texts, which stand in its `rpctypes/error.go` and do not change.
fn kind(status: &Status) -> Kind {
    if is_connect_error(status) {
        return Kind::NotConnected;
    }
    let message = status.message();
    match message {
        "etcdserver: mvcc: required revision has been compacted" => return Kind::Compacted,
        "etcdserver: mvcc: required revision is a future revision" => return Kind::FutureRevision,
        "etcdserver: requested lease not found" => return Kind::LeaseNotFound,
        "etcdserver: no leader" => return Kind::NoLeader,
        "etcdserver: mvcc: database space exceeded" => return Kind::NoSpace,
        "etcdserver: too many requests" | "raft proposal dropped" => return Kind::Refused,
        "etcdserver: user name is empty"
        | "etcdserver: authentication failed, invalid user ID or password"
        | "etcdserver: authentication is not enabled" => return Kind::Unauthorized,
        "etcdserver: invalid auth token" | "etcdserver: revision of auth store is old" => return Kind::StaleToken,
        _ => {}
    }
    match status.code() {
        // Its own: the transport below has some of the codes too, for what may have been done.
        Code::InvalidArgument if message.starts_with("etcdserver:") => Kind::InvalidArgument,
        Code::Unauthenticated | Code::PermissionDenied if message.starts_with("etcdserver:") => Kind::Unauthorized,
        Code::ResourceExhausted if message.starts_with("grpc: received message larger than max") => {
            Kind::InvalidArgument
        }
        _ => Kind::Unknown,
    }
}

fn is_connect_error(status: &Status) -> bool {
    let mut next = status.source();
    while let Some(error) = next {
        if error.is::<ConnectError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error with its causes, each told once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_commit(code: Code, message: &str) -> StoreError {
        Failure::from(Status::new(code, message)).of_commit()
    }

    #[test]
    fn only_what_certainly_did_not_happen_is_told_as_a_failed_commit() {
        for (code, message) in [
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::ResourceExhausted, "etcdserver: too many requests"),
            (Code::Unauthenticated, "etcdserver: invalid auth token"),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        ] {
            assert!(matches!(of_commit(code, message), StoreError::Unavailable(_)), "{message}");
        }
        for (code, message) in [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Code::Unavailable, "transport is closing"),
            (Code::InvalidArgument, "invalid input"),
            (Code::ResourceExhausted, "h2 protocol error"),
            (Code::PermissionDenied, "h2 protocol error"),
            (Code::Cancelled, "operation was canceled"),
        ] {
            assert!(matches!(of_commit(code, message), StoreError::OutcomeUnknown(_)), "{message}");
        }
    }

    #[test]
    fn what_never_helps_to_repeat_is_told_apart() {
        let too_many = of_commit(Code::InvalidArgument, "etcdserver: too many operations in txn request");
        assert!(matches!(too_many, StoreError::InvalidArgument(_)));
        let denied = of_commit(Code::PermissionDenied, "etcdserver: permission denied");
        assert!(matches!(denied, StoreError::Unauthorized(_)));
    }
}
