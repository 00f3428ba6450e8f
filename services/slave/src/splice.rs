//! Replacement of parts of a JSON message, as the whole slave uses it. Must not know which message it is.

pub(crate) use protocol::mcp::splice::{
    Edit, Pieces, member_at, range_in, splice, splice_shared, strip_newlines,
};
