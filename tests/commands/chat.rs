//! `--apply-chat-template`, from the model's files to the comparison.

use std::path::Path;

use serde_json::{Value, json};

use super::{assay, repository, stderr};

/// The sample model with a chat template of its own.
fn model(folder: &Path, template: Value) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(repository("sample_model")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.join("tokenizer_config.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["chat_template"] = template;
    std::fs::write(path, config.to_string()).unwrap();
}

const PLAIN: &str = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

fn record(run: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_run_with_a_chat_template_is_recorded_verified_and_compared_with_its_like_alone() {
    let folder = tempfile::tempdir().unwrap();
    model(&folder.path().join("m"), json!(PLAIN));
    let eval = |output: &str, more: &[&str]| {
        let common =
            ["eval", "--model", "m", "--samples", "--tasks", "gsm8k", "--limit", "2", "--output", output];
        let output = assay(folder.path()).args(common).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    eval("plain", &[]);
    eval("chat", &["--apply_chat_template", "--system_instruction", "Be brief."]);
    eval(
        "joined",
        &["--apply-chat-template", "--fewshot_as_multiturn", "false", "--system-instruction", "Be brief."],
    );
    let chat = record(&folder.path().join("chat"))["chat"].clone();
    assert_eq!(chat["template"], PLAIN);
    assert_eq!(chat["fewshot_as_multiturn"], true);
    assert_eq!(chat["system_instruction"], "Be brief.");
    assert_eq!(chat["template_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(record(&folder.path().join("plain"))["chat"], Value::Null);
    for (other, how) in [("plain", "chat template"), ("joined", "shots as turns")] {
        let compared = assay(folder.path()).args(["compare", "chat", other]).output().unwrap();
        assert_eq!(compared.status.code(), Some(2));
        assert!(stderr(&compared).contains(how), "{}", stderr(&compared));
    }
    let verified = assay(folder.path()).args(["verify", "chat"]).output().unwrap();
    assert!(verified.status.success(), "{}{}", super::stdout(&verified), stderr(&verified));
}

#[test]
fn which_template_is_meant_is_clear() {
    let folder = tempfile::tempdir().unwrap();
    let asked = |arguments: &[&str]| {
        let common = ["requests", "--tokenizer", "m/tokenizer.json", "--tasks", "gsm8k", "--limit", "1"];
        let output = assay(folder.path()).args(common).args(arguments).output().unwrap();
        (output.status.code(), super::stdout(&output), stderr(&output))
    };
    model(&folder.path().join("m"), Value::Null);
    let (code, _, said) = asked(&["--apply-chat-template"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no chat template"), "{said}");
    let named = json!([{"name": "short", "template": "short:{{ messages[-1].role }}"}, {"name": "long", "template": "long:"}]);
    model(&folder.path().join("m"), named);
    let (code, _, said) = asked(&["--apply-chat-template"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("none of them named `default`: long, short"), "{said}");
    let (code, text, said) = asked(&["--apply-chat-template", "short"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(text.contains("\"context\":\"short:user\""), "{text}");
    assert!(
        asked(&["--apply-chat-template", "other"])
            .2
            .contains("no chat template named `other`, there are long, short")
    );
    // Files come before the configuration.
    std::fs::write(folder.path().join("m/chat_template.jinja"), "file:{{ messages | length }}\n").unwrap();
    let (_, text, said) = asked(&["--apply-chat-template", "short", "--num-fewshot", "1"]);
    assert!(text.contains("\"context\":\"file:3\""), "{text}");
    assert!(said.contains("a single template, without a name"), "{said}");
    let (code, _, said) = asked(&["--fewshot-as-multiturn"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no turns without a chat template"), "{said}");
    // One that refuses the system's turn gets the rest, and says so.
    let refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].role }}";
    std::fs::write(folder.path().join("m/chat_template.jinja"), refusing).unwrap();
    let (code, text, said) = asked(&["--apply-chat-template", "--system-instruction", "Be brief."]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        text.contains("\"context\":\"user\"") && said.contains("refuses a system's turn"),
        "{text}{said}"
    );
}
