//! Tests of the arguments of `review_merge_request` and of its command line. Must not start anything.

use super::*;

fn read(json: &str) -> Result<Arguments, String> {
    Arguments::read(json.as_bytes(), &ReviewPolicy::default()).map_err(|error| error.to_string())
}

fn line(json: &str) -> Vec<String> {
    let line = read(json).unwrap().command_line().unwrap();
    line.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

#[test]
fn every_argument_becomes_its_option() {
    let args = line(
        r#"{"mrUrlOrId":" https://gitlab.com/x/-/merge_requests/7 ","postComment":true,"maxDiffChars":5e4,"acceptanceCriteria":"a; rm -rf $HOME\nb",
            "platform":"gitlab","project":"g/s/p","debug":true,"other":1}"#,
    );
    assert_eq!(
        args,
        [
            "https://gitlab.com/x/-/merge_requests/7",
            "--comment",
            "--max-diff-chars",
            "50000",
            "--acceptance-criteria",
            "a; rm -rf $HOME\nb",
            "--platform",
            "gitlab",
            "--project",
            "g/s/p",
            "--debug"
        ]
    );
}

#[test]
fn arguments_are_taken_as_models_send_them() {
    for target in ["17", "17.0", "\"17\"", "\" 17\\n\"", "\"!17\"", "\"#17\"", "\"# 17\"", "\"017\""] {
        assert_eq!(line(&format!(r#"{{"mrUrlOrId":{target}}}"#)), ["17"], "{target}");
    }
    for nothing in [
        r#""platform":"""#,
        r#""platform":null,"project":null,"debug":null,"postComment":null,"maxDiffChars":null"#,
        r#""project":" ","guidelines":" ","ticketSpec":"","acceptanceCriteria":"\n""#,
        r#""maxDiffChars":0"#,
        r#""maxDiffChars":"0""#,
        r#""maxDiffChars":"""#,
        r#""maxDiffChars":0.0"#,
        r#""postComment":"false","debug":"False""#,
        r#""postComment":0,"debug":"""#,
        r#""unknown":[{}]"#,
    ] {
        assert_eq!(line(&format!(r#"{{"mrUrlOrId":1,{nothing}}}"#)), ["1"], "{nothing}");
    }
    for (argument, args) in [
        (r#""platform":"GitLab""#, &["--platform", "gitlab"][..]),
        (r#""platform":" github ""#, &["--platform", "github"]),
        (r#""maxDiffChars":"5000""#, &["--max-diff-chars", "5000"]),
        (r#""maxDiffChars":5000.0"#, &["--max-diff-chars", "5000"]),
        (r#""maxDiffChars":" 5000.0 ""#, &["--max-diff-chars", "5000"]),
        (r#""debug":"true""#, &["--debug"]),
        (r#""postComment":"True""#, &["--comment"]),
        (r#""postComment":1"#, &["--comment"]),
        (r#""project":42"#, &["--project", "42"]),
        (r#""acceptanceCriteria":["one","two"]"#, &["--acceptance-criteria", "one\ntwo"]),
        (r#""acceptanceCriteria":7"#, &["--acceptance-criteria", "7"]),
    ] {
        assert_eq!(line(&format!(r#"{{"mrUrlOrId":"1",{argument}}}"#))[1..], *args, "{argument}");
    }
}

#[test]
fn errors_say_what_came_and_what_is_expected() {
    for (json, parts) in [
        (r#"{"project":"a/b"}"#, &["\"mrUrlOrId\" is missing", "(what came: \"project\")"][..]),
        (r#"{"mrUrlOrId":""}"#, &["\"mrUrlOrId\" is \"\"", "merge_requests/17"]),
        (r#"{"mrUrlOrId":null}"#, &["\"mrUrlOrId\" is missing", "merge_requests/17"]),
        (r#"{"mrUrlOrId":0}"#, &["\"mrUrlOrId\" is 0"]),
        (r#"{"mrUrlOrId":-17}"#, &["\"mrUrlOrId\" is -17"]),
        (r#"{"mrUrlOrId":1.5}"#, &["\"mrUrlOrId\" is 1.5"]),
        (r#"{"mrUrlOrId":1e400}"#, &["\"mrUrlOrId\" is 1e400"]),
        (r#"{"mrUrlOrId":["17"]}"#, &["\"mrUrlOrId\" is [\"17\"]"]),
        (r#"{"mrUrlOrId":true}"#, &["\"mrUrlOrId\" is true"]),
        (r#"{"mrUrlOrId":"a b"}"#, &["\"mrUrlOrId\" is neither a number nor an http:// or https:// URL"]),
        (r#"{"mrUrlOrId":"1","platform":"bitbucket"}"#, &["\"platform\" is \"bitbucket\"", "\"gitlab\" or"]),
        (r#"{"mrUrlOrId":"1","platform":3}"#, &["\"platform\" is 3", "\"gitlab\" or"]),
        (r#"{"mrUrlOrId":"1","maxDiffChars":999}"#, &["\"maxDiffChars\" is 999", "from 1000 up", "50000"]),
        (r#"{"mrUrlOrId":"1","maxDiffChars":-1000}"#, &["\"maxDiffChars\" is -1000"]),
        (r#"{"mrUrlOrId":"1","maxDiffChars":1000.5}"#, &["\"maxDiffChars\" is 1000.5"]),
        (r#"{"mrUrlOrId":"1","maxDiffChars":1e300}"#, &["\"maxDiffChars\" is 1e300"]),
        (r#"{"mrUrlOrId":"1","maxDiffChars":"many"}"#, &["\"maxDiffChars\" is \"many\""]),
        (r#"{"mrUrlOrId":"1","postComment":"maybe"}"#, &["\"postComment\" is \"maybe\"", "true or false"]),
        (r#"{"mrUrlOrId":"1","guidelines":{}}"#, &["\"guidelines\" is {}", "a text"]),
        (r#"{"mrUrlOrId":"1","acceptanceCriteria":"a\u0000b"}"#, &["\"acceptanceCriteria\" has NUL"]),
        (r#"{"mrUrlOrId":"1","mrUrlOrId":"2"}"#, &["\"mrUrlOrId\" is given more than once"]),
        (r#"["17"]"#, &["\"arguments\" is [\"17\"]"]),
        (r#"{"platform":"x","maxDiffChars":1}"#, &["\"mrUrlOrId\"", "\"platform\"", "\"maxDiffChars\""]),
    ] {
        let text = read(json).unwrap_err();
        assert!(text.starts_with("Invalid arguments: ") && !text.contains("Error"), "{text}");
        assert!(!text.contains("line 1") && !text.contains("invalid type"), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{json}: {text}");
    }
}

#[test]
fn no_value_can_be_read_as_a_flag() {
    for target in ["--help", " -x", "-", "", "\\u0000", "-1"] {
        let refused = read(&format!(r#"{{"mrUrlOrId":"{target}"}}"#)).unwrap_err();
        assert!(refused.contains("mrUrlOrId"), "{refused}");
    }
    for project in ["--comment", "-x/y", "a --debug"] {
        let refused = read(&format!(r#"{{"mrUrlOrId":"1","project":"{project}"}}"#)).unwrap_err();
        assert!(refused.contains("\"project\" is") && refused.contains("a path"), "{refused}");
    }
    for (criteria, sent) in [
        ("- a\\n- b", "- a\n- b"),
        ("--comment please", "--comment please"),
        ("--comment", " --comment"),
        ("-c", " -c"),
        ("-", " -"),
        ("--output=/etc/x", " --output=/etc/x"),
    ] {
        let args = line(&format!(r#"{{"mrUrlOrId":"1","acceptanceCriteria":"{criteria}"}}"#));
        assert_eq!(args, ["1", "--acceptance-criteria", sent]);
    }
}

#[test]
fn files_are_private_and_removed_with_the_command_line() {
    let line = read(r#"{"mrUrlOrId":"1","ticketSpec":"spec\n","guidelines":"-guide"}"#).unwrap();
    let line = line.command_line().unwrap();
    let file = Path::new(&line.args[2]).to_owned();
    assert_eq!((&*line.args[1], &*line.args[3]), ("--input-file".as_ref(), "--guidelines-file".as_ref()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "spec\n");
    assert_eq!(std::fs::read_to_string(&line.args[4]).unwrap(), "-guide");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = file.parent().unwrap().to_owned();
    assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
    drop(line);
    assert!(!directory.exists());
}

#[test]
fn hosts_and_comments_follow_the_policy() {
    let policy = ReviewPolicy { comments: Comments::Refused, ..ReviewPolicy::default() };
    let refused = |json: &str| Arguments::read(json.as_bytes(), &policy).unwrap_err().to_string();
    for yes in ["true", "\"true\"", "1", "\"YES\""] {
        let json = format!(r#"{{"mrUrlOrId":"1","postComment":{yes}}}"#);
        assert!(refused(&json).contains("MR_PILOT_ALLOW_COMMENT"), "{yes}");
    }
    assert!(refused(r#"{"mrUrlOrId":"https://evil.example/a/pull/1"}"#).contains("MR_PILOT_HOSTS"));
    for project in ["https://evil.example/a", "git@evil.example:a/b", "//evil.example/a", "evil.example\\\\a"]
    {
        let text = refused(&format!(r#"{{"mrUrlOrId":"1","project":"{project}"}}"#));
        assert!(text.contains("\"project\" is") && text.contains("without a host"), "{project}: {text}");
    }
    assert!(Arguments::read(br#"{"mrUrlOrId":"1","postComment":false}"#, &policy).is_ok());
}

proptest::proptest! {
    /// The CLI's own search: a flag is an argument that is equal to it, an option's value is what follows.
    #[test]
    fn the_cli_finds_what_was_meant(criteria in "(-{0,2}(comment|c|debug|d|platform|project|a| )|[ \\n-]|\\PC){0,4}") {
        let json = serde_json::json!({ "mrUrlOrId": "1", "acceptanceCriteria": criteria, "platform": "github" });
        let Ok(arguments) = read(&json.to_string()) else { return Ok(()) };
        let line = arguments.command_line().unwrap();
        let args: Vec<&str> = line.args.iter().map(|arg| arg.to_str().unwrap()).collect();
        proptest::prop_assert_eq!(args.iter().find(|arg| !arg.starts_with('-')), Some(&"1"));
        for flag in ["--comment", "-c", "--debug", "-d", "--project", "-p", "--input-file", "-i", "-a"] {
            proptest::prop_assert!(!args.contains(&flag), "{:?}", args);
        }
        let after = |flag: &str| args.iter().position(|arg| *arg == flag).and_then(|at| args.get(at + 1));
        proptest::prop_assert_eq!(after("--platform"), Some(&"github"));
        let found = after("--acceptance-criteria").map(|text| text.trim());
        proptest::prop_assert_eq!(found, Some(criteria.trim()).filter(|text| !text.is_empty()));
    }
}
