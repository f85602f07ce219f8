//! Small worked sums: the content of the GSM8K samples.

use crate::dice::Dice;
use crate::world::{NAMES, TOWN_PLACES};

/// A sum in words, with its worked answer ending in "#### " and the number.
#[derive(Clone, PartialEq)]
pub struct Sum {
    pub question: String,
    /// The worked answer, each step with its `<<..>>` note for a calculator.
    pub answer: String,
}

/// Things that come in whole numbers.
const GOODS: &[&str] =
    &["apples", "bowls", "candles", "eggs", "nuts", "baskets", "pears", "shells", "beans", "buttons"];

/// A way to make up a sum.
type Recipe = fn(&mut Dice) -> Sum;

/// Every way to make up a sum.
pub static RECIPES: [Recipe; 12] =
    [gift, sale, rows, halves, price, change, distance, days, two_steps, sharing, baskets, feast];

/// "3+4=<<3+4=7>>7"
fn noted(expression: &str, result: usize) -> String {
    format!("{expression}=<<{expression}={result}>>{result}")
}

fn sum(question: String, steps: &[String], result: usize) -> Sum {
    Sum { question, answer: format!("{}\n#### {result}", steps.join("\n")) }
}

fn town(dice: &mut Dice) -> &'static str {
    dice.pick(&TOWN_PLACES).0
}

fn gift(dice: &mut Dice) -> Sum {
    let ((one, two), goods) = (dice.pair(NAMES), dice.pick(GOODS));
    let (a, b) = (dice.between(2, 12), dice.between(2, 9));
    sum(
        format!("{one} has {a} {goods}. {two} gives {one} {b} more. How many {goods} does {one} have now?"),
        &[format!("{one} has {} {goods}.", noted(&format!("{a}+{b}"), a + b))],
        a + b,
    )
}

fn sale(dice: &mut Dice) -> Sum {
    let (name, goods, town) = (dice.pick(NAMES), dice.pick(GOODS), town(dice));
    let (left, sold) = (dice.between(1, 9), dice.between(2, 9));
    let all = left + sold;
    sum(
        format!(
            "{name} brings {all} {goods} to the market of {town} and sells {sold}. How many {goods} are left?"
        ),
        &[format!("There are {} {goods} left.", noted(&format!("{all}-{sold}"), left))],
        left,
    )
}

fn rows(dice: &mut Dice) -> Sum {
    let name = dice.pick(NAMES);
    let (a, b) = (dice.between(2, 6), dice.between(2, 6));
    sum(
        format!("{name} plants {a} rows of {b} beans. How many beans does {name} plant?"),
        &[format!("{name} plants {} beans.", noted(&format!("{a}*{b}"), a * b))],
        a * b,
    )
}

fn halves(dice: &mut Dice) -> Sum {
    let ((one, two), goods) = (dice.pair(NAMES), dice.pick(GOODS));
    let half = dice.between(2, 9);
    let whole = 2 * half;
    sum(
        format!(
            "{one} finds {whole} {goods} and gives half of them to {two}. How many {goods} does {two} get?"
        ),
        &[format!("{two} gets {} {goods}.", noted(&format!("{whole}/2"), half))],
        half,
    )
}

fn price(dice: &mut Dice) -> Sum {
    let (name, town) = (dice.pick(NAMES), town(dice));
    let (a, b) = (dice.between(2, 5), dice.between(2, 9));
    sum(
        format!("A pie costs {b} coins in {town}. {name} buys {a} pies. How many coins does {name} pay?"),
        &[format!("{name} pays {} coins.", noted(&format!("{a}*{b}"), a * b))],
        a * b,
    )
}

fn change(dice: &mut Dice) -> Sum {
    let name = dice.pick(NAMES);
    let cost = dice.between(2, 9);
    sum(
        format!("A loaf costs {cost} coins. {name} pays with 10 coins. How many coins does {name} get back?"),
        &[format!("The baker counts: {} coins.", noted(&format!("10-{cost}"), 10 - cost))],
        10 - cost,
    )
}

fn distance(dice: &mut Dice) -> Sum {
    let name = dice.pick(NAMES);
    let (one, two) = dice.pair(&TOWN_PLACES);
    let miles = dice.between(2, 12);
    sum(
        format!(
            "It is {miles} miles from {} to {}. {name} walks there and back. How many miles does {name} walk?",
            one.0, two.0
        ),
        &[format!("{name} walks {} miles.", noted(&format!("{miles}*2"), miles * 2))],
        miles * 2,
    )
}

fn days(dice: &mut Dice) -> Sum {
    let name = dice.pick(NAMES);
    let (hens, days) = (dice.between(2, 5), dice.between(2, 6));
    sum(
        format!(
            "{name} has {hens} hens, and each lays one egg a day. How many eggs are there after {days} days?"
        ),
        &[format!("After {days} days there are {} eggs.", noted(&format!("{hens}*{days}"), hens * days))],
        hens * days,
    )
}

fn two_steps(dice: &mut Dice) -> Sum {
    let (name, goods) = (dice.pick(NAMES), dice.pick(GOODS));
    let (a, b) = (dice.between(3, 9), dice.between(2, 6));
    let lost = dice.between(1, a.min(b));
    sum(
        format!(
            "{name} has {a} {goods}, finds {b} more and then loses {lost}. How many {goods} does {name} have?"
        ),
        &[
            format!("First {name} has {} {goods}.", noted(&format!("{a}+{b}"), a + b)),
            format!("Then {name} has {} {goods}.", noted(&format!("{}-{lost}", a + b), a + b - lost)),
        ],
        a + b - lost,
    )
}

fn sharing(dice: &mut Dice) -> Sum {
    let (name, goods) = (dice.pick(NAMES), dice.pick(GOODS));
    let (friends, each) = (dice.between(2, 5), dice.between(2, 6));
    let all = friends * each;
    sum(
        format!(
            "{name} shares {all} {goods} among {friends} friends. How many {goods} does each friend get?"
        ),
        &[format!("Each friend gets {} {goods}.", noted(&format!("{all}/{friends}"), each))],
        each,
    )
}

fn baskets(dice: &mut Dice) -> Sum {
    let (name, goods) = (dice.pick(NAMES), dice.pick(GOODS));
    let (count, each, extra) = (dice.between(2, 4), dice.between(2, 5), dice.between(1, 5));
    let packed = count * each;
    sum(
        format!(
            "{name} fills {count} boxes with {each} {goods} each and has {extra} left over. How many {goods} are there?"
        ),
        &[
            format!("In the boxes are {} {goods}.", noted(&format!("{count}*{each}"), packed)),
            format!(
                "With the rest there are {} {goods}.",
                noted(&format!("{packed}+{extra}"), packed + extra)
            ),
        ],
        packed + extra,
    )
}

fn feast(dice: &mut Dice) -> Sum {
    let town = town(dice);
    let (a, b, c) = (dice.between(2, 9), dice.between(2, 9), dice.between(2, 9));
    sum(
        format!(
            "At the feast of {town} there are {a} fiddlers, {b} drummers and {c} pipers. How many players are there?"
        ),
        &[
            format!("Fiddlers and drummers: {}.", noted(&format!("{a}+{b}"), a + b)),
            format!("All players: {}.", noted(&format!("{}+{c}", a + b), a + b + c)),
        ],
        a + b + c,
    )
}
