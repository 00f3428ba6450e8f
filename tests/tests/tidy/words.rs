//! Words that the code does not use: names that were replaced, tuples as parameters, documents outside the repository.

use std::collections::BTreeSet;

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, ItemImpl, ItemTrait, Pat, Signature, Type};

use crate::source::{self, Source};

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

/// What code and comments do not cite: they are not in this repository.
const OUTSIDE: &[&str] = &["DESIGN.md", "EXISTING.md", "GLOSSARY.md", "shared/"];

/// The Rust files that the rules hold for: all but this one, which names the words.
fn files() -> Vec<Source> {
    source::all().into_iter().filter(|file| !file.path.ends_with("tidy/words.rs")).collect()
}

fn parse(file: &Source) -> syn::File {
    syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

fn report(faults: &BTreeSet<String>) {
    let faults: Vec<_> = faults.iter().map(String::as_str).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

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
    for file in files() {
        let found = Identifiers::of(&parse(&file));
        for name in found.all.iter().filter(|name| Identifiers::is_banned(name)) {
            faults.insert(format!("{}: `{name}` is not a name of this code base", file.path));
        }
        for name in found.modules.iter().filter(|name| BANNED_MODULES.contains(&name.as_str())) {
            faults.insert(format!("{}: `mod {name}` is not a name of this code base", file.path));
        }
    }
    report(&faults);
}

/// Functions with a tuple among their parameters.
struct TupleParameters<'a> {
    /// Names of the traits that the project defines: what others' traits ask for is not ours to change.
    traits: &'a BTreeSet<String>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for TupleParameters<'_> {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        let is_tuple = |argument: &FnArg| match argument {
            FnArg::Receiver(_) => false,
            FnArg::Typed(typed) => matches!(&*typed.pat, Pat::Tuple(_)) || is_tuple_type(&typed.ty),
        };
        if signature.inputs.iter().any(is_tuple) {
            self.found.push(signature.ident.to_string());
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let name = block.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        if name.is_none_or(|segment| self.traits.contains(&segment.ident.to_string())) {
            visit::visit_item_impl(self, block);
        }
    }
}

fn is_tuple_type(ty: &Type) -> bool {
    match ty {
        Type::Tuple(tuple) => !tuple.elems.is_empty(),
        Type::Reference(reference) => is_tuple_type(&reference.elem),
        _ => false,
    }
}

struct Traits(BTreeSet<String>);

impl<'ast> Visit<'ast> for Traits {
    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.0.insert(item.ident.to_string());
    }
}

#[test]
fn no_function_takes_a_tuple() {
    let parsed: Vec<_> = files().into_iter().map(|file| (parse(&file), file.path)).collect();
    let mut traits = Traits(BTreeSet::new());
    for (file, _) in &parsed {
        traits.visit_file(file);
    }
    let mut faults = BTreeSet::new();
    for (file, path) in &parsed {
        let mut functions = TupleParameters { traits: &traits.0, found: Vec::new() };
        functions.visit_file(file);
        faults.extend(
            functions.found.iter().map(|name| format!("{path}: fn {name} takes a tuple: name its parts")),
        );
    }
    report(&faults);
}

/// The number in "issue 11" or "#11", the ways in which comments cite an issue.
fn cites_issue(line: &str) -> bool {
    let follows = |mark: &str| {
        line.match_indices(mark)
            .any(|(at, _)| line[at + mark.len()..].trim_start().starts_with(|c: char| c.is_ascii_digit()))
    };
    ["issue ", "Issue ", "ISSUE"].iter().any(|mark| follows(mark))
}

#[test]
fn nothing_cites_a_document_outside_the_repository() {
    let mut faults = BTreeSet::new();
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            let cited = OUTSIDE.iter().find(|name| line.contains(**name));
            if let Some(name) = cited {
                faults.insert(format!("{}:{}: cites {name}", file.path, number + 1));
            } else if line.trim_start().starts_with("//") && cites_issue(line) {
                faults.insert(format!("{}:{}: cites an issue by its number", file.path, number + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn tuples_are_found_where_functions_of_ours_take_them() {
    let code = "trait Ours { fn a(x: (u8, u8)); } impl Theirs for X { fn b((a, b): (u8, u8)) {} } \
                fn c(x: &(u8, u8)) {} fn d(x: &[(u8, u8)], y: ()) { xs.map(|(a, b)| a) }";
    let traits = BTreeSet::from(["Ours".to_owned()]);
    let mut functions = TupleParameters { traits: &traits, found: Vec::new() };
    functions.visit_file(&syn::parse_file(code).unwrap());
    assert_eq!(functions.found, ["a", "c"]);
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
