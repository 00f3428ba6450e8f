//! The check that no value of a client becomes code: texts that a program runs, such as the one behind `sh -c`, have no places.
//! Must not know schemas.

use runtime::document::Cursor;

use crate::backends::commands::template::{Element, Template};

/// Programs that run a text, and how the options in front of it look.
struct Interpreter {
    /// Names, without the version at their end.
    names: &'static [&'static str],
    /// Letters of short options with code behind them.
    letters: &'static str,
    /// Long options with code behind them.
    long: &'static [&'static str],
    /// What the name of a file behind the program means.
    script: Script,
}

/// What the name of a file behind an interpreter means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// It is the script, and what follows are the script's own options.
    EndsOptions,
    /// Any file: options go on.
    AnyFile,
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &[
            "sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "xonsh", "nu",
            "elvish",
        ],
        letters: "c",
        long: &["--command", "--init-command", "--commands"],
        script: Script::EndsOptions,
    },
    Interpreter {
        names: &["su", "runuser", "script", "flock"],
        letters: "c",
        long: &["--command", "--session-command"],
        script: Script::AnyFile,
    },
    Interpreter { names: &["python", "pypy"], letters: "c", long: &[], script: Script::EndsOptions },
    Interpreter { names: &["perl"], letters: "eE", long: &[], script: Script::EndsOptions },
    Interpreter {
        names: &["ruby", "lua", "luajit", "osascript", "Rscript"],
        letters: "e",
        long: &[],
        script: Script::EndsOptions,
    },
    Interpreter {
        names: &["node", "nodejs", "bun"],
        letters: "ep",
        long: &["--eval", "--print"],
        script: Script::EndsOptions,
    },
    Interpreter { names: &["php"], letters: "rBRE", long: &["--run"], script: Script::EndsOptions },
    Interpreter {
        names: &["pwsh", "powershell"],
        letters: "c",
        long: &["-Command", "-EncodedCommand", "-CommandWithArgs"],
        script: Script::EndsOptions,
    },
];

/// Programs that hand their arguments on to a shell.
const HAND_ON: &[&str] = &["ssh", "watch", "parallel", "eval"];

/// Notes each place within code as a problem. Returns warnings of programs that hand their arguments to a shell.
pub(super) fn check(cursor: &Cursor<'_>, command: &[Element]) -> Vec<String> {
    let (mut interpreter, mut hands_on) = (None::<&Interpreter>, None::<&&str>);
    let (mut is_code, mut warnings) = (false, Vec::new());
    for template in command.iter().flat_map(|element| &element.templates) {
        let has_places = template.places().next().is_some();
        let begins = beginning(template);
        let here = interpreter.is_some_and(|found| introduces(found, begins));
        if has_places && (is_code || here) {
            cursor.error(
                "code without places, since a value would become code: give it as an argument, as in [sh, -c, 'grep -e \"$1\" notes.txt', sh, \"{{text}}\"]",
            );
        }
        if let Some(name) = hands_on.take_if(|_| has_places) {
            warnings.push(format!(
                "line {} {name} hands its arguments to a shell: a value can become code, unless its schema has a strict \"pattern\"",
                cursor.line()
            ));
        }
        is_code = here && !has_places;
        let Some(word) = template.literal() else { continue };
        let name = program_name(word);
        hands_on = HAND_ON.iter().find(|known| **known == name).or(hands_on);
        let is_script = |of: &&Interpreter| of.script == Script::EndsOptions && word.contains(['/', '.']);
        let goes_on = interpreter.filter(|of| word.starts_with('-') || !is_script(of));
        interpreter = INTERPRETERS.iter().find(|known| known.names.contains(&name)).or(goes_on);
    }
    warnings
}

/// Returns the literal text at the beginning of a template.
fn beginning(template: &Template) -> &str {
    use crate::backends::commands::template::Part;
    match template.parts.first() {
        Some(Part::Literal(text)) => text,
        _ => "",
    }
}

/// Returns whether code stands in this word or in the next.
fn introduces(interpreter: &Interpreter, word: &str) -> bool {
    let long = |option: &&str| {
        word.strip_prefix(*option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if interpreter.long.iter().any(long) {
        return true;
    }
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else { return false };
    letters.chars().take_while(char::is_ascii_alphabetic).any(|letter| interpreter.letters.contains(letter))
}

/// Returns the name of a program without its folder and its version.
fn program_name(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
}
