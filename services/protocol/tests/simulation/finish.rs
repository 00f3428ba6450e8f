//! End of a run: links hold, readers read, backends end, and then nothing may be left. Also the checks of every step.

use std::time::Duration;

use protocol::link::ids::CallId;
use protocol::link::slave_end::RETENTION_MARGIN;

use crate::record::{CallRecord, Work};
use crate::world::World;

impl CallRecord {
    /// Records that the slave process with the call is gone.
    pub(crate) fn on_slave_death(&mut self) {
        if self.work.runs() {
            self.work = Work::Done;
        }
        self.retained = false;
    }
}

impl World {
    pub(crate) fn open_calls(&self) -> Vec<CallId> {
        self.records.borrow().calls.iter().filter(|(_, t)| t.is_open()).map(|(id, _)| *id).collect()
    }

    /// Checks what must hold after every step.
    pub(crate) fn check(&self) {
        for slave in &self.slaves {
            let end = &slave.end;
            assert_eq!((end.journal_bytes(), end.assembly_bytes()), end.recount(), "wrong counts of a slave");
            // Beyond its limit the journal has at most one error object of this length for each call.
            assert!(end.journal_bytes() <= self.limits.journal + 256 * end.calls());
            assert!(end.assembly_bytes() <= self.limits.assembly);
        }
    }

    /// Transfers frames until nothing moves any more.
    fn flow(&mut self) {
        let mut idle = 0;
        for _ in 0..100_000 {
            let mut moved = false;
            for pair in self.pairs() {
                let count = self.rng.between(1, 50);
                moved |= self.proxy_writes(pair, count) > 0;
                moved |= self.slave_writes(pair, count) > 0;
                moved |= self.slave_reads(pair);
                moved |= self.proxy_reads(pair);
            }
            moved |= self.reader_takes(usize::MAX);
            self.check();
            idle = if moved { 0 } else { idle + 1 };
            if idle == 4 {
                return;
            }
            if !moved {
                self.pass(Duration::from_millis(25));
            }
        }
        panic!("frames without end");
    }

    /// Restores all links, lets every reader read and every backend end: every call must end, and nothing may be kept.
    pub(crate) fn finish(&mut self) {
        self.log(|| "finish".into());
        for pair in self.pairs() {
            let connection = self.connections.get_mut(&pair).expect("a pair");
            if connection.broken {
                self.slave_notices_cut(pair);
                self.reconnect(pair);
            }
        }
        self.flow();
        self.check_running_calls();
        self.check_catalogs();
        while self.backend_ends() {}
        for slave in 0..self.slaves.len() {
            self.slave_events(slave);
        }
        self.flow();
        let left = self.open_calls();
        assert!(left.is_empty(), "calls that never end: {left:?}");
        for (pair, known) in &self.known {
            assert_eq!(known.end.calls(), 0, "proxy {} keeps calls of slave {}", pair.proxy, pair.slave);
        }
        self.pass(self.limits.grace + RETENTION_MARGIN + Duration::from_secs(1));
        for slave in &self.slaves {
            assert_eq!(slave.end.calls(), 0, "a slave keeps calls");
            assert_eq!(slave.end.journal_bytes(), 0, "journal bytes that no call has");
            assert_eq!(slave.end.assembly_bytes(), 0, "assembly bytes that no call has");
        }
        for slave in 0..self.slaves.len() {
            self.slave_events(slave);
        }
        for (id, record) in &self.records.borrow().calls {
            assert!(!record.retained || record.released, "{id:?}: retained, and never released");
        }
    }

    fn check_running_calls(&self) {
        for (id, record) in &self.records.borrow().calls {
            if record.is_open() && record.work.runs() {
                assert_eq!(record.work, Work::Running, "{id:?}: waits although it may write");
            }
        }
    }

    fn check_catalogs(&self) {
        for (pair, known) in &self.known {
            assert_eq!(
                known.catalog, self.slaves[pair.slave].catalog,
                "proxy {} has an old catalog",
                pair.proxy
            );
        }
    }
}
