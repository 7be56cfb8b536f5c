//! Whether a pattern is in a text, at a cost that is counted.
//!
//! No pattern is slower than linear in the text. But a byte of the text may cost as much as the pattern has states, and
//! a pattern of twenty characters may have ten thousand of them: who writes patterns, or knows one, could keep a
//! processor at work for minutes with one message. So a search spends `Steps`, and all searches of a message spend the
//! same ones: when they are spent, nothing was found out. The same pattern and text spend the same on every machine.
//!
//! There are two ways to search. The quick one makes an automaton as it goes: a byte is a look into a table, and where
//! the table says nothing yet, all states may have to be looked at. It cannot tell where a word ends beside a letter
//! that is not ASCII; from there on the other way goes from state to state, and counts each.
//!
//! # Bounds
//! A pattern takes `LARGEST` bytes, and a search as much besides, which is given back after it. While it is compiled it
//! may take more: `classes` tells beforehand.

use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson::{NFA, State, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use regex_syntax::ast::{self, Ast, ClassPerl, ClassPerlKind, ClassSetBinaryOp, ClassSetItem};

/// Bytes of a compiled pattern, and how deep its groups may nest: deeper ones overflow a small stack.
const LARGEST: usize = 1 << 20;
const DEEPEST: u32 = 16;

/// Of the quick way, so many bytes count as one step, which is one state of the other: some ten nanoseconds.
const BYTES_A_STEP: usize = 8;

/// How much work the classes of characters of an expression are, before any is done: each takes kilobytes and up to a
/// third of a millisecond where it is put together, also where nothing of it is left in the compiled pattern (`\w{0}`).
/// A digit or a space counts one, any other class ten, and so does what combines two. What is no expression has none.
pub fn classes(expression: &str) -> usize {
    let parsed = ast::parse::ParserBuilder::new().nest_limit(DEEPEST).build().parse(expression);
    parsed.ok().and_then(|parsed| ast::visit(&parsed, Classes(0)).ok()).unwrap_or_default()
}

struct Classes(usize);

impl Classes {
    fn add_perl(&mut self, class: &ClassPerl) {
        let is_small = !class.negated && class.kind != ClassPerlKind::Word;
        self.0 += if is_small { 1 } else { LARGE_CLASS };
    }
}

const LARGE_CLASS: usize = 10;

impl ast::Visitor for Classes {
    type Output = usize;
    type Err = ();

    fn finish(self) -> Result<usize, ()> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), ()> {
        match part {
            Ast::ClassPerl(class) => self.add_perl(class),
            Ast::ClassUnicode(_) => self.0 += LARGE_CLASS,
            Ast::ClassBracketed(class) if class.negated => self.0 += LARGE_CLASS,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), ()> {
        match item {
            ClassSetItem::Perl(class) => self.add_perl(class),
            ClassSetItem::Unicode(_) | ClassSetItem::Bracketed(_) => self.0 += LARGE_CLASS,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), ()> {
        self.0 += LARGE_CLASS;
        Ok(())
    }
}

/// What is left to be spent on searches.
#[derive(Debug)]
pub struct Steps(u64);

impl Steps {
    /// For one message: fifty patterns over two megabytes, or a second of a processor, whatever the patterns.
    pub const fn of_a_message() -> Self {
        Self(1 << 26)
    }

    fn spend(&mut self, n: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(n as u64).ok_or(Spent)?;
        Ok(())
    }
}

/// All steps are spent.
#[derive(Debug, PartialEq, Eq)]
pub struct Spent;

/// A regular expression, compiled.
pub struct Pattern {
    nfa: NFA,
    /// `None` for one that is so large that the automaton would have no room.
    quick: Option<DFA>,
    /// Finds where a match could begin.
    beginning: Option<Prefilter>,
}

impl Pattern {
    /// # Errors
    /// What is wrong with the expression, in words that go after its name.
    pub fn compile(expression: &str) -> Result<Self, String> {
        let wrong = |text: String| {
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("cannot be used: {why} (patterns run in linear time: no look-around, no back-references)")
        };
        let syntax = syntax::Config::new().nest_limit(DEEPEST);
        let parsed = syntax::parse_with(expression, &syntax).map_err(|error| wrong(error.to_string()))?;
        let limits = NFA::config().which_captures(WhichCaptures::None).nfa_size_limit(Some(LARGEST));
        let nfa = NFA::compiler().configure(limits).build_from_hir(&parsed).map_err(|error| {
            match error.size_limit() {
                Some(_) => "is too large once compiled; make the pattern smaller".to_owned(),
                None => wrong(error.to_string()),
            }
        })?;
        let quick = DFA::config().unicode_word_boundary(true).cache_capacity(LARGEST);
        let quick = DFA::builder().configure(quick).build_from_nfa(nfa.clone()).ok();
        let beginning = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, &parsed);
        Ok(Self { nfa, quick, beginning })
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.nfa.memory_usage() + self.beginning.as_ref().map_or(0, Prefilter::memory_usage)
    }

    /// # Errors
    /// `Spent` before it was found out.
    pub fn is_in(&self, text: &str, steps: &mut Steps) -> Result<bool, Spent> {
        let text = text.as_bytes();
        let from = match &self.beginning {
            None => 0,
            Some(beginning) => match beginning.find(text, (0..text.len()).into()) {
                None => return Ok(false),
                Some(found) => found.start,
            },
        };
        let quick = self.quick.as_ref().map(|quick| self.search_quickly(quick, text, from, steps));
        match quick.transpose()?.flatten() {
            Some(is_in) => Ok(is_in),
            None => self.search_by_states(text, from, steps),
        }
    }

    /// `None` where it cannot tell.
    fn search_quickly(
        &self,
        dfa: &DFA,
        text: &[u8],
        from: usize,
        steps: &mut Steps,
    ) -> Result<Option<bool>, Spent> {
        let n_states = self.nfa.states().len();
        steps.spend(n_states + (text.len() - from) / BYTES_A_STEP)?;
        let mut cache = dfa.create_cache();
        let Ok(mut state) = dfa.start_state_forward(&mut cache, &Input::new(text).range(from..)) else {
            return Ok(None);
        };
        for &byte in &text[from..] {
            let mut next = dfa.next_state_untagged(&cache, state, byte);
            if next.is_unknown() {
                steps.spend(n_states)?;
                let Ok(made) = dfa.next_state(&mut cache, state, byte) else { return Ok(None) };
                next = made;
            }
            if next.is_tagged() {
                // A match is told a byte late. Of these, who is there stays there.
                return Ok(if next.is_quit() { None } else { Some(next.is_match()) });
            }
            state = next;
        }
        Ok(dfa.next_eoi_state(&mut cache, state).ok().map(|end| end.is_match()))
    }

    fn search_by_states(&self, text: &[u8], from: usize, steps: &mut Steps) -> Result<bool, Spent> {
        let n_states = self.nfa.states().len();
        steps.spend(n_states)?;
        let (mut here, mut behind) = (Standing::nowhere(n_states), Standing::nowhere(n_states));
        for at in from..=text.len() {
            if here.go_to(&self.nfa, self.nfa.start_anchored(), (text, at), steps)? {
                return Ok(true);
            }
            let Some(&byte) = text.get(at) else { break };
            steps.spend(here.states.len())?;
            for state in here.states.drain(..) {
                let next = match self.nfa.state(state) {
                    State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                    State::Sparse(transitions) => transitions.matches_byte(byte),
                    State::Dense(transitions) => transitions.matches_byte(byte),
                    _ => None,
                };
                if let Some(next) = next
                    && behind.go_to(&self.nfa, next, (text, at + 1), steps)?
                {
                    return Ok(true);
                }
            }
            here.forget();
            std::mem::swap(&mut here, &mut behind);
        }
        Ok(false)
    }
}

/// The states in which a search is at one place of the text.
struct Standing {
    /// Those that read a byte.
    states: Vec<StateID>,
    /// In which round each state was gone to last.
    gone_to: Vec<u32>,
    round: u32,
    left: Vec<StateID>,
}

impl Standing {
    fn nowhere(n_states: usize) -> Self {
        Self { states: Vec::new(), gone_to: vec![0; n_states], round: 1, left: Vec::new() }
    }

    fn forget(&mut self) {
        self.states.clear();
        self.round += 1;
    }

    /// Goes to a state, and from it to all that need no byte; whether the pattern is at its end there.
    fn go_to(
        &mut self,
        nfa: &NFA,
        state: StateID,
        (text, at): (&[u8], usize),
        steps: &mut Steps,
    ) -> Result<bool, Spent> {
        self.left.clear();
        self.left.push(state);
        while let Some(state) = self.left.pop() {
            steps.spend(1)?;
            if std::mem::replace(&mut self.gone_to[state.as_usize()], self.round) == self.round {
                continue;
            }
            match nfa.state(state) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => self.states.push(state),
                State::Look { look, next } if nfa.look_matcher().matches(*look, text, at) => {
                    self.left.push(*next);
                }
                State::Union { alternates } => self.left.extend(alternates.iter()),
                State::BinaryUnion { alt1, alt2 } => self.left.extend([alt1, alt2]),
                State::Capture { next, .. } => self.left.push(*next),
                State::Match { .. } => return Ok(true),
                State::Look { .. } | State::Fail => {}
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(expression: &str, text: &str) -> Result<bool, Spent> {
        Pattern::compile(expression).expect("a pattern").is_in(text, &mut Steps::of_a_message())
    }

    #[test]
    fn a_search_that_would_take_minutes_ends_and_says_so() {
        let alike = "ab".repeat(500_000);
        let mut seed = 1_u64;
        let mut uneven = String::new();
        while uneven.len() < 1_000_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            uneven.extend(["wire", &"-----------"[..(seed >> 33) as usize % 11]]);
        }
        for (expression, text) in [
            ("[ab]*a[ab]{12800}c", alike.clone()),
            (r"\b[ab]*a[ab]{5000}c", format!("{alike} ä")),
            ("(?i)wire.{1,500}transfer", uneven),
            (r"\bä[^!]{1,200}!", "ä ".repeat(300_000)),
        ] {
            assert_eq!(find(expression, &text), Err(Spent), "{expression}");
        }
    }

    #[test]
    fn what_people_look_for_is_found_out_in_a_long_text() {
        let text = "Grüße, die Rechnungen über 1234 5678 EUR liegen bei. \n".repeat(19_000);
        let mut steps = Steps::of_a_message();
        for (expression, expected) in [
            ("(?i)wire transfer", false),
            (r"(?i)\brechnungen?\b", true),
            (r"\brechnung\b", false),
            (r"(?i)\bÜBER\b.{1,40}\beur\b", true),
            (r"\b\d{16}\b", false),
            (r"(?m)^liegen", false),
            (r"(?:\bbitcoin\b|\bmonero\b)[^\n]{0,200}wallet", false),
            (r"bei\. \n\z", true),
        ] {
            let pattern = Pattern::compile(expression).expect("a pattern");
            assert_eq!(pattern.is_in(&text, &mut steps), Ok(expected), "{expression}: {steps:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_find_what_the_regex_crate_finds(
            parts in prop::collection::vec(prop::sample::select(vec![
                "a", "b", "ä", "(?i:k)", ".", r"\b", r"\B", "^", "$", "(?m:^)", "(?m:$)", r"\w", r"\d", r"\s", "[^a]",
                "(?:ab|ba)", "(?:a|)", "a*", "b+?", "c{2,3}", r"\A", r"\z", "(?s:.)", r"(?-u:\b)", "ß",
            ]), 1..6),
            star in any::<bool>(),
            text in prop::collection::vec(prop::sample::select(vec![
                "a", "b", "ä", "K", "k", "\u{212a}", " ", "\n", "1", "c", "cc", "ß", "\u{301}", "é", "_", "", "🙂",
            ]), 0..12),
        ) {
            let expression = if star { format!("(?:{})*c", parts.concat()) } else { parts.concat() };
            let (text, expected) = (text.concat(), regex::Regex::new(&expression).expect("a regex"));
            let expected = expected.is_match(&text);
            let pattern = Pattern::compile(&expression).expect("a pattern");
            let mut steps = Steps::of_a_message();
            prop_assert_eq!(pattern.is_in(&text, &mut steps), Ok(expected), "{} in {:?}", expression, text);
            let by_states = pattern.search_by_states(text.as_bytes(), 0, &mut steps);
            prop_assert_eq!(by_states, Ok(expected), "{} in {:?}", expression, text);
        }
    }
}
