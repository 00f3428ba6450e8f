//! Whose tasks of backends are (2025-11-25, Tasks): noted when a client creates a task or asks for one, for a time and up to a number. Must
//! not know backends, nor how ids look to clients.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Most tasks that are known. Beyond it the oldest task of the client with most of them is forgotten.
const MAX_TASKS: usize = 16_384;

/// Most tasks of one client that are known. Beyond it its oldest one is forgotten.
const MAX_OF_CLIENT: usize = 1024;

/// Longest id of a task that is kept, in bytes.
const MAX_ID: usize = 512;

/// Time for which a task is known after its own time (`ttl`), and after a client has asked for it.
const SPARE: Duration = Duration::from_hours(1);

/// Time for which a task is known whose backend names no time, or a longer one.
const LONGEST: Duration = Duration::from_hours(24);

/// Task of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    /// The backend's name.
    pub(crate) backend: Arc<str>,
    /// The client whose process has the task, where the backend has processes of clients: two of them may have given out one id.
    pub(crate) process: Option<Arc<str>>,
    /// Number of the process that has the task: one that is started again may give out its ids once more.
    pub(crate) generation: u64,
    /// The backend's own id.
    pub(crate) id: Box<str>,
}

/// A backend's process and its own id of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnTask {
    /// Number of the process.
    pub(crate) generation: u64,
    /// The backend's own id.
    pub(crate) id: Box<str>,
}

/// The client of a task, and what made the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskOwner {
    /// Digest of the client.
    pub(crate) client: Arc<str>,
    /// The session that created the task, or asked for it last.
    pub(crate) session: Option<Arc<str>>,
    /// The tool that made the task, by the slave's name.
    pub(crate) tool: Arc<str>,
}

struct KnownTask {
    owner: TaskOwner,
    until: Instant,
    number: u64,
}

#[derive(Default)]
struct Table {
    tasks: HashMap<TaskKey, KnownTask>,
    /// The tasks of each client, the oldest first.
    clients: HashMap<Arc<str>, BTreeMap<u64, TaskKey>>,
    last: u64,
}

/// The table of tasks and their clients.
#[derive(Default)]
pub(crate) struct TaskOwners(Mutex<Table>);

impl TaskOwners {
    /// Notes that this client has created a task, which lives for `ttl`; `None`: for a time that is not known.
    pub(crate) fn on_created(&self, key: TaskKey, owner: TaskOwner, ttl: Option<Duration>, now: Instant) {
        let time = ttl.map_or(LONGEST, |ttl| ttl.min(LONGEST)) + SPARE;
        self.0.lock().note(key, owner, now + time, now);
    }

    /// Notes that the client of a task, by its id, has asked for the task. Does nothing for a task that another client has created since:
    /// a backend that was started again may give out its ids once more.
    pub(crate) fn on_asked(&self, key: TaskKey, owner: TaskOwner, now: Instant) {
        let mut table = self.0.lock();
        let until = match table.tasks.get(&key) {
            Some(known) if known.owner.client != owner.client => return,
            Some(known) => known.until.max(now + SPARE),
            None => now + SPARE,
        };
        table.note(key, owner, until, now);
    }

    /// Returns whose a task is.
    pub(crate) fn owner(&self, key: &TaskKey, now: Instant) -> Option<TaskOwner> {
        let table = self.0.lock();
        table.tasks.get(key).filter(|known| known.until > now).map(|known| known.owner.clone())
    }

    /// Returns whether a task is not this client's any more: another one has created a task of this id since.
    pub(crate) fn is_of_another(&self, key: &TaskKey, client: Option<&str>, now: Instant) -> bool {
        self.owner(key, now).is_some_and(|owner| Some(&*owner.client) != client)
    }

    /// Returns a client's tasks, each with the tool that made it, by backend.
    pub(crate) fn of_client(
        &self,
        client: &str,
        now: Instant,
    ) -> HashMap<Arc<str>, HashMap<OwnTask, Arc<str>>> {
        let table = self.0.lock();
        let mut tasks: HashMap<Arc<str>, HashMap<OwnTask, Arc<str>>> = HashMap::new();
        for key in table.clients.get(client).into_iter().flat_map(BTreeMap::values) {
            if let Some(known) = table.tasks.get(key).filter(|known| known.until > now) {
                let own = OwnTask { generation: key.generation, id: key.id.clone() };
                let of_backend = tasks.entry(Arc::clone(&key.backend)).or_default();
                of_backend.insert(own, Arc::clone(&known.owner.tool));
            }
        }
        tasks
    }
}

impl Table {
    fn note(&mut self, key: TaskKey, owner: TaskOwner, until: Instant, now: Instant) {
        if key.id.len() > MAX_ID {
            return;
        }
        // A task keeps its place among those of its client.
        let number = match self.remove(&key) {
            Some(known) if known.owner.client == owner.client => known.number,
            _ => {
                self.last += 1;
                self.last
            }
        };
        self.clients.entry(Arc::clone(&owner.client)).or_default().insert(number, key.clone());
        let client = Arc::clone(&owner.client);
        self.tasks.insert(key, KnownTask { owner, until, number });
        if self.clients.get(&client).is_some_and(|tasks| tasks.len() > MAX_OF_CLIENT) {
            self.forget_oldest(&client);
        }
        if self.tasks.len() > MAX_TASKS {
            self.make_room(now);
        }
    }

    fn remove(&mut self, key: &TaskKey) -> Option<KnownTask> {
        let known = self.tasks.remove(key)?;
        let client = &known.owner.client;
        if let Some(tasks) = self.clients.get_mut(client) {
            tasks.remove(&known.number);
            if tasks.is_empty() {
                self.clients.remove(client);
            }
        }
        Some(known)
    }

    fn forget_oldest(&mut self, client: &str) {
        let oldest = self.clients.get(client).and_then(|tasks| tasks.values().next().cloned());
        oldest.and_then(|key| self.remove(&key));
    }

    /// Forgets the tasks whose time is over; where there are none, the oldest one of the client with most of them.
    fn make_room(&mut self, now: Instant) {
        let over: Vec<TaskKey> =
            self.tasks.iter().filter(|(_, known)| known.until <= now).map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.remove(key);
        }
        if over.is_empty() {
            let most = self.clients.iter().max_by_key(|(_, tasks)| tasks.len());
            let most = most.map(|(client, _)| Arc::clone(client));
            if let Some(client) = most {
                self.forget_oldest(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(backend: &str, id: &str) -> TaskKey {
        TaskKey { backend: backend.into(), process: None, generation: 1, id: id.into() }
    }

    fn owner(client: &str, session: &str) -> TaskOwner {
        TaskOwner { client: client.into(), session: Some(session.into()), tool: "t".into() }
    }

    fn ids(owners: &TaskOwners, client: &str, now: Instant) -> Vec<String> {
        let of_client = owners.of_client(client, now);
        let mut ids: Vec<String> =
            of_client.values().flat_map(HashMap::keys).map(|own| own.id.clone().into_string()).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_task_is_its_creator_s_until_its_time_is_over_and_longer_where_its_client_asks_for_it() {
        let (owners, start) = (TaskOwners::default(), Instant::now());
        let minute = Duration::from_mins(1);
        owners.on_created(key("b", "1"), owner("me", "s"), Some(minute), start);
        owners.on_created(key("b", "2"), owner("you", "t"), None, start);
        assert_eq!(
            (ids(&owners, "me", start), ids(&owners, "you", start)),
            (vec!["1".to_owned()], vec!["2".to_owned()])
        );
        assert_eq!(owners.owner(&key("b", "1"), start), Some(owner("me", "s")));
        assert_eq!(owners.owner(&key("c", "1"), start), None);
        let later = start + minute + SPARE;
        assert_eq!(ids(&owners, "me", later.checked_sub(minute).unwrap()), ["1"]);
        assert_eq!((ids(&owners, "me", later), owners.owner(&key("b", "1"), later)), (Vec::new(), None));
        owners.on_asked(key("b", "1"), owner("me", "s2"), later);
        assert_eq!(owners.owner(&key("b", "1"), later), Some(owner("me", "s2")), "its newest session");
        // What another client created since is not the first one's any more, whatever its id says.
        owners.on_created(key("b", "1"), owner("you", "t"), None, later);
        owners.on_asked(key("b", "1"), owner("me", "s2"), later);
        assert_eq!(owners.owner(&key("b", "1"), later), Some(owner("you", "t")));
        assert_eq!(ids(&owners, "me", later), [""; 0]);
        let of = |process: &str| TaskKey { process: Some(process.into()), ..key("p", "1") };
        owners.on_created(of("me"), owner("me", "s"), None, later);
        owners.on_created(of("you"), owner("you", "t"), None, later);
        assert_eq!(owners.owner(&of("me"), later), Some(owner("me", "s")), "processes number for themselves");
    }

    #[test]
    fn an_id_that_is_given_out_again_is_the_last_creator_s_and_of_another_process_another_s() {
        let (owners, now) = (TaskOwners::default(), Instant::now());
        owners.on_created(key("b", "1"), owner("me", "s"), None, now);
        let again = TaskKey { generation: 2, ..key("b", "1") };
        owners.on_created(again.clone(), owner("you", "t"), None, now);
        assert!(!owners.is_of_another(&key("b", "1"), Some("me"), now));
        assert!(owners.is_of_another(&again, Some("me"), now) && owners.is_of_another(&again, None, now));
        assert_eq!((ids(&owners, "me", now).len(), ids(&owners, "you", now).len()), (1, 1));
        owners.on_created(key("b", "1"), owner("you", "t"), None, now);
        assert!(owners.is_of_another(&key("b", "1"), Some("me"), now));
        assert!(!owners.is_of_another(&key("b", "2"), Some("me"), now), "of which nothing is known");
    }

    #[test]
    fn one_client_has_its_share_and_all_have_no_more_than_the_table() {
        let (owners, now) = (TaskOwners::default(), Instant::now());
        for number in 0..MAX_OF_CLIENT + 5 {
            owners.on_created(key("b", &format!("{number:05}")), owner("me", "s"), None, now);
        }
        let mine = ids(&owners, "me", now);
        assert_eq!((mine.len(), mine[0].as_str()), (MAX_OF_CLIENT, "00005"));
        for number in 0..MAX_TASKS {
            owners.on_created(
                key("b", &format!("x{number}")),
                owner(&format!("c{}", number % 100), "s"),
                None,
                now,
            );
        }
        assert_eq!(owners.0.lock().tasks.len(), MAX_TASKS);
        assert!(ids(&owners, "me", now).len() < MAX_OF_CLIENT, "the one with most gives way");
        let share = ids(&owners, "c7", now).len();
        assert!(
            (MAX_TASKS / 101..=MAX_TASKS.div_ceil(100)).contains(&share),
            "{share}: all have about as many"
        );
        owners.on_created(key("b", &"x".repeat(MAX_ID + 1)), owner("long", "s"), None, now);
        assert_eq!(ids(&owners, "long", now), [""; 0]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Created(u8, u8),
        Asked(u8, u8),
        Wait(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8, 0..8_u8).prop_map(|(client, id)| Step::Created(client, id)),
            (0..4_u8, 0..8_u8).prop_map(|(client, id)| Step::Asked(client, id)),
            (0..60_u8).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn a_task_is_never_shown_to_a_client_that_neither_created_it_last_nor_had_its_id(
            steps in proptest::collection::vec(step(), 0..60)
        ) {
            let (owners, mut now) = (TaskOwners::default(), Instant::now());
            let mut creators: HashMap<u8, u8> = HashMap::new();
            for step in steps {
                match step {
                    Step::Created(client, id) => {
                        owners.on_created(key("b", &id.to_string()), owner(&client.to_string(), "s"), Some(SPARE), now);
                        creators.insert(id, client);
                    }
                    Step::Asked(client, id) if creators.get(&id) == Some(&client) => {
                        owners.on_asked(key("b", &id.to_string()), owner(&client.to_string(), "s"), now);
                    }
                    // Its id has another creator by now, or none.
                    Step::Asked(..) => {}
                    Step::Wait(minutes) => now += Duration::from_mins(minutes.into()),
                }
                let table = owners.0.lock();
                let of_clients: usize = table.clients.values().map(BTreeMap::len).sum();
                prop_assert_eq!(of_clients, table.tasks.len());
                prop_assert!(table.clients.values().all(|tasks| !tasks.is_empty()));
                drop(table);
                for client in 0..4_u8 {
                    for id in ids(&owners, &client.to_string(), now) {
                        prop_assert_eq!(creators.get(&id.parse::<u8>().unwrap()), Some(&client));
                    }
                }
            }
        }
    }
}
