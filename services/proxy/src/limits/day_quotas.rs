//! Quotas of the policy (`quotas:` of `POLICY`): calls of a day, counted by this proxy. Must not know how a call goes on.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use policy::{Quota, QuotaShare};
use protocol::mcp::failure::Failure;

use super::client::Client;
use crate::metrics::{self, RefusalReason};

/// Clients that one quota tells apart; further ones count as one.
const MAX_CLIENTS: usize = 50_000;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What was used of quotas today (UTC).
#[derive(Default)]
pub(crate) struct DayQuotas(Mutex<Today>);

#[derive(Default)]
struct Today {
    /// Days since 1970.
    day: u64,
    /// By the name of the quota.
    used: HashMap<String, Used>,
}

/// Calls that were made under one quota.
#[derive(Default)]
struct Used {
    clients: HashMap<Client, u32>,
    /// Of all clients together, or of those that are too many.
    together: u32,
}

impl Used {
    fn of(&mut self, share: QuotaShare, client: Client) -> &mut u32 {
        let is_known = self.clients.contains_key(&client) || self.clients.len() < MAX_CLIENTS;
        match share {
            QuotaShare::Each if is_known => self.clients.entry(client).or_default(),
            QuotaShare::Each | QuotaShare::Together => &mut self.together,
        }
    }
}

impl DayQuotas {
    /// Counts one call of this client under all these quotas, or refuses it and counts nothing.
    pub(crate) fn take<'a>(
        &self,
        quotas: impl Iterator<Item = &'a Quota> + Clone,
        client: Client,
    ) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.take_at(now, quotas, client)
    }

    fn take_at<'a>(
        &self,
        now: u64,
        quotas: impl Iterator<Item = &'a Quota> + Clone,
        client: Client,
    ) -> Result<(), Failure> {
        let mut today = self.0.lock();
        // A clock that is set back does not give the day's calls once more.
        if now / DAY > today.day {
            *today = Today { day: now / DAY, used: HashMap::new() };
        }
        for quota in quotas.clone() {
            let used = today.used.get_mut(&quota.name).map_or(0, |used| *used.of(quota.share, client));
            if used >= quota.calls {
                metrics::record_refusal(RefusalReason::Quota);
                return Err(exceeded(quota, DAY - now % DAY));
            }
        }
        for quota in quotas {
            if !today.used.contains_key(&quota.name) {
                today.used.insert(quota.name.clone(), Used::default());
            }
            if let Some(used) = today.used.get_mut(&quota.name) {
                *used.of(quota.share, client) += 1;
            }
        }
        Ok(())
    }
}

fn exceeded(quota: &Quota, seconds: u64) -> Failure {
    let who = match quota.share {
        QuotaShare::Each => "this client may make",
        QuotaShare::Together => "this group of clients may make",
    };
    let what = format!("{who} {} calls a day", quota.calls);
    Failure::RateLimited { what, retry_after: u32::try_from(seconds).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(last: u8) -> Client {
        Client::Address(IpAddr::from([10, 0, 0, last]))
    }

    fn quotas(text: &str) -> Vec<Quota> {
        let file = format!("default: allow\nquotas:\n{text}");
        policy::Policy::parse(&file, policy::Side::Proxy).unwrap().quotas().to_vec()
    }

    #[test]
    fn a_day_has_so_many_calls_of_each_client_or_of_all() {
        let each = quotas("- { name: each, who: anyone, calls: 2 }\n");
        let all = quotas("- { name: all, who: anyone, calls: 3, share: together }\n");
        let (counts, noon) = (DayQuotas::default(), 20_000 * DAY + DAY / 2);
        let take = |now: u64, quotas: &[Quota], last: u8| counts.take_at(now, quotas.iter(), client(last));
        assert!(take(noon, &each, 1).is_ok() && take(noon, &each, 1).is_ok() && take(noon, &each, 2).is_ok());
        let Err(Failure::RateLimited { what, retry_after }) = take(noon, &each, 1) else {
            panic!("the third call of a client")
        };
        assert_eq!((what.as_str(), retry_after), ("this client may make 2 calls a day", 43_200));
        assert!(take(noon, &all, 1).is_ok() && take(noon, &all, 2).is_ok() && take(noon, &all, 3).is_ok());
        assert!(take(noon, &all, 4).is_err());
        assert!(take(noon + DAY, &all, 4).is_ok() && take(noon + DAY, &each, 1).is_ok(), "a new day");
        assert!(take(noon, &each, 1).is_ok(), "the second call of the later day");
        assert!(take(noon, &each, 1).is_err(), "a clock that goes back gives nothing");
    }

    #[test]
    fn a_call_that_one_quota_refuses_counts_for_none() {
        let mut both = quotas(
            "- { name: wide, who: anyone, calls: 3 }\n- { name: narrow, who: anyone, calls: 1, share: together }\n",
        );
        let counts = DayQuotas::default();
        let take = |quotas: &[Quota]| counts.take_at(5 * DAY, quotas.iter(), client(1));
        assert!(take(&both).is_ok());
        assert!(take(&both).is_err() && take(&both).is_err());
        both.pop();
        assert!(take(&both).is_ok() && take(&both).is_ok(), "two of three are left");
        assert!(take(&both).is_err());
        // The number of the file of now counts, with what was used before.
        both[0].calls = 4;
        assert!(take(&both).is_ok() && take(&both).is_err());
    }

    #[test]
    fn clients_beyond_those_that_are_told_apart_share_one_count() {
        let each = quotas("- { name: each, who: anyone, calls: 1 }\n");
        let counts = DayQuotas::default();
        let of = |number: usize| Client::Session(number as u64);
        for number in 0..MAX_CLIENTS {
            counts.take_at(0, each.iter(), of(number)).unwrap();
        }
        assert!(counts.take_at(0, each.iter(), of(MAX_CLIENTS)).is_ok());
        assert!(counts.take_at(0, each.iter(), of(MAX_CLIENTS + 1)).is_err());
        assert!(counts.take_at(0, each.iter(), of(7)).is_err(), "those that are known keep their own");
    }
}
