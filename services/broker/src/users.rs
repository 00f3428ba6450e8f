//! The users of the broker: their file, and the users in force while it is followed. Must not know requests.

mod file;
mod one_time;
mod store;

pub use file::{MAX_USERS, User, UsersFile, is_name};
pub(crate) use one_time::STEP;
pub use one_time::{OneTimeSecret, url_of};
pub use store::UserStore;
