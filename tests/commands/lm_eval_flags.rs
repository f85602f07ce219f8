//! Every flag of `lm_eval run` 0.4.13, and what becomes of it.

use std::path::Path;
use std::process::Output;

use super::kills::run_json;
use super::{assay, repository, stderr};

fn eval(folder: &Path, words: &[&str]) -> Output {
    assay(folder).args(words).output().unwrap()
}

fn passed(folder: &Path, words: &[&str]) -> String {
    let output = eval(folder, words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stderr(&output)
}

/// The sample model, as a person would have it: a folder `m`.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(repository("sample_model")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// A line of lm_eval that is a run here too.
const LINE: [&str; 7] =
    ["run", "--model", "hf", "--model_args", "pretrained=m,dtype=float32", "--limit", "1"];

#[test]
fn a_line_of_lm_eval_is_a_run() {
    let folder = place();
    let more = [
        "--tasks",
        "winogrande",
        "arc_challenge",
        "--num_fewshot",
        "1",
        "--output_path",
        "runs",
        "--samples",
        "--batch_size",
        "auto:4",
        "--log_samples",
        "--device",
        "cpu",
        "--trust_remote_code",
        "--seed",
        "0,1234,1234,1234",
        "--gen_kwargs",
        "temperature=0,do_sample=False",
    ];
    let line = [&LINE[..], &more].concat();
    let said = passed(folder.path(), &line);
    let whose =
        "note: winogrande and arc_challenge are tasks of Open LLM Leaderboard (v1) here, with its prompts";
    assert_eq!(said.lines().filter(|line| line.starts_with(whose)).count(), 1, "{said}");
    let notes: Vec<&str> = said.lines().filter(|line| line.starts_with("note: --")).collect();
    assert_eq!(notes.len(), 1, "{said}");
    for flag in ["--batch_size: ", "--log_samples: ", "--trust_remote_code: "] {
        assert!(notes[0].contains(flag), "{said}");
    }
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("runs")).unwrap().flatten().collect();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    let record = run_json(&run.path());
    // As it was typed.
    let typed: Vec<String> = serde_json::from_value(record["arguments"].clone()).unwrap();
    assert_eq!(typed[1..], line);
    assert_eq!(record["dtype"], "float32");
    let tasks: Vec<&String> = record["tasks"].as_object().unwrap().keys().collect();
    assert_eq!(tasks, ["winogrande", "arc_challenge"]);
}

#[test]
fn every_flag_is_understood_or_refused_with_the_reason() {
    let folder = place();
    let tokenizer = repository("sample_model/tokenizer.json");
    let common = ["requests", "--tokenizer", tokenizer.to_str().unwrap(), "--tasks", "winogrande", "-L", "1"];
    let refused = |words: &[&str], reason: &str| {
        let output = eval(folder.path(), &[&common[..], words].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(reason), "{words:?}: {said}");
        assert!(said.lines().nth(1).is_some_and(|line| line.starts_with("hint: ")), "{words:?}: {said}");
    };
    std::fs::write(folder.path().join("c.yaml"), "num_fewshot: 2\n").unwrap();
    // What is taken, in every spelling.
    for words in [
        &["--config", "c.yaml"][..],
        &["-C", "c.yaml"],
        &["-t", "gsm8k", "winogrande"],
        &["--model", "hf", "--model_args", "pretrained=m"],
        &["-M", "hf", "-a", "pretrained=m", "dtype=bfloat16"],
        &["-m", "huggingface", "-a", r#"{"pretrained": "m", "trust_remote_code": true}"#],
        &["--model", "hf-auto", "--model-args", "pretrained=m,revision=main,parallelize=True,backend=causal"],
        &[
            "--model",
            "vllm",
            "--model_args",
            "pretrained=m,tensor_parallel_size=2,gpu_memory_utilization=0.8",
        ],
        &["--model", "sglang", "--model_args", "pretrained=m,tp_size=2"],
        &["--use_cache", "x.db"],
        &["-c", "x.db"],
        &["--num_fewshot", "0"],
        &["-f1"],
        &["--batch_size=8"],
        &["-b", "auto"],
        &["--max_batch_size", "64"],
        &["--device", "cpu"],
        &["--gen_kwargs", "temperature=0.0", "do_sample=false"],
        &["--gen_kwargs", "do_sample=False,temperature=0.7,top_p=0.9"],
        &["--output_path", "out"],
        &["-o", "out/x.json"],
        &["--log_samples"],
        &["-s"],
        &["-sw"],
        &["--cache_requests"],
        &["--cache_requests", "refresh"],
        &["--check_integrity"],
        &["--system_instruction", "Be brief."],
        &["--system_instruction", "- Be brief."],
        &["-sL", "2"],
        &["--num_fewshot", "3", "--num_fewshot", "0"],
        &["--fewshot_as_multiturn", "false"],
        &["--include_path", "."],
        &["--verbosity", "DEBUG"],
        &["-v", "info"],
        &["-v"],
        &["--write_out"],
        &["-w"],
        &["--show_config"],
        &["--predict_only"],
        &["-x"],
        &["--seed", "1234"],
        &["--seed", "0,None,8,1234"],
        &["--seed", "1,2,3"],
        &["--trust_remote_code"],
        &["--confirm_run_unsafe_code"],
        &["--add_bos_token", "false"],
        &["--allow_dataset_change"],
    ] {
        passed(folder.path(), &[&common[..5], words, &["-L=1"]].concat());
    }
    // What is refused.
    for (words, reason) in [
        (&["--wandb_args", "project=x"][..], "--wandb_args: nothing is sent"),
        (&["--wandb_config_args", "a=1"], "nothing is sent"),
        (&["--trackio_args", "project=x"], "nothing is sent"),
        (&["--hf_hub_log_args", "hub_results_org=x"], "nothing is sent"),
        (&["--metadata", "max_seq_lengths=[4096]"], "--metadata: "),
        (&["--seed", "42"], "--seed 42: few-shot examples are drawn with"),
        (&["--seed", "0,1234,1234,None"], "few-shot examples are drawn with"),
        (&["--seed", "1,2"], "expected one whole number, or four"),
        (&["--samples", r#"{"winogrande": [0, 5]}"#], "single documents cannot be chosen"),
        (&["-E", "docs.json"], "-E docs.json: single documents"),
        (&["--gen_kwargs", "temperature=0.7"], "temperature=0.7: tokens are never drawn at random"),
        (&["--gen_kwargs", "do_sample=True"], "never drawn at random"),
        (&["--gen_kwargs", "max_gen_toks=10"], "max_gen_toks=10: stops and lengths"),
        (&["--gen_kwargs", r#"until=["\n\n"]"#], "stops and lengths"),
        (&["--gen_kwargs", "num_beams=4"], "generations are greedy"),
        (&["--gen_kwargs", "x"], "--gen_kwargs: `x`, expected key=value"),
        (&["--verbosity", "loud"], "no level of logging"),
        (&["--model", "hf"], "--model hf: no --model_args say which model"),
        (&["--model", "hf", "--model_args", "dtype=float32"], "no pretrained="),
        (&["--model", "gguf", "--model_args", "base_url=http://x"], "--model gguf: it asks a server"),
        (&["--model", "local-completions", "--model_args", "model=x"], "it asks a server"),
        (&["--model", "openvino", "--model_args", "pretrained=m"], "files of another runtime"),
        (&["--model", "dummy"], "answers at random"),
        (&["-a", "pretrained=m,peft=lora"], "peft=lora: weights are not put together"),
        (&["-a", "pretrained=m,load_in_4bit=True"], "not quantised while they load"),
        (&["-a", "pretrained=m,max_length=512"], "the context is as long as"),
        (&["-a", "pretrained=m,revision=v2"], "a folder holds one revision"),
        (&["-a", "pretrained=m,dtype=int8"], "expected auto, float32"),
        (&["-a", "pretrained=m,enable_thinking=False"], "without settings of one's own"),
        (&["-a", "pretrained=m,colour=red"], "`colour` is no argument that is known"),
        (&["--model", "m", "-a", "pretrained=n"], "--model names m, and"),
        (&["--tasks", "mine/x.yaml"], "a file or folder, expected names of tasks"),
        (&["--limit"], "--limit: no value"),
        (&["--config", "missing.yaml"], "--config missing.yaml: cannot be read"),
        (&["--num_fewshots", "1"], "unexpected argument '--num-fewshots'"),
    ] {
        refused(words, reason);
    }
}

#[test]
fn a_config_file_gives_what_was_not_typed() {
    let folder = place();
    let config = "model: hf\nmodel_args:\n  pretrained: m\n  dtype: float32\ntasks: [winogrande, arc_challenge]\nnum_fewshot: 1\n\
                  limit: 2\nlog_samples: true\noutput_path: runs\nbatch_size: 4\nuse_cache: null\nsamples: null\nwrite_out: false\n\
                  metadata: {}\nseed: [0, 1234, 1234, 1234]\n";
    std::fs::write(folder.path().join("c.yaml"), config).unwrap();
    passed(folder.path(), &["run", "--config", "c.yaml", "--samples", "--output", "a"]);
    let record = run_json(&folder.path().join("a"));
    assert_eq!((record["limit"].as_u64(), record["dtype"].as_str()), (Some(2), Some("float32")));
    assert_eq!(record["tasks"].as_object().unwrap().len(), 2);
    let said = passed(folder.path(), &["run", "--config", "c.yaml", "--samples", "--output", "a"]);
    assert!(said.contains("was complete already"), "the same line goes on: {said}");
    // What is typed wins, and model_args as a whole.
    let typed = [
        "run",
        "-C",
        "c.yaml",
        "--samples",
        "-t",
        "winogrande",
        "-L",
        "1",
        "-a",
        "pretrained=m",
        "--output",
        "b",
    ];
    passed(folder.path(), &typed);
    let record = run_json(&folder.path().join("b"));
    assert_eq!(record["limit"], 1);
    assert_eq!(record["tasks"].as_object().unwrap().len(), 1);
    // A key that stands twice, in the file or typed: the last one counts, and that is said.
    std::fs::write(folder.path().join("c.yaml"), config.to_string() + "limit: 1\n").unwrap();
    let said = passed(folder.path(), &["run", "-C", "c.yaml", "--samples", "--output", "c"]);
    assert!(said.contains("warning: c.yaml:16:1: key `limit` stands twice; the last one counts"), "{said}");
    assert_eq!(run_json(&folder.path().join("c"))["limit"], 1);
    let twice = ["run", "-C", "c.yaml", "--samples", "--limit", "2", "--limit", "1", "--dry-run"];
    let said = passed(folder.path(), &twice);
    assert!(said.contains("--limit 2 is left out: --limit stands again later"), "{said}");
    for (config, reason) in [
        ("taks: x\n", "c.yaml:1:1: `taks` is no flag of `lm_eval run` 0.4.13"),
        ("tasks: x\nseed: 7\n", "c.yaml:2:1: `seed` 7: few-shot"),
        ("log_samples: 3\n", "c.yaml:1:1: `log_samples` is 3, expected true or false"),
        ("- a\n", "c.yaml:1:1: the file is a list, expected a mapping"),
        ("tasks: winogrande\nlimit: many\n", "invalid value 'many' for '--limit"),
    ] {
        std::fs::write(folder.path().join("c.yaml"), config).unwrap();
        let output = eval(folder.path(), &["run", "--config", "c.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{config}");
        assert!(stderr(&output).contains(reason), "{config}: {}", stderr(&output));
    }
}

#[test]
fn a_flag_in_the_command_s_place_begins_a_run() {
    let folder = place();
    let line = [
        "--model",
        "hf",
        "--model_args",
        "pretrained=m",
        "--tasks",
        "winogrande",
        "--limit",
        "1",
        "--samples",
    ];
    assert!(passed(folder.path(), &line).contains("results in "));
    let output = eval(folder.path(), &["--help"]);
    assert!(output.status.success());
    let output = eval(folder.path(), &["tasks", "--no_such"]);
    assert!(stderr(&output).contains("--no-such"), "{}", stderr(&output));
}

#[test]
fn its_list_of_tasks_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let ours = eval(folder.path(), &["tasks"]);
    for words in [&["ls", "tasks"][..], &["ls", "groups"], &["ls"]] {
        let theirs = eval(folder.path(), words);
        assert!(theirs.status.success(), "{words:?}: {}", stderr(&theirs));
        assert_eq!(theirs.stdout, ours.stdout);
    }
}

#[test]
fn what_is_said_in_two_places_is_refused() {
    let folder = place();
    let output = eval(folder.path(), &[&LINE[..], &["--tasks", "winogrande", "--dtype", "float32"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let expected =
        "error: --dtype: --model_args gives it too, as float32\nhint: give it in one of the two places\n";
    assert_eq!(stderr(&output), expected);
}
