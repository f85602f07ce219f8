//! Everyday work, step by step: the content of the HellaSwag samples.

use crate::dice::Dice;
use crate::world::capitalised;

/// A piece of work with its steps in the order in which they are done.
pub struct Activity {
    pub label: &'static str,
    /// The group it belongs to in a book of household advice.
    pub shelf: &'static str,
    /// Who does it, with "a" or "an".
    pub who: &'static str,
    /// "He" or "She".
    pub pronoun: &'static str,
    /// Where we find that person.
    pub scene: &'static str,
    /// The steps, as one would tell somebody to do them; the first word is the only verb.
    pub steps: [&'static str; 5],
}

impl Activity {
    /// The opening, before any step: "A baker is in the kitchen."
    pub fn opening(&self) -> String {
        format!("{} is {}.", capitalised(self.who), self.scene)
    }

    /// "the baker"
    pub fn definite(&self) -> String {
        let noun = self.who.split_once(' ').map_or(self.who, |(_, noun)| noun);
        format!("the {noun}")
    }

    /// "She kneads the dough."
    pub fn told(&self, step: usize) -> String {
        format!("{} {}.", self.pronoun, third_person(self.steps[step]))
    }

    /// "kneads the dough."
    pub fn ending(&self, step: usize) -> String {
        format!("{}.", third_person(self.steps[step]))
    }

    /// "Knead the dough."
    pub fn advised(&self, step: usize) -> String {
        format!("{}.", capitalised(self.steps[step]))
    }

    /// The work told from beginning to end. The samples name the worker again at the second or fourth step; a
    /// story does so at a different step, or not at all.
    pub fn story(&self, dice: &mut Dice) -> String {
        let mut sentences = vec![self.opening()];
        let named = *dice.pick(&[0, 2, 4]);
        for step in 0..self.steps.len() {
            sentences.push(if step == named && step > 0 {
                format!("{} {}", capitalised(&self.definite()), self.ending(step))
            } else {
                self.told(step)
            });
        }
        format!("{}: {}", self.label, sentences.join(" "))
    }

    /// The work as advice to the reader.
    pub fn advice(&self) -> String {
        let steps: Vec<String> = (0..self.steps.len()).map(|step| self.advised(step)).collect();
        format!("{}: How to go about {}. {}", self.shelf, self.label.to_lowercase(), steps.join(" "))
    }
}

/// "mix the flour" -> "mixes the flour".
fn third_person(step: &str) -> String {
    let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
    let before_last = verb.chars().rev().nth(1);
    let changed = if ["s", "x", "sh", "ch", "o"].iter().any(|end| verb.ends_with(end)) {
        format!("{verb}es")
    } else if verb.ends_with('y') && !before_last.is_some_and(|letter| "aeiou".contains(letter)) {
        format!("{}ies", &verb[..verb.len() - 1])
    } else {
        format!("{verb}s")
    };
    format!("{changed} {rest}").trim_end().to_owned()
}

const fn activity(
    label: &'static str,
    shelf: &'static str,
    who: &'static str,
    pronoun: &'static str,
    scene: &'static str,
    steps: [&'static str; 5],
) -> Activity {
    Activity { label, shelf, who, pronoun, scene, steps }
}

pub static ACTIVITIES: [Activity; 18] = [
    activity(
        "Baking bread",
        "Food",
        "a baker",
        "She",
        "in the kitchen before dawn",
        [
            "mix the flour with warm water",
            "knead the dough on the table",
            "leave the dough to rise by the stove",
            "shape the dough into round loaves",
            "bake the loaves until they are brown",
        ],
    ),
    activity(
        "Mending a net",
        "Home and Harbour",
        "a fisherman",
        "He",
        "on the quay with an old net",
        [
            "spread the net over two posts",
            "look for the torn meshes",
            "cut the loose ends away",
            "knot new twine into the gap",
            "fold the net into the boat",
        ],
    ),
    activity(
        "Planting beans",
        "Garden",
        "a gardener",
        "She",
        "in the garden with a bag of beans",
        [
            "dig a row in the soft earth",
            "drop the beans one by one",
            "cover the beans with soil",
            "water the row from a can",
            "push a pole into the ground beside each bean",
        ],
    ),
    activity(
        "Shoeing a horse",
        "Animals",
        "a blacksmith",
        "He",
        "beside a grey horse at the forge",
        [
            "lift the hoof of the horse",
            "pull the worn shoe off",
            "heat the new shoe in the fire",
            "hammer the shoe into shape",
            "nail the shoe onto the hoof",
        ],
    ),
    activity(
        "Making candles",
        "Home and Harbour",
        "a candle maker",
        "She",
        "at a bench with wax and wick",
        [
            "melt the wax in a pot",
            "cut the wick into short lengths",
            "dip the wick into the wax",
            "hang the candles up to cool",
            "pack the candles in a box",
        ],
    ),
    activity(
        "Washing a dog",
        "Animals",
        "a boy",
        "He",
        "in the yard with a muddy dog",
        [
            "fill a tub with warm water",
            "coax the dog into the tub",
            "rub soap into the wet fur",
            "rinse the foam away",
            "dry the dog with an old towel",
        ],
    ),
    activity(
        "Throwing a bowl",
        "Crafts",
        "a potter",
        "She",
        "at the wheel with a lump of clay",
        [
            "press the clay onto the wheel",
            "turn the wheel with one foot",
            "open the clay with both thumbs",
            "pull the wall of the bowl upwards",
            "set the bowl on a shelf to dry",
        ],
    ),
    activity(
        "Rowing across the lake",
        "Travel",
        "a ferryman",
        "He",
        "at the landing with a small boat",
        [
            "untie the rope from the post",
            "push the boat off the shore",
            "dip the oars into the lake",
            "row towards the far bank",
            "tie the boat to the other landing",
        ],
    ),
    activity(
        "Shearing a sheep",
        "Animals",
        "a shepherd",
        "She",
        "in the barn with a woolly sheep",
        [
            "sit the sheep on its back",
            "clip the wool from the belly",
            "turn the sheep onto its side",
            "peel the fleece off in one piece",
            "roll the fleece into a bundle",
        ],
    ),
    activity(
        "Lighting a stove",
        "Home and Harbour",
        "a girl",
        "She",
        "in a cold room beside the stove",
        [
            "rake the old ash out",
            "lay dry twigs on some paper",
            "strike a match",
            "blow softly on the first flame",
            "add a log of oak",
        ],
    ),
    activity(
        "Making cheese",
        "Food",
        "a dairyman",
        "He",
        "in the dairy with a pail of milk",
        [
            "warm the milk in a kettle",
            "stir some rennet into the milk",
            "cut the curd into small cubes",
            "drain the whey through a cloth",
            "press the curd into a mould",
        ],
    ),
    activity(
        "Picking apples",
        "Garden",
        "a farmer",
        "He",
        "in the orchard on a bright morning",
        [
            "lean the ladder against a tree",
            "climb up to the branches",
            "twist the ripe apples off",
            "lay the apples in a basket",
            "carry the full basket to the cellar",
        ],
    ),
    activity(
        "Weaving a basket",
        "Crafts",
        "a basket maker",
        "She",
        "on a stool with a heap of willow",
        [
            "soak the willow in the stream",
            "cross the thick rods for the base",
            "bend the rods up for the sides",
            "weave the thin rods in and out",
            "plait a handle over the top",
        ],
    ),
    activity(
        "Cooking soup",
        "Food",
        "a cook",
        "He",
        "in the kitchen of the inn",
        [
            "chop the carrots and the leeks",
            "fry the vegetables in butter",
            "pour water into the pot",
            "simmer the soup for an hour",
            "ladle the soup into bowls",
        ],
    ),
    activity(
        "Posting a letter",
        "Travel",
        "a clerk",
        "She",
        "at a desk with a sheet of paper",
        [
            "write a few friendly lines",
            "fold the sheet twice",
            "slip the sheet into an envelope",
            "stick a stamp on the corner",
            "drop the letter into the box",
        ],
    ),
    activity(
        "Mending a roof",
        "Crafts",
        "a thatcher",
        "He",
        "in front of a leaking cottage",
        [
            "set the ladder against the wall",
            "strip the rotten straw away",
            "carry fresh straw up to the ridge",
            "peg the straw down with hazel",
            "trim the edge with a knife",
        ],
    ),
    activity(
        "Gathering honey",
        "Animals",
        "a beekeeper",
        "She",
        "among the hives in a white veil",
        [
            "puff some smoke into the hive",
            "lift a comb out of the hive",
            "brush the bees from the comb",
            "scrape the wax from the cells",
            "let the honey run into a jar",
        ],
    ),
    activity(
        "Sewing a coat",
        "Crafts",
        "a tailor",
        "He",
        "at a table with a roll of cloth",
        [
            "measure the back of the customer",
            "chalk the pattern on the cloth",
            "snip along the chalk line",
            "stitch the sleeves to the body",
            "iron the finished coat",
        ],
    ),
];
