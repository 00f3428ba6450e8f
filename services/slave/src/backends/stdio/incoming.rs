//! Messages of a child as the sender of a request gets them. Must not know how they are read.

use std::ops::Range;

use bytes::Bytes;
use front::CallOutcome;
use protocol::mcp::failure::Failure;
use protocol::mcp::result_marks::ResultMarks;

use crate::call::ClientRequest;
use crate::splice::{Edit, splice};

/// A request of the child.
#[derive(Debug)]
pub(super) struct ChildRequest {
    /// The child's id as JSON.
    pub(super) id: Bytes,
    pub(super) request: ClientRequest,
}

impl ChildRequest {
    /// Returns the bytes that are held while the request waits for its reader.
    pub(super) fn size(&self) -> usize {
        self.id.len() + self.request.params.as_ref().map_or(0, Bytes::len)
    }
}

/// A message that arrived for one request.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A progress notification.
    Progress {
        /// The child's message.
        line: Bytes,
        /// The range of our token in it.
        range: Range<usize>,
        /// The client's token.
        token: Bytes,
    },
    /// A log message, to be passed on unchanged.
    Log(Bytes),
    /// A notification of an extension, to be passed on unchanged to a client of the child's era.
    Extension(Bytes),
    /// The status of the task that the request is about.
    TaskStatus {
        /// The child's message.
        line: Bytes,
        /// The range of the task's id in it.
        range: Range<usize>,
    },
    /// A request of the child to the client.
    Request(ChildRequest),
    /// The child's id of a request that it may have withdrawn.
    Withdrawn(Bytes),
    /// A sign of life: the child wrote something that may belong to the request and is not passed on.
    Alive,
    /// The `result` value.
    Result {
        json: Bytes,
        /// What the result may have, where its message was read through; `None`: it is still to be checked.
        marks: Option<ResultMarks>,
    },
    /// The `error` object.
    Error(Bytes),
    /// The failure that takes the place of an answer.
    Failed(Failure),
}

impl Incoming {
    /// Returns whether nothing of the request follows.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Result { .. } | Self::Error(_) | Self::Failed(_))
    }

    /// Returns how the request ended, for its metric.
    pub(super) fn outcome(&self) -> CallOutcome {
        match self {
            Self::Error(error) => CallOutcome::from_error_object(error),
            Self::Failed(failure) => CallOutcome::Unanswered(failure.spec().kind),
            Self::Result { .. }
            | Self::Progress { .. }
            | Self::Log(_)
            | Self::Extension(_)
            | Self::TaskStatus { .. }
            | Self::Request(_)
            | Self::Withdrawn(_)
            | Self::Alive => CallOutcome::Success,
        }
    }

    /// Returns the bytes that are held while the message waits for its reader.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Progress { line, .. }
            | Self::TaskStatus { line, .. }
            | Self::Log(line)
            | Self::Extension(line)
            | Self::Result { json: line, .. }
            | Self::Error(line) => line.len(),
            Self::Request(request) => request.size(),
            Self::Withdrawn(id) => id.len(),
            Self::Failed(_) | Self::Alive => 0,
        }
    }
}

/// Returns a progress notification with the client's token in place of ours, which stands at `range`.
pub(super) fn with_client_token(line: &Bytes, range: Range<usize>, token: &Bytes) -> Bytes {
    splice(line, &mut [Edit { range, with: token }], 0).into()
}

/// Returns the status of a task with the id by which its client knows it, a JSON string, in place of the child's own, which stands at `range`.
pub(super) fn with_task_id(line: &Bytes, range: Range<usize>, id: &[u8]) -> Bytes {
    splice(line, &mut [Edit { range, with: id }], 0).into()
}
