//! Writes the sample datasets: the hub's folders and columns, one JSON row per line.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::Result;

use crate::activities::{ACTIVITIES, Activity};
use crate::beliefs::BELIEFS;
use crate::dice::Dice;
use crate::glossary::{self, DEV_ROWS};
use crate::pronouns::{Gap, SCHEMAS};
use crate::sums::{RECIPES, Sum};
use crate::world::{Fact, facts};

/// The samples' owner below `datasets/`; nobody on the hub has this name.
const OWNER: &str = "assay-samples";

/// Writes every sample dataset under `root`.
pub fn write_all(root: &Path) -> Result<()> {
    let home = root.join("datasets").join(OWNER);
    let (train, test) = arc();
    write(&home, "ai2_arc/ARC-Challenge", "train", &train)?;
    write(&home, "ai2_arc/ARC-Challenge", "test", &test)?;
    let (train, validation) = hellaswag();
    write(&home, "hellaswag/data", "train", &train)?;
    write(&home, "hellaswag/data", "validation", &validation)?;
    let mut dice = Dice::new(3);
    for subject in glossary::subjects()? {
        let rows: Vec<Value> = (0..subject.len())
            .map(|index| {
                let choice = subject.choice(index, true, &mut dice);
                json!({
                    "question": choice.question, "subject": subject.name,
                    "choices": choice.choices, "answer": choice.answer,
                })
            })
            .collect();
        let config = format!("mmlu/{}", subject.name);
        write(&home, &config, "dev", &rows[..DEV_ROWS])?;
        write(&home, &config, "test", &rows[DEV_ROWS..])?;
    }
    write(&home, "truthful_qa/multiple_choice", "validation", &truthful_qa())?;
    let gaps = sample_gaps();
    let rows: Vec<Value> = gaps.iter().map(winogrande_row).collect();
    write(&home, "winogrande/winogrande_xl", "train", &rows[..24])?;
    write(&home, "winogrande/winogrande_xl", "validation", &rows[24..36])?;
    let rows: Vec<Value> =
        sample_sums().iter().map(|sum| json!({"question": sum.question, "answer": sum.answer})).collect();
    write(&home, "gsm8k/main", "train", &rows[..24])?;
    write(&home, "gsm8k/main", "test", &rows[24..32])?;
    Ok(())
}

/// The sums of the samples, train rows first; the training text leaves them out.
pub fn sample_sums() -> Vec<Sum> {
    let mut dice = Dice::new(6);
    let mut sums: Vec<Sum> = Vec::new();
    while sums.len() < 32 {
        let sum = RECIPES[sums.len() % RECIPES.len()](&mut dice);
        if sums.iter().all(|other| other.question != sum.question) {
            sums.push(sum);
        }
    }
    dice.shuffle(&mut sums);
    sums
}

/// The gap sentences of the samples, train rows first; the training text leaves them out.
pub fn sample_gaps() -> Vec<Gap> {
    let mut dice = Dice::new(5);
    let mut gaps: Vec<Gap> = Vec::new();
    for turn in 0.. {
        let gap = SCHEMAS[turn % SCHEMAS.len()].gap((turn / SCHEMAS.len()) % 2, &mut dice);
        if gaps.iter().all(|other| other.sentence != gap.sentence) {
            gaps.push(gap);
        }
        if gaps.len() == 36 {
            break;
        }
    }
    dice.shuffle(&mut gaps);
    gaps
}

fn winogrande_row(gap: &Gap) -> Value {
    json!({
        "sentence": gap.sentence, "option1": gap.options[0], "option2": gap.options[1],
        "answer": (gap.answer + 1).to_string(),
    })
}

fn arc() -> (Vec<Value>, Vec<Value>) {
    let mut dice = Dice::new(1);
    let mut facts = facts();
    dice.shuffle(&mut facts);
    let train =
        facts[..30].iter().enumerate().map(|(row, fact)| arc_row(fact, row, "train", &mut dice)).collect();
    let test =
        facts[30..46].iter().enumerate().map(|(row, fact)| arc_row(fact, row, "test", &mut dice)).collect();
    (train, test)
}

fn arc_row(fact: &Fact, row: usize, split: &str, dice: &mut Dice) -> Value {
    let count = match row {
        4 => 3,
        11 => 5,
        _ => 4,
    };
    let others: Vec<&str> = fact
        .relation
        .pairs
        .iter()
        .map(|(_, object)| *object)
        .filter(|object| *object != fact.object())
        .collect();
    let mut texts = dice.sample(&others, count - 1);
    let answer = dice.below(count);
    texts.insert(answer, fact.object());
    // Some of the real rows number their choices, and so do some of ours.
    let first = if row % 7 == 3 { b'1' } else { b'A' };
    let labels: Vec<String> = (0..count as u8).map(|index| ((first + index) as char).to_string()).collect();
    json!({
        "id": format!("Sample_{split}_{:03}", row + 1),
        "question": fact.fill(fact.relation.held_back),
        "choices": {"text": texts, "label": labels},
        "answerKey": labels[answer],
    })
}

fn hellaswag() -> (Vec<Value>, Vec<Value>) {
    let mut dice = Dice::new(2);
    let mut places: Vec<(usize, usize)> =
        (0..ACTIVITIES.len()).flat_map(|activity| [(activity, 1), (activity, 3)]).collect();
    dice.shuffle(&mut places);
    let row = |(row, &(activity, step)): (usize, &(usize, usize)), split: &str, dice: &mut Dice| {
        // One row in four is written as advice, with the marks that have to be removed.
        if row % 4 == 2 {
            advice_row(row, activity, step, split, dice)
        } else {
            story_row(row, activity, step, split, dice)
        }
    };
    let train = places[..24].iter().enumerate().map(|place| row(place, "train", &mut dice)).collect();
    let validation = places[24..].iter().enumerate().map(|place| row(place, "val", &mut dice)).collect();
    (train, validation)
}

fn story_row(row: usize, activity: usize, step: usize, split: &str, dice: &mut Dice) -> Value {
    let work = &ACTIVITIES[activity];
    let told: Vec<String> = (0..step).map(|step| work.told(step)).collect();
    let ctx_a = format!("{} {}", work.opening(), told.join(" "));
    let ctx_b = work.definite();
    // Some real endings begin with an extra space, which counts in acc_norm.
    let lead = if row % 8 == 5 { " " } else { "" };
    let ending = |work: &Activity, step: usize| format!("{lead}{}", work.ending(step));
    let wrong: Vec<String> =
        others(activity, dice).iter().map(|other| ending(other, dice.below(other.steps.len()))).collect();
    hellaswag_row(row, work.label, (ctx_a, ctx_b), (ending(work, step), wrong), split, dice)
}

fn advice_row(row: usize, activity: usize, step: usize, split: &str, dice: &mut Dice) -> Value {
    let work = &ACTIVITIES[activity];
    let told: Vec<String> = (1..step).map(|step| work.advised(step)).collect();
    let mut ctx_a =
        format!("[header] How to go about {} [title] {}", work.label.to_lowercase(), work.advised(0));
    if !told.is_empty() {
        ctx_a = format!("{ctx_a} [step] {}", told.join(" "));
    }
    let ending = |work: &Activity, step: usize| {
        let next = (step + 1) % work.steps.len();
        match row % 8 {
            2 => format!("[substeps] {}", work.advised(step)),
            _ => format!("{} [title] {}", work.advised(step), work.advised(next)),
        }
    };
    let wrong: Vec<String> =
        others(activity, dice).iter().map(|other| ending(other, dice.below(other.steps.len()))).collect();
    hellaswag_row(row, work.shelf, (ctx_a, String::new()), (ending(work, step), wrong), split, dice)
}

/// Three other activities, whose steps would be out of place here.
fn others(activity: usize, dice: &mut Dice) -> Vec<&'static Activity> {
    let rest: Vec<&Activity> = ACTIVITIES
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != activity)
        .map(|(_, other)| other)
        .collect();
    dice.sample(&rest, 3)
}

fn hellaswag_row(
    row: usize,
    label: &str,
    (ctx_a, ctx_b): (String, String),
    (right, mut endings): (String, Vec<String>),
    split: &str,
    dice: &mut Dice,
) -> Value {
    let answer = dice.below(4);
    endings.insert(answer, right);
    let ctx = if ctx_b.is_empty() { ctx_a.clone() } else { format!("{ctx_a} {ctx_b}") };
    json!({
        "ind": row, "activity_label": label, "ctx_a": ctx_a, "ctx_b": ctx_b, "ctx": ctx, "endings": endings,
        "source_id": format!("sample~{split}{row}"), "split": split, "split_type": "indomain",
        "label": answer.to_string(),
    })
}

fn truthful_qa() -> Vec<Value> {
    let mut dice = Dice::new(4);
    BELIEFS
        .iter()
        .enumerate()
        .map(|(row, belief)| {
            let best: Vec<&str> = belief.right[..1].iter().chain(belief.wrong).copied().collect();
            let mut first_labels = vec![0; best.len()];
            first_labels[0] = 1;
            let mut all: Vec<(&str, u8)> = belief.right.iter().map(|answer| (*answer, 1)).collect();
            all.extend(belief.wrong.iter().map(|answer| (*answer, 0)));
            // The real data has two rows whose labels are out of order; readers must cope with one here.
            if row == 6 {
                dice.shuffle(&mut all[1..]);
                all.swap(1, 3);
            }
            let (choices, labels): (Vec<&str>, Vec<u8>) = all.into_iter().unzip();
            json!({
                "question": belief.question,
                "mc1_targets": {"choices": best, "labels": first_labels},
                "mc2_targets": {"choices": choices, "labels": labels},
            })
        })
        .collect()
}

fn write(home: &Path, config: &str, split: &str, rows: &[Value]) -> Result<()> {
    let folder = home.join(config);
    fs::create_dir_all(&folder).map_err(|error| format!("can't make {}: {error}", folder.display()))?;
    let path = folder.join(format!("{split}-00000-of-00001.jsonl"));
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    fs::write(&path, text).map_err(|error| format!("can't write {}: {error}", path.display()).into())
}
