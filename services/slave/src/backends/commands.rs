//! Command-line programs as tools (`SLAVE_TOOLS`): one process a call, without a shell. Must not know the registry.
//!
//! The file is read by [`mod@file`]; a [`template`] makes a command line of the arguments, which the [`schema`] was checked for before; the
//! [`process`] is run; a [`result`] is made of what it wrote.

mod backend;
mod collected;
pub mod file;
mod output_file;
mod process;
mod progress;
mod result;
mod run;
mod schema;
mod slots;
mod template;
mod tool;

pub(crate) use backend::Commands;
pub use backend::ToolChanges;
pub use tool::CommandTool;
pub(crate) use tool::NAME;
