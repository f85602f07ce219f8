//! Numbers of choices, as values of rows and texts of templates give them.

use std::ops::Range;

use crate::python::literal::literal_eval;
use crate::python::text;
use crate::vocabulary::Cell;

/// The range that a text such as `[0, 4]` gives, within so many choices.
pub fn range(text: &str, choices: usize) -> Option<Range<usize>> {
    let Cell::List(bounds) = Cell::from(literal_eval(text)?) else { return None };
    let [from, to] = bounds.as_slice() else { return None };
    let range = index_of(from)?..index_of(to)?;
    (range.start < range.end && range.end <= choices).then_some(range)
}

/// The place in a list of `length` that a number names, as Python indexes: -1 is the last one.
pub fn element(number: &Cell, length: usize) -> Option<usize> {
    match number {
        Cell::Int(back @ ..0) => length.checked_sub(usize::try_from(back.unsigned_abs()).ok()?),
        _ => index_of(number).filter(|index| *index < length),
    }
}

/// Whether a target is a label below 0, as datasets write that they hide it: a number, or such a number as text.
pub fn is_hidden(target: &Cell) -> bool {
    match target {
        Cell::Int(label) => *label < 0,
        Cell::Text(text) => text.strip_prefix('-').is_some_and(text::is_digits),
        _ => false,
    }
}

/// A whole number that is not negative.
fn index_of(cell: &Cell) -> Option<usize> {
    match cell {
        Cell::Bool(b) => Some(usize::from(*b)),
        Cell::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}

/// Whether a question is the number of a choice, so that choices are contexts and the target continues each of them. A rendered one
/// must be written as Python writes numbers: `0042` is a text.
pub fn is_index(question: &Cell, choices: &[String]) -> bool {
    match question {
        Cell::Int(_) | Cell::Float(_) | Cell::Bool(_) => true,
        Cell::Text(text) => {
            let index = text.parse::<usize>().ok().filter(|index| index.to_string() == *text);
            index.is_some_and(|index| index < choices.len())
        }
        _ => false,
    }
}
