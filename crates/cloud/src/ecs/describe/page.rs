//! Parts of results: by page number, or by the key of the last item that the client has seen.

pub(super) use crate::page::Order;
use crate::{
    ecs::{
        encode::{Fields, number},
        query::Page,
    },
    page,
};

/// The wanted part of a whole result that is in order, and the fields that tell which part it is.
pub(super) fn part<T>(all: Vec<T>, page: &Page, order: Order, key: impl Fn(&T) -> String) -> (Vec<T>, Fields) {
    match page {
        Page::All => (all, vec![("NextToken", "".into())]),
        Page::Number { number: page, size } => {
            let fields = vec![
                ("PageNumber", number(*page)),
                ("PageSize", number(*size)),
                ("TotalCount", number(all.len())),
                ("NextToken", "".into()),
            ];
            let before = (*page as usize).saturating_sub(1).saturating_mul(*size as usize);
            (all.into_iter().skip(before).take(*size as usize).collect(), fields)
        }
        Page::Token { results_max, after, mark } => {
            let (items, last) = page::after(all, (after.as_deref(), *results_max as usize), order, key);
            let token = last.map(|key| mark.token(&key)).unwrap_or_default();
            (items, vec![("NextToken", token.into())])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::{encode::Node, token::Mark};

    fn parts(all: &[&'static str], order: Order) -> Vec<Vec<&'static str>> {
        let (mut seen, mut after) = (Vec::new(), None);
        let mark = Mark::of("DescribeVpcs", &"1".into());
        loop {
            let page = Page::Token { results_max: 2, after, mark };
            let (items, fields) = part(all.to_vec(), &page, order, |item| (*item).to_owned());
            seen.push(items);
            let [("NextToken", Node::Text(token))] = fields.as_slice() else { panic!("{fields:?}") };
            if token.is_empty() {
                return seen;
            }
            after = Some(mark.key(token).unwrap());
        }
    }

    #[test]
    fn tokens_lead_through_everything_once() {
        assert_eq!(parts(&["a", "b", "c"], Order::Ascending), [vec!["a", "b"], vec!["c"]]);
        assert_eq!(parts(&["c", "b", "a"], Order::Descending), [vec!["c", "b"], vec!["a"]]);
        assert_eq!(parts(&["a", "b"], Order::Ascending), [vec!["a", "b"]]);
        assert_eq!(parts(&[], Order::Ascending), [Vec::<&str>::new()]);
    }

    #[test]
    fn a_token_outlives_the_item_it_names() {
        let mark = Mark::of("DescribeVpcs", &"1".into());
        let page = Page::Token { results_max: 9, after: Some("b".to_owned()), mark };
        let (items, _) = part(vec!["a", "c"], &page, Order::Ascending, |item| (*item).to_owned());
        assert_eq!(items, ["c"]);
    }

    #[test]
    fn a_page_past_the_end_is_empty_and_still_counts() {
        let page = Page::Number { number: 3, size: 2 };
        let (items, fields) = part(vec!["a", "b"], &page, Order::Ascending, |item| (*item).to_owned());
        assert!(items.is_empty());
        assert!(fields.contains(&("TotalCount", Node::Number(2))));
    }
}
