//! The decision against a naive evaluator, and what holds for every order of layers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod reference;
mod worlds;

use policy::{Document, Exchange, Hosts, Kind, Layer, Level, Policy, Protocol, Request, Verdict};
use proptest::prelude::*;
use worlds::{asked, asked_calls, calls_document, document, policy};

fn at(level: Level, text: &str) -> Layer {
    Layer { level, document: Document::parse("world", text, &Hosts::Unknown).unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_decision_is_that_of_the_naive_evaluator(text in document(), questions in prop::collection::vec(asked(), 24)) {
        let policy = policy(&[&text]);
        for question in questions {
            question.with(|request| {
                let decided = policy.decide(request);
                prop_assert_eq!(decided.verdict, reference::decide(&policy, request), "{:?}\n{}\n{:?}", question, text, decided);
                Ok(())
            })?;
        }
    }

    #[test]
    fn layers_may_be_given_in_any_order(one in document(), two in document(), question in asked()) {
        let forth = Policy::merge(vec![at(Level::Profile, &one), at(Level::Tenant, &two)], Vec::new()).unwrap();
        let back = Policy::merge(vec![at(Level::Tenant, &two), at(Level::Profile, &one)], Vec::new()).unwrap();
        let origins = |policy: &Policy| policy.entries().iter().map(|entry| entry.origin.clone()).collect::<Vec<_>>();
        prop_assert_eq!(origins(&forth), origins(&back));
        prop_assert!(origins(&forth).is_sorted_by_key(|origin| origin.level));
        let decided = question.with(|request| {
            let (forth, back) = (forth.decide(request), back.decide(request));
            (forth.verdict, forth.entry.map(|entry| entry.origin.clone())) == (back.verdict, back.entry.map(|entry| entry.origin.clone()))
        });
        prop_assert!(decided);
    }

    /// With one default, where a document stands changes nothing but its name in the reports.
    #[test]
    fn a_level_changes_the_provenance_and_not_the_verdict(one in document(), two in document(), question in asked()) {
        let plain = |text: &str| text.replace("default: ask", "default: deny");
        let (one, two) = (plain(&one), plain(&two));
        let forth = Policy::merge(vec![at(Level::Profile, &one), at(Level::Tenant, &two)], Vec::new()).unwrap();
        let swapped = Policy::merge(vec![at(Level::Tenant, &one), at(Level::Profile, &two)], Vec::new()).unwrap();
        let same = question.with(|request| forth.decide(request).verdict == swapped.decide(request).verdict);
        prop_assert!(same);
    }

    #[test]
    fn what_is_said_to_be_no_widening_allows_nothing_more(
        old in document(), new in document(), take in any::<proptest::sample::Index>(), change in 0..8usize,
        questions in prop::collection::vec(asked(), 24),
    ) {
        // Unrelated policies nearly always widen, so most are a change of one: an entry left out, added or changed.
        let new = match change {
            0 => new,
            1 | 2 => without(&old, take.index(8)),
            3 => [old.as_str(), &new.replacen("version: 1\n", "", 1).lines().skip_while(|line| !line.starts_with("  p")).map(|line| line.replacen("  p", "  q", 1) + "\n").collect::<String>()].concat(),
            4 => old.replacen("\"/a/**\"", "\"/a/b/**\"", 1).replacen("enforcement: audit", "enforcement: enforce", 1).replacen("max_body_bytes: 200", "max_body_bytes: 50", 1).replacen("strict_tool_names: false", "strict_tool_names: true", 1),
            5 => allowing_more(&old),
            6 => old.replacen("enforcement: enforce", "enforcement: audit", 1),
            _ => old.replacen("\"*\"", "GET", 1).replacen("443, 80", "443", 1).replacen("ask: true", "ask: false", 1).replacen("max_body_bytes: 100", "max_body_bytes: 200", 1),
        };
        let (before, after) = (policy(&[&old]), policy(&[&new]));
        let widenings = policy::widens(&before, &after);
        for question in questions.iter().filter(|question| question.is_request()) {
            let (was, is) = question.with(|request| (before.decide(request).verdict, after.decide(request).verdict));
            prop_assert!(is <= was || !widenings.is_empty(), "{:?}\n{}\n{}", question, old, new);
        }
        prop_assert!(policy::widens(&before, &before).is_empty());
    }

    /// The same of calls alone, at one place: a few words, so that rules meet.
    #[test]
    fn calls_that_are_newly_allowed_are_a_widening(
        old in calls_document(), other in calls_document(), change in 0..5usize, questions in prop::collection::vec(asked_calls(), 48),
    ) {
        let new = match change {
            0 => other,
            1 => allowing_more(&old),
            2 => without(&old, 0),
            3 => old.replacen("max_body_bytes: 100", "max_body_bytes: 200", 1).replacen("allow_all_known_mcp_methods: false", "allow_all_known_mcp_methods: true", 1),
            _ => old.replacen("/a/**", "/a", 1).replacen("method: x/y", "method: ping", 1).replacen("enforcement: audit", "enforcement: enforce", 1),
        };
        let (before, after) = (policy(&[&old]), policy(&[&new]));
        let widenings = policy::widens(&before, &after);
        for question in &questions {
            let (was, is) = question.with(|request| (before.decide(request).verdict, after.decide(request).verdict));
            prop_assert!(is <= was || !widenings.is_empty(), "{:?}\n{}\n{}", question, old, new);
        }
        prop_assert!(policy::widens(&before, &before).is_empty());
    }

    #[test]
    fn an_explanation_says_what_was_decided(text in document(), question in asked()) {
        let policy = policy(&[&text]);
        let (decided, explained) = question.with(|request| {
            let explained = policy.explain(request);
            // Nobody asks about a message where only the upgrade is looked at: that is what was decided.
            let upgrade = request.exchange.map(|exchange| Exchange { kind: Kind::Upgrade, method: "GET", ..exchange });
            let at = policy.decide(&Request { exchange: upgrade, ..*request });
            let rest = at.entry.and_then(|entry| entry.endpoint.inspection.as_ref()).map(|inspection| inspection.protocol) == Some(Protocol::Rest);
            let message = request.exchange.is_some_and(|exchange| exchange.kind == Kind::Message);
            (if message && rest { at.verdict } else { policy.decide(request).verdict }, explained)
        });
        prop_assert_eq!(decided, explained.verdict);
        prop_assert!(!explained.sentence.is_empty());
        prop_assert!(serde_json::to_string(&explained).is_ok());
    }
}

/// A document whose first deny rules are gone.
fn allowing_more(text: &str) -> String {
    let begin = text.match_indices("deny_rules: [{").next().map(|(at, found)| (at, at + found.len()));
    let Some((begin, inside)) = begin else { return text.to_owned() };
    let ends = ["], allow_encoded", "] }"].map(|end| text[inside..].find(end));
    let end = ends.into_iter().flatten().min().map_or(text.len(), |at| inside + at);
    format!("{}deny_rules: [{}", &text[..begin], &text[end..])
}

/// A document without one of its endpoints.
fn without(text: &str, which: usize) -> String {
    let endpoints: Vec<_> =
        text.lines().enumerate().filter(|(_, line)| line.starts_with("      - ")).collect();
    let Some((gone, _)) = endpoints.get(which % endpoints.len().max(1)) else { return text.to_owned() };
    let kept: Vec<_> =
        text.lines().enumerate().filter(|(index, _)| index != gone).map(|(_, line)| line).collect();
    let lines = kept.iter().enumerate().map(|(index, line)| {
        let last = !kept.get(index + 1).is_some_and(|next| next.starts_with("      - "));
        if *line == "    endpoints:" && last { format!("{line} []\n") } else { format!("{line}\n") }
    });
    lines.collect()
}

#[test]
fn the_worlds_hold_every_verdict() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<Verdict, usize>::new();
    for _ in 0..600 {
        let text = document().new_tree(&mut runner).unwrap().current();
        let policy = policy(&[&text]);
        for _ in 0..8 {
            let question = asked().new_tree(&mut runner).unwrap().current();
            *seen.entry(question.with(|request| policy.decide(request).verdict)).or_default() += 1;
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count > 20), "{seen:?}");
}
