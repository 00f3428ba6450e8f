//! Names that were replaced and must not come back. Reads identifiers only, not text.

use std::collections::BTreeSet;

use syn::Attribute;
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};

use crate::source::{self, report};

/// Types, functions and constants that have another name today; no identifier may be one of them.
const BANNED: &[&str] = &[
    // Links of the proxy.
    "Backdoor",
    "Newcomer",
    "Departure",
    "Farewell",
    "Portrait",
    "Particulars",
    "Codebook",
    "Calendar",
    "Freed",
    "Turned",
    "Burden",
    "SlotSink",
    "AILING",
    "turn_away",
    "bury",
    "bury_predecessors",
    "look_after",
    "become_known",
    "send_away",
    "worth_saying",
    "wait_for_return",
    "MOST_STRANGERS",
    "LINGER",
    "GATHER",
    "TELLING",
    "Pump",
    "Roster",
    "judged",
    "newcomer",
    "ailing",
    // Dispatch and routes of the proxy.
    "Lobby",
    "Seat",
    "Lane",
    "Ways",
    "Crowd",
    "Turns",
    "NoPlace",
    "Judgement",
    "Homeless",
    "lose_home",
    "find_home",
    "judge_nothing",
    "forwarded_in_vain",
    "hand_out",
    "Tiers",
    "Secured",
    "may_bar",
    "LONGEST_REST",
    "Aim",
    "Harmless",
    "sieve",
    "withdraw",
    // The protocol.
    "Tally",
    "take_tally",
    "LAZY",
    "is_eager",
    "Intake",
    "Assembled",
    "Heading",
    "Patience",
    "be_patient",
    "Wrote",
    "tell_untold",
    "Forgotten",
    "Pulse",
    "RoundTrips",
    "intake",
    "untold",
    "tally",
    "stray",
    "restamp",
    // The edge.
    "Settle",
    "Bell",
    "Asker",
    "Taker",
    "Takes",
    "Arrived",
    "BothBody",
    "Came",
    "LAST_WORDS",
    "Exposure",
    "check_page",
    "FAREWELL",
    "Beat",
    "Cut",
    "Recent",
    "Tap",
    "Ear",
    "NoObserver",
    "asker",
    "welcome",
    "resume_token",
    // The slave.
    "Duty",
    "Outlook",
    "Entered",
    "Alarm",
    "gone_off",
    "Misbehaved",
    "Diary",
    "unline",
    "Surroundings",
    "Leaving",
    "Approach",
    "Greeting",
    "stand_by",
    "Board",
    "Life",
    "Live",
    "hurry",
    // What all services share.
    "Followed",
    "Hangups",
    "Told",
    "Losses",
    "Inquiry",
    "discreet",
    "TALKATIVE",
    "Carried",
    // The binary and the tests.
    "obey",
    "insist",
    "Wish",
    "Brought",
    "Doors",
    "Occupant",
    "knock",
];

/// Modules that have another name today.
const BANNED_MODULES: &[&str] = &[
    "arrived",
    "departure",
    "dialect",
    "diary",
    "farewell",
    "knock",
    "look",
    "pace",
    "patience",
    "portrait",
    "pulse",
    "seat",
    "settle",
    "story",
    "tally",
    "turns",
];

/// Beginnings that constants do not have: a limit is `MAX_<thing>`.
const BANNED_PREFIXES: &[&str] = &["MOST_", "LONGEST_"];

/// Constants that must say what they limit.
const BANNED_CONSTANTS: &[&str] = &["MOST", "LOOK", "KEEP", "ROOM", "SMALL", "COPY", "BEAT", "SAY", "REST"];

/// Every identifier, those in macros' arguments included.
#[derive(Default)]
struct Identifiers {
    all: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Identifiers {
    fn of(file: &syn::File) -> Self {
        let mut found = Self::default();
        found.visit_file(file);
        found
    }

    fn read_tokens(&mut self, mut at: Cursor<'_>) {
        while !at.eof() {
            if let Some((inside, _, _, after)) = at.any_group() {
                self.read_tokens(inside);
                at = after;
            } else if let Some((ident, after)) = at.ident() {
                self.all.insert(ident.to_string());
                at = after;
            } else {
                at = at.token_tree().map_or(at, |(_, after)| after);
            }
        }
    }

    fn is_banned(name: &str) -> bool {
        let constant = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        BANNED.contains(&name)
            || constant
                && (BANNED_CONSTANTS.contains(&name)
                    || BANNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    }
}

impl<'ast> Visit<'ast> for Identifiers {
    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.all.insert(ident.to_string());
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        visit::visit_macro(self, mac);
        self.read_tokens(TokenBuffer::new2(mac.tokens.clone()).begin());
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.modules.insert(module.ident.to_string());
        visit::visit_item_mod(self, module);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

#[test]
fn names_that_were_replaced_do_not_come_back() {
    let mut faults = BTreeSet::new();
    for file in source::all().iter().filter(|file| !file.path.ends_with("tidy/words.rs")) {
        let found = Identifiers::of(&file.parse());
        for name in found.all.iter().filter(|name| Identifiers::is_banned(name)) {
            faults.insert(format!("{}: `{name}` is not a name of this code base", file.path));
        }
        for name in found.modules.iter().filter(|name| BANNED_MODULES.contains(&name.as_str())) {
            faults.insert(format!("{}: `mod {name}` is not a name of this code base", file.path));
        }
    }
    report(&faults);
}

#[test]
fn banned_names_are_found_in_code_and_macros_but_not_in_text() {
    let code =
        "const MOST_LINKS: u8 = 1; fn f() { println!(\"Lobby {}\", Departure::new(Most)) } mod pulse {}";
    let found = Identifiers::of(&syn::parse_file(code).unwrap());
    let banned: Vec<_> = found.all.iter().filter(|name| Identifiers::is_banned(name)).collect();
    assert_eq!(banned, ["Departure", "MOST_LINKS"]);
    assert!(found.modules.contains("pulse"));
}
