//! The command line of `lm_eval run` 0.4.13, as words of ours, before they are parsed.
//!
//! What changes a result is translated or refused, never dropped. What assay does anyway is dropped, with a note.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::Value;

use super::failure::Failure;
use super::lm_eval_flags::{Becomes, Flag, Takes, long, short};
use super::lm_eval_model::{ModelFlags, model_flags};
use super::lm_eval_values::{Entry, Pair, config_entries, pairs};
use crate::task::closest;

/// A command line as it is parsed.
#[derive(Debug, Default)]
pub struct Translation {
    /// The words, the program first.
    pub words: Vec<OsString>,
    /// What was dropped, and why it changes nothing.
    pub dropped: Vec<String>,
    /// Whether it is a line of lm_eval, and would be none of assay's.
    pub is_foreign: bool,
    /// The file of `--config`, which flags came from that were not typed.
    pub config: Option<String>,
}

/// A part of a command line.
enum Part {
    /// A word that is none of lm_eval's flags.
    Word(OsString),
    Flag {
        flag: &'static Flag,
        /// As it is named in errors: as it was typed, or the key's place in a file.
        said: String,
        values: Vec<OsString>,
    },
}

/// What `lm_eval ls` lists.
const LISTS: [&str; 4] = ["tasks", "groups", "subtasks", "tags"];

/// What a command knows of flags: the command, and a flag with hyphens and without dashes.
pub type Knows<'k> = &'k dyn Fn(&str, &str) -> bool;

/// Translates a command line.
///
/// # Errors
/// A flag that asks for what assay cannot do; a `--config` that cannot be read.
pub fn translate(typed: &[OsString], knows: Knows<'_>) -> Result<Translation, Failure> {
    let Some(at) = command_place(typed) else {
        return Ok(Translation { words: typed.to_vec(), ..Translation::default() });
    };
    let word = typed.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let (command, from) = match word {
        "eval" | "run" => ("eval", at + 1),
        "plan" | "requests" => (word, at + 1),
        // `lm_eval ls tasks`, and its groups, subtasks and tags: one list here.
        "ls" => {
            let of_ls = |word: &OsString| LISTS.iter().any(|list| word == list);
            let rest = typed[at + 1..].iter().enumerate().filter(|(place, word)| *place > 0 || !of_ls(word));
            let mut words: Vec<OsString> = typed[..at].iter().map(|word| with_hyphens(word)).collect();
            words.push("tasks".into());
            words.extend(rest.map(|(_, word)| with_hyphens(word)));
            return Ok(Translation { words, ..Translation::default() });
        }
        // lm_eval inserts `run` where a flag stands in its place.
        _ if word.starts_with('-') => ("eval", at),
        _ => {
            let words = typed.iter().map(|word| with_hyphens(word)).collect();
            return Ok(Translation { words, ..Translation::default() });
        }
    };
    let mut parts = split(&typed[from..]);
    let mut done = Translation::default();
    done.words.extend(typed[..at].iter().map(|word| with_hyphens(word)));
    done.words.push(command.into());
    add_config(&mut parts, command, knows, &mut done)?;
    emit(parts, command, knows, &mut done)?;
    done.is_foreign |= word == "run" || !done.dropped.is_empty();
    Ok(done)
}

/// Where the command stands, or a flag of lm_eval in its place; the flags of every command may come before it.
fn command_place(typed: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = typed.get(at)?.to_str()?;
        let name = word.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest));
        match name {
            Some("color") if !word.contains('=') => at += 2,
            Some("color" | "quiet" | "verbose" | "json") => at += 1,
            Some(name) => return long(name).map(|_| at),
            None if matches!(word, "-q" | "-v" | "-qv" | "-vq") => at += 1,
            None if word.starts_with('-') => return word.chars().nth(1).and_then(short).map(|_| at),
            None => return Some(at),
        }
    }
}

/// A long flag with hyphens for underscores; any other word as it is.
fn with_hyphens(word: &OsStr) -> OsString {
    match word.to_str().and_then(|word| word.strip_prefix("--")) {
        Some(rest) if rest.split('=').next().is_some_and(|name| name.contains('_')) => {
            let (name, value) = rest.split_at(rest.find('=').unwrap_or(rest.len()));
            format!("--{}{value}", name.replace('_', "-")).into()
        }
        _ => word.to_os_string(),
    }
}

/// Whether argparse takes a word for a value: not a flag, unless it is a negative number.
fn is_value(word: &OsStr) -> bool {
    word.to_str().is_none_or(|word| {
        let is_sentence = word.contains(' ') && !word.starts_with("--");
        !word.starts_with('-') || word == "-" || is_sentence || word.parse::<f64>().is_ok()
    })
}

const LEVELS: [&str; 7] = ["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"];

fn is_level(word: &OsStr) -> bool {
    word.to_str().is_some_and(|word| LEVELS.contains(&word.to_uppercase().as_str()))
}

/// Takes the words after the command apart.
fn split(words: &[OsString]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut words = words.to_vec();
    let mut at = 0;
    while let Some(word) = words.get(at).cloned() {
        at += 1;
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            parts.extend(words[at - 1..].iter().cloned().map(Part::Word));
            break;
        }
        let (flag, said, mut attached) = match (text.strip_prefix("--"), text.strip_prefix('-')) {
            (Some(rest), _) => {
                let (name, value) = match rest.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_string())),
                    None => (rest, None),
                };
                (long(name), format!("--{name}"), value)
            }
            (None, Some(rest)) => {
                let letter = rest.chars().next().unwrap_or_default();
                let value = &rest[letter.len_utf8().min(rest.len())..];
                let level = if value.is_empty() {
                    words.get(at).map(OsString::as_os_str)
                } else {
                    Some(OsStr::new(value))
                };
                // Our `-v` has no value.
                let flag = if letter == 'v' && level.is_some_and(is_level) {
                    long("verbosity")
                } else {
                    short(letter)
                };
                let value = Some(value.strip_prefix('=').unwrap_or(value)).filter(|value| !value.is_empty());
                (flag, format!("-{letter}"), value.map(str::to_string))
            }
            _ => (None, String::new(), None),
        };
        let Some(flag) = flag else {
            parts.push(Part::Word(with_hyphens(&word)));
            continue;
        };
        if flag.takes == Takes::Nothing
            && let Some(more) = attached.take_if(|_| !text.starts_with("--"))
        {
            // Letters may share a dash.
            parts.push(Part::Flag { flag, said, values: Vec::new() });
            words.insert(at, format!("-{more}").into());
            continue;
        }
        let most = match (flag.takes, &attached) {
            (_, Some(_)) | (Takes::Nothing, None) => 0,
            (Takes::One | Takes::Perhaps, None) => 1,
            (Takes::Many, None) => usize::MAX,
        };
        let mut values: Vec<OsString> = attached.map(OsString::from).into_iter().collect();
        let following = words[at..].iter().take(most).take_while(|word| is_value(word));
        values.extend(following.cloned());
        at += values.len().min(most);
        parts.push(Part::Flag { flag, said, values });
    }
    parts
}

/// Adds what the file of `--config` says and was not typed.
fn add_config(
    parts: &mut Vec<Part>,
    command: &str,
    knows: Knows<'_>,
    done: &mut Translation,
) -> Result<(), Failure> {
    let is_config =
        |part: &Part| matches!(part, Part::Flag { flag, .. } if matches!(flag.becomes, Becomes::Config));
    let Some(at) = parts.iter().rposition(is_config) else { return Ok(()) };
    let path = match &parts[at] {
        Part::Flag { values, .. } if !values.is_empty() => values[0].clone(),
        _ => {
            return Err(Failure::bad_input("--config: no value, expected a YAML file", "give --config FILE"));
        }
    };
    parts.retain(|part| !is_config(part));
    let mut typed: HashSet<String> = HashSet::new();
    for part in parts.iter() {
        match part {
            Part::Flag { flag, .. } => typed.insert(flag.name.to_string()),
            Part::Word(word) => {
                let name = word.to_str().and_then(|word| word.strip_prefix("--")).unwrap_or_default();
                typed.insert(name.split('=').next().unwrap_or_default().replace('-', "_"))
            }
        };
    }
    if typed.contains("results") || typed.contains("output") {
        typed.insert("output_path".into());
    }
    for Entry { key, place, value } in config_entries(Path::new(&path))? {
        if typed.contains(&key.replace('-', "_")) {
            continue;
        }
        let said = format!("{place}: `{key}`");
        let Some(flag) = long(&key).filter(|flag| flag.name != "config") else {
            let ours = key.replace('_', "-");
            if !knows(command, &ours) {
                let what = format!("{said} is no flag of `lm_eval run` 0.4.13, nor of `assay {command}`");
                let near = closest(&key, super::lm_eval_flags::FLAGS.iter().map(|flag| flag.name));
                let hint = near.map_or("leave it out".into(), |near| format!("did you mean `{near}`?"));
                return Err(Failure::bad_input(what, hint));
            }
            parts.extend(own_words(&ours, &value).into_iter().map(Part::Word));
            continue;
        };
        if let Some(values) = config_values(flag, &value, &said)? {
            parts.push(Part::Flag { flag, said, values: values.into_iter().map(OsString::from).collect() });
        }
    }
    done.config = Some(path.to_string_lossy().into_owned());
    Ok(())
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A flag of ours in a `--config` file.
fn own_words(name: &str, value: &Value) -> Vec<OsString> {
    match value {
        Value::Bool(true) => vec![format!("--{name}").into()],
        Value::Bool(false) => Vec::new(),
        Value::Array(items) => items.iter().map(|item| format!("--{name}={}", scalar(item)).into()).collect(),
        value => vec![format!("--{name}={}", scalar(value)).into()],
    }
}

/// The words that a key's value stands for; `None` where it says what holds without it.
fn config_values(flag: &Flag, value: &Value, said: &str) -> Result<Option<Vec<String>>, Failure> {
    let listed = |items: &[Value]| items.iter().map(scalar).collect::<Vec<_>>();
    Ok(match (flag.takes, value) {
        (_, Value::Object(object)) if object.is_empty() => None,
        (_, Value::Array(items)) if items.is_empty() => None,
        (Takes::Nothing, Value::Bool(set)) => set.then(Vec::new),
        (Takes::Nothing, other) => {
            let what = format!("{said} is {other}, expected true or false");
            return Err(Failure::bad_input(what, "write true for a flag that takes no value"));
        }
        (Takes::Perhaps, Value::Bool(false)) if flag.name != "fewshot_as_multiturn" => None,
        (Takes::Many, Value::Array(items)) => Some(listed(items)),
        (Takes::One, Value::Array(items)) => Some(vec![listed(items).join(",")]),
        (_, value) => Some(vec![scalar(value)]),
    })
}

/// Without flags of one value that are typed again later: the last one counts, as for argparse, which is said. Folders of task files
/// add up.
fn last_of_each(parts: Vec<Part>, done: &mut Translation) -> Vec<Part> {
    let counts = |part: &Part| match part {
        Part::Flag { flag, .. } => match flag.becomes {
            Becomes::Own(name) if flag.takes != Takes::Nothing && name != "include" => Some(flag.name),
            _ => None,
        },
        Part::Word(_) => None,
    };
    let mut later: HashSet<&str> = HashSet::new();
    let counts_still = |part: &Part| {
        let still = counts(part).is_none_or(|name| later.insert(name));
        if let (false, Part::Flag { said, values, .. }) = (still, part) {
            let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
            done.dropped.push(format!("{said} {} is left out: {said} stands again later", values.join(" ")));
        }
        still
    };
    let mut kept: Vec<Part> = parts.into_iter().rev().filter(counts_still).collect();
    kept.reverse();
    kept
}

/// Writes the parts as words of ours.
fn emit(parts: Vec<Part>, command: &str, knows: Knows<'_>, done: &mut Translation) -> Result<(), Failure> {
    let mut kind: Option<String> = None;
    let mut model: Option<(Vec<Pair>, String)> = None;
    let drop = |done: &mut Translation, said: &str, why: &str| {
        let line = format!("{said}: {why}");
        if !done.dropped.contains(&line) {
            done.dropped.push(line);
        }
    };
    // A flag that lm_eval has and this command has not, such as the folder of results of a plan, changes nothing there.
    let push = |done: &mut Translation, name: &str, value: Option<&OsStr>| {
        if !knows(command, name) {
            return drop(done, &format!("--{name}"), &format!("it changes nothing of `assay {command}`"));
        }
        let mut word = OsString::from(format!("--{name}"));
        if let Some(value) = value {
            word.push("=");
            word.push(value);
        }
        done.words.push(word);
    };
    for part in last_of_each(parts, done) {
        let (flag, said, values) = match part {
            Part::Word(word) => {
                done.words.push(word);
                continue;
            }
            Part::Flag { flag, said, values } => (flag, said, values),
        };
        let texts: Vec<String> = values.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if values.is_empty() && matches!(flag.takes, Takes::One | Takes::Many) {
            return Err(Failure::bad_input(format!("{said}: no value, expected one"), hint_of(flag)));
        }
        let pairs = || {
            pairs(&texts)
                .map_err(|what| Failure::bad_input(format!("{said}: {what}"), "write key=value,key=value"))
        };
        match flag.becomes {
            Becomes::Own(name) => push(done, name, values.first().map(OsString::as_os_str)),
            Becomes::Nothing(why) => drop(done, &said, why),
            Becomes::Refused(why, hint) => return Err(Failure::bad_input(format!("{said}: {why}"), hint)),
            Becomes::Config => {}
            Becomes::Tasks => push(done, "tasks", Some(OsStr::new(&task_list(&texts, &said)?))),
            Becomes::Model => kind = texts.first().cloned(),
            Becomes::ModelArguments => {
                let more = pairs()?;
                let (known, _) = model.get_or_insert_with(|| (Vec::new(), said.clone()));
                known.retain(|pair| !more.iter().any(|new| new.key == pair.key));
                known.extend(more);
            }
            Becomes::Generation => check_generation(&pairs()?, &said)?,
            Becomes::Output => {
                let folder = Path::new(&values[0]);
                let file = folder.extension().is_some_and(|ending| ending == "json");
                let parent =
                    folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
                push(done, "results", Some(if file { parent.as_os_str() } else { folder.as_os_str() }));
                if file {
                    let why = format!("a run is a folder of its own in {}", parent.display());
                    drop(done, &said, &why);
                }
            }
            Becomes::Samples if values.is_empty() => push(done, "samples", None),
            Becomes::Samples => {
                return Err(Failure::bad_input(
                    format!(
                        "{said} {}: single documents cannot be chosen, only the first of each task",
                        texts[0]
                    ),
                    "give --limit N; --samples without a value asks for built-in sample data",
                ));
            }
            Becomes::Seed => check_seed(&texts[0], &said)?,
            Becomes::Verbosity => match texts[0].to_uppercase().as_str() {
                "DEBUG" => push(done, "verbose", None),
                "INFO" => {}
                level if LEVELS.contains(&level) => push(done, "quiet", None),
                _ => {
                    let what = format!("{said} {}: no level of logging", texts[0]);
                    return Err(Failure::bad_input(what, "expected DEBUG, INFO, WARNING, ERROR or CRITICAL"));
                }
            },
        }
    }
    done.is_foreign = model.is_some();
    let arguments = model.as_ref().map(|(pairs, said)| (pairs.as_slice(), said.as_str()));
    let ModelFlags { flags, idle } = model_flags(kind.as_deref(), arguments)?;
    for (name, value) in flags {
        let typed = format!("--{name}");
        let is_typed = |word: &OsString| {
            let word = word.to_string_lossy();
            word.strip_prefix(&typed).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        };
        if done.words.iter().any(is_typed) {
            return Err(Failure::bad_input(
                format!("{typed}: --model_args gives it too, as {value}"),
                "give it in one of the two places",
            ));
        }
        push(done, name, Some(OsStr::new(&value)));
    }
    if !idle.is_empty() {
        let why = format!("{}: where and how weights are held changes no result here", idle.join(", "));
        drop(done, "--model_args", &why);
    }
    Ok(())
}

fn hint_of(flag: &Flag) -> String {
    match flag.takes {
        Takes::Many => format!("give --{} VALUE, as in lm_eval", flag.name),
        _ => format!("give --{} with a value", flag.name),
    }
}

/// Names of tasks as `--tasks` takes them.
fn task_list(texts: &[String], said: &str) -> Result<String, Failure> {
    for name in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
        if name.ends_with(".yaml")
            || name.ends_with(".yml")
            || (name.contains('/') && Path::new(name).is_dir())
        {
            return Err(Failure::bad_input(
                format!("{said} {name}: a file or folder, expected names of tasks"),
                "give the folder with --include FOLDER, and the name that its file declares with --tasks",
            ));
        }
    }
    Ok(texts.join(","))
}

/// Passes greedy decoding, which is the only one here, and refuses the rest.
fn check_generation(pairs: &[Pair], said: &str) -> Result<(), Failure> {
    let number = |name: &str| pairs.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.as_f64());
    let sample = pairs.iter().find(|pair| pair.key == "do_sample").map(|pair| &pair.value);
    let greedy = match sample {
        Some(Value::Bool(false)) => true,
        Some(Value::Bool(true)) => false,
        _ => number("temperature").unwrap_or(0.0) == 0.0,
    };
    for Pair { key, text, .. } in pairs {
        let why = match key.as_str() {
            _ if !greedy => "tokens are never drawn at random: generations are greedy",
            "do_sample" | "temperature" | "top_p" | "top_k" | "min_p" | "typical_p" | "seed" => continue,
            "num_beams" | "repetition_penalty" if text.parse() == Ok(1.0) => continue,
            "until" | "max_gen_toks" | "max_new_tokens" | "max_tokens" | "max_completion_tokens" => {
                "stops and lengths are those of the task's file"
            }
            _ => "generations are greedy, without settings beside it",
        };
        let hint = match key.as_str() {
            "until" => {
                "copy the task's file into a folder, change generation_kwargs there, and give --include FOLDER"
            }
            _ if !greedy => "leave it out, or give do_sample=False",
            _ => {
                "leave it out, or change generation_kwargs in a task file of your own, with --include FOLDER"
            }
        };
        return Err(Failure::bad_input(format!("{said}: {key}={text}: {why}"), hint));
    }
    Ok(())
}

/// lm_eval's seed of few-shot examples.
const FEWSHOT_SEED: i64 = 1234;

/// Passes seeds that leave the few-shot examples as they are; nothing else is random here.
fn check_seed(text: &str, said: &str) -> Result<(), Failure> {
    let fault = |what: &str, hint: &str| Err(Failure::bad_input(format!("{said} {text}: {what}"), hint));
    let seeds: Option<Vec<Option<i64>>> = text
        .split(',')
        .map(|seed| match seed.trim().to_lowercase().as_str() {
            "none" | "null" => Some(None),
            seed => seed.parse().ok().map(Some),
        })
        .collect();
    let fewshot = match seeds.as_deref() {
        Some([one]) => *one,
        Some([_, _, _]) => Some(FEWSHOT_SEED),
        Some([_, _, _, fewshot]) => *fewshot,
        _ => {
            return fault(
                "expected one whole number, or four of them or None, with commas between",
                "give --seed 1234",
            );
        }
    };
    if fewshot != Some(FEWSHOT_SEED) {
        let what = "few-shot examples are drawn with the task's seed, as lm_eval draws them with 1234, and nothing else is random";
        return fault(what, "leave it out, or give 1234 as the last of four");
    }
    Ok(())
}
