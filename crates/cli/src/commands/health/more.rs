//! What `sekimori health` tells beside rules that decide nothing: who is not there, fewer rules, overlaps, what is too wide.

use comfy_table::{Cell, Row};
use sekimori_analysis::{
    effective::GroupName,
    health::{
        absent::{Absence, EmptyPeer},
        fewer::Merge,
        overlap::Overlap,
        width::TooWide,
    },
    text,
};
use sekimori_core::{rule::Direction, time::Timestamp};

use super::count;
use crate::{moment, output::Page};

pub(super) fn absent(page: Page, found: &[EmptyPeer]) -> Page {
    if found.is_empty() {
        return page;
    }
    let row = |found: &EmptyPeer| {
        let EmptyPeer { group, rule, direction, rule_text, names, why } = found;
        let why = match why {
            Absence::Deleted => "was deleted",
            Absence::OutOfReach => "is in a VPC that is not joined with the rule's (stale)",
            Absence::NoMember => "is carried by no interface that could be met",
            Absence::NoEntry => "has no entry",
        };
        Row::from(vec![
            named(group),
            Cell::new(rule),
            says(*direction, rule_text),
            Cell::new(format!("{names} {why}")),
        ])
    };
    page.line(format!("{} about nobody", speak(found.len()))).table(
        &["GROUP", "RULE", "SAYS", "BUT"],
        found.iter().map(row),
        "",
    )
}

fn speak(number: usize) -> String {
    if number == 1 { "1 rule speaks".to_owned() } else { format!("{number} rules speak") }
}

pub(super) fn merges(page: Page, merges: &[Merge]) -> Page {
    if merges.is_empty() {
        return page;
    }
    let row = |merge: &Merge| {
        let Merge { group, direction, rules, rule_texts, into_text, kept, .. } = merge;
        let rules = rules.iter().zip(rule_texts).map(|(rule, text)| format!("{rule}: {text}"));
        let into = kept.as_ref().map_or_else(|| into_text.clone(), |kept| format!("{kept} alone: {into_text}"));
        Row::from(vec![
            named(group),
            Cell::new(direction),
            Cell::new(rules.collect::<Vec<_>>().join("\n")),
            Cell::new(into),
        ])
    };
    let fewer: usize = merges.iter().map(|merge| merge.rules.len() - 1).sum();
    page.line(format!(
        "{} less would say exactly the same, whoever is in which group (--merge)",
        count(fewer, "rule")
    ))
    .table(&["GROUP", "DIRECTION", "RULES", "SAID BY"], merges.iter().map(row), "")
}

pub(super) fn overlaps(page: Page, overlaps: &[Overlap], more: usize) -> Page {
    if overlaps.is_empty() {
        return page;
    }
    let row = |overlap: &Overlap| {
        let Overlap { group, direction, first, first_text, second, second_text, is_contrary, shared } = overlap;
        let decides =
            if *is_contrary { "the first decides, the second says the contrary" } else { "both say the same" };
        Row::from(vec![
            named(group),
            says(*direction, &format!("{first}: {first_text}\n{second}: {second_text}")),
            Cell::new(shared.join("; ")),
            Cell::new(decides),
        ])
    };
    let page = page.line(format!("{} of rules that share packets", count(overlaps.len() + more, "pair"))).table(
        &["GROUP", "RULES", "SHARED", "THERE"],
        overlaps.iter().map(row),
        "",
    );
    if more == 0 { page } else { page.line(format!("and {} that are not told", count(more, "pair"))) }
}

pub(super) fn too_wide(page: Page, wide: &[TooWide], since: Option<Timestamp>) -> Page {
    let Some(since) = since else {
        return page.line("no flows had been recorded; that has begun now, so ask again when there was traffic");
    };
    let since = moment::show(since);
    if wide.is_empty() {
        return page.line(format!(
            "no rule that flows were recorded of since {since} is wider than they need; of a rule without any, see --unused-since"
        ));
    }
    let row = |wide: &TooWide| {
        let TooWide { group, rule, direction, rule_text, seen, decided, narrower_texts, .. } = wide;
        Row::from(vec![
            named(group),
            Cell::new(rule),
            says(*direction, rule_text),
            Cell::new(format!("{seen} of {decided}")),
            Cell::new(narrower_texts.join("\n")),
        ])
    };
    page.line(format!("{} wider than the flows recorded since {since} have used", are(wide.len()))).table(
        &["GROUP", "RULE", "SAYS", "FLOWS SEEN", "ENOUGH FOR THEM"],
        wide.iter().map(row),
        "",
    )
}

fn are(number: usize) -> String {
    if number == 1 { "1 rule is".to_owned() } else { format!("{number} rules are") }
}

fn named(group: &GroupName) -> Cell {
    Cell::new(text::named(group.id.as_str(), &group.name))
}

fn says(direction: Direction, text: &str) -> Cell {
    Cell::new(format!("{direction}: {text}"))
}
