//! The members of a tool that say what is run: `command`, `stdin`, `env`, `cwd`, `confine`. Must not know schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use runtime::document::{Cursor, Map};
use runtime::secret::Secret;
use serde_json::{Value, json};

use super::code;
use super::reader::ToolReader;
use crate::backends::commands::schema::Property;
use crate::backends::commands::template::{Absence, Element, Part, Source, Template};
use crate::backends::commands::tool::Program;
use crate::backends::executable::{find, find_on};
use crate::backends::pilot::is_secret;
use crate::backends::servers_file::read_confine;
use crate::launcher::Confinement;

/// What an element of a command is.
const ELEMENT: &str =
    "a text, a list of texts that stand or are left out together, or a mapping with \"when\" and \"then\"";

/// The name of the place of the file that a command writes.
const OUTPUT: &str = "output";

/// The places of values in the texts of one tool.
pub(super) struct Places<'a> {
    known: &'a BTreeMap<String, Property>,
    used: BTreeSet<String>,
    /// Whether the tool's result is a file, which then must have a place.
    writes_file: bool,
}

impl<'a> Places<'a> {
    pub(super) fn new(known: &'a BTreeMap<String, Property>, writes_file: bool) -> Self {
        Self { known, used: BTreeSet::new(), writes_file }
    }

    /// Returns the arguments that stand nowhere.
    pub(super) fn unused(&self) -> impl Iterator<Item = &str> {
        let all = self.used.contains("*");
        self.known.keys().filter(move |name| !all && !self.used.contains(*name)).map(String::as_str)
    }

    /// Checks what concerns all texts of a tool together.
    pub(super) fn finish(&self, members: &Map<'_>) {
        if !self.writes_file {
            return;
        }
        if let (Some(cursor), true) = (members.get("inputSchema"), self.known.contains_key(OUTPUT)) {
            cursor.error("no argument \"output\" with \"output: file\", where {{output}} is the file's path");
        }
        if let (Some(cursor), false) = (members.get("command"), self.used.contains(OUTPUT)) {
            cursor
                .hidden()
                .error("{{output}}, the path of the file that the command writes (\"output: file\")");
        }
    }

    /// Checks the places of a template; `given` is an argument that is there wherever the template stands.
    fn take(&mut self, cursor: &Cursor<'_>, template: &mut Template, given: Option<&str>) {
        for part in &mut template.parts {
            let Part::Place(place) = part else { continue };
            let name = place.source.name().to_owned();
            self.used.insert(name.clone());
            if place.source == Source::All {
                continue;
            }
            if self.writes_file && name == OUTPUT {
                place.source = Source::Output;
                continue;
            }
            match self.known.get(&name) {
                None => cursor.error(format!(
                    "an argument of \"properties\" in inputSchema, which {name:?} is not (literal braces are written \"\\{{{{\")"
                )),
                Some(property) => {
                    let fails = place.absence == Absence::Fails && given != Some(name.as_str());
                    if fails && !property.required && property.default.is_none() {
                        cursor.error(format!(
                            "{{{{{name}?}}}} for an argument that may be absent (or {name:?} in \"required\", or a \"default\")"
                        ));
                    }
                }
            }
        }
    }
}

impl ToolReader<'_> {
    /// Returns what is run.
    pub(super) fn program(&mut self, members: &Map<'_>, places: &mut Places<'_>) -> Option<Program> {
        let env = self.env(members);
        let (cwd, confinement) = (self.cwd(members), self.confinement(members));
        let stdin = members.get("stdin").and_then(|cursor| self.template(&cursor.hidden(), places, None));
        let cursor = members.required("command", "a list: the program, and its arguments")?.hidden();
        let items = cursor.items("a list: the program, and its arguments");
        let command: Vec<Element> = items.iter().filter_map(|item| self.element(item, places)).collect();
        match command.first() {
            None if items.is_empty() => cursor.error("a list that begins with the program"),
            first => check_program(items.first().unwrap_or(&cursor), first, &env),
        }
        self.warnings.extend(code::check(&cursor, &command));
        Some(Program { command, stdin, env, cwd, confinement })
    }

    fn element(&mut self, cursor: &Cursor<'_>, places: &mut Places<'_>) -> Option<Element> {
        if cursor.is_list() {
            let templates = self.templates(cursor, places, None);
            return Some(Element { when: None, templates });
        }
        if !cursor.is_map() {
            return self.template(cursor, places, None).map(Element::one);
        }
        let members = cursor.entries_of(&["when", "then"])?;
        let when = members.required("when", "the name of an argument")?;
        let name = when.text("the name of an argument")?;
        places.used.insert(name.to_owned());
        if !places.known.contains_key(name) {
            when.error("the name of an argument of \"properties\" in inputSchema");
        }
        let then = members.required("then", "an element, or a list of elements")?;
        let templates = self.templates(&then, places, Some(name));
        Some(Element { when: Some(name.to_owned()), templates })
    }

    fn templates(
        &mut self,
        cursor: &Cursor<'_>,
        places: &mut Places<'_>,
        given: Option<&str>,
    ) -> Vec<Template> {
        let items = cursor.one_or_many();
        if items.is_empty() {
            cursor.error("elements");
        }
        items.iter().filter_map(|item| self.template(item, places, given)).collect()
    }

    fn template(
        &mut self,
        cursor: &Cursor<'_>,
        places: &mut Places<'_>,
        given: Option<&str>,
    ) -> Option<Template> {
        let text = cursor.scalar(ELEMENT)?;
        match Template::parse(&text) {
            Ok(mut template) => {
                places.take(cursor, &mut template, given);
                // Behind the parser: a variable's value brings no places.
                template.map_literals(|literal| self.expand(cursor, literal));
                Some(template)
            }
            Err(error) => {
                cursor.error(error.to_string());
                None
            }
        }
    }

    fn env(&mut self, members: &Map<'_>) -> Vec<(String, Secret)> {
        let Some(cursor) = members.get("env") else { return Vec::new() };
        let Some(variables) = cursor.hidden().entries("a mapping of texts by name") else {
            return Vec::new();
        };
        let mut env = Vec::with_capacity(variables.len());
        for (name, cursor) in variables.all() {
            if name.is_empty() || name.contains(['=', '\0']) {
                cursor.error("a variable's name");
            }
            let Some(text) = cursor.scalar("a text") else { continue };
            if text.contains("{{") {
                cursor.error("a text without places: arguments go into \"command\" or \"stdin\"");
            }
            let value = Secret::new(self.expand(&cursor, &text));
            if is_secret(name) {
                self.secrets.push(value.clone());
            }
            env.push((name.to_owned(), value));
        }
        env
    }

    fn cwd(&mut self, members: &Map<'_>) -> Option<PathBuf> {
        let cursor = members.get("cwd")?;
        let expected = "a directory that is there, as an absolute path";
        let directory = PathBuf::from(self.expand(&cursor, cursor.text(expected)?));
        if !directory.is_absolute() || !directory.is_dir() {
            cursor.error(expected);
        }
        Some(directory)
    }

    fn confinement(&mut self, members: &Map<'_>) -> Confinement {
        let Some(cursor) = members.get("confine") else { return Confinement::default() };
        let value: Value = serde_json::from_str(&cursor.to_json()).unwrap_or_default();
        let read = read_confine(&json!({ "confine": value }), self.variable());
        let cursor = cursor.hidden();
        for problem in read.problems {
            cursor.error(format!("rules that can be used: {problem}"));
        }
        read.confinement
    }
}

/// Checks the program: a literal name or path of an executable file.
fn check_program(cursor: &Cursor<'_>, first: Option<&Element>, env: &[(String, Secret)]) {
    let expected = "the program: a name that is found on PATH, or an absolute path, without places";
    let template = first.filter(|element| element.when.is_none()).map(|element| element.templates.as_slice());
    let Some([template]) = template else { return cursor.error(expected) };
    let Some(program) = template.literal() else { return cursor.error(expected) };
    if program.trim().is_empty() || (program.contains('/') && !program.starts_with('/')) {
        return cursor.error(expected);
    }
    let path = env.iter().find(|(name, _)| name == "PATH");
    let found = match path {
        Some((_, path)) => find_on(program, Some(OsStr::new(path.expose()))),
        None => find(program),
    };
    if found.is_none() {
        cursor.error(
            "a program that is there: an executable file, looked for on PATH if its name has no \"/\"",
        );
    }
}
