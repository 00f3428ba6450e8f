//! The table of a plain proxy's requests: cases, and a property over ids, links and times.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const MAX_BYTES: usize = 1000;

fn text(id: &str, what: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{what}"}}"#))
}

fn run(table: &mut RequestTable, id: &str, now: Instant) -> Ticket {
    match table.begin(id, now) {
        Begun::Run(ticket) | Begun::RunInstead(ticket) => ticket,
        Begun::Full => panic!("full"),
    }
}

fn answers(table: &mut RequestTable) -> Vec<Value> {
    std::iter::from_fn(|| table.next_answer()).map(|text| serde_json::from_slice(&text).unwrap()).collect()
}

#[test]
fn an_answer_outlives_the_link_until_the_proxy_gives_the_request_up() {
    let (mut table, start) = (RequestTable::new(MAX_BYTES), Instant::now());
    table.link_up(start);
    let (before, during, late) =
        (run(&mut table, "1", start), run(&mut table, "2", start), run(&mut table, "3", start));
    table.end(before, Some(text("1", "before")));
    table.link_down();
    table.end(during, Some(text("2", "during")));
    assert_eq!(table.next_expiry(), Some(start + PROXY_TIMEOUT));
    table.link_up(start + PROXY_TIMEOUT / 2);
    assert_eq!(table.next_expiry(), None, "a link is up");
    let sent: Vec<Value> = answers(&mut table).iter().map(|answer| answer["result"].clone()).collect();
    assert_eq!(sent, ["before", "during"]);
    table.link_down();
    table.expire(start + PROXY_TIMEOUT);
    table.end(late, Some(text("3", "late")));
    table.link_up(start + PROXY_TIMEOUT);
    assert!(answers(&mut table).is_empty() && table.len() == 0 && table.by_id.is_empty());
}

#[test]
fn an_id_that_comes_again_is_the_later_request_s() {
    for answered_before in [false, true] {
        let (mut table, now) = (RequestTable::new(MAX_BYTES), Instant::now());
        let first = run(&mut table, "1", now);
        if answered_before {
            table.end(first, Some(text("1", "first")));
        }
        let other = run(&mut table, r#""1""#, now);
        let Begun::RunInstead(second) = table.begin("1", now) else { panic!("the id is taken") };
        table.end(first, Some(text("1", "first")));
        table.end(second, Some(text("1", "second")));
        table.end(other, Some(text(r#""1""#, "other")));
        let sent: Vec<Value> = answers(&mut table).iter().map(|answer| answer["result"].clone()).collect();
        assert_eq!(sent, ["second", "other"]);
        assert_eq!(table.begin("1", now), Begun::Run(Ticket(4)), "the id is free again");
    }
    let (mut table, now) = (RequestTable::new(MAX_BYTES), Instant::now());
    run(&mut table, "null", now);
    assert!(matches!(table.begin("null", now), Begun::Run(_)), "no id is no id twice");
}

#[test]
fn what_cannot_be_kept_or_has_failed_is_answered_with_an_error() {
    let (mut table, now) = (RequestTable::new(MAX_BYTES), Instant::now());
    table.link_up(now);
    let tickets: Vec<Ticket> = (0..6).map(|id| run(&mut table, &id.to_string(), now)).collect();
    for (id, ticket) in tickets.iter().enumerate().take(3) {
        table.end(*ticket, Some(text(&id.to_string(), &"x".repeat(MAX_BYTES / 2 - 60))));
    }
    table.end(tickets[3], Some(text("3", &"x".repeat(2 * MAX_BYTES))));
    table.link_down();
    table.end(tickets[4], None);
    table.give_up(&Failure::OutcomeUnknown);
    table.link_up(now);
    let kinds: Vec<_> = answers(&mut table)
        .iter()
        .map(|answer| (answer["id"].as_u64(), answer["error"]["data"]["kind"].as_str().map(str::to_owned)))
        .collect();
    let expected = [
        None,
        None,
        Some("result_too_large"),
        Some("result_too_large"),
        Some("internal"),
        Some("outcome_unknown"),
    ];
    // The fifth may have become too much as well: errors take bytes too.
    for (id, kind) in expected.iter().enumerate().filter(|(id, _)| *id != 4) {
        assert_eq!(kinds[id], (Some(id as u64), kind.map(str::to_owned)));
    }
    assert!(kinds[4].1.is_some());
}

#[test]
fn requests_are_bounded_and_so_are_refusals() {
    let (mut table, now) = (RequestTable::new(MAX_BYTES), Instant::now());
    for id in 0..MAX_REQUESTS {
        run(&mut table, &id.to_string(), now);
    }
    assert_eq!(table.begin("more", now), Begun::Full);
    for _ in 0..3 * MAX_ANSWERS {
        table.refuse("more", &Failure::Draining, now);
    }
    assert_eq!(table.len(), MAX_REQUESTS + MAX_ANSWERS);
}

#[test]
fn nothing_is_answered_after_another_slave_took_over() {
    let (mut table, now) = (RequestTable::new(MAX_BYTES), Instant::now());
    let (answered, running) = (run(&mut table, "1", now), run(&mut table, "2", now));
    table.end(answered, Some(text("1", "x")));
    table.drop_all();
    table.end(running, Some(text("2", "x")));
    table.link_up(now);
    assert!(answers(&mut table).is_empty() && table.len() == 0);
}

#[derive(Clone, Debug)]
enum Step {
    Begin(u8),
    End(prop::sample::Index, usize),
    Up,
    Down,
    Take,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6).prop_map(Step::Begin),
        4 => (any::<prop::sample::Index>(), 0usize..600).prop_map(|(which, length)| Step::End(which, length)),
        1 => Just(Step::Up),
        1 => Just(Step::Down),
        2 => Just(Step::Take),
        1 => (0u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn a_request_is_answered_at_most_once_and_only_while_its_id_is_its_own(steps in prop::collection::vec(step(), 1..80)) {
        let (mut table, mut now) = (RequestTable::new(MAX_BYTES), Instant::now());
        // The newest request with each id that was not answered, and the requests that run.
        let (mut newest, mut running) = (BTreeMap::new(), Vec::new());
        let (mut number, mut linked) = (0, false);
        for step in steps {
            match step {
                Step::Begin(id) => {
                    number += 1;
                    running.push((run(&mut table, &id.to_string(), now), id, number));
                    newest.insert(id, number);
                }
                Step::End(which, length) if !running.is_empty() => {
                    let (ticket, id, number) = running.remove(which.index(running.len()));
                    table.end(ticket, Some(text(&id.to_string(), &format!("{number} {}", "x".repeat(length)))));
                }
                Step::Up => {
                    table.link_up(now);
                    linked = true;
                }
                Step::Down => {
                    table.link_down();
                    linked = false;
                }
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Take if linked => {
                    let Some(answer) = table.next_answer() else { continue };
                    let answer: Value = serde_json::from_slice(&answer).unwrap();
                    let id = u8::try_from(answer["id"].as_u64().unwrap()).unwrap();
                    let expected = newest.remove(&id);
                    prop_assert!(expected.is_some(), "answered twice: {}", answer);
                    if let Some(result) = answer["result"].as_str() {
                        let number: Option<u64> = result.split(' ').next().and_then(|text| text.parse().ok());
                        prop_assert_eq!(number, expected, "an earlier request's answer");
                    }
                }
                Step::End(..) | Step::Take => {}
            }
            if !linked {
                table.expire(now);
                let bytes: usize = table.answers.iter().map(|answer| answer.text.len()).sum();
                prop_assert!(bytes <= MAX_BYTES + 400 * table.answers.len());
            }
        }
        for (ticket, id, _) in running {
            table.end(ticket, Some(text(&id.to_string(), "x")));
        }
        while table.next_answer().is_some() {}
        prop_assert!(table.len() == 0 && table.by_id.is_empty(), "nothing is kept");
    }
}
