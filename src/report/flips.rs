//! Documents that flipped, as text.

use super::drawing::wrapped;
use super::table::Format;
use crate::compare::{Flip, FlipSide};
use crate::vocabulary::Gold;

/// Characters of a prompt that are shown: the question is at its end.
const SHOWN: usize = 400;

/// Each document: the end of its prompt, the gold answer, and each model's answer, in lines of at most `width` columns.
pub fn flips_text(flips: &[Flip], format: Format, width: Option<usize>) -> String {
    let near = flips.iter().filter(|flip| flip.near_tie()).count();
    let width = width.filter(|_| format != Format::Markdown);
    let mut text = lines(
        "",
        &format!(
            "{} documents flipped; {near} of them are near-ties, which the rounding of logits alone could have flipped.",
            flips.len()
        ),
        width,
    );
    for flip in flips {
        let mark = if flip.near_tie() { ", near-tie" } else { "" };
        let head = format!("{}, document {}{mark}", flip.task, flip.doc_id);
        let sides: Vec<String> = flip.sides.iter().map(side).collect();
        let gold = gold(flip);
        let prompt = flip.prompt.as_deref().map(end_of);
        match format {
            Format::Markdown => {
                text.push_str(&format!("\n### {head}\n\n"));
                if let Some(prompt) = prompt {
                    let fence = "`".repeat(longest_run(&prompt).max(2) + 1);
                    text.push_str(&format!("{fence}text\n{prompt}\n{fence}\n\n"));
                }
                text.push_str(&format!("- right is: {}\n", escaped(&gold)));
                sides.iter().for_each(|line| text.push_str(&format!("- {}\n", escaped(line))));
            }
            _ => {
                text.push('\n');
                text.push_str(&lines("", &head, width));
                for line in prompt.iter().flat_map(|prompt| prompt.lines()) {
                    text.push_str(&lines("  | ", line, width));
                }
                text.push_str(&lines("  ", &format!("right is: {gold}"), width));
                sides.iter().for_each(|line| text.push_str(&lines("  ", line, width)));
            }
        }
    }
    text
}

/// A text in lines of at most `width` columns, each after `before`; as it is without a width.
fn lines(before: &str, text: &str, width: Option<usize>) -> String {
    let parts = match width {
        Some(width) => wrapped(text, width.saturating_sub(before.len())),
        None => vec![text.to_string()],
    };
    parts.iter().map(|part| format!("{}\n", format!("{before}{part}").trim_end())).collect()
}

fn end_of(prompt: &str) -> String {
    let count = prompt.chars().count();
    match prompt.char_indices().nth(count.saturating_sub(SHOWN)) {
        Some((at, _)) if at > 0 => format!("...{}", &prompt[at..]),
        _ => prompt.to_string(),
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if "\\`*_<>[]|~$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn gold(flip: &Flip) -> String {
    let choice = |at: usize| flip.choices.get(at).map(|choice| one_line(choice));
    match &flip.gold {
        Some(Gold::Index(at)) => choice(*at).unwrap_or_else(|| format!("choice {at}")),
        Some(Gold::NoChoice(label)) => format!("hidden (label {label})"),
        Some(Gold::Labels(labels)) => format!("{labels:?}"),
        Some(Gold::Answer(answer)) => one_line(answer),
        Some(Gold::Answers(answers)) => one_line(&answers.join(" or ")),
        None => "not recorded".into(),
    }
}

fn side(side: &FlipSide) -> String {
    let answer = side.answer.as_deref().map_or("answer not recorded".into(), one_line);
    let margin = side.margin.map_or(String::new(), |margin| format!(", margin {margin:.4}"));
    let near_tie = if side.near_tie { ", near-tie" } else { "" };
    let right = if side.right { "right" } else { "wrong" };
    format!("{}: {right}: {answer}{margin}{near_tie}", side.name)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
