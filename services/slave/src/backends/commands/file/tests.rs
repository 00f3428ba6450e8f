//! Tests of the reader of the tools file.

use super::*;

/// A tool that can be used, with these further members.
fn tool(members: &str) -> String {
    format!(
        "  - name: t\n    command: [cat, '{{{{a?}}}}']\n    inputSchema: {{type: object, properties: {{a: {{type: string}}}}}}\n{members}"
    )
}

fn variable(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret-token".into()),
        "HOME" => Some("/home/u".into()),
        "BRACES" => Some("{{a}}".into()),
        _ => None,
    }
}

fn parsed(tools: &str) -> ToolsFile {
    parse(&format!("tools:\n{tools}"), &variable).unwrap()
}

fn problems(tools: &str) -> String {
    let text = format!("tools:\n{tools}");
    let found = parse(&text, &variable).map_or_else(|all| texts(&all), |file| file.problems);
    found.join("; ")
}

#[test]
fn every_member_is_read() {
    let file = parsed(
        r#"  - name: search
    title: Search
    description: Finds lines.
    inputSchema:
      type: object
      properties: {text: {type: string}, files: {type: array, items: {type: string}}, max: {type: integer, default: 5}}
      required: [text]
    outputSchema: {type: object}
    annotations: {readOnlyHint: true, title: Find}
    icons: [{src: "https://icons.example/a.png"}]
    _meta: {own: 1}
    command: [grep, -m, "{{max}}", -e, "{{text!}}", {when: files, then: [--, "{{files}}"]}]
    stdin: "{{*}}"
    env: {API_TOKEN: "${TOKEN}", PORT: 8080, HOME_OF: "${HOME}"}
    cwd: /
    confine: {limits: {files: 64}}
    output: json
    progress: '^(?<progress>\d+)%'
    timeout: 1.5
    concurrency: 2
  - name: off
    disabled: true
"#,
    );
    assert_eq!((file.problems, file.warnings), (Vec::<String>::new(), Vec::<String>::new()));
    let [tool] = file.tools.as_slice() else { panic!("{}", file.tools.len()) };
    let definition = tool.entry.definition.get();
    assert_eq!(
        definition,
        r#"{"name":"search","title":"Search","description":"Finds lines.","inputSchema":{"type":"object","properties":{"text":{"type":"string"},"files":{"type":"array","items":{"type":"string"}},"max":{"type":"integer","default":5}},"required":["text"]},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true,"title":"Find"},"icons":[{"src":"https://icons.example/a.png"}],"_meta":{"own":1}}"#
    );
    assert_eq!(tool.program.command.len(), 6);
    let secrets: Vec<&str> = tool.secrets.iter().map(runtime::secret::Secret::expose).collect();
    assert!(secrets.contains(&"s3cret-token") && !secrets.contains(&"/home/u"), "{secrets:?}");
    assert_eq!(tool.timeout, Some(std::time::Duration::from_millis(1500)));
    assert!(tool.slots.is_some() && tool.progress.is_some() && tool.defaults.contains_key("max"));
    assert!(tool.program.confinement.has_rules());
    assert!(!format!("{tool:?}").contains("s3cret"), "{tool:?}");
}

#[test]
fn whatever_is_wrong_is_reported_with_its_line_and_its_place() {
    for (members, place) in [
        ("    timeout: 0\n", "line 5 tools[0].timeout = 0"),
        ("    timeout: soon\n", "tools[0].timeout"),
        ("    concurrency: 1.5\n", "tools[0].concurrency"),
        ("    exitCodes: []\n", "tools[0].exitCodes"),
        ("    exitCodes: [0, 256]\n", "tools[0].exitCodes[1]"),
        ("    progress: '('\n", "tools[0].progress"),
        ("    progress: '(?<percent>x)'\n", "tools[0].progress"),
        ("    output: xml\n", "tools[0].output"),
        ("    output: file\n", "tools[0].command: expected {{output}}"),
        ("    file: {name: a.png}\n", "tools[0].file"),
        ("    output: file\n    file: {name: ../a}\n", "tools[0].file.name"),
        ("    output: file\n    file: {mimeType: png}\n", "tools[0].file.mimeType"),
        ("    outputSchema: {type: object}\n", "tools[0].outputSchema"),
        ("    output: json\n    outputSchema: {type: text}\n", "tools[0].outputSchema"),
        ("    annotations: {readOnlyHint: 'yes'}\n", "tools[0].annotations.readOnlyHint"),
        ("    annotations: {readonly: true}\n", "tools[0].annotations has the unknown key"),
        ("    title: 3\n", "tools[0].title"),
        ("    env: {A: ['s3cret']}\n", "tools[0].env.A: expected"),
        ("    env: {A: '${NOPE}'}\n", "NOPE"),
        ("    env: {A: '{{a}}'}\n", "tools[0].env.A"),
        ("    cwd: here\n", "tools[0].cwd"),
        ("    cwd: /no/such/directory\n", "tools[0].cwd"),
        ("    stdin: '{{b}}'\n", "tools[0].stdin"),
        ("    stdin: '{{a'\n", "tools[0].stdin"),
        ("    confine: {reads: [/]}\n", "tools[0].confine"),
        ("    confine: 3\n", "tools[0].confine"),
        ("    disabled: 'no'\n", "tools[0].disabled"),
        ("    comand: [x]\n", "tools[0] has the unknown key \"comand\""),
    ] {
        let found = problems(&tool(members));
        assert!(found.contains(place), "{members}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
}

#[test]
fn a_tool_without_what_it_needs_is_reported_with_its_place() {
    for (text, place) in [
        ("  - command: [cat]\n", "tools[0] lacks \"name\""),
        ("  - name: a b\n    command: [cat]\n", "tools[0].name"),
        ("  - name: t\n", "tools[0] lacks \"command\""),
        ("  - 3\n", "tools[0] = 3"),
        ("  - name: t\n    command: cat s3cret\n", "tools[0].command: expected a list"),
        ("  - name: t\n    command: []\n", "tools[0].command"),
        ("  - name: t\n    command: ['']\n", "tools[0].command[0]"),
        ("  - name: t\n    command: [./cat]\n", "tools[0].command[0]"),
        (
            "  - name: t\n    command: [no-such-program-here]\n",
            "tools[0].command[0]: expected a program that is there",
        ),
        ("  - name: t\n    command: ['{{a}}']\n", "tools[0].command[0]"),
        ("  - name: t\n    command: [[cat, x]]\n", "tools[0].command[0]"),
        ("  - name: t\n    command: [cat, {if: a}]\n", "tools[0].command[1]"),
        ("  - name: t\n    command: [cat, {when: a, then: x}]\n", "tools[0].command[1].when"),
        ("  - name: t\n    command: [cat, {when: a}]\n", "tools[0].command[1] lacks \"then\""),
        ("  - name: t\n    command: [cat, [[x]]]\n", "tools[0].command[1][0]"),
        ("  - name: t\n    command: [cat, []]\n", "tools[0].command[1]"),
        ("  - name: t\n    command: [cat]\n    inputSchema: {type: string}\n", "tools[0].inputSchema"),
        (
            "  - name: t\n    command: [cat, '{{a}}']\n    inputSchema: {type: object, properties: {a: {}}}\n",
            "tools[0].command[1]: expected {{a?}}",
        ),
        (
            "  - name: t\n    command: [cat, '{{output}}']\n    output: file\n    inputSchema: {type: object, properties: {output: {}}}\n",
            "tools[0].inputSchema",
        ),
    ] {
        let found = problems(text);
        assert!(found.contains(place), "{text}: {found}");
        assert!(!found.contains("s3cret"), "{found}");
    }
}

#[test]
fn a_file_of_another_form_is_refused_as_a_whole() {
    for bad in ["", "- 1", "tool: []", "tools: 3", "tools: [", "tools: []\nmore: 1", "{tools: [], tools: []}"]
    {
        parse(bad, &variable).unwrap_err();
    }
    assert!(parse("tools: []", &variable).unwrap().tools.is_empty());
    let gone = std::io::Error::from_raw_os_error(2);
    let error = read(Path::new("/no/file"), Err(&gone), Strictness::Entry, variable).unwrap_err();
    assert_eq!(error.to_string(), "/no/file: cannot be read: no such file or directory");
    read(Path::new("f"), Ok(b"\xff"), Strictness::Entry, variable).unwrap_err();
}

#[test]
fn a_bad_tool_does_not_stop_the_others_unless_it_is_told_to() {
    let text = "tools:\n  - {name: a, command: [cat]}\n  - {name: b, command: [cat], timeout: -1}\n  - {name: a, command: [ls]}\n  - {name: c, command: [ls]}\n";
    let read = |strictness| read(Path::new("f"), Ok(text.as_bytes()), strictness, variable);
    let file = read(Strictness::Entry).unwrap();
    let names: Vec<&str> = file.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!((names, file.refused), (vec!["a", "c"], vec!["b".to_owned()]));
    assert_eq!(file.problems.len(), 2, "{:?}", file.problems);
    assert_eq!(read(Strictness::File).unwrap_err().problems, file.problems);
    let bad = b"tools: [{name: b, command: [cat], timeout: -1}]";
    super::read(Path::new("f"), Ok(bad), Strictness::Entry, variable).unwrap_err();
}

#[test]
fn a_value_of_a_client_never_becomes_code() {
    const SCHEMA: &str = "    inputSchema: {type: object, properties: {a: {type: string}}, required: [a]}\n";
    let check = |command: &str| problems(&format!("  - name: t\n    command: {command}\n{SCHEMA}"));
    for bad in [
        "[sh, -c, 'grep {{a}} x']",
        "[sh, -c, '{{a}}']",
        "[/bin/sh, -ec, 'grep \"{{a}}\" x']",
        "[bash, -o, pipefail, -c, 'x {{a}}']",
        "[env, X=1, bash, -lc, 'x {{a}}']",
        "[sh, '-c{{a}}']",
        "[sh, {when: a, then: [-c, '{{a}}']}]",
        "[env, python3, -c, 'print({{a}})']",
        "[env, python3.12, -Ic, '{{a}}']",
        "[env, perl, -ne, '{{a}}']",
        "[env, node, '--eval={{a}}']",
        "[env, ruby, -e, '{{a}}']",
        "[env, su, user, -c, 'x {{a}}']",
        "[timeout, '5', sh, -c, 'x {{a}}']",
    ] {
        assert!(check(bad).contains("code without places"), "{bad}: {}", check(bad));
    }
    for good in [
        "[sh, -c, 'grep -e \"$1\" x', sh, '{{a}}']",
        "[env, python3, /opt/tool.py, -c, '{{a!}}']",
        "[grep, -c, -e, '{{a!}}']",
        "[sh, /opt/x.sh, '{{a}}']",
        "[env, python3, -c, 'import sys; print(sys.argv[1])', '{{a}}']",
    ] {
        assert_eq!(check(good), "", "{good}");
    }
    let file = parsed(&format!("  - name: t\n    command: [env, ssh, host, '{{{{a}}}}']\n{SCHEMA}"));
    assert!(file.warnings[0].contains("ssh hands its arguments to a shell"), "{:?}", file.warnings);
}

#[test]
fn variables_bring_values_and_no_places() {
    let file = parsed("  - name: t\n    command: [echo, '${BRACES}', '${NONE:-x}', '\\{{.Names}}']\n");
    assert_eq!(file.problems, Vec::<String>::new());
    let words: Vec<Option<&str>> =
        file.tools[0].program.command.iter().map(|element| element.templates[0].literal()).collect();
    assert_eq!(words, [Some("echo"), Some("{{a}}"), Some("x"), Some("{{.Names}}")]);
}

#[test]
fn arguments_without_a_place_are_named() {
    let schema = "    inputSchema: {type: object, properties: {a: {}, b: {}}}\n";
    let file = parsed(&format!("  - name: t\n    command: [cat, '{{{{a?}}}}']\n{schema}"));
    assert_eq!(
        file.warnings,
        ["line 4 tool \"t\": argument \"b\" stands nowhere in \"command\" or \"stdin\""]
    );
    let file = parsed(&format!("  - name: t\n    command: [cat]\n    stdin: '{{{{*}}}}'\n{schema}"));
    assert!(file.warnings.is_empty());
}

#[test]
fn a_change_of_the_description_or_of_its_variables_is_a_change_of_the_tool() {
    let of = |text: &str, token: &str| {
        let variable = |name: &str| (name == "TOKEN").then(|| token.to_owned());
        parse(&format!("tools:\n{text}"), &variable).unwrap().tools[0].digest
    };
    let text = "  - name: t\n    command: [cat]\n    env: {A: '${TOKEN}'}\n";
    assert_eq!(of(text, "one"), of(text, "one"));
    assert_ne!(of(text, "one"), of(text, "two"));
    assert_ne!(of(text, "one"), of(&text.replace("cat", "ls"), "one"));
}
