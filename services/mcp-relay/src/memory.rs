//! Returns to the system what bursts have used. Must not know what used it.

use std::hint::black_box;
use std::time::Duration;

/// Time between two looks at what was freed.
const INTERVAL: Duration = Duration::from_secs(2);

/// Length of a block that has a page of the allocator to itself, in bytes. It is never touched, so it costs address space only.
const LONG: usize = 8 * 1024 * 1024;

/// Makes the allocator look for memory that was freed a second ago or earlier, and give it back. It looks when it frees a page: while
/// calls come that happens by itself; after the last of a burst it would not happen. Never returns; dropping the future stops it.
pub(crate) async fn return_freed() {
    loop {
        tokio::time::sleep(INTERVAL).await;
        drop(black_box(Vec::<u8>::with_capacity(LONG)));
    }
}
