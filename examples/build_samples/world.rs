//! The facts of the sample world: who lives where, what is made of what, which town holds which feast.
//!
//! A fact is a pair within a relation, and a relation has several wordings for stating and asking it. One
//! question wording is held back from the model's training text, so that the model has read no question of an
//! evaluated row.

use crate::dice::Dice;

/// People who appear in sentences, sums and stories.
pub const NAMES: &[&str] = &[
    "Anna", "Ben", "Clara", "David", "Ella", "Finn", "Greta", "Hugo", "Ida", "Jon", "Kate", "Leo", "Mara",
    "Nell", "Otto", "Pia", "Rose", "Sam", "Tom", "Wim",
];

/// One kind of fact, with the sentences that tell it. `{s}` stands for the subject, `{S}` for the subject at the start of
/// a sentence, `{o}` for the object.
pub struct Relation {
    /// Ways to state it.
    pub statements: &'static [&'static str],
    /// Ways to ask for the object.
    pub questions: &'static [&'static str],
    /// The way to ask that the training text never uses.
    pub held_back: &'static str,
    /// Subjects and objects; within a relation no object fits a second subject, so the others serve as wrong answers.
    pub pairs: &'static [(&'static str, &'static str)],
}

/// A fact: a relation and one of its pairs.
#[derive(Clone, Copy)]
pub struct Fact {
    pub relation: &'static Relation,
    /// Index of the pair in the relation.
    pub pair: usize,
}

impl Fact {
    /// What the fact is about.
    pub fn subject(&self) -> &'static str {
        self.relation.pairs[self.pair].0
    }

    /// What the fact says of it.
    pub fn object(&self) -> &'static str {
        self.relation.pairs[self.pair].1
    }

    /// The fact in one of its statements.
    pub fn told(&self, dice: &mut Dice) -> String {
        let template = *dice.pick(self.relation.statements);
        self.fill(template)
    }

    /// A question for the fact in one of its wordings, but never in the one held back.
    pub fn asked(&self, dice: &mut Dice) -> String {
        let template = *dice.pick(self.relation.questions);
        self.fill(template)
    }

    /// A sentence of the relation, with this fact's subject and object in it.
    pub fn fill(&self, template: &str) -> String {
        template
            .replace("{S}", &capitalised(self.subject()))
            .replace("{s}", self.subject())
            .replace("{O}", &capitalised(self.object()))
            .replace("{o}", self.object())
    }
}

/// Every fact of the world.
pub fn facts() -> Vec<Fact> {
    RELATIONS
        .iter()
        .flat_map(|relation| (0..relation.pairs.len()).map(move |pair| Fact { relation, pair }))
        .collect()
}

/// The text with its first letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub static RELATIONS: &[Relation] = &[
    Relation {
        statements: &["{S} lives in {o}.", "The home of {s} is {o}.", "At night {s} goes home to {o}."],
        questions: &["Where does {s} live?", "What is the home of {s}?"],
        held_back: "In which place would you look for the home of {s}?",
        pairs: &[
            ("an otter", "a burrow in the river bank"),
            ("a fox", "a den under a hedge"),
            ("an owl", "a hollow in an old tree"),
            ("a bee", "a hive"),
            ("a mole", "a tunnel under the meadow"),
            ("a swan", "a nest among the reeds"),
            ("a spider", "a web across a window"),
            ("a beaver", "a lodge in a pond"),
            ("a squirrel", "a nest of twigs high in a tree"),
            ("a bear", "a cave in the hills"),
        ],
    },
    Relation {
        statements: &[
            "{S} eats {o}.",
            "When {s} is hungry, it looks for {o}.",
            "The favourite food of {s} is {o}.",
        ],
        questions: &["What does {s} eat?", "What is the favourite food of {s}?"],
        held_back: "Which food would make {s} happy?",
        pairs: &[
            ("an otter", "fish"),
            ("an owl", "mice"),
            ("a bee", "nectar"),
            ("a mole", "earthworms"),
            ("a goat", "thistles"),
            ("a squirrel", "acorns"),
            ("a spider", "flies"),
            ("a hedgehog", "slugs"),
            ("a beaver", "bark"),
            ("a silkworm", "mulberry leaves"),
        ],
    },
    Relation {
        statements: &["The young of {s} is called {o}.", "When {s} has a little one, we call it {o}."],
        questions: &["What is the young of {s} called?", "What do we call the little one of {s}?"],
        held_back: "By what name do people know the child of {s}?",
        pairs: &[
            ("a fox", "a cub"),
            ("a swan", "a cygnet"),
            ("a goat", "a kid"),
            ("an owl", "an owlet"),
            ("a sheep", "a lamb"),
            ("a horse", "a foal"),
            ("a duck", "a duckling"),
            ("a goose", "a gosling"),
            ("a cow", "a calf"),
            ("a hen", "a chick"),
            ("a cat", "a kitten"),
            ("a dog", "a puppy"),
        ],
    },
    Relation {
        statements: &["{S} is used for {o}.", "People keep {s} for {o}.", "If your task is {o}, take {s}."],
        questions: &["What is {s} used for?", "Why do people keep {s}?"],
        held_back: "For which task would you reach for {s}?",
        pairs: &[
            ("a hammer", "driving nails"),
            ("a saw", "cutting planks"),
            ("a needle", "sewing cloth"),
            ("a spade", "digging the garden"),
            ("a kettle", "boiling water"),
            ("a broom", "sweeping the floor"),
            ("a ladder", "reaching the roof"),
            ("a compass", "finding north"),
            ("a rake", "gathering leaves"),
            ("an oar", "rowing a boat"),
            ("a pair of scales", "weighing flour"),
            ("a thermometer", "measuring how warm it is"),
        ],
    },
    Relation {
        statements: &["{S} works with {o}.", "In the workshop of {s} there is always plenty of {o}."],
        questions: &["What does {s} work with?", "What does {s} buy for the workshop?"],
        held_back: "Which material does {s} need most?",
        pairs: &[
            ("a potter", "clay"),
            ("a weaver", "wool"),
            ("a baker", "flour"),
            ("a blacksmith", "iron"),
            ("a cooper", "oak"),
            ("a cobbler", "leather"),
            ("a candle maker", "wax"),
            ("a thatcher", "straw"),
            ("a basket maker", "willow"),
            ("a mason", "stone"),
        ],
    },
    Relation {
        statements: &["{S} makes {o}.", "On market days {s} sells {o}.", "If you need {o}, go to {s}."],
        questions: &["What does {s} make?", "What does {s} sell on market days?"],
        held_back: "Which goods come from the hands of {s}?",
        pairs: &[
            ("a potter", "bowls"),
            ("a weaver", "cloth"),
            ("a baker", "bread"),
            ("a blacksmith", "horseshoes"),
            ("a cooper", "barrels"),
            ("a cobbler", "shoes"),
            ("a candle maker", "candles"),
            ("a thatcher", "roofs"),
            ("a tailor", "coats"),
            ("a printer", "books"),
        ],
    },
    Relation {
        statements: &["{S} {o}.", "Everybody in the workshop knows that {s} {o}."],
        questions: &["What is special about {s}?", "What do we know about {s}?"],
        held_back: "Which of these is true of {s}?",
        pairs: &[
            ("glass", "lets light through"),
            ("wool", "keeps the heat in"),
            ("iron", "is pulled by a magnet"),
            ("copper", "is drawn into wire for lamps"),
            ("cork", "is cut into stoppers for bottles"),
            ("rubber", "springs back when it is bent"),
            ("salt", "dissolves in water"),
            ("wax", "melts near a flame"),
            ("slate", "is split into thin tiles for roofs"),
            ("paper", "is made of wood"),
        ],
    },
    Relation {
        statements: &["When {s}, {o}.", "{O} when {s}."],
        questions: &["What happens when {s}?", "What will we see when {s}?"],
        held_back: "What is most likely to happen when {s}?",
        pairs: &[
            ("water is very cold", "it turns to ice"),
            ("a puddle lies in the sun", "it dries up"),
            ("iron stands in the rain", "it begins to rust"),
            ("dark clouds gather", "rain falls on the fields"),
            ("the sun goes down", "the air grows cool"),
            ("a seed has water and warmth", "it sprouts"),
            ("a ball is thrown up", "it comes down again"),
            ("a drum is struck", "a sound is heard"),
            ("a candle has no air", "the flame goes out"),
            ("snow lies in the spring sun", "the brook rises"),
        ],
    },
    Relation {
        statements: &["The {s} of a plant {o}.", "In every garden the {s} {o}."],
        questions: &["What does the {s} of a plant do?", "What is the {s} of a plant for?"],
        held_back: "How does the {s} help a plant?",
        pairs: &[
            ("root", "takes in water from the soil"),
            ("leaf", "makes food from sunlight"),
            ("flower", "calls the bees"),
            ("seed", "grows into a new plant"),
            ("stem", "holds the leaves up"),
            ("thorn", "keeps hungry animals away"),
        ],
    },
    Relation {
        statements: &["The {s} of the body {o}.", "Day and night the {s} {o}."],
        questions: &["What does the {s} of the body do?", "What is the {s} of the body for?"],
        held_back: "How does the {s} help the body?",
        pairs: &[
            ("heart", "pumps the blood"),
            ("stomach", "breaks down food"),
            ("skin", "keeps out dirt"),
            ("brain", "thinks and remembers"),
            ("nose", "smells the air"),
            ("tongue", "tastes sweet and sour"),
        ],
    },
    Relation {
        statements: &["{S} is {o}.", "Every child in the valley learns that {s} is {o}."],
        questions: &["What is {s}?", "What does every child learn about {s}?"],
        held_back: "Which words describe {s} best?",
        pairs: &[
            ("the sun", "a star that gives light and warmth"),
            ("the moon", "a ball of rock that travels around the Earth"),
            ("the Earth", "the planet on which we live"),
            ("the wind", "air that moves"),
            ("fog", "a cloud that lies on the ground"),
            ("dew", "water that forms on cold grass"),
            ("hail", "ice that falls from the clouds"),
            ("a rainbow", "sunlight split by drops of rain"),
            ("a tide", "the rise and fall of the sea"),
        ],
    },
    Relation {
        statements: &["{S} lies {o}.", "Travellers find {s} {o}.", "The town of {s} was built {o}."],
        questions: &["Where does {s} lie?", "Where was the town of {s} built?"],
        held_back: "A traveller is looking for {s}. Where should she go?",
        pairs: &TOWN_PLACES,
    },
    Relation {
        statements: &[
            "The people of {s} are known for {o}.",
            "In {s} they make {o}.",
            "{O} are the pride of {s}.",
        ],
        questions: &["What are the people of {s} known for?", "What do they make in {s}?"],
        held_back: "Which goods would you bring home from {s}?",
        pairs: &[
            ("Alderby", "oak barrels"),
            ("Brackwater", "fishing nets"),
            ("Cresthill", "wool blankets"),
            ("Dunmoor", "peat stoves"),
            ("Elmstead", "wooden clocks"),
            ("Fernley", "willow baskets"),
            ("Goosewick", "feather pillows"),
            ("Hazelford", "nut cakes"),
            ("Inverlea", "silver bells"),
            ("Kingsmere", "blue bowls"),
        ],
    },
    Relation {
        statements: &[
            "{S} keeps its feast {o}.",
            "The feast of {s} is held {o}.",
            "There is dancing in {s} {o}.",
        ],
        questions: &["When does {s} keep its feast?", "When is there dancing in {s}?"],
        held_back: "At what time of the year should a guest visit the feast of {s}?",
        pairs: &[
            ("Alderby", "on the first day of May"),
            ("Brackwater", "when the herring come"),
            ("Cresthill", "after the sheep are shorn"),
            ("Dunmoor", "on the longest night"),
            ("Elmstead", "when the cuckoo first calls"),
            ("Fernley", "at the first full moon of spring"),
            ("Goosewick", "when the wild geese fly south"),
            ("Hazelford", "when the nuts are ripe"),
            ("Inverlea", "on midsummer day"),
            ("Kingsmere", "when the lake freezes"),
        ],
    },
    Relation {
        statements: &["The best dish in {s} is {o}.", "At the inn of {s} they serve {o}."],
        questions: &["What is the best dish in {s}?", "What do they serve at the inn of {s}?"],
        held_back: "Which dish should a hungry guest order in {s}?",
        pairs: &[
            ("Alderby", "bean soup"),
            ("Brackwater", "smoked eel"),
            ("Cresthill", "sheep's cheese"),
            ("Dunmoor", "oat cakes"),
            ("Elmstead", "cherry pie"),
            ("Fernley", "mushroom stew"),
            ("Goosewick", "egg pancakes"),
            ("Hazelford", "nut bread"),
            ("Inverlea", "baked salmon"),
            ("Kingsmere", "barley broth"),
        ],
    },
];

/// The towns and where they lie; their names are also used in stories and sums.
pub static TOWN_PLACES: [(&str, &str); 10] = [
    ("Alderby", "at the edge of an oak wood"),
    ("Brackwater", "at the mouth of the river"),
    ("Cresthill", "on the top of a green hill"),
    ("Dunmoor", "in the middle of the moor"),
    ("Elmstead", "at the crossing of two roads"),
    ("Fernley", "in a deep valley"),
    ("Goosewick", "beside a wide marsh"),
    ("Hazelford", "at the shallow place in the river"),
    ("Inverlea", "below a waterfall"),
    ("Kingsmere", "on the shore of a lake"),
];
