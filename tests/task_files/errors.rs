//! The exact messages for a bad task file: where, what, and what to do.

use std::path::Path;
use std::process::Command;

const CHOICES: &str = "task: t
dataset_path: json
dataset_kwargs: {data_files: {test: d.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: \"{{q}}\"
doc_to_choice: c
doc_to_target: a
";

const ROWS: &str = r#"{"q": "one", "c": ["x", "y"], "a": 0}
{"q": "two", "c": ["z", "y"], "a": 1}
"#;

/// The message of `assay requests` for a folder with the task file `t.yaml`.
fn complaint(task: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.yaml"), task).unwrap();
    std::fs::write(folder.path().join("d.jsonl"), ROWS).unwrap();
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json");
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["requests", "--tasks", "t", "--include", ".", "--tokenizer"])
        .arg(tokenizer)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    stderr
}

/// Each case: what is replaced in the task above, by what, and the expected message.
fn check(cases: &[(&str, &str, &str)]) {
    for (old, new, expected) in cases {
        assert!(CHOICES.contains(old), "{old}");
        let task = if old.is_empty() { format!("{CHOICES}{new}") } else { CHOICES.replacen(old, new, 1) };
        assert_eq!(complaint(&task), *expected, "{new}");
    }
}

#[test]
fn keys_and_values() {
    check(&[
        (
            "",
            "doc_to_txt: x\n",
            "error: ./t.yaml:9:1: unknown key `doc_to_txt` in a task file\nhint: did you mean `doc_to_text`?\n",
        ),
        (
            "",
            "fewshot_config: {smapler: first_n}\n",
            "error: ./t.yaml:9:18: unknown key `smapler` in fewshot_config\nhint: did you mean `sampler`?\n",
        ),
        (
            "",
            "generation_kwargs: {max_gen_tok: 5}\n",
            "error: ./t.yaml:9:21: unknown key `max_gen_tok` in generation_kwargs\n\
             hint: did you mean `max_gen_toks`?\n",
        ),
        (
            "",
            "num_fewshot: five\n",
            "error: ./t.yaml:9:14: `num_fewshot` is `five`, expected a whole number of at least 0\n\
             hint: the README lists the keys of a task file and what they take\n",
        ),
        (
            "doc_to_choice: c",
            "doc_to_choice: [no, yes]",
            "error: ./t.yaml:7:17: `doc_to_choice` is a boolean, expected text\n\
             hint: yes, no, on, off, true and false are booleans in YAML: put the word in quotes\n",
        ),
        (
            "multiple_choice",
            "multiple_choise",
            "error: ./t.yaml:5:14: `output_type` is `multiple_choise`, expected one of multiple_choice, \
             loglikelihood, generate_until\nhint: the README lists the keys of a task file and what they take\n",
        ),
        (
            "doc_to_text: \"{{q}}\"\n",
            "",
            "error: ./t.yaml:1:1: a task file has no `doc_to_text`\n\
             hint: add `doc_to_text: \"Question: {{question}}\\nAnswer:\"`\n",
        ),
    ]);
}

#[test]
fn yaml_and_includes() {
    let hint = "hint: task files are YAML as PyYAML's safe loader reads it: check the indentation and the quotes \
                around `{{`\n";
    check(&[
        ("", "metadata: !new 1\n", &format!("error: ./t.yaml:9:11: unknown tag `!new`\n{hint}")),
        (
            "",
            "metric_list: [\n",
            &format!(
                "error: ./t.yaml:10:1: while parsing a node, did not find expected node content\n{hint}"
            ),
        ),
        (
            "",
            "include: t.yaml\n",
            "error: ./t.yaml:9:10: the includes of this file run in a circle\n\
             hint: a file must not include itself, directly or through others\n",
        ),
        (
            "",
            "include: nowhere.yaml\n",
            "error: ./t.yaml:9:10: the included file ./nowhere.yaml cannot be read: No such file or directory (os \
             error 2)\nhint: an include is a path beside the file that names it\n",
        ),
    ]);
}

#[test]
fn templates_and_columns() {
    let hint = "hint: templates are Jinja as in lm-evaluation-harness: `{{column}}`, `{% if .. %}`, filters and \
                Python's string methods\n";
    check(&[
        (
            "\"{{q}}\"",
            "\"{{q\"",
            &format!(
                "error: ./t.yaml:6:16: bad template: unexpected end of input, expected end of variable block (at \
                 `q`)\n{hint}"
            ),
        ),
        (
            "\"{{q}}\"",
            "|\n  first\n  {% if q %}\n",
            &format!(
                "error: ./t.yaml:9:1: bad template: unexpected end of input, expected end of block (at ` `)\n{hint}"
            ),
        ),
        (
            "{{q}}",
            "{{qq}}",
            "error: task `t`, row 0 of `test`: ./t.yaml:6:16: unknown column `qq` in the template; the columns are \
             q, c, a\nhint: did you mean `q`?\n",
        ),
        (
            "doc_to_target: a",
            "doc_to_target: 7",
            "error: task `t`, row 0 of `test`: label 7 is out of range, the document has 2 choices\n\
             hint: mend the row, or the task file's `doc_to_target`: labels count from 0\n",
        ),
        (
            "doc_to_choice: c",
            "doc_to_choice: q",
            "error: task `t`, row 0 of `test`: the choices are no list\n\
             hint: `doc_to_choice` must name a column with a list, or be a template that prints one\n",
        ),
        (
            "doc_to_choice: c",
            "doc_to_choice: \"[]\"",
            "error: task `t`, row 0 of `test`: the document has no choices\n\
             hint: check `doc_to_choice` in the task file\n",
        ),
    ]);
}

#[test]
fn what_the_harness_does_and_assay_does_not() {
    check(&[
        (
            "\"{{q}}\"",
            "!function utils.doc_to_text",
            "error: ./t.yaml:6:14: `doc_to_text: !function utils.doc_to_text` is not supported: task files are data, \
             and no Python is run\nhint: write it as a template: they have filters such as `regex_replace`\n",
        ),
        (
            "",
            "process_docs: !function utils.process_docs\n",
            "error: ./t.yaml:9:15: `process_docs` is not supported: task files are data, and no Python is run\n\
             hint: write what it does in the templates: they have filters such as `regex_replace`\n",
        ),
        (
            "",
            "generation_kwargs: {do_sample: true, temperature: 0.7}\n",
            "error: ./t.yaml:9:32: `do_sample` is not supported: answers are greedy\n\
             hint: set `do_sample: false`\n",
        ),
        (
            "",
            "metric_list:\n  - metric: acc_nrom\n",
            "error: ./t.yaml:10:13: unknown metric `acc_nrom`\nhint: did you mean `acc_norm`?\n",
        ),
        (
            "",
            "metric_list:\n  - {metric: acc, aggregation: median}\n",
            "error: ./t.yaml:10:14: unknown aggregation `median`\nhint: there are mean, perplexity\n",
        ),
        (
            "",
            "filter_list:\n  - name: x\n    filter:\n      - function: regexp\n",
            "error: ./t.yaml:12:19: unknown filter `regexp`\nhint: did you mean `regex`?\n",
        ),
        (
            "",
            "filter_list:\n  - name: x\n    filter:\n      - {function: regex, regex_pattern: \"(x\"}\n",
            "error: ./t.yaml:12:20: bad regular expression `(x`: missing ), unterminated subpattern at position 0\n\
             hint: compare with the metrics and filters that the README lists\n",
        ),
        (
            "",
            "filter_list:\n  - name: x\n    filter:\n      - {function: regex, regex_pattern: '\\h+'}\n",
            "error: ./t.yaml:12:20: bad regular expression `\\h+`: bad escape \\h at position 0\n\
             hint: compare with the metrics and filters that the README lists\n",
        ),
        (
            "",
            "filter_list:\n  - name: x\n    filter:\n      - {function: regex_replace, regex_pattern: x, replacement: '\\1'}\n",
            "error: ./t.yaml:12:20: bad replacement `\\1`: invalid group reference 1 at position 1\n\
             hint: compare with the metrics and filters that the README lists\n",
        ),
    ]);
}

#[test]
fn views_of_texts() {
    let task = |views: &str| {
        format!(
            "task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: d.jsonl}}}}\ntest_split: test\n\
             doc_to_text: \"{{{{q}}}}\"\ndoc_to_target: a\ngeneration_kwargs: {{until: [a, b]}}\nviews: {views}\n"
        )
    };
    for (views, expected) in [
        (
            "{until: [c], metric_list: []}",
            "error: ./t.yaml:8:16: `until` is a list, expected some of the stops in `generation_kwargs.until`\n",
        ),
        (
            "{until: [a, b], metric_list: []}",
            "error: ./t.yaml:8:16: `until` is a list, expected some of the stops in `generation_kwargs.until`\n",
        ),
        ("{until: a}", "error: ./t.yaml:8:8: views has no `metric_list`\n"),
        ("{metric_list: []}", "error: ./t.yaml:8:8: views has no `until`\n"),
        (
            "{until: a, metric_list: [{metric: exact_match}]}",
            "error: ./t.yaml:8:33: `metric_list` is a mapping, expected a `name` that no other metric of the task has\n",
        ),
        ("{until: a, stop: b, metric_list: []}", "error: ./t.yaml:8:19: unknown key `stop` in views\n"),
    ] {
        let said = complaint(&task(views));
        assert!(said.starts_with(expected), "{views}: {said}");
    }
}

#[test]
fn an_odd_file_hinders_no_task_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("t.yaml", CHOICES);
    write("d.jsonl", ROWS);
    write("broken.yaml", "task: [unclosed\n");
    write("twice.yaml", "group: g\ntask: [t]\nmetadata: {version: 1}\nmetadata: {version: 2}\n");
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_model/tokenizer.json");
    let requests = |task: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.args(["requests", "--tasks", task, "--include", ".", "--tokenizer"]).arg(&tokenizer);
        let output = command.current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let warnings = "warning: ./broken.yaml:2:1: while parsing a flow sequence, expected ',' or ']'; the file is left out\n\
        warning: ./twice.yaml:4:1: key `metadata` stands twice in one mapping; the last one counts, as for PyYAML\n";
    assert_eq!(requests("t"), (Some(0), warnings.to_owned()));
    let (code, message) = requests("unclosed");
    assert_eq!(code, Some(2));
    assert!(message.starts_with("error: ./broken.yaml:2:1: while parsing a flow sequence"), "{message}");
}
